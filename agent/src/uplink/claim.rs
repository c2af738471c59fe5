//! Pairing, from the camera's side: prove the key, claim the place that an owner has opened.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use nightjar_shared::{
    PROTOCOL_VERSION,
    api::{ClaimRequest, ClaimResponse},
    pairing::{JoinCode, PROVISIONING_BYTES_MAX, ProvisioningFile, claim_proof},
    problem::ProblemCode,
    time::{ClockState, UnixMillis},
};

use crate::{
    clock::Clock,
    cloud::{CloudError, Visitor},
    identity::{Identity, IdentityError},
    pairing::{Pairing, PairingError},
    private_file, provisioning,
    tls::{CaCertificate, TimeFloor},
};

/// What entitles the camera to a place.
pub enum Ticket {
    Code(JoinCode),
    Secret(String),
}

/// How the camera introduces itself.
#[derive(Clone)]
pub struct Introduction {
    pub name: String,
    pub model: String,
}

impl Introduction {
    /// Introduces this machine. Its model is what the board or its firmware calls itself.
    pub fn of_this_machine(name: String) -> Self {
        let model = ["/proc/device-tree/model", "/sys/class/dmi/id/product_name"]
            .into_iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .map(|text| text.trim_matches(['\0', '\n', ' ']).chars().take(64).collect())
            .filter(|text: &String| !text.is_empty());
        Self { name, model: model.unwrap_or_else(|| "Linux".to_owned()) }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error(
        "the relay does not take this code or file: it is mistyped, expired or used; ask for a \
         new one in the app, under \"add camera\""
    )]
    NotAccepted,
    #[error("the relay asks to wait: too many wrong codes; try again in some minutes")]
    TooManyTries,
    #[error("the relay is newer or older than this agent; update the older one")]
    Protocol,
    #[error(
        "{0}; if the relay has a certificate of its own, pass its hash from the app with \
         --ca-sha256"
    )]
    Untrusted(CloudError),
    #[error(
        "the relay did not show that it knows this code: it is mistyped, expired or used, or another \
         relay answers at this address; check the address and ask for a new code in the app, under \
         \"add camera\""
    )]
    NotIntroduced,
    #[error("{0}; the camera's clock is not set: wait for the network's time, then try again")]
    NoTime(CloudError),
    #[error("{0}; check the address, the network and that the relay runs, then try again")]
    Unreachable(CloudError),
    #[error("{0}")]
    Relay(CloudError),
    #[error("the relay sent a certificate authority that is not the one with SHA-256 {expected}")]
    ForeignCa { expected: String },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Pairing(#[from] PairingError),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: {cause}; download the file again in the app")]
    Malformed { path: PathBuf, cause: String },
}

impl From<CloudError> for ClaimError {
    fn from(error: CloudError) -> Self {
        match (&error, error.code()) {
            (_, Some(ProblemCode::NotFoundOrExpired)) => Self::NotAccepted,
            (_, Some(ProblemCode::UnsupportedProtocol)) => Self::Protocol,
            (CloudError::NotIntroduced, _) => Self::NotIntroduced,
            (CloudError::Untrusted { .. }, _)
                if Clock::default().state() == ClockState::Unsynced =>
            {
                Self::NoTime(error)
            }
            (CloudError::Untrusted { .. }, _) => Self::Untrusted(error),
            (_, Some(ProblemCode::RateLimited)) => Self::TooManyTries,
            (CloudError::Unavailable { .. }, _) => Self::Unreachable(error),
            _ => Self::Relay(error),
        }
    }
}

/// Claims a place at `relay_url` and writes it down in `data_dir`. Safe to repeat: the relay
/// gives the same key the same place again. With a code and no hash, the relay shows by the code that it is
/// the right one. An `owner_key` that the owner brought here is trusted from the first moment on.
pub async fn claim(
    data_dir: &Path,
    relay_url: &str,
    ca_sha256: Option<&str>,
    ticket: Ticket,
    introduction: Introduction,
    owner_key: Option<&str>,
) -> Result<Pairing, ClaimError> {
    let floor = TimeFloor::new(Clock::default(), UnixMillis(0));
    let visitor = match (&ticket, ca_sha256) {
        (Ticket::Code(code), None) => Visitor::meet_by_code(relay_url, code, floor).await?,
        (_, ca_sha256) => Visitor::meet(relay_url, ca_sha256, floor).await?,
    };
    let pinned = visitor.ca().map(CaCertificate::sha256);
    let pinned = pinned.as_deref();
    claim_as(&visitor, data_dir, relay_url, pinned, ticket, introduction, owner_key).await
}

/// Claims the place that a provisioning file opens, and trusts the owner whose key stands in it.
pub async fn claim_as_provisioned(
    data_dir: &Path,
    file: &ProvisioningFile,
    introduction: Introduction,
) -> Result<Pairing, ClaimError> {
    let ticket = Ticket::Secret(file.secret.clone());
    let (ca_sha256, owner_key) = (file.ca_sha256.as_deref(), file.owner_key.as_deref());
    claim(data_dir, &file.relay_url, ca_sha256, ticket, introduction, owner_key).await
}

/// Claims a place at the relay that `visitor` has met.
pub async fn claim_as(
    visitor: &Visitor,
    data_dir: &Path,
    relay_url: &str,
    ca_sha256: Option<&str>,
    ticket: Ticket,
    introduction: Introduction,
    owner_key: Option<&str>,
) -> Result<Pairing, ClaimError> {
    let identity = Identity::open(data_dir)?;
    let challenge = visitor.challenge().await?;
    let (code, secret) = match ticket {
        Ticket::Code(code) => (Some(code.to_string()), None),
        Ticket::Secret(secret) => (None, Some(secret)),
    };
    let request = ClaimRequest {
        protocol: PROTOCOL_VERSION,
        code,
        secret,
        public_key: identity.public_key().to_owned(),
        signature: identity.sign(&claim_proof(&challenge.nonce, identity.public_key())),
        nonce: challenge.nonce,
        name: introduction.name,
        model: introduction.model,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let response = visitor.claim(&request).await?;
    let mut pairing = accept(response, relay_url, ca_sha256, visitor.ca())?;
    // The same place again: its owners are the same, too.
    if let Ok(Some(before)) = Pairing::load(data_dir)
        && before.camera_id == pairing.camera_id
    {
        pairing.owner_keys = before.owner_keys;
    }
    if let Some(owner_key) = owner_key {
        pairing.trust(owner_key);
    }
    pairing.save(data_dir)?;
    Ok(pairing)
}

fn accept(
    response: ClaimResponse,
    relay_url: &str,
    ca_sha256: Option<&str>,
    pinned: Option<&CaCertificate>,
) -> Result<Pairing, ClaimError> {
    let ca = CaCertificate::from_pem(&response.ca_pem).ok();
    if let Some(expected) = ca_sha256
        && (ca.is_none()
            || ca.as_ref().map(CaCertificate::sha256).as_deref()
                != Some(&expected.to_ascii_lowercase()))
    {
        return Err(ClaimError::ForeignCa { expected: expected.to_owned() });
    }
    Ok(Pairing {
        relay_url: relay_url.to_owned(),
        ca_sha256: pinned.map(CaCertificate::sha256),
        camera_id: response.camera_id,
        site_id: response.site_id,
        mqtt: response.mqtt,
        ca_pem: response.ca_pem,
        server_time: response.server_time,
        owner_keys: Vec::new(),
    })
}

/// The file that the app makes for one camera, as it was read.
pub struct PairingFile {
    bytes: Vec<u8>,
    content: ProvisioningFile,
}

impl PairingFile {
    /// Reads a file. Who names one means also what it is a link to.
    pub fn read(path: &Path) -> Result<Self, ClaimError> {
        let bytes = fs::canonicalize(path).and_then(|path| provisioning::read_bounded(&path));
        Self::of(path, bytes)
    }

    pub fn of_standard_input() -> Result<Self, ClaimError> {
        let mut bytes = Vec::new();
        let limit = PROVISIONING_BYTES_MAX as u64 + 1;
        let read = io::stdin().lock().take(limit).read_to_end(&mut bytes);
        Self::of(Path::new("-"), read.map(|_| bytes))
    }

    fn of(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<Self, ClaimError> {
        let malformed = |cause: String| ClaimError::Malformed { path: path.to_owned(), cause };
        let bytes = bytes.map_err(|source| ClaimError::Read { path: path.to_owned(), source })?;
        let content =
            provisioning::parse(&bytes).map_err(|problem| malformed(problem.to_string()))?;
        if content.secret.is_empty() {
            return Err(malformed("its secret is used up".to_owned()));
        }
        Ok(Self { bytes, content })
    }

    pub fn content(&self) -> &ProvisioningFile {
        &self.content
    }

    pub fn text(&self) -> &[u8] {
        &self.bytes
    }

    /// Wipes the secret where it lies. That fails on a read-only partition.
    pub fn wipe(&self, path: &Path) -> io::Result<()> {
        wipe(path, self.bytes.clone(), self.content.secret.as_bytes())
    }
}

/// Overwrites the secret where it lies, so that a FAT partition keeps no copy in a free block,
/// then puts a file without it in its place.
fn wipe(path: &Path, mut bytes: Vec<u8>, secret: &[u8]) -> io::Result<()> {
    let mut places = Vec::new();
    for at in (0..bytes.len()).rev() {
        if bytes[at..].starts_with(secret) {
            bytes[at..at + secret.len()].fill(b' ');
            places.push(at);
        }
    }
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut file, &bytes)?;
    file.sync_all()?;
    // From the last one on, so that the places before it stay where they are.
    for at in places {
        bytes.drain(at..at + secret.len());
    }
    private_file::replace(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_wiped_wherever_and_however_often_it_stands() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nightjar.toml");
        for before in ["a = 1\nsecret = \"S\"", "\u{feff}a = 1\r\n# S\r\nsecret = \"S\"\r\n", "S"] {
            let before = before.replace('S', "geheim-geheim");
            fs::write(&path, &before).unwrap();
            wipe(&path, before.clone().into_bytes(), b"geheim-geheim").unwrap();
            let after = fs::read_to_string(&path).unwrap();
            assert_eq!(after, before.replace("geheim-geheim", ""));
        }
    }
}

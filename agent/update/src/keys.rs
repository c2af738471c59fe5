//! `/etc/nightjar/update.toml`: whose signatures count, and how many it takes. It belongs to root;
//! neither the agent nor a relay can change it.

use std::{collections::BTreeSet, io, os::unix::fs::MetadataExt, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey;
use nightjar_core::update::Limits;
use nightjar_shared::{release::UpdateProblem, text_file};
use serde::Deserialize;

use crate::{Failure, files};

const BYTES_MAX: usize = 16 * 1024;
/// What a mode grants to all but the owner to change it.
const OTHERS_WRITE: u32 = 0o022;

/// The file as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default = "one")]
    signatures: usize,
    #[serde(default)]
    keys: Vec<WrittenKey>,
    #[serde(default)]
    trial: TrialSettings,
}

fn one() -> usize {
    1
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    /// For people.
    #[serde(default)]
    #[expect(dead_code, reason = "it says whose key it is to who reads the file")]
    name: String,
    public_key: String,
}

/// How long a new version is tried.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "units stand last, and all are seconds")]
pub struct TrialSettings {
    whole_s: u64,
    media_s: u64,
    settle_s: u64,
    /// How long the package database is waited for before the update is put off.
    lock_wait_s: u64,
}

impl Default for TrialSettings {
    fn default() -> Self {
        let Limits { whole, media, settle } = Limits::PRODUCTION;
        Self {
            whole_s: whole.as_secs(),
            media_s: media.as_secs(),
            settle_s: settle.as_secs(),
            lock_wait_s: 600,
        }
    }
}

impl TrialSettings {
    pub(crate) fn limits(self) -> Limits {
        Limits {
            whole: Duration::from_secs(self.whole_s),
            media: Duration::from_secs(self.media_s),
            settle: Duration::from_secs(self.settle_s),
        }
    }

    pub(crate) fn lock_wait(self) -> Duration {
        Duration::from_secs(self.lock_wait_s)
    }
}

/// Whom this camera trusts.
#[derive(Debug, Clone)]
pub struct KeyFile {
    pub(crate) keys: Vec<VerifyingKey>,
    /// So many different keys must have signed.
    pub(crate) required: usize,
    pub(crate) trial: TrialSettings,
}

impl KeyFile {
    /// Reads the file. Without keys nothing is ever installed.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::file("read", path, &error);
        let bytes = match files::read_small(path, BYTES_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(no_keys(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_keys(path)),
            Err(error) => return Err(failed(error)),
        };
        let text = text_file::decode(&bytes).map_err(|error| wrong(path, &error.to_string()))?;
        let written: Written =
            toml::from_str(&text).map_err(|error| wrong(path, error.message()))?;
        Self::of(&written, path)
    }

    /// Reads the file as root does: it must be root's own, and nobody else may write it.
    pub(crate) fn read_own(path: &Path) -> Result<Self, Failure> {
        let found = Self::read(path)?;
        let metadata = path.metadata().map_err(|error| Failure::file("read", path, &error))?;
        let own = rustix::process::geteuid().as_raw();
        if metadata.uid() != own || metadata.mode() & OTHERS_WRITE != 0 {
            let path = path.display();
            return Err(Failure::new(
                UpdateProblem::NoKeys,
                format!("{path} can be changed by others: chown root:root and chmod 644 it"),
            ));
        }
        Ok(found)
    }

    fn of(written: &Written, path: &Path) -> Result<Self, Failure> {
        if written.keys.is_empty() {
            return Err(no_keys(path));
        }
        let mut keys = Vec::new();
        let mut seen = BTreeSet::new();
        for key in &written.keys {
            let read = read_key(&key.public_key)
                .ok_or_else(|| wrong(path, "a public_key is no Ed25519 key in base64"))?;
            if seen.insert(*read.as_bytes()) {
                keys.push(read);
            }
        }
        if !(1..=keys.len()).contains(&written.signatures) {
            return Err(wrong(path, "signatures: expected 1 to the number of different keys"));
        }
        Ok(Self { keys, required: written.signatures, trial: written.trial })
    }
}

/// Reads a public key, base64 (standard, padded).
pub(crate) fn read_key(text: &str) -> Option<VerifyingKey> {
    let bytes = STANDARD.decode(text).ok()?;
    let key = VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()?;
    // A weak key would let one signature pass for many texts.
    (!key.is_weak()).then_some(key)
}

fn no_keys(path: &Path) -> Failure {
    let path = path.display();
    Failure::new(
        UpdateProblem::NoKeys,
        format!("no key may sign updates of this camera: write those of the maker into {path}"),
    )
}

fn wrong(path: &Path, what: &str) -> Failure {
    Failure::new(UpdateProblem::NoKeys, format!("{}: {what}", path.display()))
}

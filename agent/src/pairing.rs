//! What the camera knows of its relay, once paired: `DATA_DIR/pairing.json`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nightjar_shared::{
    api::MqttEndpoint,
    ids::{CameraId, SiteId},
    text_file,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::{
    private_file,
    tls::{CaCertificate, InvalidCertificate, Trust},
};

/// Name of the file below the data directory.
pub const PAIRING_FILE: &str = "pairing.json";

/// The camera's place at a relay. Holds no secret: the key of [`crate::identity`] proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairing {
    pub relay_url: String,
    /// Set when HTTPS to the relay is pinned to [`Pairing::ca_pem`] too; without it, HTTPS
    /// trusts the system's certificate authorities beside it. MQTT is always pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_sha256: Option<String>,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub mqtt: MqttEndpoint,
    pub ca_pem: String,
    /// The relay's time when it paired the camera: the clock's first floor.
    pub server_time: UnixMillis,
    /// The owners' keys, as the owner brought them here: each may watch, and let others watch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owner_keys: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    #[error("cannot {action} {path}: {source}; make the data directory writable for the agent")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is damaged ({cause}); pair the camera again")]
    Damaged { path: PathBuf, cause: String },
}

impl Pairing {
    /// Nothing when the camera is not paired.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, PairingError> {
        let path = data_dir.join(PAIRING_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PairingError::File { action: "read", path, source }),
        };
        let damaged = |cause: String| PairingError::Damaged { path: path.clone(), cause };
        let text = text_file::decode(&bytes).map_err(|problem| damaged(problem.to_string()))?;
        let pairing: Self =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        pairing.ca().map_err(|error| damaged(error.to_string()))?;
        Ok(Some(pairing))
    }

    pub fn save(&self, data_dir: &Path) -> Result<(), PairingError> {
        let path = data_dir.join(PAIRING_FILE);
        let failed = |source| PairingError::File { action: "write", path: path.clone(), source };
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        private_file::replace(&path, &text).map_err(failed)
    }

    /// Trusts one more owner.
    pub fn trust(&mut self, owner_key: &str) {
        if !self.owner_keys.iter().any(|known| known == owner_key) {
            self.owner_keys.push(owner_key.to_owned());
        }
    }

    /// Pins another authority, wherever the one before was pinned.
    pub fn pin(&self, ca_pem: &str) -> Result<Self, InvalidCertificate> {
        let sha256 = CaCertificate::from_pem(ca_pem)?.sha256();
        Ok(Self {
            ca_sha256: self.ca_sha256.as_ref().map(|_| sha256),
            ca_pem: ca_pem.to_owned(),
            ..self.clone()
        })
    }

    /// Whom HTTPS to the relay trusts. Where it was public at the pairing, the relay's own authority came over
    /// it: a relay that has lost its proxy or its public certificate is known by that.
    pub fn https_trust(&self) -> Result<Trust, InvalidCertificate> {
        let ca = self.ca()?;
        let is_pinned = self.ca_sha256.is_some();
        Ok(if is_pinned { Trust::Pinned(ca) } else { Trust::PublicOr(ca) })
    }

    /// The relay's certificate authority.
    pub fn ca(&self) -> Result<CaCertificate, InvalidCertificate> {
        CaCertificate::from_pem(&self.ca_pem)
    }
}

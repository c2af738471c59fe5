//! The camera's key pair: made on the camera, never leaves it. It is the only proof of who the
//! camera is; its id is no secret.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};

use nightjar_shared::text_file;

use crate::{file_system, private_file};

/// Name of the key file below the data directory: PKCS#8, PEM.
pub const KEY_FILE: &str = "identity.pem";

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot {action} {path}: {source}; make the data directory writable for the agent")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{path} holds no Ed25519 key; put back the saved file, or remove it and pair the camera \
         again"
    )]
    Damaged { path: PathBuf },
    #[error("the system gives no random bytes for a key: {0}")]
    Random(getrandom::Error),
}

/// Signs for the camera.
pub struct Identity {
    key: SigningKey,
    public_key: String,
}

impl Identity {
    /// Reads the key of `data_dir`; makes one first where there is none.
    pub fn open(data_dir: &Path) -> Result<Self, IdentityError> {
        let path = data_dir.join(KEY_FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                let pem = text_file::decode(&bytes)
                    .map_err(|_| IdentityError::Damaged { path: path.clone() })?;
                Self::from_pem(&pem, &path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(&path),
            Err(source) => Err(IdentityError::File { action: "read", path, source }),
        }
    }

    /// Makes a key for this run alone. No relay and no owner knows it.
    pub fn for_now() -> Result<Self, IdentityError> {
        let key = random_key()?;
        let public_key = STANDARD.encode(key.verifying_key().as_bytes());
        Ok(Self { key, public_key })
    }

    fn make(path: &Path) -> Result<Self, IdentityError> {
        let pem = random_key()?
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| IdentityError::Damaged { path: path.to_owned() })?;
        let failed =
            |source| IdentityError::File { action: "write", path: path.to_owned(), source };
        // `run` and `pair` may both start first: the file that came first is the identity.
        private_file::create(path, pem.as_bytes()).map_err(failed)?;
        let pem = fs::read_to_string(path).map_err(failed)?;
        Self::from_pem(&pem, path)
    }

    fn from_pem(pem: &str, path: &Path) -> Result<Self, IdentityError> {
        let key = SigningKey::from_pkcs8_pem(pem)
            .map_err(|_| IdentityError::Damaged { path: path.to_owned() })?;
        restrict(path)?;
        let public_key = STANDARD.encode(key.verifying_key().as_bytes());
        Ok(Self { key, public_key })
    }

    /// Base64 (standard, padded).
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The signature over `text`, base64 (standard, padded).
    pub fn sign(&self, text: &str) -> String {
        STANDARD.encode(self.key.sign(text.as_bytes()).to_bytes())
    }
}

fn random_key() -> Result<SigningKey, IdentityError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(IdentityError::Random)?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Whether this is an Ed25519 public key, base64 (standard, padded).
pub fn is_key(public_key: &str) -> bool {
    decode(public_key).is_some()
}

fn decode(public_key: &str) -> Option<VerifyingKey> {
    let bytes = STANDARD.decode(public_key).ok()?;
    VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()
}

/// Whether `signature` is that of `public_key`'s owner over `text`; both base64 (standard,
/// padded).
pub fn verify(public_key: &str, text: &str, signature: &str) -> bool {
    let signature = STANDARD.decode(signature).ok();
    let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok());
    match (decode(public_key), signature) {
        (Some(key), Some(signature)) => key.verify_strict(text.as_bytes(), &signature).is_ok(),
        _ => false,
    }
}

/// A key that was copied back from a backup may have come with a wider mode.
fn restrict(path: &Path) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::File { action: "protect", path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    let others = mode & 0o077;
    if others != 0 && file_system::restrict(path, 0o600).map_err(failed)? {
        tracing::warn!(path = %path.display(), "the identity key was readable by others; now it is not");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Verifier;

    use super::*;

    #[test]
    fn the_same_directory_gives_the_same_identity() {
        let directory = tempfile::tempdir().unwrap();
        let first = Identity::open(directory.path()).unwrap();
        let second = Identity::open(directory.path()).unwrap();
        assert_eq!(first.public_key(), second.public_key());
    }

    #[test]
    fn a_signature_is_verified_by_the_public_key_alone() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::open(directory.path()).unwrap();
        let public: [u8; 32] = STANDARD.decode(identity.public_key()).unwrap().try_into().unwrap();
        let signature: [u8; 64] =
            STANDARD.decode(identity.sign("nonce")).unwrap().try_into().unwrap();
        let verifier = VerifyingKey::from_bytes(&public).unwrap();
        let signature = Signature::from_bytes(&signature);
        assert!(verifier.verify(b"nonce", &signature).is_ok());
        assert!(verifier.verify(b"other", &signature).is_err());
    }

    #[test]
    fn the_key_file_is_private_and_made_private_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        Identity::open(directory.path()).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        Identity::open(directory.path()).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_damaged_key_is_named_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        fs::write(&path, "no key").unwrap();
        let message = Identity::open(directory.path()).err().unwrap().to_string();
        assert!(message.contains(KEY_FILE) && message.contains("pair"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "no key");
    }
}

//! How a maker signs: offline, with keys that no relay has.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{
    Signer, SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use nightjar_shared::{
    release::{Manifest, ReleaseSignature, SignedManifest},
    text_file,
};

/// A maker's private key.
pub struct SigningKeyFile(SigningKey);

impl SigningKeyFile {
    /// Reads a key: PKCS#8, PEM, as `keygen` and OpenSSL write it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<Self> {
            let pem = text_file::decode(&fs::read(path)?)?;
            let key = SigningKey::from_pkcs8_pem(&pem)
                .map_err(|_| anyhow::anyhow!("it holds no Ed25519 key; make one with keygen"))?;
            Ok(Self(key))
        };
        read().with_context(|| format!("cannot read the key {}", path.display()))
    }

    /// Base64 (standard, padded), as cameras' key files have it.
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.verifying_key().as_bytes())
    }
}

/// Makes a key, and returns its file's content.
pub fn make_key() -> anyhow::Result<(SigningKeyFile, String)> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| io::Error::other(error.to_string()))
        .context("the system gives no random bytes for a key")?;
    let key = SigningKey::from_bytes(&seed);
    let pem = key
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|_| anyhow::anyhow!("the key cannot be written as PEM"))?;
    Ok((SigningKeyFile(key), pem.to_string()))
}

/// Signs a manifest. With `before`, a second maker signs exactly what the first one did.
pub fn sign(
    manifest: &Manifest,
    before: Option<SignedManifest>,
    keys: &[SigningKeyFile],
) -> anyhow::Result<SignedManifest> {
    let mut signed = match before {
        Some(before) => before,
        None => {
            SignedManifest { manifest: serde_json::to_string(manifest)?, signatures: Vec::new() }
        }
    };
    for key in keys {
        let public_key = key.public_key();
        let signature = STANDARD.encode(key.0.sign(signed.manifest.as_bytes()).to_bytes());
        signed.signatures.retain(|it| it.public_key != public_key);
        signed.signatures.push(ReleaseSignature { public_key, signature });
    }
    Ok(signed)
}

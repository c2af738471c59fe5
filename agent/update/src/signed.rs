//! Whether a release is what its maker signed. Agent and installer both ask this; the installer
//! alone is believed.

use std::{fs::File, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::Signature;
use nightjar_shared::release::{MANIFEST_BYTES_MAX, Manifest, SignedManifest, UpdateProblem};

use crate::{
    Failure,
    files::{self, Copied},
    keys::{KeyFile, read_key},
};

/// As many are looked at.
const SIGNATURES_MAX: usize = 16;

/// Checks the signatures over the manifest's text, and reads it only then.
pub fn check_signed(release: &SignedManifest, trusted: &KeyFile) -> Result<Manifest, Failure> {
    if release.manifest.len() > MANIFEST_BYTES_MAX {
        return Err(invalid("its manifest is too long"));
    }
    let signers = trusted.keys.iter().filter(|key| {
        release.signatures.iter().take(SIGNATURES_MAX).any(|it| {
            let signature = STANDARD.decode(&it.signature).ok();
            let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok());
            read_key(&it.public_key).as_ref() == Some(*key)
                && signature.is_some_and(|signature| {
                    key.verify_strict(release.manifest.as_bytes(), &signature).is_ok()
                })
        })
    });
    let (found, required) = (signers.count(), trusted.required);
    if found < required {
        return Err(Failure::new(
            UpdateProblem::ForeignSigner,
            format!(
                "{found} of the {required} signatures that this camera demands are those of keys that \
                 it trusts: sign the release with the keys of /etc/nightjar/update.toml"
            ),
        ));
    }
    serde_json::from_str(&release.manifest)
        .map_err(|error| invalid(&format!("its manifest cannot be read: {error}")))
}

fn invalid(detail: &str) -> Failure {
    Failure::new(UpdateProblem::InvalidManifest, detail)
}

/// Checks that a file holds the bytes that were signed.
pub fn check_package(path: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let read = || -> io::Result<Copied> { files::digest(File::open(path)?, |_| Ok(())) };
    let found = read().map_err(|error| Failure::file("read", path, &error))?;
    compare(&found, manifest)
}

pub(crate) fn compare(found: &Copied, manifest: &Manifest) -> Result<(), Failure> {
    if found.bytes < manifest.size {
        return Err(Failure::new(
            UpdateProblem::CutOff,
            format!(
                "the package has {} of {} bytes: it was cut off, and is asked for anew",
                found.bytes, manifest.size
            ),
        ));
    }
    if found.bytes != manifest.size || found.sha256 != manifest.sha256 {
        return Err(Failure::new(
            UpdateProblem::Tampered,
            "the package is not the one that was signed: somebody changed it on its way, or signed \
             another",
        ));
    }
    Ok(())
}

/// Returns whether a file holds exactly the bytes that were signed.
pub fn is_signed_package(path: &Path, manifest: &Manifest) -> bool {
    check_package(path, manifest).is_ok()
}

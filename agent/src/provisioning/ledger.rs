//! Which secrets this camera has used, or has seen refused: a file that comes again is not tried again.

use std::{io, path::Path};

use sha2::{Digest, Sha256};

use super::{leave::leave, read_bounded};

/// Name of the file below the data directory.
const LEDGER_FILE: &str = "provisioned.json";
/// A camera is provisioned a few times in its life.
const REMEMBERED: usize = 32;

/// Returns whether a secret was used up here.
pub fn is_used(data_dir: &Path, secret: &str) -> bool {
    !secret.is_empty() && load(data_dir).contains(&hash(secret))
}

/// Returns whether any was.
pub fn exists(data_dir: &Path) -> bool {
    data_dir.join(LEDGER_FILE).exists()
}

/// Remembers that a secret is used up, by its hash.
pub fn use_up(data_dir: &Path, secret: &str) -> io::Result<()> {
    if secret.is_empty() || is_used(data_dir, secret) {
        return Ok(());
    }
    let mut used = load(data_dir);
    used.push(hash(secret));
    let forgotten = used.len().saturating_sub(REMEMBERED);
    used.drain(..forgotten);
    let text = serde_json::to_vec(&used)?;
    leave(data_dir, LEDGER_FILE, &text)
}

/// A ledger that cannot be read is begun anew: the relay refuses what was used as well.
fn load(data_dir: &Path) -> Vec<String> {
    let bytes = read_bounded(&data_dir.join(LEDGER_FILE)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

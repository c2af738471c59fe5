//! Backups: one file with all that a relay needs to come back without pairing a camera again, made while it
//! serves, and put back whole or not at all.
//!
//! [`make`] writes one, `restore` puts one back, [`settle`] finishes or forgets a restore that was cut off.

mod archive;
mod gather;
mod make;
mod migration;
mod place;
mod reading;
mod restore;
mod schedule;
mod swap;

pub use self::{
    archive::Total,
    make::{Made, Order, make},
    migration::{explain_newer, migrate},
    restore::{RestoreOrder, Restored, restore},
    schedule::keep_making,
    swap::settle,
};
use std::{fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::{Context as _, ensure};
use rustix::fs::OFlags;

/// Below the data directory: backups that the relay makes by itself, if nothing else is said.
pub const DIRECTORY: &str = "backups";

const PASSPHRASE_CHARS_MIN: usize = 10;
const PASSPHRASE_BYTES_MAX: u64 = 4 * 1024;

/// Reads the passphrase of a backup, the first line of a file.
pub fn read_passphrase(path: &Path) -> anyhow::Result<String> {
    let named = || format!("the passphrase's file {}", path.display());
    let mut bytes = Vec::new();
    // A pipe would be waited for.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::NONBLOCK.bits())?)
        .open(path)
        .with_context(named)?;
    file.take(PASSPHRASE_BYTES_MAX).read_to_end(&mut bytes).with_context(named)?;
    let text = nightjar_shared::text_file::decode(&bytes).with_context(named)?;
    let passphrase = text.lines().next().unwrap_or_default().to_owned();
    ensure!(
        passphrase.chars().count() >= PASSPHRASE_CHARS_MIN,
        "{} needs {PASSPHRASE_CHARS_MIN} characters or more in its first line",
        named()
    );
    Ok(passphrase)
}

//! What an installer brings to a camera without a keyboard: `nightjar.toml` on the boot partition.
//!
//! A privileged unit takes the file (`boot`), hands it to the agent in its data directory, and wipes it.
//! The agent uses what it was handed, and remembers which secrets it has used (`ledger`). What either
//! has to say stands in two notices, which the unit shows on the console and `doctor` reads.

mod boot;
mod finding;
mod leave;
mod ledger;
mod notice;

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use nightjar_shared::pairing::{NotProvisioning, PROVISIONING_BYTES_MAX, ProvisioningFile};
use rustix::fs::{Mode, OFlags, open};

pub use self::{
    boot::{examine, lies_there, take},
    finding::ProvisioningFinding,
    ledger::{exists as ledger_exists, is_used, use_up},
    notice::{read_last, read_standing, show, tell, tell_standing},
};
/// Name of the file that was handed over, below the data directory.
pub const HANDED_OVER: &str = "provisioning.toml";

/// Reads a provisioning file's text.
pub fn parse(bytes: &[u8]) -> Result<ProvisioningFile, NotProvisioning> {
    ProvisioningFile::read(bytes, |text| {
        toml::from_str(text).map_err(|error| without_values(error.message()))
    })
}

/// Leaves out what a complaint quotes of the file: it may be a secret.
fn without_values(complaint: &str) -> String {
    complaint
        .split('"')
        .enumerate()
        .map(|(at, part)| if at % 2 == 1 { "…" } else { part })
        .collect()
}

/// Reads at most as much of a regular file as a provisioning file may have, and a byte more. Follows no
/// symbolic link, and waits for no device or pipe.
pub fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let limit = u64::try_from(PROVISIONING_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads what was handed over: nothing where there is none, or what nobody can use.
pub fn handed_over(data_dir: &Path) -> Option<ProvisioningFile> {
    read_bounded(&data_dir.join(HANDED_OVER)).ok().and_then(|bytes| parse(&bytes).ok())
}

/// Takes away what was handed over, once it was used or is worth nothing.
pub fn forget(data_dir: &Path) -> io::Result<()> {
    let path = data_dir.join(HANDED_OVER);
    // Its secret is overwritten first, as far as the file system writes in place.
    match fs::metadata(&path) {
        Ok(found) => boot::overwrite(&path, found.len())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    boot::remove(&path)
}

fn is_handed_over(data_dir: &Path, bytes: &[u8]) -> bool {
    read_bounded(&data_dir.join(HANDED_OVER)).is_ok_and(|there| there == bytes)
}

fn hand_over(data_dir: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_handed_over(data_dir, bytes) {
        return Ok(());
    }
    leave::leave(data_dir, HANDED_OVER, bytes)
}

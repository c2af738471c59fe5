//! What of the data directory goes into a backup: all that is small and the relay's, so that a key that a later
//! version adds is never forgotten.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    DIRECTORY,
    archive::{SETTINGS_FILE, SMALL_BYTES_MAX},
    swap,
};
use crate::engines::{data_lock, private_file, turn::OWN_CREDENTIALS_FILE};

/// Files by their paths below the data directory.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Deeper than anything that the relay makes.
const DEPTH_MAX: usize = 4;

/// Returns whether a name at the top of the data directory is left out: the database, which is copied by itself, clips,
/// what is made anew at each start, and what backups and restores leave.
pub(super) fn is_left_out(name: &str) -> bool {
    const NAMES: [&str; 11] = [
        "relay.db",
        "relay.db-wal",
        "relay.db-shm",
        "objects",
        "mails",
        "ballast",
        data_lock::FILE,
        private_file::KEYS_LOCK_FILE,
        OWN_CREDENTIALS_FILE,
        DIRECTORY,
        SETTINGS_FILE,
    ];
    NAMES.contains(&name) || swap::is_of_a_restore(name)
}

/// Returns whether a component of a path needs no care anywhere.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && !name.starts_with("..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Reads the files of a data directory but `aside`, where backups go.
pub(super) fn gather(data_dir: &Path, aside: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    collect(data_dir, "", aside, DEPTH_MAX, &mut files)?;
    Ok(files)
}

fn collect(
    directory: &Path,
    below: &str,
    aside: &Path,
    depth: usize,
    files: &mut Files,
) -> anyhow::Result<()> {
    let named = || format!("cannot read {}: check its owner", directory.display());
    for entry in fs::read_dir(directory).with_context(named)? {
        let path = entry.with_context(named)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_half = path.extension().is_some_and(|extension| extension == "new");
        if path == aside || (below.is_empty() && is_left_out(name)) || is_half {
            continue;
        }
        // A link is followed to a file: keys may lie where an operator keeps them.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let is_directory = metadata.is_dir() && !path.is_symlink();
        if is_directory && depth > 0 && is_plain(name) {
            collect(&path, &format!("{below}{name}/"), aside, depth - 1, files)?;
        } else if metadata.is_file() && metadata.len() <= SMALL_BYTES_MAX && is_plain(name) {
            if let Some(content) = read(&path)? {
                files.insert(format!("{below}{name}"), content);
            }
        } else {
            tracing::warn!(path = %path.display(), "is not the relay's, and goes into no backup");
        }
    }
    Ok(())
}

/// Reads a file that may go meanwhile.
fn read(path: &PathBuf) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read {}: check its owner", path.display()))
        }
    }
}

//! Small files that only the agent may read, and that a power cut leaves either old or new.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
    process,
};

use rustix::process::geteuid;

use crate::file_system::{clear_way, rename_to_new, sync_directory};

const OWNER_ONLY: u32 = 0o600;

/// Returns whether systemd hands us this file as a secret of ours (`LoadCredential=`). It belongs to root
/// then, and an access list that looks like a mode for others lets us read it.
pub fn is_credential(path: &Path) -> bool {
    env::var_os("CREDENTIALS_DIRECTORY")
        .is_some_and(|directory| !directory.is_empty() && path.starts_with(directory))
}

/// Writes `content` to `path`, mode 0600, in place of what is there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = write_beside(path, content)?;
    clear_way(path);
    fs::rename(&temporary, path).inspect_err(|_| discard(&temporary))?;
    sync_directory_of(path)
}

/// Writes `content` to `path`, mode 0600, unless a file is there already: then that one stays
/// and the answer is false. Of two processes that race, one wins.
pub fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let temporary = write_beside(path, content)?;
    match rename_to_new(&temporary, path) {
        Ok(true) => sync_directory_of(path).map(|()| true),
        refused => {
            discard(&temporary);
            refused
        }
    }
}

fn write_beside(path: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", process::id()));
    let temporary = path.with_file_name(name);
    let written = write_synced(&temporary, content);
    written.inspect_err(|_| discard(&temporary)).map(|()| temporary)
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    // A leftover of a crashed process with our number would keep its mode: make it anew.
    discard(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
    file.write_all(content)?;
    hand_over(&file, path)?;
    file.sync_all()
}

/// `sudo nightjar-agent pair` must not leave files that the agent's own user cannot read: what
/// root writes belongs to whom the directory belongs.
fn hand_over(file: &File, path: &Path) -> io::Result<()> {
    let (Some(directory), true) = (path.parent(), geteuid().is_root()) else { return Ok(()) };
    let (owner, now) = (fs::metadata(directory)?, file.metadata()?);
    // A file system that knows no owners has one for all its files.
    if (owner.uid(), owner.gid()) == (now.uid(), now.gid()) {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

/// The rename itself lies in the directory, which is synced on its own.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => sync_directory(directory),
        _ => sync_directory(Path::new(".")),
    }
}

/// What cannot be removed is in nobody's way: the next write tries again.
fn discard(path: &Path) {
    drop(fs::remove_file(path));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_replaced_file_is_private_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        replace(&path, b"old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_in_the_way_is_moved_aside_and_a_file_nobody_may_read_is_readable_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "x").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(directory.path().join("state.json.damaged/inside").exists());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        clear_way(&path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_root_writes_belongs_to_whom_the_directory_belongs() {
        if !geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(directory.path(), Some(12_345), Some(23_456)).unwrap();
        let path = directory.path().join("key");
        replace(&path, b"key").unwrap();
        let owner = fs::metadata(&path).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (12_345, 23_456));
    }

    #[test]
    fn creating_never_overwrites() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(create(&path, b"first").unwrap());
        assert!(!create(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

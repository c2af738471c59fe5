//! Small files that only the agent may read, and that a power cut leaves either old or new.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    process::geteuid,
};

const OWNER_ONLY: u32 = 0o600;

/// Writes `content` to `path`, mode 0600, in place of what is there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = write_beside(path, content)?;
    fs::rename(&temporary, path).inspect_err(|_| discard(&temporary))?;
    sync_directory_of(path)
}

/// Writes `content` to `path`, mode 0600, unless a file is there already: then that one stays
/// and the answer is false. Of two processes that race, one wins.
pub fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let temporary = write_beside(path, content)?;
    match renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => sync_directory_of(path).map(|()| true),
        Err(rustix::io::Errno::EXIST) => {
            discard(&temporary);
            Ok(false)
        }
        Err(error) => {
            discard(&temporary);
            Err(error.into())
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
    let owner = fs::metadata(directory)?;
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

/// The rename itself lies in the directory, which is synced on its own.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => File::open(".")?.sync_all(),
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

//! Who uses the data directory: relays that serve share it, a restore has it alone.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;

pub const FILE: &str = "relay.lock";

/// A use of the data directory. It ends when this is dropped, and with its process, however that ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Joins those who serve from the directory; nothing while it is being restored.
    pub fn share(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let mut file = open(data_dir)?;
        if !taken(file.try_lock_shared(), data_dir)? {
            return Ok(None);
        }
        // Several may serve: any of them will do.
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Some(Self { _file: file }))
    }

    /// Takes the directory for itself; nothing while a relay serves from it.
    pub fn alone(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let file = open(data_dir)?;
        Ok(taken(file.try_lock(), data_dir)?.then_some(Self { _file: file }))
    }

    /// The same, for who only looks: it makes no file, and what it cannot see is not there.
    pub fn server_of(data_dir: &Path) -> Option<i32> {
        if is_there(data_dir) { Self::server(data_dir).ok().flatten() } else { None }
    }

    /// Returns the process that serves from the directory, if one does.
    pub fn server(data_dir: &Path) -> anyhow::Result<Option<i32>> {
        if Self::alone(data_dir)?.is_some() {
            return Ok(None);
        }
        let mut text = String::new();
        open(data_dir)?.read_to_string(&mut text)?;
        Ok(text.trim().parse().ok())
    }
}

fn is_there(data_dir: &Path) -> bool {
    data_dir.join(FILE).is_file()
}

fn open(data_dir: &Path) -> anyhow::Result<File> {
    let path = data_dir.join(FILE);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600);
    options.open(&path).with_context(|| format!("cannot open {}: check its owner", path.display()))
}

fn taken(locked: Result<(), TryLockError>, data_dir: &Path) -> anyhow::Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error)
            .with_context(|| format!("{} lies on a file system without locks", data_dir.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_serve_share_and_a_restore_is_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let one = DataLock::share(path).unwrap().unwrap();
        let other = DataLock::share(path).unwrap().unwrap();
        assert!(DataLock::alone(path).unwrap().is_none());
        assert_eq!(DataLock::server(path).unwrap(), i32::try_from(std::process::id()).ok());
        drop((one, other));
        let alone = DataLock::alone(path).unwrap().unwrap();
        assert!(DataLock::share(path).unwrap().is_none());
        drop(alone);
        assert_eq!(DataLock::server(path).unwrap(), None);
    }
}

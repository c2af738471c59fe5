//! The directory that holds everything the agent keeps.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::config::ConfigError;

const KEY: &str = "--data-dir";
const LOCK_FILE: &str = "agent.lock";

/// A directory that can be written, and that no other agent uses for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory where it is missing.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        prepare(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join(LOCK_FILE))
            .map_err(|error| unwritable(path, &error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            ConfigError::value(
                KEY,
                &path.display(),
                "another agent uses it; stop that one, or name another directory",
            )
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the directory where it is missing: only the agent may look into it.
pub fn prepare(path: &Path) -> Result<(), ConfigError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|error| unwritable(path, &error))?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
        .map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError::value(
        KEY,
        &path.display(),
        format!("cannot be written ({error}); make it writable for the agent, or name another"),
    )
}

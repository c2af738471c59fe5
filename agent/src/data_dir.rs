//! The directory that holds everything the agent keeps.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::geteuid,
};

use crate::{config::ConfigError, file_system};

const KEY: &str = "--data-dir";
/// Locked while an agent uses the directory.
pub const LOCK_FILE: &str = "agent.lock";
/// What a mode grants to all but the owner.
const OTHERS: u32 = 0o077;

/// A directory that can be written, and that no other agent uses for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory where it is missing.
    ///
    /// `files` are the names of those that are made again where they are lost: what lies in their way is
    /// moved aside.
    pub fn open(path: &Path, files: &[&str]) -> Result<Self, ConfigError> {
        prepare(path)?;
        for name in files.iter().chain(&[LOCK_FILE]) {
            file_system::clear_way(&path.join(name));
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join(LOCK_FILE))
            .map_err(|error| unwritable(path, &error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) | Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {}
            Err(_) => {
                return Err(ConfigError::value(
                    KEY,
                    &path.display(),
                    "another agent uses it; stop that one, or name another directory",
                ));
            }
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Tries what the agent relies on, and logs in one line what the file system there cannot do.
    pub fn try_out(&self) -> Result<(), ConfigError> {
        let path = &self.path;
        let kind = file_system::kind_of(path);
        let unable = match file_system::try_out(path) {
            Ok(unable) => unable,
            // That says nothing of what it can do, and room is made later.
            Err(error) if is_full(&error) => return Ok(()),
            Err(error) => {
                return Err(ConfigError::value(
                    KEY,
                    &path.display(),
                    format!("files cannot be kept there ({kind}: {error}); name another directory"),
                ));
            }
        };
        if !unable.is_empty() {
            tracing::warn!(
                file_system = kind,
                "the data directory's file system is limited: {}; ext4 would have it all",
                unable.join("; ")
            );
        }
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes the directory where it is missing, and sees to it that only the agent may look into it,
/// whatever was there before.
pub fn prepare(path: &Path) -> Result<(), ConfigError> {
    if !path.is_dir() {
        fs::create_dir_all(path).map_err(|error| unwritable(path, &error))?;
    }
    if let Err(error) = close(path) {
        if !may_close(path) {
            return Err(ConfigError::value(
                KEY,
                &path.display(),
                format!(
                    "others may look into it, and the agent cannot change that ({error}): make it \
                     the agent's own with chown, and close it with chmod 700"
                ),
            ));
        }
        // Of file systems that keep no modes; the camera records all the same.
        tracing::warn!(
            path = %path.display(), %error,
            "others may look into the recordings: mount this file system with umask=0077"
        );
    }
    Ok(())
}

/// Returns whether the agent may change the mode of a directory, as far as its file system has one.
fn may_close(path: &Path) -> bool {
    let user = geteuid();
    user.is_root() || fs::metadata(path).is_ok_and(|found| found.uid() == user.as_raw())
}

/// Takes from all but the owner what they may do with a directory and what lies directly in it; with
/// all that lies in it, when they could look into it so far. Symbolic links are not followed: while
/// the directory was open, anybody may have laid them.
fn close(directory: &Path) -> io::Result<()> {
    let was_open = mode_of(&fs::metadata(directory)?) & OTHERS != 0;
    close_entries(directory, was_open)?;
    if was_open {
        // Last: what is interrupted is done again at the next start.
        let itself = File::open(directory)?;
        close_one(&itself, &itself.metadata()?)?;
    }
    Ok(())
}

fn close_entries(directory: &Path, deeply: bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // It may be removed meanwhile, as a running agent does.
        let Ok(itself) = file_system::open_itself(&entry.path()) else { continue };
        let metadata = itself.metadata()?;
        if metadata.is_symlink() {
            continue;
        }
        if deeply && metadata.is_dir() {
            close_entries(&entry.path(), deeply)?;
        }
        if let Err(error) = close_one(&itself, &metadata) {
            // The directory keeps others out, whatever this one's mode says.
            tracing::warn!(path = %entry.path().display(), %error, "others' rights remain");
        }
    }
    Ok(())
}

fn close_one(itself: &File, metadata: &Metadata) -> io::Result<()> {
    let mode = mode_of(metadata);
    if mode & OTHERS == 0 {
        return Ok(());
    }
    file_system::set_mode(itself, mode & !OTHERS)
}

fn mode_of(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

fn unwritable(path: &Path, error: &io::Error) -> ConfigError {
    ConfigError::value(
        KEY,
        &path.display(),
        format!("cannot be written ({error}); make it writable for the agent, or name another"),
    )
}

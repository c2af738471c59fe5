//! The directory in which a package waits for the installer: `update/` below the data directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nightjar_shared::release::{SignedManifest, UpdateProblem};
use nightjar_update::{
    Failure,
    handover::{self, PACKAGE_FILE, REQUEST_FILE, Request, Status},
};

use crate::{file_system::sync_directory, private_file};

/// What the agent itself said last of an update, before any installer.
const LAST_WORD: &str = "last.json";
const PARTIAL: &str = "partial-";
/// Kept free beside what is downloaded, for recording goes on.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;

/// Where packages arrive.
#[derive(Debug, Clone)]
pub(super) struct Spool(PathBuf);

impl Spool {
    pub(super) fn below(data_dir: &Path) -> Self {
        Self(handover::spool(data_dir))
    }

    /// Makes room for one package, and returns the file that it is read into: parts of others are
    /// removed.
    pub(super) fn prepare(&self, sha256: &str, bytes: u64) -> Result<PathBuf, Failure> {
        let failed = |error: io::Error| self.failure("write into", &error);
        if !self.0.is_dir() {
            fs::create_dir(&self.0).map_err(failed)?;
        }
        let partial = format!("{PARTIAL}{sha256}");
        for entry in fs::read_dir(&self.0).map_err(failed)?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(PARTIAL) && name != partial.as_str() {
                drop(fs::remove_file(entry.path()));
            }
        }
        let path = self.0.join(partial);
        let have = fs::metadata(&path).map_or(0, |found| found.len());
        let space = rustix::fs::statvfs(&self.0).map_err(|error| failed(error.into()))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let needed = bytes.saturating_sub(have).saturating_add(SPARE_BYTES);
        if free < needed {
            return Err(Failure::new(
                UpdateProblem::NoSpace,
                format!(
                    "the update takes {} MB, {} MB are free: make room, or lower recording.max_bytes",
                    needed / 1_000_000,
                    free / 1_000_000
                ),
            ));
        }
        Ok(path)
    }

    /// Hands a package over: from now on it is the installer's.
    pub(super) fn hand_over(&self, partial: &Path, release: SignedManifest) -> Result<(), Failure> {
        let hand_over = || -> io::Result<()> {
            fs::rename(partial, self.0.join(PACKAGE_FILE))?;
            sync_directory(&self.0)?;
            let request = serde_json::to_vec(&Request { release })?;
            private_file::replace(&self.0.join(REQUEST_FILE), &request)
        };
        hand_over().map_err(|error| self.failure("write into", &error))
    }

    /// Returns whether what was handed over still waits for the installer, which removes the request.
    pub(super) fn has_request(&self) -> bool {
        self.0.join(REQUEST_FILE).exists()
    }

    /// Keeps what is to be said of an update to who looks without the relay.
    pub(super) fn keep_last_word(&self, status: &Status) -> io::Result<()> {
        if !self.0.is_dir() {
            fs::create_dir(&self.0)?;
        }
        private_file::replace(&self.0.join(LAST_WORD), &serde_json::to_vec(status)?)
    }

    pub(super) fn forget_last_word(&self) {
        drop(fs::remove_file(self.0.join(LAST_WORD)));
    }

    fn failure(&self, action: &str, error: &io::Error) -> Failure {
        let full =
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let problem = if full { UpdateProblem::NoSpace } else { UpdateProblem::Failed };
        Failure::new(problem, format!("cannot {action} {}: {error}", self.0.display()))
    }
}

/// Returns why the agent did not hand the last update to the installer, if so.
pub fn last_word(data_dir: &Path) -> Option<Status> {
    let text = fs::read(handover::spool(data_dir).join(LAST_WORD)).ok()?;
    serde_json::from_slice(&text).ok()
}

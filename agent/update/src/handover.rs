//! What the agent leaves for the installer, and the installer for the agent. Each reads the other's
//! files as those of a stranger.

use std::{
    io,
    path::{Path, PathBuf},
};

use nightjar_core::update::{Expectation, FailedVersion};
use nightjar_shared::release::{PackageVersion, SignedManifest, UpdateProblem, UpdateState};
use serde::{Deserialize, Serialize};

use crate::{Layout, files};

/// Below the agent's data directory.
pub const SPOOL: &str = "update";
/// The package within it.
pub const PACKAGE_FILE: &str = "package.deb";
/// Its appearance starts the installer.
pub const REQUEST_FILE: &str = "request.json";
/// Below the agent's runtime directory.
pub const VITALS_FILE: &str = "vitals.json";

pub(crate) const REQUEST_BYTES_MAX: usize = 16 * 1024;
pub(crate) const VITALS_BYTES_MAX: usize = 4 * 1024;
const STATUS_BYTES_MAX: usize = 16 * 1024;
const FAILED_BYTES_MAX: usize = 64 * 1024;

/// Asks the installer to install the package beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub release: SignedManifest,
}

/// What an agent says of itself, every other second, by which a new version is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    pub pid: u32,
    /// When it was written: milliseconds since boot, suspend included.
    pub uptime_ms: u64,
    #[serde(flatten)]
    pub does: Expectation,
}

/// How far the installer is, or how the last update ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub state: UpdateState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PackageVersion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<UpdateProblem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Status {
    pub const IDLE: Self =
        Self { state: UpdateState::Idle, target: None, problem: None, detail: None };

    /// Reads how far the installer is. Before its first run it is nowhere.
    pub fn read(layout: &Layout) -> io::Result<Self> {
        let Some(content) = read(&layout.status(), STATUS_BYTES_MAX)? else {
            return Ok(Self::IDLE);
        };
        Ok(serde_json::from_slice(&content)?)
    }

    pub(crate) fn write(&self, layout: &Layout) -> io::Result<()> {
        files::replace(&layout.status(), &serde_json::to_vec_pretty(self)?, 0o644)
    }
}

/// Reads what was tried on this camera and did not work.
pub fn failed_versions(layout: &Layout) -> io::Result<Vec<FailedVersion>> {
    let Some(content) = read(&layout.failed(), FAILED_BYTES_MAX)? else { return Ok(Vec::new()) };
    Ok(serde_json::from_slice(&content)?)
}

/// As many as are remembered; older ones are older than what is installed by then.
const FAILED_MAX: usize = 32;

pub(crate) fn remember_failed(layout: &Layout, failed: FailedVersion) -> io::Result<()> {
    let mut all = failed_versions(layout).unwrap_or_default();
    all.retain(|before| before.sha256 != failed.sha256);
    all.push(failed);
    let all = &all[all.len().saturating_sub(FAILED_MAX)..];
    files::replace(&layout.failed(), &serde_json::to_vec_pretty(all)?, 0o644)
}

fn read(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    match files::read_small(path, bytes_max) {
        // Nor is its directory, before the installer's first run.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read,
    }
}

/// Returns where the agent lays a package.
pub fn spool(data_dir: &Path) -> PathBuf {
    data_dir.join(SPOOL)
}

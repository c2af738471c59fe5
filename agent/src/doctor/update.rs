//! Updates: whether this camera takes any, and how the last one went.

use std::path::Path;

use nightjar_shared::{
    finding::{Finding, good, warning},
    release::{PackageVersion, UpdateState},
};
use nightjar_update::{Failure, KeyFile, Layout, handover::Status, installed};

use crate::{board::SystemRoot, update::last_word};

pub(super) enum UpdateFinding {
    /// Nothing can update what is no package.
    NoPackage,
    Package {
        version: PackageVersion,
    },
    /// Nobody may sign for this camera: it stays as it is.
    Off {
        reason: String,
    },
    /// All is well with updates.
    On,
    TakenBack {
        detail: String,
    },
    NotTaken {
        detail: String,
    },
    Waits {
        detail: String,
    },
}

/// Looks at how updates go. Reads a few small files.
pub(super) fn examine(data_dir: &Path, system: &SystemRoot) -> Vec<UpdateFinding> {
    let layout = Layout::at(system.directory());
    let off = match KeyFile::read(&layout.keys()) {
        Err(Failure { detail: reason, .. }) => UpdateFinding::Off { reason },
        Ok(_) => UpdateFinding::On,
    };
    let said = last_word(data_dir).or_else(|| Status::read(&layout).ok());
    let problem = said.and_then(|status| {
        let detail = status.detail?;
        match status.state {
            UpdateState::RolledBack => Some(UpdateFinding::TakenBack { detail }),
            UpdateState::Refused => Some(UpdateFinding::NotTaken { detail }),
            UpdateState::Waiting | UpdateState::Installing => Some(UpdateFinding::Waits { detail }),
            _ => None,
        }
    });
    vec![problem.unwrap_or(off)]
}

/// Asks dpkg, too.
pub(super) fn examine_package(system: &SystemRoot) -> UpdateFinding {
    match installed(&Layout::at(system.directory())) {
        Ok(Some(installed)) => UpdateFinding::Package { version: installed.version },
        _ => UpdateFinding::NoPackage,
    }
}

impl From<UpdateFinding> for Finding {
    fn from(finding: UpdateFinding) -> Self {
        const PACKAGE: &str = "package";
        const UPDATES: &str = "updates";
        match finding {
            UpdateFinding::NoPackage => good(
                PACKAGE,
                "no_package",
                "not installed as a package: whoever put it here brings its updates, too",
            ),
            UpdateFinding::Package { version } => {
                good(PACKAGE, "package", format!("version {version}"))
            }
            UpdateFinding::Off { reason } => good(UPDATES, "updates_off", format!("off: {reason}")),
            UpdateFinding::On => good(UPDATES, "updates_on", "signed ones are taken"),
            UpdateFinding::TakenBack { detail } => warning(
                UPDATES,
                "update_taken_back",
                detail,
                "look into `journalctl -u nightjar-update`, and tell who makes the packages",
            ),
            UpdateFinding::NotTaken { detail } => warning(
                UPDATES,
                "update_refused",
                detail,
                "tell who offers it; `nightjar-agent update check` tries again",
            ),
            UpdateFinding::Waits { detail } => {
                warning(UPDATES, "update_waits", detail, "it is tried again every few minutes")
            }
        }
    }
}

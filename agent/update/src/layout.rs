//! Where everything lies, below `/` or below a directory that is like a root.

use std::path::{Path, PathBuf};

/// The places of an installation.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Default for Layout {
    fn default() -> Self {
        Self::at("/")
    }
}

impl Layout {
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn is_whole_system(&self) -> bool {
        self.root == Path::new("/")
    }

    pub(crate) fn below(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Who may sign, and how many must. Root's, so that no relay changes it.
    pub fn keys(&self) -> PathBuf {
        self.below("etc/nightjar/update.toml")
    }

    /// What belongs to the installer alone.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.below("var/lib/nightjar-update").join(name)
    }

    /// How far it is, for everybody to read.
    pub fn status(&self) -> PathBuf {
        self.state("status.json")
    }

    /// What was tried here and did not work, for everybody to read.
    pub fn failed(&self) -> PathBuf {
        self.state("failed.json")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.state("journal.json")
    }

    /// The package that is under way.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.state("incoming.deb")
    }

    /// The manifest that goes with it.
    pub(crate) fn incoming_manifest(&self) -> PathBuf {
        self.state("incoming.release.json")
    }

    /// Packages of versions that ran here.
    pub(crate) fn package(&self, version: &str) -> PathBuf {
        self.state("packages").join(format!("{}.deb", version.replace(':', "%3a")))
    }

    /// The installer's own copy, which no package replaces while an update is under way.
    pub(crate) fn kept_program(&self) -> PathBuf {
        self.state("nightjar-update")
    }

    /// Runs that copy when a power cut has interrupted an update.
    pub(crate) fn resume_unit(&self) -> PathBuf {
        self.below("etc/systemd/system/nightjar-update-resume.service")
    }

    pub(crate) fn resume_link(&self) -> PathBuf {
        self.below("etc/systemd/system/multi-user.target.wants/nightjar-update-resume.service")
    }

    pub(crate) fn dpkg_database(&self) -> PathBuf {
        self.below("var/lib/dpkg")
    }
}

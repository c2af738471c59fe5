//! A disk that a test can fill.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A small file system in memory, unmounted at its end.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one. Says so where it may not, and gives nothing.
    pub(crate) fn mount(megabytes: u32) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            tracing::warn!("SKIPPED: a small disk to fill can be mounted by root only");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "nightjar-relay-test"])
            .arg(directory.path())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            tracing::warn!("SKIPPED: this container may not mount a small disk");
            return None;
        }
        Some(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all space but so many bytes.
    pub(crate) fn fill_but(&self, left: u64) {
        let mut file = File::create(self.path().join("filler")).unwrap();
        let free = || {
            let found = rustix::fs::statvfs(self.path()).unwrap();
            found.f_bavail * found.f_frsize
        };
        while free() > left {
            file.write_all(&[1; 4096]).unwrap();
        }
    }

    /// Takes all space, to the last byte; the file that holds it is what can be removed.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what is open on it goes with its owner.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

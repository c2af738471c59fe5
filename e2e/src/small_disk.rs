//! A small file system in memory, to be filled.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Mounted while it is held: unmounted at its end.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Returns whether this program may mount anything: root alone may.
    pub fn may_mount() -> bool {
        rustix::process::geteuid().is_root()
    }

    pub fn mount(path: PathBuf, megabytes: u32) -> Result<Self> {
        fs::create_dir_all(&path)?;
        let size = format!("size={megabytes}m");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "nightjar-e2e"])
            .arg(&path)
            .status()?;
        ensure!(status.success(), "cannot mount a small disk at {}", path.display());
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn free_bytes(&self) -> Result<u64> {
        let status = rustix::fs::statvfs(&self.0)
            .with_context(|| format!("cannot measure {}", self.0.display()))?;
        Ok(status.f_bavail * status.f_frsize)
    }

    /// Takes all space but `left` bytes.
    pub fn fill(&self, left: u64) -> Result<PathBuf> {
        let path = self.0.join("filler");
        let mut file = File::create(&path)?;
        let block = vec![1; 64 * 1024];
        while self.free_bytes()? > left {
            file.write_all(&block)?;
        }
        Ok(path)
    }

    /// Takes all space, to the last byte.
    pub fn fill_entirely(&self) -> Result<PathBuf> {
        let path = self.0.join("filler");
        let mut file = File::create(&path)?;
        while file.write_all(&[1; 4096]).is_ok() {}
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

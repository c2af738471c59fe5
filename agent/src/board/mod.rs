//! What the board says of itself, as the kernel's files tell: heat, power, wear. What a board does not
//! tell, or tells in another form, is absent.

pub mod disk;
pub mod heat;
pub mod power;

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

/// Files of the kernel that are read hold a line or two.
const LENGTH_MAX: u64 = 4_096;
/// Folders of the kernel that are listed hold tens of entries.
const ENTRIES_MAX: usize = 1_000;

/// Where the kernel's files are. Another root than `/` is for tests.
#[derive(Debug, Clone)]
pub struct SystemRoot(PathBuf);

impl Default for SystemRoot {
    fn default() -> Self {
        Self::at("/")
    }
}

impl SystemRoot {
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Returns the directory itself.
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// Finds a file below this root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

/// A file's text without the white space around it.
fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LENGTH_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn number(path: &Path) -> Option<i64> {
    text(path)?.parse().ok()
}

/// What stands in a folder, by name; nothing where there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    let mut paths: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

//! Space on the disk that is kept for the index. Where others have filled the disk to the last byte
//! while the agent did not run, it could not even open its index, and would neither tell anybody nor
//! make room: this it gives up first.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use crate::record::room::space::DiskSpace;

const FILE: &str = "ballast";
const BALLAST_BYTES: u64 = 2 * 1024 * 1024;
/// What opening the index takes at most: its log, the log's own index, the rows of the scan.
const INDEX_BYTES: u64 = 1024 * 1024;
/// As `stat` counts them, whatever the file system's own are.
const BLOCK_BYTES: u64 = 512;

/// Gives the ballast up where the index could not be opened without. To be called before it is.
pub fn make_room_for_index(data_dir: &Path) {
    let ballast = Ballast::below(data_dir);
    let space = DiskSpace::of(data_dir, 0);
    if space.total_bytes == 0 || space.free_bytes >= INDEX_BYTES {
        return;
    }
    match fs::remove_file(&ballast.path) {
        Ok(()) => tracing::warn!("the disk is full: the space kept for the index is used up"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "the space kept for the index cannot be had"),
    }
    // What only root may use comes first, where root has filled the disk.
    if DiskSpace::of(data_dir, 0).free_bytes < INDEX_BYTES {
        tracing::error!(path = %data_dir.display(), "the disk is full: free some space for the index");
    }
}

pub(in crate::record) struct Ballast {
    path: PathBuf,
    /// The file system cannot set space aside.
    unsupported: bool,
}

impl Ballast {
    pub(in crate::record) fn below(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE), unsupported: false }
    }

    /// Sets the space aside, again where it was used up, once the disk has enough for everybody.
    pub(in crate::record) fn restore(&mut self) {
        let Some(data_dir) = self.path.parent() else { return };
        let space = DiskSpace::of(data_dir, 0);
        if self.unsupported || self.is_there() || space.free_bytes < space.floor_bytes() {
            return;
        }
        if let Err(error) = set_aside(&self.path) {
            self.unsupported = matches!(error, Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL);
            tracing::debug!(%error, "no space could be kept for the index");
            // An empty file is no ballast; should it stay, it does no harm.
            drop(fs::remove_file(&self.path));
        }
    }

    /// After a power cut the file may be there without its space.
    fn is_there(&self) -> bool {
        let found = fs::metadata(&self.path);
        found.is_ok_and(|found| found.blocks() * BLOCK_BYTES >= BALLAST_BYTES)
    }
}

/// Takes the space without writing to it.
fn set_aside(path: &Path) -> Result<(), Errno> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    let file = file.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_set_aside_once_and_stays_while_there_is_enough() {
        let directory = tempfile::tempdir().unwrap();
        let mut ballast = Ballast::below(directory.path());
        ballast.restore();
        let made = fs::metadata(directory.path().join(FILE)).unwrap();
        assert!(ballast.is_there(), "{} blocks", made.blocks());

        make_room_for_index(directory.path());
        ballast.restore();
        assert_eq!(fs::metadata(directory.path().join(FILE)).unwrap().ino(), made.ino());
    }

    #[test]
    fn an_empty_file_is_no_ballast() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), []).unwrap();
        let mut ballast = Ballast::below(directory.path());
        assert!(!ballast.is_there());
        ballast.restore();
        assert!(ballast.is_there());
    }
}

//! Room on a disk: how much is free, and a file that keeps some for what must be done on a full one.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};

/// As `stat` counts them, whatever the file system's own are.
const BLOCK_BYTES: u64 = 512;
const BALLAST: &str = "ballast";
/// Of a small disk no more is kept for anything than this part of it.
const PART_MAX: u64 = 8;

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl Space {
    /// Returns what is kept of this disk where `bytes` are to be: less of a small one.
    pub(crate) fn kept(self, bytes: u64) -> u64 {
        bytes.min(self.total / PART_MAX)
    }
}

/// Looks at the file system of `directory`.
pub(crate) fn space_at(directory: &Path) -> io::Result<Space> {
    let found = statvfs(directory)?;
    Ok(Space {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

/// What is to stay free.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reserve {
    pub percent: u8,
    pub bytes: u64,
}

impl Reserve {
    fn of(self, total: u64) -> u64 {
        (total / 100).saturating_mul(self.percent.into()).max(self.bytes)
    }
}

/// Room on the disk of a directory, above its reserve. Clones share what is promised.
#[derive(Clone)]
pub(crate) struct Room {
    directory: Arc<Path>,
    reserve: Reserve,
    promised: Arc<AtomicU64>,
}

/// Bytes that were promised to somebody who is about to write them.
pub(crate) struct Promise {
    promised: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.promised.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Room {
    pub(crate) fn at(directory: &Path, reserve: Reserve) -> Self {
        Self { directory: directory.into(), reserve, promised: Arc::default() }
    }

    /// Returns whether so many bytes more would leave the reserve alone.
    pub(crate) fn has(&self, bytes: u64) -> io::Result<bool> {
        let space = space_at(&self.directory)?;
        let wanted = bytes.saturating_add(self.promised.load(Ordering::Relaxed));
        Ok(space.free.saturating_sub(self.reserve.of(space.total)) >= wanted)
    }

    /// Promises so many bytes, if there is room for them with all that was promised to others.
    pub(crate) fn promise(&self, bytes: u64) -> io::Result<Option<Promise>> {
        // Counted before it is looked: of two at a time, each sees the other.
        self.promised.fetch_add(bytes, Ordering::Relaxed);
        let promise = Promise { promised: self.promised.clone(), bytes };
        Ok(self.has(0)?.then_some(promise))
    }
}

/// Space that is kept for what must be done on a full disk.
#[derive(Debug, Clone)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(crate) fn below(directory: &Path, bytes: u64) -> Self {
        Self { path: directory.join(BALLAST), bytes }
    }

    /// Gives the space to whoever needs it next. Says whether there was any.
    pub(crate) fn give_up(&self) -> bool {
        match fs::remove_file(&self.path) {
            Ok(()) => {
                tracing::warn!("the disk is full: the space that was kept for deletions is used");
                true
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::error!(%error, path = %self.path.display(), "cannot be removed");
                }
                false
            }
        }
    }

    /// Sets the space aside, where it is not, once there is twice as much free.
    pub(crate) fn restore(&self) {
        let Some(directory) = self.path.parent() else { return };
        let Ok(space) = space_at(directory) else { return };
        let bytes = space.kept(self.bytes);
        if bytes == 0 || self.is_there(bytes) || space.free < bytes.saturating_mul(2) {
            return;
        }
        if let Err(error) = set_aside(&self.path, bytes) {
            tracing::debug!(%error, "no space could be kept for deletions");
            // An empty file is no ballast; should it stay, it does no harm.
            drop(fs::remove_file(&self.path));
        }
    }

    /// After a power cut the file may be there without its space.
    fn is_there(&self, bytes: u64) -> bool {
        let found = fs::metadata(&self.path);
        found.is_ok_and(|found| found.blocks() * BLOCK_BYTES >= bytes)
    }
}

/// Takes the space without writing to it.
fn set_aside(path: &Path, bytes: u64) -> Result<(), Errno> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    let file = file.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    fallocate(&file, FallocateFlags::empty(), 0, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_to_one_is_not_there_for_another() {
        let directory = tempfile::tempdir().unwrap();
        let free = space_at(directory.path()).unwrap().free;
        // Other programs write meanwhile: the margins are wide.
        let room = Room::at(directory.path(), Reserve { percent: 0, bytes: free / 2 });
        let first = room.promise(free / 3).unwrap();
        assert!(first.is_some());
        assert!(room.promise(free / 3).unwrap().is_none());
        drop(first);
        assert!(room.promise(free / 3).unwrap().is_some());
        assert!(!room.has(free / 4 * 3).unwrap());
    }

    #[test]
    fn the_reserve_is_the_larger_of_share_and_bytes() {
        let reserve = Reserve { percent: 5, bytes: 1_000 };
        assert_eq!((reserve.of(2_000), reserve.of(100_000)), (1_000, 5_000));
    }

    #[test]
    fn of_a_small_disk_less_is_kept() {
        let kept = |total| Space { free: 0, total }.kept(32);
        assert_eq!((kept(1_000), kept(64)), (32, 8));
    }

    #[test]
    fn ballast_is_set_aside_given_up_and_set_aside_again() {
        let directory = tempfile::tempdir().unwrap();
        let ballast = Ballast::below(directory.path(), 1 << 20);
        assert!(!ballast.give_up());
        ballast.restore();
        assert!(ballast.is_there(1 << 20));
        assert!(ballast.give_up() && !ballast.is_there(1));
        ballast.restore();
        assert!(ballast.is_there(1 << 20));
    }
}

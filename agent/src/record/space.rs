//! How full the file system is, and how much of it must stay free.

use std::path::Path;

/// Told while recording waits for space.
pub(super) const DISK_FULL: &str =
    "the disk for recordings is full; recording goes on when space is free";

/// What the file system says, whoever filled it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DiskSpace {
    pub(super) total_bytes: u64,
    /// Free for the agent.
    pub(super) free_bytes: u64,
}

impl DiskSpace {
    /// Asks the file system; all zero when it does not answer.
    pub(super) fn of(directory: &Path) -> Self {
        match rustix::fs::statvfs(directory) {
            Ok(found) => Self {
                total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
                free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            },
            Err(error) => {
                tracing::warn!(%error, path = %directory.display(), "free space is unknown");
                Self::default()
            }
        }
    }

    /// Free space that clips which the relay has make way for: a twentieth of the disk, and never
    /// less than [`Self::least_bytes`].
    pub(super) fn floor_bytes(self) -> u64 {
        (self.total_bytes / 20).max(self.least_bytes())
    }

    /// Free space that even footage which exists nowhere else makes way for: 1 GB, but no more
    /// than a tenth of a small disk. A large disk that somebody else has filled up to the floor
    /// must not cost every clip before it is uploaded.
    pub(super) fn least_bytes(self) -> u64 {
        const LEAST: u64 = 1_000_000_000;
        LEAST.min(self.total_bytes / 10)
    }

    /// With less than this free, recording stops: the index needs the rest to say so.
    pub(super) fn reserve_bytes(self) -> u64 {
        const RESERVE: u64 = 16_000_000;
        RESERVE.min(self.total_bytes / 50)
    }

    /// Whether recording has to wait for space.
    pub(super) fn is_full(self) -> bool {
        self.total_bytes > 0 && self.free_bytes < self.reserve_bytes()
    }
}

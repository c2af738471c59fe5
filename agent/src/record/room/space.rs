//! How full the file system is, and how much of it must stay free.

use std::path::Path;

const GB: u64 = 1_000_000_000;

/// Told while recording waits for space.
pub(in crate::record) const DISK_FULL: &str =
    "the disk for recordings is full; recording goes on when space is free";

/// What the file system says, whoever filled it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::record) struct DiskSpace {
    pub(in crate::record) total_bytes: u64,
    /// Free for the agent.
    pub(in crate::record) free_bytes: u64,
    /// The owner's wish, 0 for "whatever recording can do with".
    pub(in crate::record) min_free_percent: u32,
}

impl DiskSpace {
    /// Asks the file system; all zero when it does not answer.
    pub(in crate::record) fn of(directory: &Path, min_free_percent: u32) -> Self {
        match rustix::fs::statvfs(directory) {
            Ok(found) => Self {
                total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
                free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
                min_free_percent,
            },
            Err(error) => {
                tracing::warn!(%error, path = %directory.display(), "free space is unknown");
                Self::default()
            }
        }
    }

    /// Free space that recording must leave to everybody else: the owner's share of the disk, and
    /// 1 GB at least, but no more than a tenth of a small disk. Without such a share, what recording
    /// itself needs, twice.
    pub(in crate::record) fn floor_bytes(self) -> u64 {
        if self.min_free_percent == 0 {
            return self.least_bytes() * 2;
        }
        let share = self.total_bytes / 100 * u64::from(self.min_free_percent);
        share.max(GB.min(self.total_bytes / 10))
    }

    /// What retention aims at: above the floor by more than is recorded until it looks again.
    pub(in crate::record) fn target_bytes(self) -> u64 {
        const HEADROOM: u64 = 64_000_000;
        self.floor_bytes() + HEADROOM.min(self.total_bytes / 100)
    }

    /// How much footage that exists nowhere else may stand on a disk that somebody else has filled
    /// beyond the floor: deleting it would give back next to nothing, and cost every clip before
    /// its upload.
    pub(in crate::record) fn allowance_bytes(self) -> u64 {
        GB.min(self.total_bytes / 100)
    }

    /// Free space that even that footage makes way for, so that recording goes on.
    pub(in crate::record) fn least_bytes(self) -> u64 {
        const LEAST: u64 = 100_000_000;
        LEAST.min(self.total_bytes / 25)
    }

    /// With less than this free, recording stops: the index needs the rest to say so.
    pub(in crate::record) fn reserve_bytes(self) -> u64 {
        const RESERVE: u64 = 16_000_000;
        RESERVE.min(self.total_bytes / 50)
    }

    /// Whether recording has to wait for space.
    pub(in crate::record) fn is_full(self) -> bool {
        self.total_bytes > 0 && self.free_bytes < self.reserve_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_suit_disks_of_every_size() {
        let disk = |total_bytes| DiskSpace { total_bytes, free_bytes: 0, min_free_percent: 5 };
        assert_eq!(disk(1_000 * GB).floor_bytes(), 50 * GB);
        assert_eq!(disk(16 * GB).floor_bytes(), GB);
        assert_eq!(disk(GB / 50).floor_bytes(), GB / 500);
        for total_bytes in [GB / 60, GB, 4 * GB, 16 * GB, 64 * GB, 4_000 * GB] {
            let disk = disk(total_bytes);
            assert!(disk.reserve_bytes() < disk.least_bytes(), "{total_bytes}");
            assert!(disk.least_bytes() < disk.floor_bytes(), "{total_bytes}");
            assert!(disk.floor_bytes() < disk.target_bytes(), "{total_bytes}");
            assert!(disk.target_bytes() <= total_bytes * 11 / 100, "{total_bytes}");
        }
        let shared = DiskSpace { min_free_percent: 0, ..disk(1_000 * GB) };
        assert_eq!(shared.floor_bytes(), GB / 5);
        let unknown = DiskSpace::default();
        assert_eq!((unknown.target_bytes(), unknown.is_full()), (0, false));
    }
}

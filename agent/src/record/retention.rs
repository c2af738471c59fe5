//! What must go so that recording can go on: pure decisions.

use nightjar_shared::ids::ClipId;

use super::space::DiskSpace;
use crate::store::StoredClip;

/// A byte budget, and how full the file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// All recordings together.
    pub(super) max_bytes: u64,
    pub(super) disk: DiskSpace,
}

/// The clips to delete: those that the relay has, oldest first, then, when these do not suffice
/// for the budget or the least free space, the oldest others. `clips` come oldest first.
pub(super) fn to_delete(clips: &[StoredClip], limits: Limits) -> Vec<ClipId> {
    let disk = limits.disk;
    let used: u64 = clips.iter().map(|clip| clip.bytes).sum();
    let over_budget = used.saturating_sub(limits.max_bytes);
    let under_floor = disk.floor_bytes().saturating_sub(disk.free_bytes);
    let under_least = disk.least_bytes().saturating_sub(disk.free_bytes);

    let mut freed = 0;
    let mut doomed = Vec::new();
    for (settled, needed) in
        [(true, over_budget.max(under_floor)), (false, over_budget.max(under_least))]
    {
        for clip in clips.iter().filter(|clip| clip.settled == settled) {
            if freed >= needed {
                break;
            }
            freed += clip.bytes;
            doomed.push(clip.clip_id);
        }
    }
    doomed
}

#[cfg(test)]
mod tests {
    use nightjar_shared::time::UnixMillis;

    use super::*;
    use crate::seeded::Seeded;

    const GB: u64 = 1_000_000_000;
    const ROOMY: DiskSpace = DiskSpace { total_bytes: 100 * GB, free_bytes: 50 * GB };

    fn clips(described: &[(u64, bool)]) -> Vec<StoredClip> {
        (1..)
            .zip(described)
            .map(|(sequence, (bytes, settled))| StoredClip {
                clip_id: ClipId::generate(),
                sequence,
                started_at: UnixMillis(sequence),
                bytes: *bytes,
                settled: *settled,
            })
            .collect()
    }

    fn chosen(clips: &[StoredClip], limits: Limits) -> Vec<i64> {
        to_delete(clips, limits)
            .iter()
            .map(|id| clips.iter().find(|clip| clip.clip_id == *id).unwrap().sequence)
            .collect()
    }

    #[test]
    fn within_the_budget_nothing_goes() {
        let clips = clips(&[(5, true), (5, false)]);
        assert!(to_delete(&clips, Limits { max_bytes: 10, disk: ROOMY }).is_empty());
    }

    #[test]
    fn uploaded_clips_go_first_and_the_oldest_of_them_before_others() {
        let clips = clips(&[(5, false), (5, true), (5, false), (5, true)]);
        assert_eq!(chosen(&clips, Limits { max_bytes: 15, disk: ROOMY }), [2]);
        assert_eq!(chosen(&clips, Limits { max_bytes: 10, disk: ROOMY }), [2, 4]);
        assert_eq!(chosen(&clips, Limits { max_bytes: 5, disk: ROOMY }), [2, 4, 1]);
    }

    #[test]
    fn a_disk_filled_by_somebody_else_is_given_room() {
        let clips = clips(&[(GB, true), (GB, true), (GB, true)]);
        let disk = DiskSpace { total_bytes: 100 * GB, free_bytes: 5 * GB - GB - 1 };
        assert_eq!(chosen(&clips, Limits { max_bytes: u64::MAX, disk }), [1, 2]);
    }

    #[test]
    fn a_large_disk_under_its_floor_costs_no_clip_that_the_relay_does_not_have() {
        let clips = clips(&[(GB, false), (GB, true), (GB, false)]);
        let disk = DiskSpace { total_bytes: 252 * GB, free_bytes: 12 * GB };
        assert_eq!(chosen(&clips, Limits { max_bytes: u64::MAX, disk }), [2]);
    }

    #[test]
    fn below_the_least_free_space_the_oldest_footage_goes_wherever_it_is() {
        let clips = clips(&[(GB, false), (GB, false)]);
        let disk = DiskSpace { total_bytes: 252 * GB, free_bytes: GB / 2 };
        assert_eq!(chosen(&clips, Limits { max_bytes: u64::MAX, disk }), [1]);
    }

    #[test]
    fn the_floor_suits_disks_of_every_size() {
        let floor = |total_bytes| DiskSpace { total_bytes, free_bytes: 0 }.floor_bytes();
        assert_eq!(floor(1_000 * GB), 50 * GB);
        assert_eq!(floor(16 * GB), GB);
        assert_eq!(floor(GB / 50), GB / 500);
        assert_eq!(floor(0), 0);
    }

    #[test]
    fn random_disks_end_up_within_their_limits_or_empty() {
        let mut random = Seeded::new(5);
        for _ in 0..500 {
            let described: Vec<(u64, bool)> = (0..random.below(60))
                .map(|_| (random.below(1_000), random.below(2) == 0))
                .collect();
            let clips = clips(&described);
            let disk = DiskSpace { total_bytes: 100_000, free_bytes: random.below(20_000) };
            let limits = Limits { max_bytes: random.below(40_000), disk };
            let deleted = to_delete(&clips, limits);

            let bytes_of = |settled: bool, only: &dyn Fn(ClipId) -> bool| -> u64 {
                let counted = clips.iter().filter(|clip| clip.settled == settled);
                counted.filter(|clip| only(clip.clip_id)).map(|clip| clip.bytes).sum()
            };
            let gone = |clip_id| deleted.contains(&clip_id);
            let freed = bytes_of(true, &gone) + bytes_of(false, &gone);
            let used = bytes_of(true, &|_| true) + bytes_of(false, &|_| true);
            let free = disk.free_bytes + freed;
            let holds = |floor: u64| used - freed <= limits.max_bytes && free >= floor;
            let all_settled_gone = bytes_of(true, &gone) == bytes_of(true, &|_| true);
            assert!(holds(disk.floor_bytes()) || all_settled_gone, "the relay's clips go first");
            assert!(holds(disk.least_bytes()) || freed == used, "then all others, as needed");
            if let Some(last) = clips.iter().find(|clip| deleted.last() == Some(&clip.clip_id)) {
                let floor = if last.settled { disk.floor_bytes() } else { disk.least_bytes() };
                let enough_without =
                    used - (freed - last.bytes) <= limits.max_bytes && free - last.bytes >= floor;
                assert!(!enough_without || last.bytes == 0, "nothing goes needlessly");
            }
        }
    }
}

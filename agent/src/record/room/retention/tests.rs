use nightjar_core::seeded::Seeded;

use super::*;

const GB: u64 = 1_000_000_000;
const DAY_MS: u64 = 86_400_000;
const ROOMY: DiskSpace =
    DiskSpace { total_bytes: 100 * GB, free_bytes: 50 * GB, min_free_percent: 5 };
/// 2027.
const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

fn now(boot_id: BootId) -> Now {
    Now { wall: WALL, clock: ClockState::Synced, boot_id, uptime_ms: 100 * DAY_MS }
}

fn clip(sequence: i64, bytes: u64, settled: bool) -> StoredClip {
    StoredClip {
        clip_id: ClipId::generate(),
        sequence,
        kind: ClipKind::Motion,
        started_at: WALL,
        clock: ClockState::Synced,
        boot_id: BootId::generate(),
        started_uptime_ms: 0,
        bytes,
        settled,
        protected: false,
    }
}

fn clips(described: &[(u64, bool)]) -> Vec<StoredClip> {
    (1..).zip(described).map(|(number, (bytes, settled))| clip(number, *bytes, *settled)).collect()
}

fn limits(max_bytes: u64, disk: DiskSpace) -> Limits {
    Limits { max_bytes, max_age: None, continuous_max_age: None, disk }
}

fn chosen(clips: &[StoredClip], limits: Limits) -> Vec<i64> {
    sequences(clips, &to_delete(clips, limits, now(BootId::generate())))
}

fn sequences(clips: &[StoredClip], doomed: &HashSet<ClipId>) -> Vec<i64> {
    let doomed = clips.iter().filter(|clip| doomed.contains(&clip.clip_id));
    doomed.map(|clip| clip.sequence).collect()
}

#[test]
fn within_the_budget_nothing_goes() {
    assert!(chosen(&clips(&[(5, true), (5, false)]), limits(10, ROOMY)).is_empty());
}

#[test]
fn uploaded_clips_go_first_and_the_oldest_of_them_before_others() {
    let clips = clips(&[(5, false), (5, true), (5, false), (5, true)]);
    assert_eq!(chosen(&clips, limits(15, ROOMY)), [2]);
    assert_eq!(chosen(&clips, limits(10, ROOMY)), [2, 4]);
    assert_eq!(chosen(&clips, limits(5, ROOMY)), [1, 2, 4]);
}

#[test]
fn continuous_footage_goes_before_what_the_relay_lacks_and_protected_clips_go_last() {
    let mut clips = clips(&[(5, true), (5, false), (5, true), (5, true)]);
    clips[0].protected = true;
    clips[2].kind = ClipKind::Continuous;
    assert_eq!(chosen(&clips, limits(15, ROOMY)), [4]);
    assert_eq!(chosen(&clips, limits(10, ROOMY)), [3, 4]);
    assert_eq!(chosen(&clips, limits(5, ROOMY)), [2, 3, 4]);
    assert_eq!(chosen(&clips, limits(0, ROOMY)), [1, 2, 3, 4]);
}

#[test]
fn a_disk_filled_by_somebody_else_is_given_room() {
    let clips = clips(&[(GB, true), (GB, true), (GB, true)]);
    let disk =
        DiskSpace { total_bytes: 100 * GB, free_bytes: 5 * GB - GB - 1, min_free_percent: 5 };
    assert_eq!(chosen(&clips, limits(u64::MAX, disk)), [1, 2]);
}

#[test]
fn on_a_disk_that_others_fill_the_newest_clips_wait_for_their_upload() {
    // 252 GB, of which others leave 12: below the floor of 12.6 whatever is deleted here.
    let disk =
        DiskSpace { total_bytes: 252 * GB, free_bytes: 12 * GB - 3 * GB, min_free_percent: 5 };
    let clips = clips(&[(GB, false), (GB, true), (GB, false)]);
    assert_eq!(chosen(&clips, limits(u64::MAX, disk)), [1, 2], "1 GB of the newest stays");
    let fuller = DiskSpace { free_bytes: 50_000_000, ..disk };
    assert_eq!(chosen(&clips[2..], limits(u64::MAX, fuller)), [3], "until recording itself stops");
}

#[test]
fn age_is_judged_for_each_class_and_spares_protected_clips() {
    let boot_id = BootId::generate();
    let mut clips = clips(&[(1, false), (1, true), (1, true), (1, false)]);
    for (clip, days_ago) in clips.iter_mut().zip([90, 90, 8, 8]) {
        clip.boot_id = boot_id;
        clip.started_uptime_ms = (100 - days_ago) * DAY_MS;
    }
    clips[1].protected = true;
    clips[2].kind = ClipKind::Continuous;
    let days = |days: u64| Some(Duration::from_hours(24 * days));
    let limits =
        Limits { max_age: days(30), continuous_max_age: days(7), ..limits(u64::MAX, ROOMY) };
    assert_eq!(sequences(&clips, &to_delete(&clips, limits, now(boot_id))), [1, 3]);
}

#[test]
fn no_clock_that_jumps_makes_a_clip_old() {
    let boot_id = BootId::generate();
    let mut clips = clips(&[(1, true), (1, true), (1, true)]);
    clips[0].boot_id = boot_id;
    clips[0].started_uptime_ms = 99 * DAY_MS;
    clips[1].started_at = WALL.minus(Duration::from_hours(24));
    clips[2].clock = ClockState::Unsynced;
    clips[2].started_at = UnixMillis(5);
    let month = Some(Duration::from_hours(30 * 24));
    let limits = Limits { max_age: month, ..limits(u64::MAX, ROOMY) };
    for wall in [0, 1, WALL.0, 2_556_144_000_000, i64::MAX] {
        for clock in [ClockState::Synced, ClockState::Unsynced] {
            let now = Now { wall: UnixMillis(wall), clock, ..now(boot_id) };
            assert!(to_delete(&clips, limits, now).is_empty(), "{wall} {clock:?}");
        }
    }
}

#[test]
fn footage_of_unknown_age_is_as_old_as_what_was_recorded_after_it() {
    let boot_id = BootId::generate();
    let mut clips = clips(&[(1, true), (1, true), (1, true), (1, true)]);
    for (clip, days_ago) in clips.iter_mut().zip([None, Some(40), None, Some(20)]) {
        match days_ago {
            Some(days_ago) => {
                clip.boot_id = boot_id;
                clip.started_uptime_ms = (100 - days_ago) * DAY_MS;
            }
            None => clip.clock = ClockState::Unsynced,
        }
    }
    let aged = |days: u64| Limits {
        max_age: Some(Duration::from_hours(24 * days)),
        ..limits(u64::MAX, ROOMY)
    };
    assert!(to_delete(&clips, aged(41), now(boot_id)).is_empty());
    assert_eq!(sequences(&clips, &to_delete(&clips, aged(30), now(boot_id))), [1, 2]);
    assert_eq!(sequences(&clips, &to_delete(&clips, aged(20), now(boot_id))), [1, 2, 3, 4]);
}

/// Any disk, any clips: the limits hold or nothing is left to give, in the promised order, and no
/// clip goes needlessly.
#[test]
fn random_disks_keep_every_promise() {
    let mut random = Seeded::new(5);
    for round in 0..3_000 {
        let clips: Vec<StoredClip> = (1..=random.below(60))
            .map(|number| StoredClip {
                kind: if random.below(3) == 0 { ClipKind::Continuous } else { ClipKind::Motion },
                protected: random.below(6) == 0,
                ..clip(i64::try_from(number).unwrap(), random.below(1_000), random.below(2) == 0)
            })
            .collect();
        let disk = DiskSpace {
            total_bytes: 100_000,
            free_bytes: random.below(20_000),
            min_free_percent: 5,
        };
        let limits = limits(random.below(40_000), disk);
        let doomed = to_delete(&clips, limits, now(BootId::generate()));
        assert_promises(&clips, &doomed, limits, round);
    }
}

fn assert_promises(clips: &[StoredClip], doomed: &HashSet<ClipId>, limits: Limits, round: u32) {
    let disk = limits.disk;
    let gone = |clip: &&StoredClip| doomed.contains(&clip.clip_id);
    let freed: u64 = clips.iter().filter(gone).map(|clip| clip.bytes).sum();
    let used = clips.iter().map(|clip| clip.bytes).sum::<u64>() - freed;
    let free = disk.free_bytes + freed;
    let left: Vec<&StoredClip> = clips.iter().filter(|clip| !gone(clip)).collect();

    assert!(used <= limits.max_bytes || left.is_empty(), "{round}: the budget");
    let elsewhere = left.iter().any(|clip| Class::of(clip) == Class::Settled);
    let crowded = !elsewhere && used <= disk.allowance_bytes();
    assert!(free >= disk.floor_bytes() || crowded, "{round}: the floor");
    assert!(free >= disk.least_bytes() || left.is_empty(), "{round}: recording goes on");

    let last = clips.iter().filter(gone).max_by_key(|clip| (Class::of(clip), clip.sequence));
    let Some(last) = last else { return };
    let earlier =
        |clip: &&&StoredClip| (Class::of(clip), clip.sequence) < (Class::of(last), last.sequence);
    assert_eq!(left.iter().filter(earlier).count(), 0, "{round}: the order");
    let (used, free) = (used + last.bytes, free - last.bytes);
    let enough =
        used <= limits.max_bytes && free >= wanted_free(Class::of(last), used, limits.disk);
    assert!(!enough, "{round}: the last one went needlessly");
}

mod properties;

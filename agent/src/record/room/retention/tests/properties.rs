//! What holds of every decision, whatever lies on the disk.

use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest},
    test_runner::RngSeed,
};

use super::*;

const MB: u64 = 1_000_000;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1_000,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Clips of this boot and of others, with clocks that were set or not, oldest first.
fn stored(boot_id: BootId) -> impl Strategy<Value = Vec<StoredClip>> {
    let kind = prop::sample::select(vec![
        ClipKind::Motion,
        ClipKind::Manual,
        ClipKind::Snapshot,
        ClipKind::Continuous,
    ]);
    let described = (kind, 0..200 * MB, any::<[bool; 4]>(), 0..100 * DAY_MS);
    vec(described, 0..40).prop_map(move |described| {
        let build = |(sequence, described): (i64, (ClipKind, u64, [bool; 4], u64))| {
            let (kind, bytes, [settled, protected, here, synced], age_ms) = described;
            let mut clip = clip(sequence, bytes, settled);
            clip.kind = kind;
            clip.protected = protected;
            clip.boot_id = if here { boot_id } else { clip.boot_id };
            clip.clock = if synced { ClockState::Synced } else { ClockState::Unsynced };
            clip.started_at = WALL.minus(Duration::from_millis(age_ms));
            clip.started_uptime_ms = 100 * DAY_MS - age_ms;
            clip
        };
        (1..).zip(described).map(build).collect()
    })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let age = || prop::option::of((1..120_u64).prop_map(|days| Duration::from_hours(24 * days)));
    let disk = (MB..40 * GB, 0..=100_u64, prop::sample::select(vec![0, 5, 20]));
    (0..4 * GB, age(), age(), disk).prop_map(|(max_bytes, max_age, continuous_max_age, disk)| {
        let (total_bytes, free_percent, min_free_percent) = disk;
        let free_bytes = total_bytes / 100 * free_percent;
        let disk = DiskSpace { total_bytes, free_bytes, min_free_percent };
        Limits { max_bytes, max_age, continuous_max_age, disk }
    })
}

fn decided(clips: &[StoredClip], limits: Limits, boot_id: BootId) -> HashSet<ClipId> {
    to_delete(clips, limits, now(boot_id))
}

fn expired_ids(clips: &[StoredClip], limits: Limits, boot_id: BootId) -> HashSet<ClipId> {
    expired(clips, limits, now(boot_id)).into_iter().map(|clip| clip.clip_id).collect()
}

/// The disk and its clips once `doomed` are gone.
fn after(
    clips: &[StoredClip],
    limits: Limits,
    doomed: &HashSet<ClipId>,
) -> (Vec<StoredClip>, Limits) {
    let (gone, left): (Vec<StoredClip>, Vec<StoredClip>) =
        clips.iter().partition(|clip| doomed.contains(&clip.clip_id));
    let freed: u64 = gone.iter().map(|clip| clip.bytes).sum();
    let free_bytes = limits.disk.free_bytes + freed;
    (left, Limits { disk: DiskSpace { free_bytes, ..limits.disk }, ..limits })
}

fn used(clips: &[StoredClip]) -> u64 {
    clips.iter().map(|clip| clip.bytes).sum()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_matters_more_goes_only_after_all_that_matters_less(
        (boot_id, clips) in Just(BootId::generate()).prop_flat_map(|it| (Just(it), stored(it))),
        limits in any_limits(),
    ) {
        let doomed = decided(&clips, limits, boot_id);
        let expired = expired_ids(&clips, limits, boot_id);
        for clip in clips.iter().filter(|clip| doomed.contains(&clip.clip_id)) {
            if expired.contains(&clip.clip_id) {
                prop_assert!(!clip.protected);
                continue;
            }
            let before = |other: &&StoredClip| {
                (Class::of(other), other.sequence) < (Class::of(clip), clip.sequence)
            };
            for other in clips.iter().filter(before) {
                prop_assert!(doomed.contains(&other.clip_id), "{other:?} before {clip:?}");
            }
        }
    }

    #[test]
    fn limits_are_kept_for_as_long_as_there_is_something_to_delete(
        (boot_id, clips) in Just(BootId::generate()).prop_flat_map(|it| (Just(it), stored(it))),
        limits in any_limits(),
    ) {
        let doomed = decided(&clips, limits, boot_id);
        let (left, Limits { disk, .. }) = after(&clips, limits, &doomed);
        let used = used(&left);
        if let Some(least) = left.iter().map(Class::of).min() {
            prop_assert!(used <= limits.max_bytes);
            // The one exception: what exists here alone, on a disk that others have filled.
            let spared = least > Class::Settled
                && used <= disk.allowance_bytes()
                && disk.free_bytes >= disk.least_bytes();
            prop_assert!(disk.free_bytes >= disk.target_bytes() || spared);
        }
    }

    #[test]
    fn nothing_but_what_is_too_old_goes_while_there_is_room(
        (boot_id, clips) in Just(BootId::generate()).prop_flat_map(|it| (Just(it), stored(it))),
        limits in any_limits(),
    ) {
        let disk = DiskSpace { free_bytes: limits.disk.total_bytes, ..limits.disk };
        let limits = Limits { max_bytes: u64::MAX, disk, ..limits };
        let doomed = decided(&clips, limits, boot_id);
        prop_assert_eq!(doomed, expired_ids(&clips, limits, boot_id));
    }

    #[test]
    fn a_clip_is_too_old_by_its_own_age_or_where_nobody_knows_it_by_that_of_a_later_one(
        (boot_id, clips) in Just(BootId::generate()).prop_flat_map(|it| (Just(it), stored(it))),
        limits in any_limits(),
    ) {
        let expired = expired_ids(&clips, limits, boot_id);
        for (at, clip) in clips.iter().enumerate() {
            let oldest_later = || clips[at..].iter().filter_map(|it| age(it, now(boot_id))).max();
            let age = age(clip, now(boot_id)).or_else(oldest_later);
            let limit = match clip.kind {
                ClipKind::Continuous => limits.continuous_max_age,
                _ => limits.max_age,
            };
            let old = age.zip(limit).is_some_and(|(age, limit)| age >= limit);
            prop_assert_eq!(expired.contains(&clip.clip_id), old && !clip.protected);
        }
    }

    #[test]
    fn with_less_room_no_clip_is_spared_that_had_to_go_before(
        (boot_id, clips) in Just(BootId::generate()).prop_flat_map(|it| (Just(it), stored(it))),
        limits in any_limits(),
        fewer_bytes in 0..4 * GB,
        less_free in 0..4 * GB,
    ) {
        let doomed = decided(&clips, limits, boot_id);
        let free_bytes = limits.disk.free_bytes.saturating_sub(less_free);
        let tighter = Limits {
            max_bytes: limits.max_bytes.saturating_sub(fewer_bytes),
            disk: DiskSpace { free_bytes, ..limits.disk },
            ..limits
        };
        prop_assert!(doomed.is_subset(&decided(&clips, tighter, boot_id)));
    }

    #[test]
    fn what_was_decided_is_enough(
        (boot_id, clips) in Just(BootId::generate()).prop_flat_map(|it| (Just(it), stored(it))),
        limits in any_limits(),
    ) {
        let (left, limits) = after(&clips, limits, &decided(&clips, limits, boot_id));
        prop_assert!(decided(&left, limits, boot_id).is_empty());
    }

    #[test]
    fn a_clock_that_is_wrong_deletes_nothing(
        (boot_id, clips) in Just(BootId::generate()).prop_flat_map(|it| (Just(it), stored(it))),
        limits in any_limits(),
        years in -60_i64..60,
    ) {
        let wall = UnixMillis(WALL.0 + years * 365 * 86_400_000);
        let right = now(boot_id);
        let unset = Now { clock: ClockState::Unsynced, ..right };
        let jumped = Now { wall, ..unset };
        prop_assert_eq!(to_delete(&clips, limits, jumped), to_delete(&clips, limits, unset));
    }
}

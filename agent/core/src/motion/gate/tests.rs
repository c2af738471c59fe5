use nightjar_shared::configuration::{Period, Schedule, Weekday, Zone};

use super::*;

const MOVING: Blob = Blob {
    x: 0.1,
    y: 0.1,
    width: 0.2,
    height: 0.2,
    area: 0.02,
    speed: 0.1,
    travel: 2.0,
    confidence: 1.0,
    alarms: true,
};

fn at(millis: u64) -> MonotonicNanos {
    MonotonicNanos(millis * 1_000_000)
}

fn gate() -> Gate {
    Gate::new(Rules::default())
}

fn moving_gate() -> Gate {
    let mut gate = gate();
    let started = Transition::Started { blobs: vec![MOVING], zones: vec![] };
    assert_eq!(gate.observe(&[MOVING], at(0)), Some(started));
    gate
}

#[track_caller]
fn assert_ended(transition: Option<Transition>, expected: EventEndReason) {
    match transition {
        Some(Transition::Ended { reason, .. }) => assert_eq!(reason, expected),
        other => panic!("not ended: {other:?}"),
    }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "what a gate gives is what is judged")]
fn assert_started(transition: Option<Transition>) {
    assert!(matches!(transition, Some(Transition::Started { .. })), "not started: {transition:?}");
}

/// Armed on Mondays, UTC. 1970-01-01 was a Thursday.
fn mondays() -> Week {
    let armed = vec![Period { day: Weekday::Monday, from_minute: 0, until_minute: 1_440 }];
    Week::new(&Schedule { time_zone: "UTC".to_owned(), armed }).unwrap()
}

const MONDAY: Option<UnixMillis> = Some(UnixMillis(4 * 86_400_000));
const TUESDAY: Option<UnixMillis> = Some(UnixMillis(5 * 86_400_000));

#[test]
fn motion_starts_once_and_ends_when_it_was_still_for_a_while() {
    let mut gate = moving_gate();
    assert_eq!(gate.observe(&[MOVING], at(100)), None);
    assert_eq!(gate.observe(&[], at(800)), None);
    assert_ended(gate.observe(&[], at(901)), EventEndReason::Still);
    assert_eq!(gate.observe(&[], at(1000)), None);
}

#[test]
fn the_end_tells_how_long_and_how_much_moved() {
    let mut gate = moving_gate();
    gate.observe(&[Blob { area: 0.05, ..MOVING }, MOVING], at(400));
    gate.observe(&[MOVING], at(700));
    let ended = Transition::Ended {
        zones: vec![],
        reason: EventEndReason::Still,
        peak_area: 0.05 + 0.02,
        duration: Duration::from_millis(700),
    };
    assert_eq!(gate.observe(&[], at(1_501)), Some(ended));
}

#[test]
fn a_pause_shorter_than_the_hold_does_not_end_it() {
    let mut gate = moving_gate();
    assert_eq!(gate.observe(&[], at(700)), None);
    assert_eq!(gate.observe(&[MOVING], at(750)), None);
    assert_eq!(gate.observe(&[], at(1500)), None);
}

#[test]
fn at_one_picture_a_second_a_single_picture_without_motion_does_not_end_it() {
    let mut gate = moving_gate();
    let seen: [&[Blob]; 5] = [&[MOVING], &[], &[MOVING], &[], &[MOVING]];
    for (second, blobs) in (1..).zip(seen) {
        assert_eq!(gate.observe(blobs, at(1_000 * second)), None, "second {second}");
    }
    assert_eq!(gate.observe(&[], at(6_000)), None);
    assert_ended(gate.observe(&[], at(7_000)), EventEndReason::Still);
}

#[test]
fn a_blob_that_is_no_object_yet_starts_nothing() {
    assert_eq!(gate().observe(&[Blob { alarms: false, ..MOVING }], at(0)), None);
}

#[test]
fn what_moves_too_briefly_is_never_told() {
    let rules = Rules { min_duration: Duration::from_millis(500), ..Rules::default() };
    let mut gate = Gate::new(rules);
    assert_eq!(gate.observe(&[MOVING], at(0)), None);
    assert_eq!(gate.observe(&[MOVING], at(400)), None);
    assert_eq!(gate.observe(&[], at(1_300)), None, "over before anybody was told");
    assert_eq!(gate.observe(&[MOVING], at(2_000)), None);
    assert_started(gate.observe(&[MOVING], at(2_500)));
}

#[test]
fn after_motion_none_starts_until_the_camera_has_cooled_down() {
    let rules = Rules { cool_down: Duration::from_secs(10), ..Rules::default() };
    let mut gate = Gate::new(rules);
    assert_started(gate.observe(&[MOVING], at(0)));
    assert_ended(gate.observe(&[], at(1_000)), EventEndReason::Still);
    assert_eq!(gate.observe(&[MOVING], at(9_900)), None);
    assert_started(gate.observe(&[MOVING], at(10_000)));
}

#[test]
fn a_disarmed_camera_ends_its_motion_and_starts_none() {
    let mut gate = moving_gate();
    assert_ended(gate.arm(false), EventEndReason::Disarmed);
    assert_eq!(gate.observe(&[MOVING], at(100)), None);
    assert_eq!(gate.arm(true), None);
    assert_started(gate.observe(&[MOVING], at(200)));
}

#[test]
fn privacy_ends_motion_and_wants_no_frames() {
    let mut gate = moving_gate();
    assert_ended(gate.set_privacy(true), EventEndReason::Privacy);
    assert!(!gate.wants_frames());
}

#[test]
fn outside_its_hours_the_camera_starts_nothing_and_ends_what_goes_on() {
    let mut gate = Gate::new(Rules { week: mondays(), ..Rules::default() });
    assert_eq!(gate.tick(at(0), MONDAY), None);
    assert_started(gate.observe(&[MOVING], at(100)));
    assert_ended(gate.tick(at(200), TUESDAY), EventEndReason::Schedule);
    assert!(gate.is_scheduled_off());
    assert_eq!(gate.observe(&[MOVING], at(300)), None);
    assert_eq!(gate.tick(at(400), MONDAY), None);
    assert_started(gate.observe(&[MOVING], at(500)));
}

#[test]
fn a_clock_that_is_not_set_leaves_the_camera_armed() {
    let mut gate = Gate::new(Rules { week: mondays(), ..Rules::default() });
    assert_eq!(gate.tick(at(0), None), None);
    assert!(!gate.is_scheduled_off());
    assert_started(gate.observe(&[MOVING], at(100)));
}

#[test]
fn the_owners_switch_comes_before_the_schedule() {
    let mut gate = Gate::new(Rules { week: mondays(), ..Rules::default() });
    gate.tick(at(0), MONDAY);
    gate.arm(false);
    assert_eq!(gate.observe(&[MOVING], at(100)), None);
}

#[test]
fn a_camera_that_went_blind_ends_its_motion() {
    let mut gate = moving_gate();
    assert_eq!(gate.tick(at(5_000), None), None);
    assert_ended(gate.tick(at(5_001), None), EventEndReason::NoPicture);
}

#[test]
fn a_gap_between_two_frames_ends_motion_though_nobody_ticked() {
    let mut gate = moving_gate();
    assert_ended(gate.observe(&[MOVING], at(3_600_000)), EventEndReason::NoPicture);
    assert_started(gate.observe(&[MOVING], at(3_600_100)));
}

#[test]
fn time_that_runs_backwards_neither_prolongs_motion_nor_the_pause_after_it() {
    let rules = Rules { cool_down: Duration::from_secs(2), ..Rules::default() };
    let mut gate = Gate::new(rules);
    assert_started(gate.observe(&[MOVING], at(9_000_000)));
    assert_eq!(gate.observe(&[], at(1_000)), None);
    assert_ended(gate.observe(&[], at(1_801)), EventEndReason::Still);
    assert_eq!(gate.observe(&[MOVING], at(500)), None, "it cools down from here on");
    assert_started(gate.observe(&[MOVING], at(2_500)));
}

#[test]
fn an_event_names_every_zone_it_touched() {
    let zone = |name: &str, left: f32| Zone {
        name: name.to_owned(),
        points: vec![(left, 0.0), (left + 0.5, 0.0), (left + 0.5, 1.0), (left, 1.0)],
        ..Zone::default()
    };
    let zones = vec![zone("drive", 0.0), zone("lawn", 0.5)];
    let config = MotionConfig { zones, ..MotionConfig::default() };
    let mut gate = Gate::new(Rules::of(&config));
    let first = gate.observe(&[MOVING], at(0));
    assert!(matches!(first, Some(Transition::Started { zones, .. }) if zones == ["drive"]));
    gate.observe(&[Blob { x: 0.7, ..MOVING }], at(100));
    let last = gate.observe(&[], at(2_000));
    assert!(matches!(last, Some(Transition::Ended { zones, .. }) if zones == ["drive", "lawn"]));
}

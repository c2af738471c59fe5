//! Input that no camera should give, and input of every size: what the detector makes of it.

use nightjar_core::motion::{Detector, LumaPlane, Tuning};

use super::{FPS, SIZE};
use crate::simulator::{
    Simulator, moment,
    nuisances::Nuisance,
    targets::{Kind, Target},
};

#[test]
fn a_picture_that_goes_black_and_comes_back_is_no_motion() {
    let scene = Simulator::new(SIZE, FPS, 8);
    let black = vec![0; SIZE.0 * SIZE.1];
    let mut detector = Detector::new(Tuning::default());
    for frame in 0..180 {
        let lit = scene.frame(frame);
        let data = if frame / 40 % 2 == 1 { &black } else { &lit };
        let plane = LumaPlane { data, width: SIZE.0, height: SIZE.1, stride: SIZE.0 };
        let blobs = detector.observe(plane, moment(scene.time_s(frame)));
        assert!(blobs.iter().all(|blob| !blob.alarms), "frame {frame}: {blobs:?}");
    }
}

#[test]
fn a_plane_that_is_too_short_or_too_small_shows_nothing() {
    let data = vec![80; 4_000];
    let mut detector = Detector::new(Tuning::default());
    for (width, height, stride) in
        [(0, 0, 0), (7, 90, 7), (90, 7, 90), (320, 180, 320), (64, 60, 63), (64, 62, usize::MAX)]
    {
        let plane = LumaPlane { data: &data, width, height, stride };
        assert!(detector.observe(plane, moment(1.0)).is_empty(), "{width}x{height}/{stride}");
    }
}

#[test]
fn after_a_change_of_size_it_is_as_if_it_were_new() {
    let scene = |size| {
        Simulator::new(size, FPS, 10).with_nuisance(Nuisance::Leaves).with_target(Target::new(
            Kind::Walker,
            3.0,
            9.0,
        ))
    };
    let (first, second) = ((160, 120), SIZE);
    let (mut changed, mut fresh) =
        (Detector::new(Tuning::default()), Detector::new(Tuning::default()));
    for frame in 0..20 {
        let data = scene(first).frame(frame);
        let plane = LumaPlane { data: &data, width: first.0, height: first.1, stride: first.0 };
        changed.observe(plane, moment(scene(first).time_s(frame)));
    }
    let mut alarms = 0;
    for frame in 20..60 {
        let data = scene(second).frame(frame);
        let plane = LumaPlane { data: &data, width: second.0, height: second.1, stride: second.0 };
        let now = moment(scene(second).time_s(frame));
        // The first interval is unknown to the new one, which then shows nothing yet.
        let expected = fresh.observe(plane, now).iter().filter(|blob| blob.alarms).count();
        let seen = changed.observe(plane, now);
        assert_eq!(seen.iter().filter(|blob| blob.alarms).count(), expected, "frame {frame}");
        alarms += expected;
    }
    assert!(alarms > 0, "the walker was not found");
}

/// Frames of a quiet scene that a walker then crosses, at times of the caller's making; gives
/// the frames with an alarm.
fn alarms_at(times_s: impl Fn(f32) -> f32) -> Vec<u64> {
    let scene = Simulator::new(SIZE, FPS, 13).with_target(Target::new(Kind::Walker, 8.0, 16.0));
    let mut detector = Detector::new(Tuning::default());
    let mut alarms = Vec::new();
    for frame in 0..110 {
        let data = scene.frame(frame);
        let plane = LumaPlane { data: &data, width: SIZE.0, height: SIZE.1, stride: SIZE.0 };
        let now = moment(times_s(scene.time_s(frame)));
        if detector.observe(plane, now).iter().any(|blob| blob.alarms) {
            alarms.push(frame);
        }
    }
    alarms
}

#[test]
fn a_clock_that_steps_back_neither_makes_nor_hides_motion() {
    let usual = alarms_at(|time_s| 100.0 + time_s);
    assert!(usual.len() > 30 && usual[0] >= 48, "{usual:?}");
    // Back by a minute and a half: before the walker comes, and while it is there.
    for step_at_s in [5.0, 12.0] {
        let stepped =
            alarms_at(|time_s| 100.0 + time_s - if time_s < step_at_s { 0.0 } else { 90.0 });
        assert!(stepped.len() + 2 >= usual.len(), "{step_at_s}: {stepped:?} {usual:?}");
        assert!(stepped[0] >= 48, "{step_at_s}: {stepped:?}");
    }
}

#[test]
fn a_clock_that_stands_still_finds_the_walker_all_the_same() {
    let stuck = alarms_at(|_| 100.0);
    assert!(stuck.len() > 20 && stuck[0] >= 48, "{stuck:?}");
}

#[test]
fn every_size_finds_a_walker() {
    for size in [(160, 120), (161, 121), (176, 144), (353, 289), (641, 361), (1280, 720)] {
        let scene = Simulator::new(size, FPS, 14).with_target(Target::new(Kind::Walker, 3.0, 7.0));
        let mut detector = Detector::new(Tuning::default());
        let mut alarms = 0;
        for frame in 0..36 {
            let data = scene.frame(frame);
            let plane = LumaPlane { data: &data, width: size.0, height: size.1, stride: size.0 };
            let blobs = detector.observe(plane, moment(scene.time_s(frame)));
            alarms += usize::from(blobs.iter().any(|blob| blob.alarms));
        }
        assert!(alarms >= 6, "{size:?}: {alarms}");
    }
}

#[test]
fn a_picture_wider_than_any_and_only_a_few_rows_high_shows_nothing() {
    let data = vec![80; 2_880 * 8];
    let mut detector = Detector::new(Tuning::default());
    for (width, height) in [(2_720, 8), (2_880, 8)] {
        let plane = LumaPlane { data: &data, width, height, stride: width };
        assert!(detector.observe(plane, moment(1.0)).is_empty(), "{width}x{height}");
    }
}

#[test]
fn a_hold_is_no_longer_because_the_clock_steps_back() {
    let mut scene = Simulator::new(SIZE, FPS, 13);
    scene = scene.with_target(Target::new(Kind::Walker, 8.0, 16.0));
    let mut detector = Detector::new(Tuning::default());
    let mut alarms = 0;
    for frame in 0..96 {
        let time_s = scene.time_s(frame);
        let shown_s = if time_s < 5.0 { 1_000.0 + time_s } else { time_s };
        if frame == 29 {
            detector.hold(moment(shown_s + 0.7));
        }
        let data = scene.frame(frame);
        let plane = LumaPlane { data: &data, width: SIZE.0, height: SIZE.1, stride: SIZE.0 };
        let blobs = detector.observe(plane, moment(shown_s));
        alarms += usize::from(blobs.iter().any(|blob| blob.alarms));
    }
    assert!(alarms > 20, "{alarms}");
}

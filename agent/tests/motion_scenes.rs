//! The detector on simulated scenes: every nuisance alone, every target, targets in nuisances,
//! and input that no camera should give.

#[path = "motion_scenes/mod.rs"]
mod simulator;

use std::time::Duration;

use nightjar_agent::{
    clock::MonotonicNanos,
    motion::{Blob, Detector, LumaPlane, Tuning},
};
use simulator::{
    Simulator,
    nuisances::Nuisance,
    random::Random,
    targets::{Kind, Target},
};

const SIZE: (usize, usize) = (192, 120);
const FPS: f32 = 6.0;
/// Alarms this close together are one.
const PAUSE_S: f32 = 0.8;

fn moment(time_s: f32) -> MonotonicNanos {
    MonotonicNanos(1).plus(Duration::from_secs_f32(time_s))
}

/// From the first alarm to the last, of each stretch of them.
fn alarms(scene: &Simulator, seconds: f32) -> Vec<(f32, f32)> {
    let mut detector = Detector::new(Tuning::default());
    let mut stretches: Vec<(f32, f32)> = Vec::new();
    for frame in (0..).take_while(|frame| scene.time_s(*frame) < seconds) {
        let (data, time_s) = (scene.frame(frame), scene.time_s(frame));
        let plane = LumaPlane { data: &data, width: SIZE.0, height: SIZE.1, stride: SIZE.0 };
        if !detector.observe(plane, moment(time_s)).iter().any(|blob| blob.alarms) {
            continue;
        }
        match stretches.last_mut() {
            Some(last) if time_s - last.1 <= PAUSE_S => last.1 = time_s,
            _ => stretches.push((time_s, time_s)),
        }
    }
    stretches
}

fn stays_quiet(nuisance: Nuisance) {
    let alarms = alarms(&Simulator::new(SIZE, FPS, 1).with_nuisance(nuisance), 45.0);
    assert!(alarms.is_empty(), "{nuisance:?}: {alarms:?}");
}

/// One event, begun within `delay_s` and over when the target is gone.
fn is_found(kind: Kind, nuisance: Option<Nuisance>, delay_s: f32) {
    let (start_s, end_s) = (12.0, if kind == Kind::Car { 16.0 } else { 22.0 });
    let mut scene = Simulator::new(SIZE, FPS, 3).with_target(Target::new(kind, start_s, end_s));
    if let Some(nuisance) = nuisance {
        scene = scene.with_nuisance(nuisance);
    }
    let alarms = alarms(&scene, end_s + 5.0);
    let [(first_s, last_s)] = alarms[..] else {
        panic!("{kind:?} in {nuisance:?}: {alarms:?}");
    };
    let on_time = (start_s..=start_s + delay_s).contains(&first_s);
    assert!(on_time && (end_s - 1.5..end_s + 2.0).contains(&last_s), "{kind:?}: {alarms:?}");
}

macro_rules! quiet {
    ($($name:ident: $nuisance:expr;)*) => {
        $(#[test]
        fn $name() {
            stays_quiet($nuisance);
        })*
    };
}

quiet! {
    noise_is_no_motion: Nuisance::Noise(6.0);
    rain_is_no_motion: Nuisance::Rain;
    snow_is_no_motion: Nuisance::Snow;
    leaves_are_no_motion: Nuisance::Leaves;
    insects_are_no_motion: Nuisance::Insects;
    a_lamp_is_no_motion: Nuisance::Lamp;
    a_switch_of_the_infrared_filter_is_no_motion: Nuisance::InfraredSwitch;
    a_cloud_is_no_motion: Nuisance::Cloud;
    a_change_of_exposure_is_no_motion: Nuisance::AutoExposure;
    flicker_is_no_motion: Nuisance::Flicker;
    a_swaying_pole_is_no_motion: Nuisance::Shake;
    compression_is_no_motion: Nuisance::Compression;
}

#[test]
fn a_walker_is_found() {
    is_found(Kind::Walker, None, 1.5);
}

#[test]
fn a_car_is_found() {
    is_found(Kind::Car, None, 1.0);
}

#[test]
fn a_small_animal_is_found() {
    is_found(Kind::Animal, None, 2.0);
}

#[test]
fn a_walker_is_found_in_every_nuisance_that_does_not_change_the_light() {
    let changes_light = |nuisance: &Nuisance| {
        use Nuisance::{AutoExposure, Cloud, InfraredSwitch, Lamp};
        matches!(nuisance, AutoExposure | Cloud | InfraredSwitch | Lamp)
    };
    for nuisance in Nuisance::ALL.into_iter().filter(|nuisance| !changes_light(nuisance)) {
        is_found(Kind::Walker, Some(nuisance), 2.0);
    }
}

#[test]
fn one_who_stops_on_the_way_is_not_forgotten() {
    let mut walker = Target::new(Kind::Walker, 12.0, 28.0);
    walker.pause_s = 6.0;
    let scene = Simulator::new(SIZE, FPS, 4).with_target(walker);
    let alarms = alarms(&scene, 33.0);
    let covered: f32 = alarms.iter().map(|(from, to)| to - from).sum();
    assert!(covered > 10.0, "{alarms:?}");
    assert!(alarms.last().is_some_and(|alarm| alarm.1 < 30.0), "{alarms:?}");
}

#[test]
fn two_visits_are_two_events() {
    let scene = Simulator::new(SIZE, FPS, 5)
        .with_target(Target::new(Kind::Car, 12.0, 15.0))
        .with_target(Target::new(Kind::Car, 18.0, 21.0));
    assert_eq!(alarms(&scene, 26.0).len(), 2);
}

#[test]
fn frame_rates_from_two_to_thirty_find_a_walker() {
    for fps in [2.0, 5.0, 12.0, 30.0] {
        let walker = Target::new(Kind::Walker, 5.0, 13.0);
        let scene = Simulator::new(SIZE, fps, 6).with_target(walker);
        let alarms = alarms(&scene, 15.0);
        let found = alarms.iter().any(|(from, to)| *from < 9.0 && *to > 9.0);
        assert!(found, "{fps} fps: {alarms:?}");
    }
}

#[test]
fn at_one_frame_a_second_a_slow_walker_is_found_and_nothing_else() {
    let slow = Simulator::new(SIZE, 1.0, 7).with_target(Target::new(Kind::Walker, 20.0, 44.0));
    let alarms_with = alarms(&slow, 50.0);
    assert!(alarms_with.iter().any(|(from, _)| (20.0..40.0).contains(from)), "{alarms_with:?}");
    assert!(alarms(&Simulator::new(SIZE, 1.0, 7), 60.0).is_empty());
}

/// Looks at a frame; whatever it is, the answer must make sense.
fn look(detector: &mut Detector, plane: LumaPlane<'_>, now: MonotonicNanos) {
    let inside = |value: f32| (0.0..=1.0).contains(&value);
    let sane = |blob: &Blob| {
        let numbers = [blob.x, blob.y, blob.width, blob.height, blob.area, blob.confidence];
        numbers.into_iter().all(inside)
            && blob.x + blob.width <= 1.001
            && blob.y + blob.height <= 1.001
            && blob.speed.is_finite()
    };
    let blobs = detector.observe(plane, now).to_vec();
    assert!(blobs.iter().all(sane), "{}x{}: {blobs:?}", plane.width, plane.height);
}

#[test]
fn frozen_black_and_saturated_pictures_are_no_motion() {
    for level in [0, 90, 255] {
        let data = vec![level; SIZE.0 * SIZE.1];
        let plane = LumaPlane { data: &data, width: SIZE.0, height: SIZE.1, stride: SIZE.0 };
        let mut detector = Detector::new(Tuning::default());
        for frame in 0..60_u16 {
            let blobs = detector.observe(plane, moment(f32::from(frame) / 6.0));
            assert!(blobs.iter().all(|blob| !blob.alarms), "level {level}");
        }
    }
}

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
fn rows_wider_than_the_picture_change_nothing() {
    let scene = Simulator::new(SIZE, FPS, 9).with_target(Target::new(Kind::Car, 4.0, 8.0));
    let stride = SIZE.0 + 37;
    let (mut tight, mut loose) =
        (Detector::new(Tuning::default()), Detector::new(Tuning::default()));
    for frame in 0..60 {
        let data = scene.frame(frame);
        let mut padded = vec![0xa5; stride * SIZE.1];
        for (row, wide) in data.chunks(SIZE.0).zip(padded.chunks_mut(stride)) {
            wide[..SIZE.0].copy_from_slice(row);
        }
        let now = moment(scene.time_s(frame));
        let (width, height) = SIZE;
        let one = tight.observe(LumaPlane { data: &data, width, height, stride: width }, now);
        let other = loose.observe(LumaPlane { data: &padded, width, height, stride }, now);
        assert_eq!(one, other, "frame {frame}");
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
fn any_input_in_any_order_is_survived() {
    for seed in 1..=12 {
        let mut random = Random::new(seed);
        let mut detector = Detector::new(Tuning::of(random.share()));
        let mut now = 1_000_000_000_u64;
        let (mut width, mut height, mut stride) = (160, 120, 160);
        for _ in 0..60 {
            if random.below(12) == 0 {
                (width, height) = (8 + random.below(500), 8 + random.below(300));
                stride = width + random.below(2) * random.below(40);
            }
            let step = random.below(3_000_000_000) as u64;
            now = match random.below(8) {
                0 => now.saturating_sub(step),
                1 => now,
                2 => now + 10_000_000_000 * random.below(3) as u64,
                _ => now + step / 20,
            };
            if random.below(15) == 0 {
                detector.hold(MonotonicNanos(now + step));
            }
            let kind = random.below(4);
            let data: Vec<u8> = (0..stride * height)
                .map(|at| match kind {
                    0 => random.bits().to_le_bytes()[0],
                    1 => 255 * u8::from(random.share() < 0.5),
                    2 => (at / 3 % 256).to_le_bytes()[0],
                    _ => 128,
                })
                .collect();
            look(
                &mut detector,
                LumaPlane { data: &data, width, height, stride },
                MonotonicNanos(now),
            );
            assert_eq!(detector.mask().len(), width * height);
        }
    }
}

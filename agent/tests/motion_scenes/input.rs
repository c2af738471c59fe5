//! Input that no camera should give, and input of every size: the answer always makes sense.

use crate::{
    FPS, SIZE,
    simulator::{
        Simulator, moment,
        nuisances::Nuisance,
        random::Random,
        targets::{Kind, Target},
    },
};
use nightjar_agent::{
    clock::MonotonicNanos,
    motion::{Blob, Detector, LumaPlane, Tuning},
};

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

/// A picture of a kind that changes from frame to frame: noise, salt and pepper, a ramp, an even
/// level, a box somewhere on an even level.
fn picture(random: &mut Random, (width, height, stride): (usize, usize, usize)) -> Vec<u8> {
    let kind = random.below(5);
    let (left, top) = (random.below(width), random.below(height));
    let level = random.bits().to_le_bytes()[0];
    let pixel = |at: usize| match kind {
        0 => random.bits().to_le_bytes()[0],
        1 => 255 * u8::from(random.share() < 0.5),
        2 => (at / 3 % 256).to_le_bytes()[0],
        3 => level,
        _ => {
            let (x, y) = (at % stride, at / stride);
            let inside = (left..left + 40).contains(&x) && (top..top + 40).contains(&y);
            if inside { 255 - level } else { level }
        }
    };
    (0..stride * height).map(pixel).collect()
}

/// Shows `frames` pictures whose sizes, strides and times go any way.
fn show_anything(seed: u64, frames: usize, largest: (usize, usize)) {
    let mut random = Random::new(seed);
    let mut detector = Detector::new(Tuning::of(random.share()));
    let mut now = 1_000_000_000_u64;
    let mut size = (largest.0, largest.1, largest.0);
    for _ in 0..frames {
        if random.below(12) == 0 {
            let width = 8 + random.below(largest.0 - 8);
            size = (width, 8 + random.below(largest.1 - 8), width);
            size.2 += random.below(2) * random.below(40);
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
        let (width, height, stride) = size;
        let data = picture(&mut random, size);
        look(&mut detector, LumaPlane { data: &data, width, height, stride }, MonotonicNanos(now));
        assert_eq!(detector.mask().len(), width * height);
    }
}

#[test]
fn any_input_in_any_order_is_survived() {
    for seed in 1..=5 {
        show_anything(seed, 40, (500, 220));
    }
}

#[test]
fn tiny_pictures_in_any_order_are_survived() {
    for seed in 101..=130 {
        show_anything(seed, 80, (48, 40));
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

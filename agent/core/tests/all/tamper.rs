//! The watch over the camera itself, on simulated scenes: what is done to a camera is found and named, and
//! what weather, light, visitors and the camera do is not.

use std::time::Duration;

use bytes::Bytes;
use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::LumaFrame,
    tamper::{TamperChange, TamperConfig, TamperDetector},
};
use nightjar_shared::event::{EventEndReason, TamperKind};
use proptest::prelude::*;

use crate::simulator::{
    Simulator, moment,
    nuisances::Nuisance,
    targets::{Kind, Target},
};

const SIZE: (usize, usize) = (192, 120);
const FPS: f32 = 2.0;

/// What is done to the camera.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Deed {
    Nothing,
    Cap,
    /// A hand or cloth close to the lens, of this level.
    Cloth(u8),
    /// Something flat over the left part of the picture, up to there: 0 to 255.
    HalfCovered(u8),
    /// Out of focus by so many pixels.
    Blur(usize),
    /// By so many pixels to the side.
    Turn(usize),
    /// The left part is another scene.
    Furniture(u8),
    /// The lamp goes out: this share of the light is left.
    Dark(f32),
    /// Taken away, to somewhere else.
    Elsewhere,
}

/// A picture with a deed done to it.
fn picture(scene: &Simulator, other: &Simulator, frame: u64, deed: Deed) -> LumaFrame {
    let (width, height) = SIZE;
    let across = |at: usize| level_of((at % width) * 255 / width);
    let data: Vec<u8> = match deed {
        Deed::Nothing => scene.frame(frame),
        Deed::Elsewhere => other.frame(frame),
        Deed::Cap => vec![16; width * height],
        // Light comes from one side.
        Deed::Cloth(level) => {
            (0..width * height).map(|at| level.saturating_add(across(at) / 20)).collect()
        }
        Deed::Blur(radius) => blurred(&scene.frame(frame), radius),
        Deed::Turn(pixels) => {
            // Another part of the world comes into the picture from the right.
            let (seen, beside) = (scene.frame(frame), other.frame(frame));
            let rows = seen.chunks(width).zip(beside.chunks(width));
            rows.flat_map(|(row, beside)| [&row[pixels..], &beside[..pixels]].concat()).collect()
        }
        Deed::Dark(share) => scene.frame(frame).iter().map(|level| dimmed(*level, share)).collect(),
        Deed::HalfCovered(share) => {
            let cover = scene.frame(frame).into_iter().enumerate();
            cover.map(|(at, level)| if across(at) < share { 90 } else { level }).collect()
        }
        Deed::Furniture(share) => {
            let (seen, beside) = (scene.frame(frame), other.frame(frame));
            let both = seen.into_iter().zip(beside).enumerate();
            both.map(|(at, (seen, new))| if across(at) < share { new } else { seen }).collect()
        }
    };
    let captured_at = at(scene, frame);
    LumaFrame { data: Bytes::from(data), width, height, stride: width, captured_at }
}

fn level_of(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a level")]
fn dimmed(level: u8, share: f32) -> u8 {
    (16.0 + (f32::from(level) - 16.0).max(0.0) * share) as u8
}

/// Averages over a box around each pixel.
fn blurred(data: &[u8], radius: usize) -> Vec<u8> {
    let (width, height) = SIZE;
    let mean = |at: usize| {
        let (row, column) = (at / width, at % width);
        let rows = row.saturating_sub(radius)..(row + radius + 1).min(height);
        let columns = column.saturating_sub(radius)..(column + radius + 1).min(width);
        let count = rows.len() * columns.len();
        let lines = rows.map(|row| &data[row * width..][columns.clone()]);
        let sum: usize = lines.flatten().map(|level| usize::from(*level)).sum();
        level_of(sum / count)
    };
    (0..data.len()).map(mean).collect()
}

fn at(scene: &Simulator, frame: u64) -> MonotonicNanos {
    moment(100.0 + scene.time_s(frame))
}

fn sensitive(sensitivity: f32) -> TamperConfig {
    TamperConfig { sensitivity, ..TamperConfig::default() }
}

/// What was told, each with the second in which it was.
type Told = Vec<(f32, TamperChange)>;

/// Does each deed for so many seconds, before one detector for each sensitivity.
fn told_at(scene: &Simulator, deeds: &[(Deed, f32)], sensitivities: &[f32]) -> Vec<Told> {
    let other = Simulator::new(SIZE, FPS, 77);
    let mut detectors: Vec<(TamperDetector, Told)> = sensitivities
        .iter()
        .map(|keen| (TamperDetector::new(&sensitive(*keen)), Vec::new()))
        .collect();
    let (mut frame, mut until_s) = (0, 0.0);
    for (deed, seconds) in deeds {
        until_s += seconds;
        while scene.time_s(frame) < until_s {
            let picture = picture(scene, &other, frame, *deed);
            for (detector, told) in &mut detectors {
                let change = detector.observe(&picture);
                told.extend(change.map(|change| (scene.time_s(frame), change)));
            }
            frame += 1;
        }
    }
    detectors.into_iter().map(|(_, told)| told).collect()
}

fn told(scene: &Simulator, deeds: &[(Deed, f32)]) -> Told {
    told_at(scene, deeds, &[0.5]).remove(0)
}

fn scene(seed: u64) -> Simulator {
    Simulator::new(SIZE, FPS, seed)
}

/// Found, named, within so many seconds, told once, and over when it is over.
#[track_caller]
fn is_found(deed: Deed, kind: TamperKind, within_s: f32) {
    for seed in 1..=3 {
        let deeds = [(Deed::Nothing, 20.0), (deed, 40.0), (Deed::Nothing, 20.0)];
        let told = told(&scene(seed), &deeds);
        let [
            (at_s, TamperChange::Started { kind: found, began_at }),
            (end_s, TamperChange::Ended { reason }),
        ] = told[..]
        else {
            panic!("{deed:?}, scene {seed}: {told:?}");
        };
        assert_eq!(found, kind, "{deed:?}, scene {seed}");
        assert!(at_s > 20.0 && at_s < 20.0 + within_s, "{deed:?}, scene {seed}: {told:?}");
        let began_s = began_at.since(moment(100.0)).as_secs_f32();
        assert!((20.0..23.0).contains(&began_s), "{deed:?}, scene {seed}: began at {began_s}");
        assert_eq!(reason, EventEndReason::Restored);
        assert!(end_s > 60.0 && end_s < 68.0, "{deed:?}, scene {seed}: {told:?}");
    }
}

#[track_caller]
fn is_none(scene: &Simulator, deeds: &[(Deed, f32)]) {
    let told = told_at(scene, deeds, &[0.0, 0.5, 1.0]);
    assert!(told.iter().all(Vec::is_empty), "{deeds:?}: {told:?}");
}

#[test]
fn a_cap_on_the_lens_is_found() {
    is_found(Deed::Cap, TamperKind::Black, 12.0);
}

#[test]
fn a_cloth_before_the_lens_is_found_whatever_its_colour() {
    is_found(Deed::Cloth(70), TamperKind::Covered, 12.0);
    is_found(Deed::Cloth(220), TamperKind::Covered, 12.0);
}

#[test]
fn tape_over_most_of_the_lens_is_found() {
    is_found(Deed::HalfCovered(190), TamperKind::Covered, 12.0);
}

#[test]
fn a_lens_that_was_put_out_of_focus_is_found() {
    is_found(Deed::Blur(4), TamperKind::Blurred, 20.0);
}

#[test]
fn a_camera_that_was_turned_is_found() {
    is_found(Deed::Turn(30), TamperKind::Turned, 14.0);
    is_found(Deed::Elsewhere, TamperKind::Turned, 14.0);
}

#[test]
fn a_change_of_most_of_the_scene_is_found() {
    is_found(Deed::Furniture(205), TamperKind::SceneChanged, 25.0);
}

/// A street lamp or infrared light is enough to see by.
#[test]
fn a_cap_at_night_is_found_where_something_is_seen_by_night() {
    let night = scene(1).with_nuisance(Nuisance::Night);
    let told = told(&night, &[(Deed::Nothing, 40.0), (Deed::Cap, 30.0)]);
    let [(at_s, TamperChange::Started { kind: TamperKind::Black, .. })] = told[..] else {
        panic!("{told:?}");
    };
    assert!((47.0..53.0).contains(&at_s), "{at_s}");
}

#[test]
fn who_is_more_sensitive_is_told_sooner() {
    let deeds = [(Deed::Nothing, 30.0), (Deed::Cap, 30.0)];
    let told = told_at(&scene(1), &deeds, &[0.0, 0.5, 1.0]);
    let seconds: Vec<f32> = told.iter().map(|told| told[0].0 - 30.0).collect();
    assert!(seconds[0] > 15.0 && seconds[0] < 21.0, "{seconds:?}");
    assert!(seconds[2] < 7.0 && seconds[1] < seconds[0], "{seconds:?}");
}

#[test]
fn weather_light_and_the_camera_itself_are_no_tampering() {
    for nuisance in Nuisance::ALL {
        is_none(&scene(1).with_nuisance(nuisance), &[(Deed::Nothing, 150.0)]);
    }
}

#[test]
fn who_comes_by_however_close_is_no_tampering() {
    for (kind, size) in [(Kind::Walker, 1.2), (Kind::Car, 0.9), (Kind::Walker, 2.0)] {
        let mut visitor = Target::new(kind, 40.0, 50.0);
        (visitor.size, visitor.ground, visitor.pause_s) = (size, 1.1, 3.0);
        is_none(&scene(3).with_target(visitor), &[(Deed::Nothing, 80.0)]);
    }
}

#[test]
fn a_hand_that_cleans_the_lens_is_no_tampering() {
    let deeds = [(Deed::Nothing, 30.0), (Deed::Cloth(90), 3.0), (Deed::Nothing, 30.0)];
    is_none(&scene(2), &deeds);
}

#[test]
fn a_lamp_that_goes_out_is_night_while_anything_is_seen() {
    for left in [0.3, 0.12] {
        let deeds = [(Deed::Nothing, 40.0), (Deed::Dark(left), 90.0), (Deed::Nothing, 60.0)];
        for seed in 1..=3 {
            is_none(&scene(seed), &deeds);
        }
    }
}

#[test]
fn dusk_is_no_tampering_though_nothing_is_seen_in_the_end() {
    let mut deeds = vec![(Deed::Nothing, 30.0)];
    // Within eight minutes, faster than anywhere.
    let mut light = 1.0;
    for _ in 0..96 {
        light *= 0.95;
        deeds.push((Deed::Dark(light), 5.0));
    }
    deeds.push((Deed::Cap, 120.0));
    is_none(&scene(1), &deeds);
}

/// Runs a detector by hand.
struct Hands {
    scene: Simulator,
    other: Simulator,
    detector: TamperDetector,
    frame: u64,
    told: Vec<TamperChange>,
}

impl Hands {
    fn new(seed: u64) -> Self {
        let other = Simulator::new(SIZE, FPS, 77);
        let detector = TamperDetector::new(&sensitive(0.5));
        Self { scene: scene(seed), other, detector, frame: 0, told: Vec::new() }
    }

    fn now(&self) -> MonotonicNanos {
        at(&self.scene, self.frame)
    }

    fn see(&mut self, deed: Deed, seconds: f32) -> &mut Self {
        let until_s = self.scene.time_s(self.frame) + seconds;
        while self.scene.time_s(self.frame) < until_s {
            let picture = picture(&self.scene, &self.other, self.frame, deed);
            self.told.extend(self.detector.observe(&picture));
            self.frame += 1;
        }
        self
    }

    fn kinds(&self) -> Vec<Option<TamperKind>> {
        let kind = |change: &TamperChange| match change {
            TamperChange::Started { kind, .. } => Some(*kind),
            TamperChange::Ended { .. } => None,
        };
        self.told.iter().map(kind).collect()
    }
}

#[test]
fn a_camera_that_stays_turned_is_accepted_after_a_while_and_then_guarded_as_it_is() {
    let mut hands = Hands::new(1);
    hands.see(Deed::Nothing, 30.0).see(Deed::Elsewhere, 700.0);
    let accepted = TamperChange::Ended { reason: EventEndReason::Accepted };
    assert_eq!(hands.told.len(), 2, "{:?}", hands.told);
    assert_eq!(hands.told[1], accepted);
    hands.see(Deed::Cap, 30.0);
    assert_eq!(hands.kinds()[2], Some(TamperKind::Black));
}

#[test]
fn a_covered_camera_is_told_once_however_long_it_is() {
    let mut hands = Hands::new(1);
    hands.see(Deed::Nothing, 30.0).see(Deed::Cap, 900.0);
    assert_eq!(hands.kinds(), [Some(TamperKind::Black)]);
    hands.see(Deed::Nothing, 20.0);
    assert_eq!(hands.told[1], TamperChange::Ended { reason: EventEndReason::Restored });
}

#[test]
fn a_source_that_was_opened_anew_shows_its_scene() {
    let mut hands = Hands::new(1);
    hands.see(Deed::Nothing, 30.0);
    hands.frame += 8;
    hands.see(Deed::Elsewhere, 60.0);
    assert_eq!(hands.told, []);
    hands.see(Deed::Cap, 20.0);
    assert_eq!(hands.kinds(), [Some(TamperKind::Black)]);
    let now = hands.now().plus(Duration::from_secs(6));
    let ended = hands.detector.tick(now);
    assert_eq!(ended, Some(TamperChange::Ended { reason: EventEndReason::NoPicture }));
    assert_eq!(hands.detector.tick(now), None);
}

#[test]
fn what_the_camera_does_to_its_own_picture_is_no_tampering() {
    // A look without the infrared lamp, and with it again; then it stays as different as it can be.
    let mut hands = Hands::new(2);
    hands.see(Deed::Nothing, 30.0);
    for (deed, seconds) in [(Deed::Cap, 9.0), (Deed::Nothing, 60.0), (Deed::Elsewhere, 60.0)] {
        let now = hands.now();
        hands.detector.infrared_switched(now);
        hands.see(deed, seconds);
    }
    assert_eq!(hands.told, []);
    // It takes its cap for night, and is not believed.
    hands.see(Deed::Cap, 6.0);
    let now = hands.now();
    hands.detector.infrared_switched(now);
    hands.see(Deed::Cap, 20.0);
    assert_eq!(hands.kinds(), [Some(TamperKind::Black)]);
}

#[test]
fn an_exposure_that_follows_the_cover_does_not_hide_it() {
    let mut hands = Hands::new(2);
    hands.see(Deed::Nothing, 30.0);
    for _ in 0..4 {
        let now = hands.now();
        hands.detector.hold(now.plus(Duration::from_millis(700)));
        hands.see(Deed::Cloth(60), 3.0);
    }
    assert_eq!(hands.kinds(), [Some(TamperKind::Covered)]);
}

#[test]
fn who_switches_it_off_or_sets_it_anew_accepts_what_is_seen() {
    let mut hands = Hands::new(1);
    hands.see(Deed::Nothing, 30.0).see(Deed::Elsewhere, 30.0);
    assert_eq!(hands.kinds(), [Some(TamperKind::Turned)]);
    let accepted = Some(TamperChange::Ended { reason: EventEndReason::Accepted });
    assert_eq!(hands.detector.forget(EventEndReason::Accepted), accepted);
    hands.see(Deed::Elsewhere, 30.0).see(Deed::Cap, 20.0);
    assert_eq!(hands.kinds(), [Some(TamperKind::Turned), Some(TamperKind::Black)]);
    let off = TamperConfig { enabled: false, ..TamperConfig::default() };
    assert_eq!(hands.detector.configure(&off), accepted);
    hands.see(Deed::Nothing, 30.0).see(Deed::Cap, 30.0);
    assert_eq!(hands.told.len(), 2);
}

#[test]
fn a_scene_without_landmarks_is_not_judged() {
    let mut detector = TamperDetector::new(&sensitive(1.0));
    for step in 0..400_u64 {
        let level = if step / 100 % 2 == 0 { 120 } else { 16 };
        let data = Bytes::from(vec![level; SIZE.0 * SIZE.1]);
        let captured_at = MonotonicNanos(step * 400_000_000);
        let (width, height) = SIZE;
        let picture = LumaFrame { data, width, height, stride: width, captured_at };
        assert_eq!(detector.observe(&picture), None);
    }
}

/// One of the pictures that a hostile or broken source may give.
fn any_picture() -> impl Strategy<Value = (usize, usize, usize, u8, u64)> {
    (0_usize..400, 0_usize..300, 0_usize..420, any::<u8>(), 0_u64..20_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_comes_begins_and_ends_alternate(
        pictures in prop::collection::vec(any_picture(), 1..60),
        sensitivity in 0.0_f32..=1.0,
    ) {
        let mut detector = TamperDetector::new(&sensitive(sensitivity));
        let mut goes_on = false;
        for (width, height, stride, seed, millis) in pictures {
            let length = stride.saturating_mul(height);
            let data: Vec<u8> = (0..length)
                .map(|at| seed.wrapping_mul(31).wrapping_add(u8::try_from(at * at % 251).unwrap()))
                .collect();
            let captured_at = MonotonicNanos(millis * 1_000_000);
            let picture = LumaFrame { data: Bytes::from(data), width, height, stride, captured_at };
            let changes = [detector.observe(&picture), detector.tick(captured_at)];
            for change in changes.into_iter().flatten() {
                let starts = matches!(change, TamperChange::Started { .. });
                prop_assert_ne!(starts, goes_on);
                goes_on = starts;
            }
        }
    }
}

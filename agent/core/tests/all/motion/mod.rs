//! The detector on simulated scenes: every nuisance alone, every target, targets in nuisances,
//! and, in `input`, what no camera should give. `any_pictures` and `any_blobs` hold detector and
//! gate to what must be true of every input.

mod any_blobs;
mod any_pictures;
mod input;

use nightjar_core::motion::{Detector, LumaPlane, Tuning};

use crate::simulator::{
    Simulator, moment,
    nuisances::Nuisance,
    targets::{Kind, Target},
};

const SIZE: (usize, usize) = (192, 120);
const FPS: f32 = 6.0;
/// Alarms this close together are one.
const PAUSE_S: f32 = 0.8;

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
    headlights_are_no_motion: Nuisance::Headlights;
    a_television_behind_a_window_is_no_motion: Nuisance::Television;
    dusk_is_no_motion: Nuisance::Dusk;
    a_noisy_night_under_infrared_light_is_no_motion: Nuisance::Night;
    gain_that_pumps_is_no_motion: Nuisance::Pumping;
    a_curtain_is_no_motion: Nuisance::Curtain;
    a_web_before_the_lens_is_no_motion: Nuisance::Web;
    gusts_of_rain_are_no_motion: Nuisance::Gusts;
    jolts_are_no_motion: Nuisance::Jolts;
}

/// Nothing is known yet of how restless the scene is.
#[test]
fn water_is_no_motion_even_right_after_the_start() {
    for seed in 1..=6 {
        let alarms = alarms(&Simulator::new(SIZE, FPS, seed).with_nuisance(Nuisance::Water), 15.0);
        assert!(alarms.is_empty(), "scene {seed}: {alarms:?}");
    }
}

#[test]
fn a_walker_before_water_is_found_and_the_water_is_not() {
    let scene = Simulator::new(SIZE, FPS, 1)
        .with_nuisance(Nuisance::Water)
        .with_target(Target::new(Kind::Walker, 40.0, 50.0));
    let alarms = alarms(&scene, 75.0);
    let [(first_s, last_s)] = alarms[..] else { panic!("{alarms:?}") };
    assert!((40.0..42.0).contains(&first_s) && (48.0..54.0).contains(&last_s), "{alarms:?}");
}

#[test]
fn who_comes_right_after_the_start_is_found() {
    for nuisance in [Nuisance::Noise(3.0), Nuisance::Leaves, Nuisance::Rain, Nuisance::Water] {
        for kind in [Kind::Walker, Kind::Car] {
            let scene = Simulator::new(SIZE, FPS, 3)
                .with_nuisance(nuisance)
                .with_target(Target::new(kind, 1.5, 7.5));
            let first_s = alarms(&scene, 10.0).first().map(|alarm| alarm.0);
            let on_time = first_s.is_some_and(|first_s| (1.5..4.0).contains(&first_s));
            assert!(on_time, "{kind:?} in {nuisance:?}: {first_s:?}");
        }
    }
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
fn a_walker_is_found_in_every_nuisance_that_neither_changes_the_light_nor_hides_it() {
    let keeps_out = |nuisance: &Nuisance| {
        use Nuisance::{AutoExposure, Cloud, Headlights, InfraredSwitch, Lamp, Water, Web};
        matches!(nuisance, AutoExposure | Cloud | Headlights | InfraredSwitch | Lamp | Water | Web)
    };
    for nuisance in Nuisance::ALL.into_iter().filter(|nuisance| !keeps_out(nuisance)) {
        is_found(Kind::Walker, Some(nuisance), 2.0);
    }
}

#[test]
fn a_walker_is_followed_most_of_the_way_through_headlights_and_behind_a_web() {
    for nuisance in [Nuisance::Headlights, Nuisance::Web] {
        let scene = Simulator::new(SIZE, FPS, 3).with_nuisance(nuisance).with_target(Target::new(
            Kind::Walker,
            12.0,
            22.0,
        ));
        let alarms = alarms(&scene, 27.0);
        let covered: f32 = alarms.iter().map(|(from, to)| to - from).sum();
        assert!(covered > 6.0, "{nuisance:?}: {alarms:?}");
        assert!(alarms.iter().all(|(from, to)| *from >= 12.0 && *to < 24.0), "{alarms:?}");
    }
}

#[test]
fn one_who_comes_towards_the_camera_or_goes_away_from_it_is_found() {
    for (size, growth, way) in [(0.2, 3.0, (0.4, 0.55)), (0.6, 0.35, (0.6, 0.5))] {
        let mut walker = Target::new(Kind::Walker, 12.0, 20.0);
        (walker.size, walker.growth, walker.way) = (size, growth, Some(way));
        walker.ground = if growth > 1.0 { 0.7 } else { 0.95 };
        let alarms = alarms(&Simulator::new(SIZE, FPS, 3).with_target(walker), 25.0);
        let covered: f32 = alarms.iter().map(|(from, to)| to - from).sum();
        assert!(covered > 4.0, "growth {growth}: {alarms:?}");
        assert!(alarms.iter().all(|(from, to)| *from >= 12.0 && *to < 21.0), "{alarms:?}");
    }
}

#[test]
fn what_is_left_behind_or_taken_away_does_not_go_on_as_motion() {
    for (from_s, until_s) in [(17.0, 900.0), (-900.0, 17.0)] {
        let scene = Simulator::new(SIZE, FPS, 3)
            .with_target(Target::new(Kind::Bag, from_s, until_s))
            .with_target(Target::new(Kind::Walker, 12.0, 22.0));
        let alarms = alarms(&scene, 50.0);
        assert!(alarms.len() == 1 && alarms[0].1 < 25.0, "from {from_s}: {alarms:?}");
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

/// From one picture to the next, 30 a second, such an outline changes by less than noise may.
#[test]
fn a_slow_walker_with_soft_edges_is_followed_at_every_frame_rate() {
    for fps in [10.0, 25.0, 30.0] {
        let mut walker = Target::new(Kind::Walker, 5.0, 25.0);
        (walker.contrast, walker.blur, walker.size) = (0.6, 3, 0.4);
        let alarms = alarms(&Simulator::new(SIZE, fps, 6).with_target(walker), 27.0);
        let covered: f32 = alarms.iter().map(|(from, to)| to - from).sum();
        let first_s = alarms.first().map(|alarm| alarm.0);
        assert!(covered > 13.0, "{fps} fps: {alarms:?}");
        assert!(first_s.is_some_and(|first_s| (5.0..9.0).contains(&first_s)), "{alarms:?}");
    }
}

/// The camera tells of each step of its exposure; who is there already is followed all the same.
#[test]
fn a_walker_is_followed_while_the_camera_changes_its_exposure() {
    let scene = Simulator::new(SIZE, FPS, 3).with_target(Target::new(Kind::Walker, 12.0, 22.0));
    let mut detector = Detector::new(Tuning::default());
    let mut alarms = 0;
    for frame in 0..132 {
        let time_s = scene.time_s(frame);
        let percent = match frame / 12 % 4 {
            1 if time_s >= 14.0 => 120,
            2 if time_s >= 14.0 => 95,
            3 if time_s >= 14.0 => 115,
            _ => 100_u32,
        };
        if time_s >= 14.0 && frame % 12 == 0 {
            detector.hold(moment(time_s + 0.7));
        }
        let exposed = |level: &u8| u8::try_from(u32::from(*level) * percent / 100).unwrap_or(255);
        let data: Vec<u8> = scene.frame(frame).iter().map(exposed).collect();
        let plane = LumaPlane { data: &data, width: SIZE.0, height: SIZE.1, stride: SIZE.0 };
        let blobs = detector.observe(plane, moment(time_s));
        alarms += usize::from(blobs.iter().any(|blob| blob.alarms));
    }
    assert!(alarms > 48, "in {alarms} of the 60 pictures with the walker");
}

#[test]
fn at_one_frame_a_second_a_slow_walker_is_found_and_nothing_else() {
    let slow = Simulator::new(SIZE, 1.0, 7).with_target(Target::new(Kind::Walker, 20.0, 44.0));
    let alarms_with = alarms(&slow, 50.0);
    assert!(alarms_with.iter().any(|(from, _)| (20.0..40.0).contains(from)), "{alarms_with:?}");
    assert!(alarms(&Simulator::new(SIZE, 1.0, 7), 60.0).is_empty());
}

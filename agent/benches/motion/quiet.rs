//! False alarms on two hours of simulated footage in which nothing happens but nuisances, each
//! for as long as the others.

use nightjar_core::motion::{Detector, LumaPlane, Tuning};

use crate::{
    say,
    simulator::{Simulator, moment, nuisances::Nuisance},
    table::Figure,
};

const HOURS: f32 = 2.0;
/// Scenes that each nuisance is shown in.
const SCENES: u64 = 2;
const SIZE: (usize, usize) = (320, 180);
const FPS: f32 = 10.0;
/// Alarms this close together are one.
const PAUSE_S: f32 = 0.8;

pub(crate) fn false_alarms() -> Vec<Figure> {
    let footages = Nuisance::ALL.len() as f32 * SCENES as f32;
    let seconds = HOURS * 3_600.0 / footages;
    let mut total = 0;
    for nuisance in Nuisance::ALL {
        for seed in 0..SCENES {
            let scene = Simulator::new(SIZE, FPS, 101 + seed).with_nuisance(nuisance);
            let alarms = alarms(&scene, seconds);
            if !alarms.is_empty() {
                say(&format!("False alarms of {nuisance:?} in scene {seed}: {alarms:?}"));
            }
            total += alarms.len();
        }
    }
    let rate = total as f64 / f64::from(HOURS);
    vec![Figure::new("2 h of simulated nuisances: false alarms", rate, "/h").at_most(1.0)]
}

/// When each alarm began, in seconds.
fn alarms(scene: &Simulator, seconds: f32) -> Vec<f32> {
    let mut detector = Detector::new(Tuning::default());
    let (mut begun, mut last) = (Vec::new(), f32::MIN);
    for frame in (0..).take_while(|frame| scene.time_s(*frame) < seconds) {
        let (data, time_s) = (scene.frame(frame), scene.time_s(frame));
        let plane = LumaPlane { data: &data, width: SIZE.0, height: SIZE.1, stride: SIZE.0 };
        if detector.observe(plane, moment(time_s)).iter().any(|blob| blob.alarms) {
            if time_s - last > PAUSE_S {
                begun.push(time_s);
            }
            last = time_s;
        }
    }
    begun
}

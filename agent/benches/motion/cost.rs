//! Processor time a pixel. All figures come from the same rounds, taken in turn; of each the
//! round that was disturbed least counts, so that they can be compared.

use std::time::Duration;

use anyhow::Result;
use nightjar_core::{
    monotonic::MonotonicNanos,
    motion::{Detector, LumaPlane, Tuning},
};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    opencv, say,
    simulator::{
        Simulator,
        nuisances::Nuisance,
        targets::{Kind, Target},
    },
    table::Figure,
};

const ROUNDS: usize = 40;
const FPS: f32 = 10.0;
/// More than the processor's caches hold, so that each picture comes from memory, as a camera's
/// does.
const FOOTAGE_BYTES: usize = 64 << 20;
/// Pictures that are shown warm in each round.
const WARM_FRAMES: usize = 60;
/// The size that the goals are of, and how many pictures of it a camera looks at a second.
const GOAL_SIZE: (usize, usize) = (640, 360);
const LOOKED_AT_FPS: f64 = 5.0;

/// Pictures of one scene, to be shown forth and back without a leap.
struct Footage {
    width: usize,
    height: usize,
    frames: Vec<Vec<u8>>,
}

impl Footage {
    fn quiet((width, height): (usize, usize)) -> Self {
        Self::of(&Simulator::new((width, height), FPS, 11), (width, height))
    }

    /// Walkers, cars and animals all the time, in front of a tree in the wind.
    fn busy((width, height): (usize, usize)) -> Self {
        let mut scene = Simulator::new((width, height), FPS, 12).with_nuisance(Nuisance::Leaves);
        for visit in 0..40_u8 {
            let start_s = 2.0 * f32::from(visit);
            let kind = [Kind::Car, Kind::Walker, Kind::Animal][usize::from(visit % 3)];
            let mut target = Target::new(kind, start_s, start_s + 6.0);
            target.to_the_left = visit % 2 == 0;
            target.ground = 0.6 + 0.1 * f32::from(visit % 5);
            scene = scene.with_target(target);
        }
        Self::of(&scene, (width, height))
    }

    fn of(scene: &Simulator, (width, height): (usize, usize)) -> Self {
        let count = FOOTAGE_BYTES / (width * height);
        Self { width, height, frames: (0..count as u64).map(|at| scene.frame(at)).collect() }
    }

    fn pixels(&self) -> f64 {
        (self.frames.len() * self.width * self.height) as f64
    }

    /// Nanoseconds a pixel of `look` in one round over all pictures, from the first to the last
    /// and, in odd rounds, from the last to the first.
    fn time(&self, round: usize, mut look: impl FnMut(&[u8])) -> f64 {
        let begun = thread_time();
        if round.is_multiple_of(2) {
            self.frames.iter().for_each(|frame| look(frame));
        } else {
            self.frames.iter().rev().for_each(|frame| look(frame));
        }
        thread_time().saturating_sub(begun).as_nanos() as f64 / self.pixels()
    }

    /// The same, of some pictures, each of which the caches hold when it is looked at.
    fn time_warm(&self, mut look: impl FnMut(&[u8])) -> f64 {
        let mut held = vec![0; self.width * self.height];
        let (mut spent, mut pixels) = (Duration::ZERO, 0);
        for frame in self.frames.iter().take(WARM_FRAMES) {
            held.copy_from_slice(frame);
            std::hint::black_box(&mut held);
            let begun = thread_time();
            look(&held);
            spent += thread_time().saturating_sub(begun);
            pixels += held.len();
        }
        spent.as_nanos() as f64 / pixels as f64
    }
}

/// A detector at work on footage, and its best round so far.
struct Bench {
    name: &'static str,
    footage: Footage,
    goal: Option<f64>,
    detector: Detector,
    now: MonotonicNanos,
    best: f64,
    best_warm: f64,
    best_memcpy: f64,
}

impl Bench {
    fn new(name: &'static str, footage: Footage, goal: Option<f64>) -> Self {
        Self {
            name,
            footage,
            goal,
            detector: Detector::new(Tuning::default()),
            now: MonotonicNanos(0),
            best: f64::MAX,
            best_warm: f64::MAX,
            best_memcpy: f64::MAX,
        }
    }

    fn round(&mut self, round: usize) {
        let Self { footage, detector, now, .. } = self;
        let (width, height) = (footage.width, footage.height);
        let interval = Duration::from_secs_f32(1.0 / FPS);
        let mut look = |data: &[u8]| {
            *now = now.plus(interval);
            let plane = LumaPlane { data, width, height, stride: width };
            std::hint::black_box(detector.observe(plane, *now));
        };
        let detect = footage.time(round, &mut look);
        let warm = footage.time_warm(&mut look);
        let mut copy = vec![0; width * height];
        let memcpy = footage.time(round, |frame| {
            copy.copy_from_slice(frame);
            std::hint::black_box(&mut copy);
        });
        self.best = self.best.min(detect);
        self.best_warm = self.best_warm.min(warm);
        self.best_memcpy = self.best_memcpy.min(memcpy);
    }

    fn figures(&self) -> Vec<Figure> {
        let cost = Figure::new(self.name, self.best, "ns/px");
        let cost = match self.goal {
            Some(goal) => cost.at_most(goal),
            None => cost,
        };
        let ratio = self.best / self.best_memcpy;
        vec![
            cost,
            Figure::new(format!("{}, against memcpy", self.name), ratio, "x"),
            Figure::new(format!("{}, the picture in cache", self.name), self.best_warm, "ns/px"),
        ]
    }
}

/// All figures of cost.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let mut benches = vec![
        Bench::new("640x360, quiet", Footage::quiet(GOAL_SIZE), Some(0.08)),
        Bench::new("640x360, busy", Footage::busy(GOAL_SIZE), Some(0.2)),
        Bench::new("320x240, quiet", Footage::quiet((320, 240)), None),
        Bench::new("320x240, busy", Footage::busy((320, 240)), None),
    ];
    for round in 0..ROUNDS {
        for bench in &mut benches {
            bench.round(round);
        }
    }
    let (quiet, busy) = (&benches[0], &benches[1]);
    let pixels = (GOAL_SIZE.0 * GOAL_SIZE.1) as f64;
    let share = busy.best * pixels * LOOKED_AT_FPS / 1e9 * 100.0;
    let mut figures = vec![
        Figure::new("memcpy of a 640x360", quiet.best_memcpy, "ns/px"),
        Figure::new("640x360, busy, at 5 fps", share, "% of a core").at_most(0.1),
    ];
    figures.extend(benches.iter().flat_map(Bench::figures));
    for bench in [quiet, busy] {
        let Footage { width, height, frames } = &bench.footage;
        match opencv::cost(frames, (*width, *height))? {
            Some(cost) => {
                let name = format!("OpenCV MOG2, {}", bench.name);
                figures.push(Figure::new(name.as_str(), cost, "ns/px"));
                let ratio = cost / bench.best;
                figures.push(Figure::new(format!("{name}, against Nightjar"), ratio, "x"));
            }
            None => say("SKIPPED: OpenCV: install python3-opencv to compare with it."),
        }
    }
    Ok(figures)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

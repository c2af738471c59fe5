//! Simulated footage, so that the motion tests and the bench need no data from outside.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "drawing: coordinates and levels are small"
)]

pub(crate) mod canvas;
mod lights;
pub(crate) mod nuisances;
mod outdoors;
pub(crate) mod random;
pub(crate) mod targets;

use std::time::Duration;

use nightjar_core::monotonic::MonotonicNanos;

use self::{
    canvas::Canvas,
    nuisances::Nuisance,
    random::{Grain, Random},
    targets::Target,
};

/// The detector's clock at a time of a scene.
pub(crate) fn moment(time_s: f32) -> MonotonicNanos {
    MonotonicNanos(1).plus(Duration::from_secs_f32(time_s))
}

/// A scene that gives the same frames for the same seed.
pub(crate) struct Simulator {
    scenery: Canvas,
    grain: Grain,
    pub(crate) fps: f32,
    seed: u64,
    nuisances: Vec<Nuisance>,
    targets: Vec<Target>,
}

impl Simulator {
    /// A little sensor noise is always there.
    pub(crate) fn new((width, height): (usize, usize), fps: f32, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let scenery = Canvas::scenery(width, height, &mut random);
        let grain = Grain::new(&mut random);
        Self {
            scenery,
            grain,
            fps,
            seed,
            nuisances: vec![Nuisance::Noise(1.5)],
            targets: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn with_nuisance(mut self, nuisance: Nuisance) -> Self {
        self.nuisances.insert(0, nuisance);
        self
    }

    #[must_use]
    pub(crate) fn with_target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    pub(crate) fn time_s(&self, frame: u64) -> f32 {
        frame as f32 / self.fps
    }

    pub(crate) fn frame(&self, frame: u64) -> Vec<u8> {
        let time_s = self.time_s(frame);
        let mut canvas = self.scenery.clone();
        for target in &self.targets {
            target.draw(&mut canvas, time_s);
        }
        for nuisance in &self.nuisances {
            nuisance.apply(&mut canvas, &self.grain, (time_s, frame), self.seed);
        }
        canvas.to_bytes()
    }
}

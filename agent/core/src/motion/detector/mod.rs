//! Finds what moves in a grey picture: `(luma plane, now) -> blobs`. Pure: no clock, no I/O.
//! docs/motion.md explains the model.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "pixel arithmetic: coordinates, counts of blocks and sums over them are small"
)]

mod background;
mod blocks;
mod clutter;
mod components;
mod ghosts;
mod history;
mod journey;
mod learning;
mod likeness;
mod mask;
mod planes;
mod prefetch;
mod reduce;
mod scene;
mod tone;
mod tracks;
mod tuning;

use std::time::Duration;

pub use tuning::Tuning;

use self::{reduce::Geometry, scene::Scene};
use crate::monotonic::MonotonicNanos;

/// Side of a block, in pixels of the working picture.
const BLOCK: usize = 8;

/// One grey picture: a byte a pixel, rows `stride` bytes apart.
#[derive(Debug, Clone, Copy)]
pub struct LumaPlane<'a> {
    pub data: &'a [u8],
    pub width: usize,
    pub height: usize,
    pub stride: usize,
}

impl LumaPlane<'_> {
    /// Whether there are enough bytes for the size, and enough pixels to look at.
    fn is_sound(&self) -> bool {
        let last_row = (self.height.max(1) - 1).checked_mul(self.stride);
        let end = last_row.and_then(|start| start.checked_add(self.width));
        self.width >= BLOCK
            && self.height >= BLOCK
            && self.stride >= self.width
            && end.is_some_and(|end| end <= self.data.len())
            // Only now is it known to be a width that there are bytes for.
            && self.height >= Geometry::factor_of(self.width)
    }
}

/// Something that moves. Lengths are shares of the picture's width or height.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Blob {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
    /// Share of the picture that it covers.
    pub area: f32,
    /// Picture widths a second.
    pub speed: f32,
    /// Blocks that it has travelled so far, ground on which that says little counted for less;
    /// without end where it need not travel to be believed.
    pub travel: f32,
    /// 0.0 ..= 1.0; 1.0 is an object.
    pub confidence: f32,
    /// It is believed to be an object, and it has moved lately.
    pub alarms: bool,
}

/// Nothing longer than this passes between two frames of one scene, in seconds.
const GAP_MAX_S: f64 = 5.0;
/// The interval that is assumed when time stands still or runs backwards, in seconds.
const INTERVAL_DEFAULT_S: f32 = 0.1;

#[derive(Debug)]
pub struct Detector {
    tuning: Tuning,
    scene: Option<Scene>,
    last: Option<MonotonicNanos>,
    interval_s: f32,
    held_until: Option<MonotonicNanos>,
    blobs: Vec<Blob>,
}

impl Detector {
    pub fn new(tuning: Tuning) -> Self {
        Self {
            tuning,
            scene: None,
            last: None,
            interval_s: INTERVAL_DEFAULT_S,
            held_until: None,
            blobs: Vec::with_capacity(tracks::TRACKS_MAX),
        }
    }

    /// Looks at one more picture. A plane too small or too short for its size shows nothing.
    pub fn observe(&mut self, plane: LumaPlane<'_>, now: MonotonicNanos) -> &[Blob] {
        self.blobs.clear();
        if !plane.is_sound() {
            return &self.blobs;
        }
        let interval_s = self.interval(now);
        let geometry = Geometry::of(plane.width, plane.height);
        let fresh = self.scene.as_ref().is_none_or(|scene| scene.geometry != geometry);
        if fresh || interval_s.is_none() {
            self.scene = Some(Scene::new(geometry, &self.tuning));
        }
        let held = self.held_until.is_some_and(|until| now < until);
        if let Some(scene) = &mut self.scene {
            let dt_s = interval_s.unwrap_or(self.interval_s);
            scene.observe(plane, dt_s, held, &self.tuning);
            scene.report(&mut self.blobs, &self.tuning);
        }
        &self.blobs
    }

    /// What was seen in the last picture.
    pub fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    /// Goes by other constants from the next frame on.
    pub fn tune(&mut self, tuning: Tuning) {
        self.tuning = tuning;
    }

    /// Reports nothing new until `until`: the camera is changing its exposure, gain or filter.
    pub fn hold(&mut self, until: MonotonicNanos) {
        self.held_until = Some(until);
    }

    /// The moving pixels of the last frame, for people and for scoring: a plane of its size with
    /// 255 where something moves, 0 elsewhere. Empty before the first frame.
    pub fn mask(&self) -> Vec<u8> {
        self.scene.as_ref().map_or_else(Vec::new, |scene| scene.mask(&self.tuning))
    }

    /// Seconds since the last frame; none when the picture was away for too long.
    fn interval(&mut self, now: MonotonicNanos) -> Option<f32> {
        let last = self.last.replace(now);
        if let (Some(last), Some(until)) = (last, self.held_until)
            && now < last
        {
            // What was left of the hold is left of it still.
            self.held_until = Some(now.plus(until.since(last)));
        }
        let passed = last.map_or(Duration::ZERO, |last| now.since(last)).as_secs_f64();
        if passed > GAP_MAX_S {
            return None;
        }
        if passed > 0.0 {
            self.interval_s = passed as f32;
        }
        Some(self.interval_s)
    }
}

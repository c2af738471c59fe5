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
mod journey;
mod likeness;
mod reduce;
mod tone;
mod tracks;
mod tuning;

use std::time::Duration;

pub use tuning::Tuning;

use self::{
    background::{Background, Pace},
    blocks::{Block, Cover, Look},
    components::{Components, Span},
    likeness::Pictures,
    reduce::{Geometry, Reducer},
    tone::Tone,
    tracks::{Sighting, Tracks, Verdict},
};
use crate::clock::MonotonicNanos;

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

    /// Goes by other constants from the next frame on.
    pub fn tune(&mut self, tuning: Tuning) {
        self.tuning = tuning;
    }

    /// Reports nothing new until `until`: the camera is changing its exposure, gain or filter.
    pub fn hold(&mut self, until: MonotonicNanos) {
        self.held_until = Some(until);
    }

    /// Seconds since the last frame; none when the picture was away for too long.
    fn interval(&mut self, now: MonotonicNanos) -> Option<f32> {
        let last = self.last.replace(now);
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

/// Everything that is known of one scene at one size.
#[derive(Debug)]
struct Scene {
    geometry: Geometry,
    reducer: Reducer,
    /// The picture now, the one before and the reference that looks are traced to; the indices
    /// of the last two may agree.
    pictures: [Vec<u8>; 3],
    now: usize,
    before: usize,
    reference: usize,
    reference_age_s: f32,
    background: Background,
    tone: Tone,
    votes: Vec<u8>,
    blocks: Vec<Block>,
    paces: Vec<Pace>,
    components: Components,
    tracks: Tracks,
    age_s: f32,
    frames: u32,
    update_in_s: f32,
    slow_update_in_s: f32,
    /// Share of the time in which the tone was changing lately.
    flicker: f32,
    pull_s: f32,
    hold_s: f32,
    active_share: f32,
}

impl Scene {
    fn new(geometry: Geometry, tuning: &Tuning) -> Self {
        Self {
            geometry,
            reducer: Reducer::new(geometry),
            pictures: [(); 3].map(|()| vec![0; geometry.pixels()]),
            now: 0,
            before: 0,
            reference: 0,
            reference_age_s: 0.0,
            background: Background::new(&geometry, tuning.contrast_floor as u8),
            tone: Tone::new(),
            votes: vec![0; geometry.blocks()],
            blocks: vec![Block::default(); geometry.blocks()],
            paces: vec![Pace::default(); geometry.columns],
            components: Components::new(&geometry),
            tracks: Tracks::new(&geometry),
            age_s: 0.0,
            frames: 0,
            update_in_s: 0.0,
            slow_update_in_s: 0.0,
            flicker: 0.0,
            pull_s: 0.0,
            hold_s: 0.0,
            active_share: 0.0,
        }
    }

    fn observe(&mut self, plane: LumaPlane<'_>, dt_s: f32, held: bool, tuning: &Tuning) {
        let width = self.geometry.width();
        self.before = self.now;
        self.now = (0..3).find(|at| *at != self.before && *at != self.reference).unwrap_or(0);
        for (y, row) in self.pictures[self.now].chunks_exact_mut(width).enumerate() {
            self.reducer.row(plane.data, plane.stride, y, row);
        }
        if self.frames == 0 {
            self.background.level.copy_from_slice(&self.pictures[self.now]);
            (self.before, self.reference) = (self.now, self.now);
        }
        self.follow_tone(dt_s, tuning);
        for (band, votes) in self.votes.chunks_exact_mut(self.geometry.columns).enumerate() {
            self.background.vote(band, &self.pictures[self.now], votes);
        }
        let active = self.judge(tuning);
        self.judge_scene(active, dt_s, held, tuning);
        self.learn_blocks(dt_s, tuning);
        self.components.find(&self.geometry, &mut self.blocks, tuning);
        self.follow_tracks(dt_s, tuning);
        self.act_on_verdicts(tuning);
        self.update(dt_s, tuning);
        self.age_s += dt_s;
        self.frames = self.frames.saturating_add(1);
        self.pull_s = (self.pull_s - dt_s).max(0.0);
        self.hold_s = (self.hold_s - dt_s).max(0.0);
    }

    /// Bends the background along when exposure, gain or filter changed the whole picture.
    fn follow_tone(&mut self, dt_s: f32, tuning: &Tuning) {
        let level = &mut self.background.level;
        let curve = self.tone.curve(&self.pictures[self.now], level, self.geometry.width(), tuning);
        let blend = (dt_s / tuning.flicker_s).min(1.0);
        self.flicker += blend * (f32::from(u8::from(curve.is_some())) - self.flicker);
        let Some(curve) = curve else { return };
        for level in level {
            *level = curve[usize::from(*level)];
        }
        if self.flicker < tuning.flicker_share {
            self.pull_s = tuning.pull_s;
        }
    }

    fn follow_tracks(&mut self, dt_s: f32, tuning: &Tuning) {
        self.reference_age_s += dt_s;
        let refreshes = self.reference_age_s >= tuning.trace_s;
        let sighting = Sighting {
            components: &self.components.found,
            pictures: Pictures {
                now: &self.pictures[self.now],
                reference: &self.pictures[self.reference],
                level: &self.background.level,
                width: self.geometry.width(),
                floor: tuning.contrast_floor as u8,
            },
            refreshes,
            noise: self.tone.noise,
            all_pixels: self.geometry.seen_pixels(),
            dt_s,
            muted: self.age_s < tuning.warm_up_s || self.hold_s > 0.0 || self.pull_s > 0.0,
        };
        self.tracks.follow(&sighting, tuning);
        if refreshes {
            (self.reference, self.reference_age_s) = (self.now, 0.0);
        }
    }

    /// Gives the blocks that voted a second look; answers the share that stays covered.
    fn judge(&mut self, tuning: &Tuning) -> f32 {
        let votes_min = tuning.block_votes as u8;
        let raw = self.votes.iter().filter(|votes| **votes >= votes_min).count();
        let total = self.blocks.len() as f32;
        let tolerance = match raw as f32 / total {
            share if share > 0.2 => 3,
            share if share > 0.08 => 2,
            _ => 1,
        };
        let look = Look {
            geometry: &self.geometry,
            picture: &self.pictures[self.now],
            before: &self.pictures[self.before],
            background: &self.background,
            tuning,
            tolerance,
        };
        let mut active = 0;
        for (at, block) in self.blocks.iter_mut().enumerate() {
            block.votes = self.votes[at];
            (block.cover, block.changed, block.component, block.moving) =
                (Cover::Nothing, 0, 0, false);
            if block.votes < votes_min {
                continue;
            }
            look.judge(at % self.geometry.columns, at / self.geometry.columns, block);
            active += usize::from(block.cover != Cover::Nothing);
        }
        active as f32 / total
    }

    /// A jump of the whole picture is a switch of light: begin anew from this frame.
    fn judge_scene(&mut self, active: f32, dt_s: f32, held: bool, tuning: &Tuning) {
        let confirmed = self.tracks.all.iter().any(|track| track.confirmed);
        let jumped = active - self.active_share > tuning.jump_share && !confirmed;
        self.active_share = active;
        if jumped || active > tuning.scene_share {
            self.hold_s = tuning.hold_s.max(dt_s * 1.5);
        }
        if held {
            self.hold_s = self.hold_s.max(dt_s * 1.5);
        }
        if self.hold_s > 0.0 {
            self.background.level.copy_from_slice(&self.pictures[self.now]);
            self.active_share = 0.0;
            for block in &mut self.blocks {
                (block.cover, block.changed) = (Cover::Nothing, 0);
            }
            self.tracks.clear_unconfirmed();
        }
    }

    fn learn_blocks(&mut self, dt_s: f32, tuning: &Tuning) {
        let (columns, width) = (self.geometry.columns, self.geometry.width());
        let rise = (dt_s / tuning.restless_rise_s).min(1.0);
        let fall = (dt_s / tuning.restless_fall_s).min(1.0);
        for at in 0..self.blocks.len() {
            let block = &mut self.blocks[at];
            let claimed = block.claimed_s > 0.0;
            block.claimed_s = (block.claimed_s - dt_s).max(0.0);
            if block.moving && !block.travelled {
                block.restless += rise * (1.0 - block.restless);
            } else {
                block.restless -= fall * block.restless;
            }
            block.travelled = false;
            match block.cover {
                Cover::Object | Cover::Flat if !claimed => {
                    block.bias = (block.bias + 60.0 * dt_s).min(70.0);
                }
                Cover::Light if !claimed => {
                    pull_block(
                        &mut self.background.level,
                        &self.pictures[self.now],
                        width,
                        at,
                        columns,
                    );
                }
                _ => {
                    block.bias = (block.bias - 2.0 * dt_s).max(0.0);
                }
            }
        }
    }

    fn act_on_verdicts(&mut self, tuning: &Tuning) {
        let Self { tracks, blocks, geometry, background, pictures, now, .. } = self;
        let picture = &pictures[*now];
        for (verdict, span) in tracks.verdicts() {
            match verdict {
                Verdict::Keep => {}
                Verdict::Doubt => each_block(geometry, span, 0, |at| {
                    blocks[at].bias = (blocks[at].bias + 10.0).min(70.0);
                    blocks[at].claimed_s = 0.0;
                }),
                Verdict::Absorb => each_block(geometry, span, 0, |at| {
                    copy_block(
                        &mut background.level,
                        picture,
                        geometry.width(),
                        at,
                        geometry.columns,
                    );
                }),
            }
        }
        for track in tracks.all.iter().filter(|track| track.explains(tuning) && !track.gone) {
            if track.unseen_s > 0.0 {
                continue;
            }
            if !track.confirmed {
                each_block(geometry, track.span, 0, |at| blocks[at].travelled = true);
                continue;
            }
            let lingers = track.lingers_s > tuning.residue_s * 2.0;
            each_block(geometry, track.span, i32::from(!lingers), |at| {
                if !lingers || blocks[at].restless < tuning.restless_high {
                    blocks[at].claimed_s = tuning.lost_s + 0.1;
                    blocks[at].travelled = !lingers;
                }
            });
        }
    }

    fn update(&mut self, dt_s: f32, tuning: &Tuning) {
        self.update_in_s -= dt_s;
        self.slow_update_in_s -= dt_s;
        let warm = self.age_s < tuning.warm_up_s * 2.0;
        let pull = self.pull_s > 0.0;
        if self.update_in_s > 0.0 && !warm && !pull {
            return;
        }
        let slow = self.slow_update_in_s <= 0.0 || warm;
        self.update_in_s =
            if self.update_in_s > -dt_s { self.update_in_s + tuning.update_period_s } else { 0.0 };
        if slow {
            self.slow_update_in_s = tuning.slow_period_s;
        }
        let steps = (dt_s / tuning.update_period_s).round().clamp(1.0, 8.0) as u8;
        let step = if self.frames < 8 || pull {
            8
        } else if warm {
            3
        } else {
            steps
        };
        for band in 0..self.geometry.rows {
            let columns = self.geometry.columns;
            let row = &self.blocks[band * columns..][..columns];
            for (pace, block) in self.paces.iter_mut().zip(row) {
                let covered = matches!(block.cover, Cover::Object | Cover::Flat);
                let claimed = covered && block.claimed_s > 0.0;
                let moves = !covered || slow || (pull && !claimed);
                let spreads = !claimed || warm;
                *pace = Pace {
                    step: if moves { step } else { 0 },
                    spread_step: if spreads { steps.min(3) } else { 0 },
                };
            }
            let floor = tuning.contrast_floor as u8;
            self.background.follow(band, &self.pictures[self.now], &self.paces, floor);
        }
    }

    fn report(&self, blobs: &mut Vec<Blob>, tuning: &Tuning) {
        let geometry = &self.geometry;
        let block = (BLOCK * geometry.factor) as f32;
        let (width, height) = (geometry.plane_width as f32, geometry.plane_height as f32);
        for track in &self.tracks.all {
            let Span { left, top, right, bottom } = track.span;
            let (x, y) = (left as f32 * block / width, top as f32 * block / height);
            blobs.push(Blob {
                x,
                y,
                width: ((right + 1) as f32 * block / width).min(1.0) - x,
                height: ((bottom + 1) as f32 * block / height).min(1.0) - y,
                area: track.pixels / geometry.seen_pixels(),
                speed: track.pace() * block / width,
                confidence: track.confidence(tuning),
                alarms: track.alarms(geometry.seen_pixels(), tuning),
            });
        }
    }
}

/// Calls `act` with each block of a span, widened by `margin` and cut to the picture.
fn each_block(geometry: &Geometry, span: Span, margin: i32, mut act: impl FnMut(usize)) {
    let (columns, rows) = (geometry.columns as i32, geometry.rows as i32);
    for row in (span.top - margin).max(0)..=(span.bottom + margin).min(rows - 1) {
        for column in (span.left - margin).max(0)..=(span.right + margin).min(columns - 1) {
            act((row * columns + column) as usize);
        }
    }
}

fn block_rows(
    width: usize,
    at: usize,
    columns: usize,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (left, top) = (at % columns * BLOCK, at / columns * BLOCK);
    (top..top + BLOCK).map(move |y| y * width + left..y * width + left + BLOCK)
}

/// Moves a block of the background half way to the picture.
fn pull_block(level: &mut [u8], picture: &[u8], width: usize, at: usize, columns: usize) {
    for row in block_rows(width, at, columns) {
        for (level, picture) in level[row.clone()].iter_mut().zip(&picture[row]) {
            *level = u8::midpoint(*level, *picture);
        }
    }
}

fn copy_block(level: &mut [u8], picture: &[u8], width: usize, at: usize, columns: usize) {
    for row in block_rows(width, at, columns) {
        level[row.clone()].copy_from_slice(&picture[row]);
    }
}

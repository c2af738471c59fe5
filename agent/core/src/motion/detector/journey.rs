//! What a track has shown of itself since it began, and whether that makes it an object.

use super::{BLOCK, components::Component, likeness::Trace, tuning::JourneyTuning};

/// Evidence for and against an object. Lengths are in blocks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Journey {
    /// Where it began; moved along when the outline jumps.
    origin: (f32, f32),
    /// Its place without the outline's jitter, and the path of that.
    smooth: (f32, f32),
    path: f32,
    /// Travel of its outline without its jumps, in blocks.
    pub(super) carried: (f32, f32),
    /// Travel of its looks.
    flow: (f32, f32),
    /// The same over the last stretches alone, the path of that, and how many stretches were made.
    recent: (f32, f32),
    recent_path: f32,
    stretches: u8,
    /// How much of it is new in each frame, smoothed; none until it has been traced.
    pub(super) novelty: Option<f32>,
    /// How much its size varies from frame to frame: mean of |ln ratio|.
    flutter: f32,
    /// Changed pixels when it began.
    first_pixels: f32,
    /// The logarithm of its size without the outline's jitter, where that began, and its path.
    scale: f32,
    first_scale: f32,
    scale_path: f32,
    /// Blocks that stir around it for each of its own, smoothed.
    unrest: f32,
    /// Frames in which it was seen, of all.
    hits: f32,
    frames: f32,
    pub(super) age_s: f32,
}

/// What a track is judged against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    /// Pixels of the whole picture.
    pub(super) all_pixels: f32,
    /// How many things like it came and went there lately.
    pub(super) alike: f32,
    pub(super) dt_s: f32,
}

/// How a journey stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Standing {
    /// It may still become something.
    Open,
    /// Its outline has travelled enough; what it looks like must have come along.
    NeedsTrace,
    /// Its outline has grown or shrunk enough; it must look like itself.
    NeedsLikeness,
    Object,
}

/// What remains of a stretch in the recent flow when the next is made.
const RECENT: f32 = 0.75;

impl Journey {
    pub(super) fn begin(x: f32, y: f32, pixels: f32) -> Self {
        Self {
            origin: (x, y),
            smooth: (x, y),
            first_pixels: pixels,
            scale: pixels.max(1.0).ln(),
            first_scale: pixels.max(1.0).ln(),
            hits: 1.0,
            frames: 1.0,
            ..Self::default()
        }
    }

    /// Time passes, whether it is seen or not.
    pub(super) fn pass(&mut self, dt_s: f32) {
        self.age_s += dt_s;
        self.frames += 1.0;
    }

    /// It was seen again, from (`x`, `y`) with `pixels` on.
    pub(super) fn step(
        &mut self,
        (x, y, pixels): (f32, f32, f32),
        seen: &Component,
        dt_s: f32,
        tuning: &JourneyTuning,
    ) {
        self.hits += 1.0;
        let ratio = (seen.pixels / pixels.max(1.0)).max(0.05);
        let blend = tuning.flutter_blend.max(1.0 / self.hits);
        self.flutter += blend * (ratio.ln().abs() - self.flutter);
        let (dx, dy) = (seen.x - x, seen.y - y);
        if (tuning.ratio_min..tuning.ratio_max).contains(&ratio) {
            let follow = dt_s / (dt_s + tuning.smooth_s);
            let step = (follow * (seen.x - self.smooth.0), follow * (seen.y - self.smooth.1));
            self.smooth = (self.smooth.0 + step.0, self.smooth.1 + step.1);
            self.carried = (self.carried.0 + step.0, self.carried.1 + step.1);
            self.path += step.0.hypot(step.1);
            let grows = follow * (seen.pixels.max(1.0).ln() - self.scale);
            self.scale += grows;
            self.scale_path += grows.abs();
        } else {
            // It split, merged or was half hidden: the outline jumped, that is no travel.
            self.origin = (self.origin.0 + dx, self.origin.1 + dy);
            self.smooth = (self.smooth.0 + dx, self.smooth.1 + dy);
            self.scale += ratio.ln();
            self.first_scale += ratio.ln();
        }
    }

    /// So many blocks around it stir that no believed thing explains.
    pub(super) fn feel_unrest(&mut self, stirring: f32, seen: &Component, tuning: &JourneyTuning) {
        let blend = tuning.unrest_blend.max(1.0 / self.hits);
        self.unrest += blend * (stirring / seen.blocks.max(1.0) - self.unrest);
    }

    /// Its looks were traced to where they were a while before.
    pub(super) fn trace(&mut self, trace: &Trace, tuning: &JourneyTuning) {
        self.flow = self.flow_with(trace);
        let (dx, dy) = blocks(trace);
        self.recent = (RECENT * self.recent.0 + dx, RECENT * self.recent.1 + dy);
        self.recent_path = RECENT * self.recent_path + dx.hypot(dy);
        self.stretches = self.stretches.saturating_add(1);
        let known = self.novelty.unwrap_or(tuning.novelty_first);
        self.novelty = Some(known + tuning.novelty_blend * (trace.novelty - known));
    }

    /// It goes one way, and its looks with it.
    pub(super) fn is_coherent(&self, tuning: &JourneyTuning) -> bool {
        self.stretches >= 3
            && self.recent.0.hypot(self.recent.1) >= tuning.coherence * self.recent_path.max(0.5)
            && self.novelty.is_some_and(|novelty| novelty <= tuning.novelty)
    }

    /// Its looks have not been traced yet, or moved in the last stretches.
    pub(super) fn flows(&self, tuning: &JourneyTuning) -> bool {
        self.stretches < 2 || self.recent.0.hypot(self.recent.1) >= tuning.flow_min
    }

    fn flow_with(&self, trace: &Trace) -> (f32, f32) {
        let (dx, dy) = blocks(trace);
        (self.flow.0 + dx, self.flow.1 + dy)
    }

    fn net(&self, seen: &Component) -> f32 {
        (seen.x - self.origin.0).hypot(seen.y - self.origin.1)
    }

    /// Blocks that it has travelled, outline and looks, as a share of those that it must travel,
    /// times those that a thing on calm ground must.
    pub(super) fn travelled(
        &self,
        seen: &Component,
        around: &Surroundings,
        tuning: &JourneyTuning,
    ) -> f32 {
        let outline = self.net(seen) / tuning.net_share;
        let looks = self.flow.0.hypot(self.flow.1) / tuning.flow_share;
        tuning.travel * outline.min(looks) / self.required(seen, around, tuning)
    }

    /// Blocks it must travel to be believed.
    fn required(&self, seen: &Component, around: &Surroundings, tuning: &JourneyTuning) -> f32 {
        let steadiness = tuning.flutter + tuning.flutter_per_s * around.dt_s;
        let unsteady = tuning.travel_flutter * (self.flutter - steadiness).max(0.0);
        let crowd = (around.alike - tuning.clutter_free).max(0.0) / tuning.clutter_free;
        let restless = tuning.travel_restless * seen.mean_restless() / seen.density().max(0.1);
        let needed = if self.is_coherent(tuning) {
            tuning.travel_coherent + tuning.restless_coherent * restless
        } else {
            tuning.travel + restless
        };
        // A thread that swings must go further than a thing that fills its outline.
        let sparse = (seen.sparseness() / tuning.sparse).max(1.0);
        // Of many that stir at once, as waves do, each must show more than one that stands out.
        let unrest = (self.unrest - tuning.unrest_free).max(0.0);
        needed * sparse * (1.0 + unsteady + crowd + unrest)
    }

    pub(super) fn standing(
        &self,
        seen: &Component,
        around: &Surroundings,
        tuning: &JourneyTuning,
    ) -> Standing {
        let steady = self.hits >= f32::from(tuning.hits)
            && self.age_s >= tuning.age_s
            && self.hits >= tuning.sighted_share * self.frames;
        let large = seen.pixels >= tuning.area_min * around.all_pixels;
        let new = self.novelty.is_some_and(|novelty| novelty > tuning.novelty);
        if !steady || !large || !seen.is_structured(tuning) {
            return Standing::Open;
        }
        if self.enters(seen, around, tuning) {
            return Standing::Object;
        }
        if new {
            return Standing::Open;
        }
        if self.approaches(seen, around, tuning) {
            return Standing::NeedsLikeness;
        }
        let net = self.net(seen);
        let length = seen.pixels.sqrt() / BLOCK as f32;
        let plausible = net <= tuning.lengths_per_s * length * self.age_s + 1.0;
        let travelled = self.stretches >= 2
            && self.hits >= tuning.presence * self.frames
            && net >= tuning.net_share * self.required(seen, around, tuning)
            && net >= tuning.straightness * self.path
            && seen.moving_blocks >= tuning.moving_share * seen.blocks;
        if travelled && plausible { Standing::NeedsTrace } else { Standing::Open }
    }

    /// A large thing that comes into view need not cross the picture first.
    fn enters(&self, seen: &Component, around: &Surroundings, tuning: &JourneyTuning) -> bool {
        seen.pixels >= tuning.entry.area_large * around.all_pixels
            && seen.density() >= tuning.entry.density_large
            && seen.sparseness() <= tuning.sparse
            && seen.slenderness() <= tuning.entry.slender
            && seen.mean_restless() < tuning.entry.restless_calm
            && around.alike <= tuning.clutter_free
            && self.unrest <= tuning.entry.unrest_large
            && seen.moving_blocks >= tuning.entry.share_large * seen.blocks
            && seen.object_blocks >= tuning.entry.share_large * seen.blocks
            && seen.pixels >= tuning.entry.growth_large * self.first_pixels
    }

    /// What comes towards the camera, or goes away from it, grows or shrinks instead of travelling.
    fn approaches(&self, seen: &Component, around: &Surroundings, tuning: &JourneyTuning) -> bool {
        let grown = (self.scale - self.first_scale).abs();
        self.stretches >= 3
            && seen.pixels >= tuning.entry.area_approach * around.all_pixels
            && grown >= tuning.entry.approach * (1.0 + around.alike / tuning.clutter_free)
            && grown >= tuning.straightness * self.scale_path
            && self.unrest <= tuning.entry.unrest_large
            && self.hits >= tuning.presence * self.frames
            && seen.mean_restless() < tuning.entry.restless_calm
            && seen.moving_blocks >= tuning.moving_share * seen.blocks
            && seen.density() >= tuning.entry.density_large
            && seen.sparseness() <= tuning.sparse
            && seen.slenderness() <= tuning.entry.slender
            && seen.object_blocks >= tuning.entry.share_large * seen.blocks
    }

    /// Whether its looks travelled as far as its outline had to, the last stretch included.
    pub(super) fn is_carried(
        &self,
        trace: &Trace,
        seen: &Component,
        around: &Surroundings,
        tuning: &JourneyTuning,
    ) -> bool {
        let (x, y) = self.flow_with(trace);
        let (away_x, away_y) = (seen.x - self.origin.0, seen.y - self.origin.1);
        let along = (x * away_x + y * away_y) / away_x.hypot(away_y).max(0.01);
        trace.novelty <= tuning.novelty
            && x.hypot(y) >= tuning.flow_share * self.required(seen, around, tuning)
            && along >= tuning.heading * x.hypot(y)
    }

    /// 0.0 ..= 1.0: how near it is to being believed.
    pub(super) fn progress(&self, x: f32, y: f32, tuning: &JourneyTuning) -> f32 {
        let hits = (self.hits / f32::from(tuning.hits)).min(1.0);
        let travel = ((x - self.origin.0).hypot(y - self.origin.1) / tuning.travel).min(1.0);
        hits * travel
    }
}

/// How far something was traced.
fn blocks(trace: &Trace) -> (f32, f32) {
    (trace.dx as f32 / BLOCK as f32, trace.dy as f32 / BLOCK as f32)
}

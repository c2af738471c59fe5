//! Components followed from frame to frame until they have shown what they are: an object
//! travels and carries its looks along, a branch sways and returns, a lamp stays where it is.

use super::{
    BLOCK,
    clutter::Clutter,
    components::{Component, Span},
    journey::{Journey, Standing, Surroundings},
    likeness::{Pictures, Trace},
    reduce::Geometry,
    tuning::Tuning,
};

/// Tracks beyond these many are not begun.
pub(super) const TRACKS_MAX: usize = 32;
/// Traces made in one frame beyond the regular ones.
const TRACES_MAX: usize = 4;

/// Something followed over time. Places are in blocks.
#[expect(clippy::struct_excessive_bools, reason = "marks that come and go independently")]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Track {
    pub(super) span: Span,
    pub(super) x: f32,
    pub(super) y: f32,
    /// Changed pixels.
    pub(super) pixels: f32,
    /// Blocks a second, smoothed.
    speed: (f32, f32),
    pub(super) confirmed: bool,
    /// It was confirmed once, so its end says nothing of clutter.
    was_confirmed: bool,
    journey: Journey,
    /// Blocks that it has travelled at most, see [`super::Blob::travel`].
    pub(super) travelled: f32,
    /// Where it was when the reference picture was taken.
    reference: Option<(f32, f32)>,
    pub(super) unseen_s: f32,
    /// Seconds without any change from frame to frame in it.
    quiet_s: f32,
    /// Seconds without moving or changing size.
    still_s: f32,
    /// Seconds since it last travelled, and what its outline had travelled by then.
    pub(super) lingers_s: f32,
    linger: (f32, f32),
    /// Its size, falling off within a second, and its greatest, within ten.
    size: f32,
    peak: f32,
    restless: f32,
    /// Enough of it has structure of its own.
    structured: bool,
    pub(super) gone: bool,
}

/// What is to be done about a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// It turned out to be no object: desensitise its blocks.
    Doubt,
    /// It has become part of the scene.
    Absorb,
}

impl Track {
    fn new(component: &Component) -> Self {
        Self {
            span: component.span,
            x: component.x,
            y: component.y,
            pixels: component.pixels,
            journey: Journey::begin(component.x, component.y, component.pixels),
            ..Self::default()
        }
    }

    /// Blocks it may be away from where it was, after `dt_s`.
    fn reach(&self, dt_s: f32, tuning: &Tuning) -> f32 {
        let speed = self.speed.0.hypot(self.speed.1) * tuning.tracks.reach_speed;
        let length = self.pixels.sqrt() / BLOCK as f32;
        let young = self.journey.age_s < 3.0 * dt_s;
        let guess = if young { length * tuning.tracks.reach_lengths } else { 0.0 };
        tuning.tracks.reach_blocks + speed.max(guess) * dt_s
    }

    fn sighted(&mut self, seen: &Component, dt_s: f32, tuning: &Tuning) {
        let (dx, dy) = (seen.x - self.x, seen.y - self.y);
        self.journey.step((self.x, self.y, self.pixels), seen, dt_s, &tuning.journey);
        self.speed.0 += tuning.tracks.speed_blend * (dx / dt_s - self.speed.0);
        self.speed.1 += tuning.tracks.speed_blend * (dy / dt_s - self.speed.1);
        let ratio = seen.pixels / self.pixels.max(1.0);
        let same = dx.hypot(dy) < tuning.tracks.still_travel
            && (ratio - 1.0).abs() < tuning.tracks.still_change;
        self.still_s =
            if same { self.still_s + dt_s } else { (self.still_s - 3.0 * dt_s).max(0.0) };
        self.quiet_s = if seen.moving_blocks >= 1.0 { 0.0 } else { self.quiet_s + dt_s };
        (self.x, self.y, self.pixels, self.span) = (seen.x, seen.y, seen.pixels, seen.span);
        self.size = seen.pixels.max(self.size * (1.0 - tuning.tracks.size_fall * dt_s).max(0.0));
        self.peak = seen.pixels.max(self.peak * (1.0 - tuning.tracks.peak_fall * dt_s).max(0.0));
        self.lingers_s += dt_s;
        let carried = self.journey.carried;
        let away = (carried.0 - self.linger.0).hypot(carried.1 - self.linger.1);
        if away >= tuning.journey.travel && self.journey.flows(&tuning.journey) {
            (self.linger, self.lingers_s) = (carried, 0.0);
        }
        self.restless = seen.mean_restless();
        self.structured = seen.is_structured(&tuning.journey);
        self.unseen_s = 0.0;
    }

    /// Where its looks were when the reference picture was taken.
    fn trace(&self, pictures: Pictures<'_>, noise: f32) -> Trace {
        let pixel = |blocks: f32| ((blocks + 0.5) * BLOCK as f32) as i32;
        let here = (pixel(self.x), pixel(self.y));
        let shift = self.reference.map_or((0, 0), |(x, y)| (here.0 - pixel(x), here.1 - pixel(y)));
        pictures.trace(here, shift, noise)
    }

    /// It must show anew that it is an object.
    fn doubt(&mut self) {
        self.confirmed = false;
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.journey = Journey::begin(self.x, self.y, self.pixels);
        self.linger = self.journey.carried;
    }

    fn review(&mut self, tuning: &Tuning) -> Verdict {
        if !self.confirmed && self.journey.age_s > tuning.tracks.patience_s {
            self.begin_anew();
        }
        let remainder = self.lingers_s > tuning.tracks.residue_s
            && self.pixels < tuning.tracks.residue * self.peak;
        let foliage = self.lingers_s > tuning.tracks.residue_s * 2.0
            && self.restless > tuning.learning.restless_high;
        let unlike = self
            .journey
            .novelty
            .is_some_and(|novelty| novelty > tuning.journey.novelty * tuning.tracks.novelty_doubt);
        let light = self.lingers_s > tuning.tracks.residue_s && !self.structured;
        if self.confirmed && (remainder || foliage || unlike || light) {
            self.doubt();
            return Verdict::Doubt;
        }
        let still =
            if self.confirmed { tuning.tracks.absorb_confirmed_s } else { tuning.tracks.absorb_s };
        let quiet = self.quiet_s > 1.0 || !self.confirmed || self.still_s > 5.0 * still;
        if self.still_s > still && quiet || self.quiet_s > 2.0 * tuning.tracks.absorb_s {
            self.gone = true;
            return Verdict::Absorb;
        }
        Verdict::Keep
    }

    /// What moves in its blocks is explained by it.
    pub(super) fn explains(&self, tuning: &Tuning) -> bool {
        self.confirmed || self.journey.is_coherent(&tuning.journey)
    }

    /// Whether it makes an alarm now, in a picture of `all_pixels`.
    pub(super) fn alarms(&self, all_pixels: f32, tuning: &Tuning) -> bool {
        let large = self.pixels >= tuning.tracks.area_keep * tuning.journey.area_min * all_pixels;
        self.confirmed
            && !self.gone
            && self.unseen_s == 0.0
            && self.quiet_s <= tuning.tracks.quiet_s
            && large
    }

    /// Blocks a second.
    pub(super) fn pace(&self) -> f32 {
        self.speed.0.hypot(self.speed.1)
    }

    /// 0.0 ..= 1.0: how much of what makes it an object has been seen.
    pub(super) fn confidence(&self, tuning: &Tuning) -> f32 {
        if self.confirmed {
            1.0
        } else {
            0.9 * self.journey.progress(self.x, self.y, &tuning.journey)
        }
    }
}

/// What a frame offers to follow tracks by.
#[derive(Clone, Copy)]
pub(super) struct Sighting<'a> {
    pub(super) components: &'a [Component],
    /// Column and row of each block that stirs without a believed object.
    pub(super) stirring: &'a [(i32, i32)],
    pub(super) pictures: Pictures<'a>,
    /// The reference picture is about to be replaced by this one.
    pub(super) refreshes: bool,
    /// Mean difference of a pixel between two frames of a still scene, in levels.
    pub(super) noise: f32,
    pub(super) all_pixels: f32,
    pub(super) dt_s: f32,
    /// No track may begin.
    pub(super) muted: bool,
}

#[derive(Debug)]
pub(super) struct Tracks {
    pub(super) all: Vec<Track>,
    /// What each track was seen as in this frame.
    seen: Vec<Option<Component>>,
    verdicts: Vec<Verdict>,
    clutter: Clutter,
}

impl Tracks {
    pub(super) fn new(geometry: &Geometry) -> Self {
        Self {
            all: Vec::with_capacity(TRACKS_MAX),
            seen: Vec::with_capacity(TRACKS_MAX),
            verdicts: Vec::with_capacity(TRACKS_MAX),
            clutter: Clutter::new(geometry),
        }
    }

    pub(super) fn clear_unconfirmed(&mut self) {
        self.all.retain(|track| track.confirmed);
    }

    /// Follows every track into this frame; [`Self::verdicts`] then says what to do about them.
    pub(super) fn follow(&mut self, sighting: &Sighting<'_>, tuning: &Tuning) {
        self.forget(sighting.dt_s, tuning);
        self.assign(sighting, tuning);
        self.verdicts.clear();
        let mut budget = TRACES_MAX;
        let known = self.seen.len();
        for (track, seen) in self.all.iter_mut().take(known).zip(&self.seen) {
            track.journey.pass(sighting.dt_s);
            match seen {
                Some(seen) if seen.pixels >= tuning.tracks.collapse * track.size => {
                    track.sighted(seen, sighting.dt_s, tuning);
                    judge(track, seen, sighting, &mut self.clutter, &mut budget, tuning);
                }
                _ => track.unseen_s += sighting.dt_s,
            }
            self.verdicts.push(track.review(tuning));
        }
        if sighting.refreshes {
            for track in &mut self.all {
                track.reference = (track.unseen_s == 0.0).then_some((track.x, track.y));
            }
        }
    }

    pub(super) fn verdicts(&self) -> impl Iterator<Item = (Verdict, Span)> {
        self.verdicts.iter().zip(&self.all).map(|(verdict, track)| (*verdict, track.span))
    }

    /// Drops tracks that were not seen for too long.
    fn forget(&mut self, dt_s: f32, tuning: &Tuning) {
        let patience_s = tuning.tracks.lost_s.max(1.5 * dt_s);
        for track in self.all.iter().filter(|track| track.unseen_s > patience_s) {
            if !track.was_confirmed {
                self.clutter.add(track.x, track.y, track.peak, 1.0);
            }
        }
        self.clutter.fade(dt_s, tuning.tracks.clutter_s);
        self.all.retain(|track| !track.gone && track.unseen_s <= patience_s);
    }

    /// Gives each component to the track it is nearest to, or begins a track with it.
    fn assign(&mut self, sighting: &Sighting<'_>, tuning: &Tuning) {
        let known = self.all.len();
        self.seen.clear();
        self.seen.resize(known, None);
        for component in sighting.components {
            match self.nearest(component, known, sighting.dt_s, tuning) {
                Some(index) => {
                    let joined = self.seen[index].map_or(*component, |seen| seen.join(*component));
                    self.seen[index] = Some(joined);
                }
                None if !sighting.muted && self.all.len() < TRACKS_MAX => {
                    self.all.push(Track::new(component));
                }
                None => {}
            }
        }
    }

    fn nearest(
        &self,
        component: &Component,
        known: usize,
        dt_s: f32,
        tuning: &Tuning,
    ) -> Option<usize> {
        let mut best = None;
        let mut least = f32::MAX;
        for (index, track) in self.all.iter().take(known).enumerate() {
            let gap = track.span.gap(component.span) as f32;
            let reach = track.reach(dt_s + track.unseen_s, tuning);
            let apart = (track.x - component.x).hypot(track.y - component.y);
            let cost = gap * 4.0 + apart - if track.confirmed { 2.0 } else { 0.0 };
            if gap < reach && cost < least {
                least = cost;
                best = Some(index);
            }
        }
        best
    }
}

/// Weighs what a track has shown; at each change of the reference picture, and when everything
/// else is shown already, also whether it carries its looks along.
fn judge(
    track: &mut Track,
    seen: &Component,
    sighting: &Sighting<'_>,
    clutter: &mut Clutter,
    budget: &mut usize,
    tuning: &Tuning,
) {
    let around = Surroundings {
        all_pixels: sighting.all_pixels,
        alike: clutter.alike(track.x, track.y, track.pixels),
        dt_s: sighting.dt_s,
    };
    if !track.confirmed {
        let reach = tuning.journey.unrest_reach;
        let beside = |at: &&(i32, i32)| seen.span.is_beside(at.0, at.1, reach);
        let stirring = sighting.stirring.iter().filter(beside).count() as f32;
        track.journey.feel_unrest(stirring, seen, &tuning.journey);
    }
    let standing = track.journey.standing(seen, &around, &tuning.journey);
    let needs = matches!(standing, Standing::NeedsTrace | Standing::NeedsLikeness);
    let undecided = !track.confirmed && needs && *budget > 0;
    let mut believed = standing == Standing::Object;
    if sighting.refreshes || undecided {
        let stretch = track.trace(sighting.pictures, sighting.noise);
        *budget -= usize::from(undecided && !sighting.refreshes);
        believed |= standing == Standing::NeedsTrace
            && track.journey.is_carried(&stretch, seen, &around, &tuning.journey);
        believed |=
            standing == Standing::NeedsLikeness && stretch.novelty <= tuning.journey.novelty;
        if sighting.refreshes {
            track.journey.trace(&stretch, &tuning.journey);
            if !track.confirmed && stretch.novelty > tuning.journey.novelty {
                clutter.add(track.x, track.y, track.pixels, tuning.tracks.clutter_trace);
            }
        }
    }
    let travelled = match standing {
        Standing::Object | Standing::NeedsLikeness if believed => f32::INFINITY,
        _ => track.journey.travelled(seen, &around, &tuning.journey),
    };
    track.travelled = track.travelled.max(travelled);
    if believed && !track.confirmed {
        track.confirmed = true;
        track.was_confirmed = true;
    }
}

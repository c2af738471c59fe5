//! Components of covered blocks, followed from frame to frame until they have shown what they
//! are: an object travels, a branch sways and returns, a lamp stays where it is.

use super::{
    blocks::{Block, Cover},
    reduce::Geometry,
    tuning::Tuning,
};

/// Components and tracks beyond these many are dropped, the later found first.
pub(super) const COMPONENTS_MAX: usize = 64;
pub(super) const TRACKS_MAX: usize = 32;

/// A rectangle of blocks, all edges included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Span {
    fn join(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// Blocks between two rectangles; 0 when they touch or overlap.
    fn gap(self, other: Self) -> i32 {
        let x = (other.left - self.right).max(self.left - other.right) - 1;
        let y = (other.top - self.bottom).max(self.top - other.bottom) - 1;
        x.max(y).max(0)
    }
}

/// Covered blocks that hang together in one frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Component {
    pub(super) span: Span,
    /// Centre of gravity of the changed pixels, in blocks.
    pub(super) x: f32,
    pub(super) y: f32,
    /// Changed pixels.
    pub(super) pixels: f32,
    pub(super) blocks: f32,
    pub(super) object_blocks: f32,
    pub(super) moving_blocks: f32,
    pub(super) restless: f32,
}

impl Component {
    fn add(&mut self, column: usize, row: usize, block: &Block, tuning: &Tuning) {
        let (x, y) = (column as i32, row as i32);
        let here = Span { left: x, top: y, right: x, bottom: y };
        self.span = if self.blocks > 0.0 { self.span.join(here) } else { here };
        let pixels = block.changed.count_ones() as f32;
        self.x += pixels * x as f32;
        self.y += pixels * y as f32;
        self.pixels += pixels;
        self.blocks += 1.0;
        self.object_blocks += f32::from(u8::from(block.cover == Cover::Object));
        self.moving_blocks += f32::from(u8::from(block.moving));
        let strays = (f32::from(block.stray) - 16.0) / tuning.stray_restless;
        self.restless += block.restless.max(strays).min(1.0);
    }

    fn close(&mut self) {
        self.x /= self.pixels.max(1.0);
        self.y /= self.pixels.max(1.0);
    }

    fn join(self, other: Self) -> Self {
        let pixels = self.pixels + other.pixels;
        let mean = |a: f32, b: f32| (a * self.pixels + b * other.pixels) / pixels.max(1.0);
        Self {
            span: self.span.join(other.span),
            x: mean(self.x, other.x),
            y: mean(self.y, other.y),
            pixels,
            blocks: self.blocks + other.blocks,
            object_blocks: self.object_blocks + other.object_blocks,
            moving_blocks: self.moving_blocks + other.moving_blocks,
            restless: self.restless + other.restless,
        }
    }
}

/// Finds the components of covered blocks, diagonal neighbours included.
#[derive(Debug)]
pub(super) struct Components {
    pub(super) found: Vec<Component>,
    pending: Vec<u32>,
}

impl Components {
    pub(super) fn new(geometry: &Geometry) -> Self {
        Self {
            found: Vec::with_capacity(COMPONENTS_MAX),
            pending: Vec::with_capacity(geometry.blocks()),
        }
    }

    pub(super) fn find(&mut self, geometry: &Geometry, blocks: &mut [Block], tuning: &Tuning) {
        self.found.clear();
        for start in 0..blocks.len() {
            if !is_seed(&blocks[start]) || self.found.len() == COMPONENTS_MAX {
                continue;
            }
            let label = self.found.len() as u16 + 1;
            let mut component = self.fill(geometry, blocks, start, label, tuning);
            component.close();
            self.found.push(component);
        }
    }

    fn fill(
        &mut self,
        geometry: &Geometry,
        blocks: &mut [Block],
        start: usize,
        label: u16,
        tuning: &Tuning,
    ) -> Component {
        let mut component = Component::default();
        blocks[start].component = label;
        self.pending.push(start as u32);
        while let Some(at) = self.pending.pop() {
            let (column, row) = (at as usize % geometry.columns, at as usize / geometry.columns);
            component.add(column, row, &blocks[at as usize], tuning);
            for y in row.saturating_sub(1)..=(row + 1).min(geometry.rows - 1) {
                for x in column.saturating_sub(1)..=(column + 1).min(geometry.columns - 1) {
                    let next = y * geometry.columns + x;
                    if is_seed(&blocks[next]) {
                        blocks[next].component = label;
                        self.pending.push(next as u32);
                    }
                }
            }
        }
        component
    }
}

fn is_seed(block: &Block) -> bool {
    block.component == 0 && matches!(block.cover, Cover::Object | Cover::Flat)
}

/// Something followed over time. Places are in blocks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Track {
    pub(super) span: Span,
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) pixels: f32,
    /// Speed, blocks a second, smoothed.
    pub(super) speed_x: f32,
    pub(super) speed_y: f32,
    pub(super) confirmed: bool,
    pub(super) confirmed_age_s: f32,
    /// Where it was first seen; moved along when its outline jumps.
    origin_x: f32,
    origin_y: f32,
    path: f32,
    /// Its place without the outline's jitter, from which the path is measured.
    smooth_x: f32,
    smooth_y: f32,
    /// Changed pixels when it was first seen.
    born: f32,
    farthest: f32,
    hits: f32,
    frames: f32,
    pub(super) age_s: f32,
    pub(super) unseen_s: f32,
    /// Seconds without any change from frame to frame in it.
    pub(super) quiet_s: f32,
    /// Seconds without moving or changing size.
    still_s: f32,
    /// Since the last review.
    review_age_s: f32,
    review_x: f32,
    review_y: f32,
    review_path: f32,
    idle_reviews: u8,
    /// Seconds since it last travelled.
    pub(super) lingers_s: f32,
    linger_x: f32,
    linger_y: f32,
    /// Its size, falling off within a second, and its greatest, within ten.
    size: f32,
    peak: f32,
    restless: f32,
    pub(super) gone: bool,
}

/// What became of a track in one frame, beyond its own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// It wobbles on the spot: desensitise its blocks.
    Wobbles,
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
            origin_x: component.x,
            origin_y: component.y,
            linger_x: component.x,
            linger_y: component.y,
            review_x: component.x,
            review_y: component.y,
            smooth_x: component.x,
            smooth_y: component.y,
            born: component.pixels,
            hits: 1.0,
            frames: 1.0,
            ..Self::default()
        }
    }

    /// Its length in blocks, were it square.
    fn length(&self) -> f32 {
        self.pixels.sqrt() / super::BLOCK as f32
    }

    /// Blocks it may be away from where it was, after `dt_s`.
    fn reach(&self, dt_s: f32, tuning: &Tuning) -> f32 {
        let speed = self.speed_x.hypot(self.speed_y);
        let guess =
            if self.hits < 3.0 { self.length() * tuning.lengths_per_s * 0.7 } else { speed * 1.5 };
        1.0 + guess.max(speed) * dt_s
    }

    fn sighted(&mut self, seen: &Component, all: f32, dt_s: f32, tuning: &Tuning) {
        let (dx, dy) = (seen.x - self.x, seen.y - self.y);
        let moved = dx.hypot(dy);
        let ratio = seen.pixels / self.pixels.max(1.0);
        if (0.6..1.7).contains(&ratio) {
            let follow = dt_s / (dt_s + tuning.smooth_s);
            let (x, y) = (follow * (seen.x - self.smooth_x), follow * (seen.y - self.smooth_y));
            self.smooth_x += x;
            self.smooth_y += y;
            self.path += x.hypot(y);
            self.review_path += moved;
        } else {
            // The outline jumped: it split, merged or was half hidden. That is no travel.
            self.origin_x += dx;
            self.origin_y += dy;
            self.smooth_x += dx;
            self.smooth_y += dy;
        }
        let blend = 0.4;
        self.speed_x += blend * (dx / dt_s - self.speed_x);
        self.speed_y += blend * (dy / dt_s - self.speed_y);
        let same = moved < 0.2 && (0.85..1.15).contains(&ratio);
        self.still_s =
            if same { self.still_s + dt_s } else { (self.still_s - 3.0 * dt_s).max(0.0) };
        self.quiet_s = if seen.moving_blocks >= 1.0 { 0.0 } else { self.quiet_s + dt_s };
        (self.x, self.y, self.pixels, self.span) = (seen.x, seen.y, seen.pixels, seen.span);
        self.size = seen.pixels.max(self.size - self.size * dt_s);
        self.peak = seen.pixels.max(self.peak - self.peak * dt_s * 0.1);
        self.lingers_s += dt_s;
        if (self.x - self.linger_x).hypot(self.y - self.linger_y) >= tuning.travel {
            (self.linger_x, self.linger_y, self.lingers_s) = (self.x, self.y, 0.0);
        }
        self.restless = seen.restless / seen.blocks.max(1.0);
        self.hits += 1.0;
        self.unseen_s = 0.0;
        let net = self.net();
        self.farthest = self.farthest.max(net);
        if !self.confirmed && self.believable(seen, all, net, tuning) {
            self.confirmed = true;
        }
    }

    fn net(&self) -> f32 {
        (self.x - self.origin_x).hypot(self.y - self.origin_y)
    }

    fn believable(&self, seen: &Component, all: f32, net: f32, tuning: &Tuning) -> bool {
        let steady = self.hits >= tuning.hits
            && self.age_s >= tuning.age_s
            && self.hits * 3.0 >= self.frames * 2.0;
        let structured =
            seen.object_blocks >= 1.0 && seen.object_blocks >= tuning.structure_share * seen.blocks;
        let density = seen.pixels / (seen.blocks * 64.0);
        let travel = tuning.travel + tuning.travel_restless * self.restless / density.max(0.1);
        let straight = net >= tuning.straightness * self.path
            && seen.moving_blocks >= tuning.moving_share * seen.blocks;
        let plausible = net <= tuning.lengths_per_s * self.length() * self.age_s + 1.0;
        let enters = seen.pixels >= tuning.area_large * all
            && density >= 0.35
            && self.restless < 0.2
            && seen.moving_blocks >= 0.5 * seen.blocks
            && seen.object_blocks >= 0.5 * seen.blocks
            && seen.pixels >= 1.2 * self.born;
        steady
            && seen.pixels >= tuning.area_min * all
            && structured
            && (net >= travel && straight && plausible || enters)
    }

    /// Ages the track; `area` is the whole picture's, in pixels.
    fn review(&mut self, tuning: &Tuning) -> Verdict {
        if !self.confirmed && self.age_s > tuning.patience_s {
            (self.origin_x, self.origin_y, self.path, self.age_s) = (self.x, self.y, 0.0, 0.0);
        }
        if self.review_age_s >= tuning.review_s {
            let net = (self.x - self.review_x).hypot(self.y - self.review_y);
            let idle = net < tuning.travel || net < 0.3 * self.review_path;
            let wobbled = self.review_path > 3.0 * tuning.travel;
            self.idle_reviews = if idle { self.idle_reviews.saturating_add(1) } else { 0 };
            (self.review_x, self.review_y) = (self.x, self.y);
            (self.review_path, self.review_age_s) = (0.0, 0.0);
            let near = self.farthest < 4.0 || wobbled;
            if self.confirmed && self.idle_reviews >= 2 && near && self.still_s < 1.0 {
                self.doubt();
                return Verdict::Wobbles;
            }
        }
        let residue = self.lingers_s > tuning.residue_s && self.pixels < tuning.residue * self.peak;
        let leaves =
            self.lingers_s > tuning.residue_s * 2.0 && self.restless > tuning.restless_high * 0.6;
        if self.confirmed && (residue || leaves) {
            self.doubt();
        }
        let still = if self.confirmed { tuning.absorb_confirmed_s } else { tuning.absorb_s };
        if self.still_s > still
            && (self.quiet_s > 1.0 || !self.confirmed || self.still_s > still * 5.0)
            || self.quiet_s > tuning.absorb_s * 2.0
        {
            self.gone = true;
            return Verdict::Absorb;
        }
        Verdict::Keep
    }

    /// It must show anew that it is an object.
    fn doubt(&mut self) {
        self.confirmed = false;
        (self.hits, self.frames, self.age_s, self.path) = (0.0, 0.0, 0.0, 0.0);
        (self.origin_x, self.origin_y) = (self.x, self.y);
    }

    /// Whether it makes an alarm now, in a picture of `all` pixels.
    pub(super) fn alarms(&self, all: f32, tuning: &Tuning) -> bool {
        let large = self.pixels >= tuning.area_keep * tuning.area_min * all;
        self.confirmed && !self.gone && self.quiet_s <= tuning.quiet_s && large
    }

    /// 0.0 ..= 1.0: how much of what makes it an object has been seen.
    pub(super) fn confidence(&self, tuning: &Tuning) -> f32 {
        if self.confirmed {
            return 1.0;
        }
        let hits = (self.hits / tuning.hits).min(1.0);
        let travel = (self.net() / tuning.travel).min(1.0);
        0.9 * hits * travel
    }
}

#[derive(Debug)]
pub(super) struct Tracks {
    pub(super) all: Vec<Track>,
    /// What each track was seen as in this frame.
    seen: Vec<Option<Component>>,
    verdicts: Vec<Verdict>,
}

impl Tracks {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::with_capacity(TRACKS_MAX),
            seen: Vec::with_capacity(TRACKS_MAX),
            verdicts: Vec::with_capacity(TRACKS_MAX),
        }
    }

    pub(super) fn clear_unconfirmed(&mut self) {
        self.all.retain(|track| track.confirmed);
    }

    /// Follows every track into this frame's components. While `muted`, none is begun.
    /// Answers each track with its verdict; the caller acts on it.
    pub(super) fn follow(
        &mut self,
        components: &[Component],
        all: f32,
        dt_s: f32,
        muted: bool,
        tuning: &Tuning,
    ) {
        self.all.retain(|track| !track.gone && track.unseen_s <= tuning.lost_s.max(1.5 * dt_s));
        self.seen.clear();
        self.seen.resize(self.all.len(), None);
        let known = self.all.len();
        for component in components {
            match self.nearest(component, known, dt_s, tuning) {
                Some(index) => {
                    let joined = self.seen[index].map_or(*component, |seen| seen.join(*component));
                    self.seen[index] = Some(joined);
                }
                None if !muted && self.all.len() < TRACKS_MAX => {
                    self.all.push(Track::new(component));
                }
                None => {}
            }
        }
        self.verdicts.clear();
        for (track, seen) in self.all.iter_mut().take(known).zip(&self.seen) {
            track.age_s += dt_s;
            track.frames += 1.0;
            track.review_age_s += dt_s;
            if track.confirmed {
                track.confirmed_age_s += dt_s;
            }
            match seen {
                Some(seen) if seen.pixels >= tuning.collapse * track.size => {
                    track.sighted(seen, all, dt_s, tuning);
                }
                _ => track.unseen_s += dt_s,
            }
            self.verdicts.push(track.review(tuning));
        }
    }

    pub(super) fn verdicts(&self) -> impl Iterator<Item = (Verdict, Span)> {
        self.verdicts.iter().zip(&self.all).map(|(verdict, track)| (*verdict, track.span))
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

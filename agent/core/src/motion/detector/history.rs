//! The pictures of late that the newest one is compared with: buffers that take turns.

use super::{reduce::Geometry, tuning::BlockTuning};

/// Seconds between pictures that are kept, at least.
const SPACING_S: f32 = 0.02;
/// The newest picture, the one before, the one that is old enough to be compared with, the
/// reference, and four at most on the way there.
const PLANES: usize = 8;

/// The picture now, the one before, an earlier one to see slow movement by, and the reference that
/// looks are traced to. At up to eleven pictures a second the first two of these are the same.
#[derive(Debug)]
pub(super) struct History {
    planes: [Vec<u8>; PLANES],
    /// How old each is; what is without end old is free.
    ages_s: [f32; PLANES],
    now: usize,
    before: usize,
    earlier: usize,
    reference: usize,
}

impl History {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let mut ages_s = [f32::INFINITY; PLANES];
        ages_s[0] = 0.0;
        Self {
            planes: [(); PLANES].map(|()| vec![0; geometry.pixels()]),
            ages_s,
            now: 0,
            before: 0,
            earlier: 0,
            reference: 0,
        }
    }

    /// Time passes; [`Self::now_mut`] is to be filled with the next picture.
    pub(super) fn advance(&mut self, dt_s: f32, tuning: &BlockTuning) {
        self.ages_s.iter_mut().for_each(|age_s| *age_s += dt_s);
        self.before = self.now;
        let last_s = self.ages_s[self.now];
        // Between the last picture and the one compared with, more than a few help nothing.
        let crowded = |age_s: &f32| *age_s > last_s && *age_s < last_s + SPACING_S;
        if self.ages_s.iter().any(crowded) {
            self.ages_s[self.now] = f32::INFINITY;
        }
        // At the beginning none is old enough: then the oldest is.
        let known = (0..PLANES).filter(|at| self.ages_s[*at].is_finite());
        let badness = |at: usize| match self.ages_s[at] {
            age_s if age_s >= tuning.moving_s => age_s,
            age_s => 2.0 * f32::from(u16::MAX) - age_s,
        };
        let best = known.min_by(|a, b| badness(*a).total_cmp(&badness(*b)));
        self.earlier = best.unwrap_or(self.earlier);
        let oldest_s = self.ages_s[self.earlier];
        for age_s in &mut self.ages_s {
            if *age_s > oldest_s {
                *age_s = f32::INFINITY;
            }
        }
        let held = |at: usize| [self.before, self.earlier, self.reference].contains(&at);
        let free = (0..PLANES).find(|at| !held(*at) && self.ages_s[*at].is_infinite());
        self.now = free.unwrap_or(self.now);
        self.ages_s[self.now] = 0.0;
    }

    /// The first picture of all has none before it.
    pub(super) fn begin(&mut self) {
        self.ages_s = [f32::INFINITY; PLANES];
        self.ages_s[self.now] = 0.0;
        (self.before, self.earlier, self.reference) = (self.now, self.now, self.now);
    }

    pub(super) fn refer_to_now(&mut self) {
        self.reference = self.now;
    }

    pub(super) fn now(&self) -> &[u8] {
        &self.planes[self.now]
    }

    pub(super) fn now_mut(&mut self) -> &mut [u8] {
        &mut self.planes[self.now]
    }

    pub(super) fn before(&self) -> &[u8] {
        &self.planes[self.before]
    }

    pub(super) fn earlier(&self) -> &[u8] {
        &self.planes[self.earlier]
    }

    pub(super) fn reference(&self) -> &[u8] {
        &self.planes[self.reference]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How old the earlier picture is, and the one before, after a while at a frame rate.
    fn ages(fps: f32) -> (f32, f32) {
        let tuning = BlockTuning::default();
        let mut history = History::new(&Geometry::of(16, 16));
        history.begin();
        for frame in 1..100 {
            history.advance(1.0 / fps, &tuning);
            let used = [history.before, history.earlier, history.reference];
            assert!(!used.contains(&history.now), "{fps} fps, frame {frame}");
            if frame % 4 == 0 {
                history.refer_to_now();
            }
            history.now_mut().fill(frame);
        }
        let age = |plane: &[u8]| f32::from(99 - plane[0]) / fps;
        (age(history.earlier()), age(history.before()))
    }

    #[test]
    fn what_is_compared_with_is_the_picture_before_or_old_enough() {
        for fps in [0.5, 2.0, 10.0, 11.0] {
            assert!((ages(fps).0 - 1.0 / fps).abs() < 0.001, "{fps} fps");
        }
        for fps in [12.5, 15.0, 25.0, 30.0, 60.0, 120.0, 1000.0] {
            let (earlier_s, before_s) = ages(fps);
            assert!((0.089..0.2).contains(&earlier_s), "{fps} fps: {earlier_s}");
            assert!((before_s - 1.0 / fps).abs() < 0.001, "{fps} fps: {before_s}");
        }
    }
}

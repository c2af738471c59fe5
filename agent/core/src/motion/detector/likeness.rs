//! Whether a thing looks like what it was a moment before. An object carries its looks along;
//! rain, leaves and noise are new in every frame, however much they seem to travel.

/// Side of the compared patch, in pixels.
const SIDE: usize = 16;
/// Steps by which a better place is sought, one pixel each.
const STEPS: usize = 6;
/// Share of the novelty in place that the novelty of another place must fall short of.
const BETTER: f32 = 0.9;

/// What became of a patch from one frame to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace {
    /// How much of what covers the background has no like in the other frame: 0.0 it was carried
    /// along, 1.0 it is all new.
    pub(super) novelty: f32,
    /// Pixels it moved.
    pub(super) dx: i32,
    pub(super) dy: i32,
}

/// The picture, an earlier one and the background, all of one width.
#[derive(Clone, Copy)]
pub(super) struct Pictures<'a> {
    pub(super) now: &'a [u8],
    pub(super) reference: &'a [u8],
    pub(super) level: &'a [u8],
    pub(super) width: usize,
    /// Levels from which a pixel does not show the background.
    pub(super) floor: u8,
}

impl Pictures<'_> {
    /// Looks for where what is around (`x`, `y`) was when the reference
    /// was taken: there, or about (`dx`, `dy`)
    /// away. `noise` is the mean difference of one pixel between two frames of a still scene.
    pub(super) fn trace(&self, (x, y): (i32, i32), (dx, dy): (i32, i32), noise: f32) -> Trace {
        let height = self.now.len() / self.width;
        if self.width < SIDE || height < SIDE {
            return Trace { novelty: 1.0, dx: 0, dy: 0 };
        }
        let here = self.corner(x, y);
        let still = self.descend(here, here, noise);
        let moved = self.descend(here, self.corner(x - dx, y - dy), noise);
        let (novelty, there) = if moved.0 < still.0 * BETTER { moved } else { still };
        let shift = |here: usize, there: usize| here as i32 - there as i32;
        Trace { novelty, dx: shift(here.0, there.0), dy: shift(here.1, there.1) }
    }

    fn descend(
        &self,
        here: (usize, usize),
        start: (usize, usize),
        noise: f32,
    ) -> (f32, (usize, usize)) {
        let mut best = (self.compare(here, start, noise), start);
        for _ in 0..STEPS {
            let at = best.1;
            for (step_x, step_y) in [(1, 0), (-1, 0), (0, 1), (0, -1)] {
                let next = self.shifted(at, step_x, step_y);
                let novelty = self.compare(here, next, noise);
                if novelty < best.0 {
                    best = (novelty, next);
                }
            }
            if best.1 == at {
                break;
            }
        }
        best
    }

    /// Upper left corner of the patch around a place, kept inside the picture.
    fn corner(&self, x: i32, y: i32) -> (usize, usize) {
        let height = self.now.len() / self.width;
        let clamp = |at: i32, length: usize| {
            (at - SIDE as i32 / 2).clamp(0, (length - SIDE) as i32) as usize
        };
        (clamp(x, self.width), clamp(y, height))
    }

    fn shifted(&self, (x, y): (usize, usize), dx: i32, dy: i32) -> (usize, usize) {
        let half = SIDE as i32 / 2;
        self.corner(x as i32 + half + dx, y as i32 + half + dy)
    }

    fn compare(&self, here: (usize, usize), there: (usize, usize), noise: f32) -> f32 {
        let (mut new, mut all, mut count) = (0, 0, 0);
        for row in 0..SIDE {
            let at = (here.1 + row) * self.width + here.0;
            let at_there = (there.1 + row) * self.width + there.0;
            let (now, level) = (strip(self.now, at), strip(self.level, at));
            let (before, level_there) =
                (strip(self.reference, at_there), strip(self.level, at_there));
            let (mut news, mut counts) = ([0; SIDE], [0; SIDE]);
            let (mut covers, mut others) = ([0; SIDE], [0; SIDE]);
            for x in 0..SIDE {
                let (cover, mask) = self.cover(now[x], level[x]);
                let (cover_there, mask_there) = self.cover(before[x], level_there[x]);
                news[x] = now[x].abs_diff(before[x]) & (mask | mask_there);
                covers[x] = cover;
                others[x] = cover_there;
                counts[x] = (mask | mask_there) & 1;
            }
            new += sum(news);
            all += sum(covers) + sum(others);
            count += sum(counts);
        }
        let floor = noise * count as f32;
        (new as f32 - floor).max(0.0) / (all as f32 - floor).max(1.0)
    }

    /// How far a pixel is from the background, 0 where it shows it, and all ones where it does not.
    fn cover(&self, pixel: u8, level: u8) -> (u8, u8) {
        let difference = pixel.abs_diff(level);
        let mask = if difference > self.floor { 0xff } else { 0 };
        (difference & mask, mask)
    }
}

/// One row of a patch.
fn strip(plane: &[u8], at: usize) -> [u8; SIDE] {
    let mut out = [0; SIDE];
    out.copy_from_slice(&plane[at..][..SIDE]);
    out
}

fn sum(values: [u8; SIDE]) -> u32 {
    values.into_iter().map(u32::from).sum()
}

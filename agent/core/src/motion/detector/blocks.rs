//! The second look at the few blocks that voted for a change: is it an object, or light, sway,
//! shake and noise?

use super::{
    BLOCK,
    background::Background,
    reduce::Geometry,
    tuning::{BlockTuning, LearningTuning},
};

const PIXELS: usize = BLOCK * BLOCK;

/// What covers a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Cover {
    /// What it always shows.
    #[default]
    Nothing,
    /// Its own texture in another light.
    Light,
    /// Something even, where it is even itself: a thing or a light, the neighbours tell.
    Flat,
    /// Something with structure of its own.
    Object,
}

#[expect(clippy::struct_excessive_bools, reason = "marks that come and go independently")]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Block {
    pub(super) cover: Cover,
    /// Changed pixels that remain after the second look.
    pub(super) changed: u64,
    /// It changed since a moment ago, too.
    pub(super) moving: bool,
    /// Levels by which leaves that never rest have raised its threshold.
    pub(super) bias: f32,
    /// How much of the time something moves here, 0.0 ..= 1.0.
    pub(super) restless: f32,
    /// Mean spread of its pixels, in levels.
    pub(super) stray: u8,
    /// Seconds for which it still counts as part of a confirmed object.
    pub(super) claimed_s: f32,
    /// That object travels, so that its outline, not sway, is what is seen.
    pub(super) sharp: bool,
    /// That object travelled of late.
    pub(super) travelled: bool,
    /// Seconds for which it has been covered by something that does not stir.
    pub(super) still_s: f32,
    pub(super) was_covered: bool,
    /// When it was last looked at, by the scene's clock. What fades with time is as of then.
    pub(super) settled_ms: u32,
    /// Component it belongs to, from 1.
    pub(super) component: u16,
}

impl Block {
    /// Forgets the last frame.
    pub(super) fn rest(&mut self) {
        self.was_covered = self.is_covered();
        (self.cover, self.changed, self.component, self.moving) = (Cover::Nothing, 0, 0, false);
    }

    pub(super) fn is_covered(&self) -> bool {
        matches!(self.cover, Cover::Object | Cover::Flat)
    }

    /// Something covers or crosses it that no believed object explains.
    pub(super) fn stirs(&self) -> bool {
        self.claimed_s <= 0.0 && self.still_s < STIRRING_S && (self.is_covered() || self.moving)
    }

    /// Counts how long what covers it has not stirred.
    pub(super) fn count_stillness(&mut self, dt_s: f32) {
        let still = self.was_covered && self.is_covered() && !self.moving;
        self.still_s = if still { self.still_s + dt_s } else { 0.0 };
    }

    /// Whether one of two pixels of it changed and the other did not.
    pub(super) fn is_outline(&self, x: usize, y: usize, other_x: usize, other_y: usize) -> bool {
        let bit = |x: usize, y: usize| self.changed >> (y * BLOCK + x) & 1;
        bit(x, y) != bit(other_x, other_y)
    }

    /// Catches up with the time since it was last looked at.
    pub(super) fn settle(&mut self, now_ms: u32, tuning: &LearningTuning) {
        let passed_s = now_ms.wrapping_sub(self.settled_ms) as f32 / 1_000.0;
        self.settled_ms = now_ms;
        self.bias = (self.bias - tuning.bias_fall * passed_s).max(0.0);
        self.restless *= (1.0 - passed_s / tuning.restless_fall_s).max(0.0);
        self.claimed_s = (self.claimed_s - passed_s).max(0.0);
        self.travelled &= passed_s < TRAVELLED_S;
    }
}

/// Seconds of stillness after which what covers a block does not stir any more.
const STIRRING_S: f32 = 1.0;
/// Seconds for which a travelling object explains what moves in a block.
const TRAVELLED_S: f32 = 0.5;

/// The working picture's neighbourhood of one block, copied together.
struct Patch {
    picture: [u8; PIXELS],
    level: [u8; PIXELS],
    spread: [u8; PIXELS],
    /// Least and greatest background level within the tolerance of each pixel.
    low: [u8; PIXELS],
    high: [u8; PIXELS],
}

/// The largest tolerance, in pixels to each side.
pub(super) const TOLERANCE_MAX: usize = 3;
const WINDOW: usize = BLOCK + 2 * TOLERANCE_MAX;

/// Everything the second look reads.
pub(super) struct Look<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) picture: &'a [u8],
    /// The picture just before, and one that is old enough for what is slow to have moved on.
    pub(super) before: &'a [u8],
    pub(super) earlier: &'a [u8],
    pub(super) background: &'a Background,
    pub(super) tuning: &'a BlockTuning,
    /// Pixels by which the background may have shifted to any side.
    pub(super) tolerance: usize,
    /// Variance of a pixel's noise, in square levels.
    pub(super) noise: f32,
}

impl Look<'_> {
    /// Judges the block in column `column` of row `row`.
    pub(super) fn judge(&self, column: usize, row: usize, block: &mut Block) {
        let sharp = block.claimed_s > 0.0 && block.sharp;
        let tolerance = if sharp { 0 } else { self.tolerance };
        let patch = self.patch(column, row, tolerance);
        block.changed = patch.changed(block.bias as u8, tolerance > 0);
        let enough = block.changed.count_ones() >= self.tuning.neighbour_votes;
        block.stray = patch.stray();
        block.cover = if enough { patch.cover(self.noise, self.tuning) } else { Cover::Nothing };
        // What shows the background again moved there a moment ago, but does no longer.
        let other = if block.is_covered() { self.earlier } else { self.before };
        block.moving = self.moved(&patch.picture, column, row, other) >= MOVING_PIXELS;
    }

    /// Pixels of a block that differ from those of another picture.
    fn moved(&self, now: &[u8; PIXELS], column: usize, row: usize, other: &[u8]) -> u32 {
        let (width, floor) = (self.geometry.width(), self.tuning.contrast_floor);
        let corner = row * BLOCK * width + column * BLOCK;
        let rows = now.as_chunks::<BLOCK>().0.iter().zip(other[corner..].chunks(width));
        let moved = |(now, other): (&u8, &u8)| u32::from(now.abs_diff(*other) > floor);
        rows.map(|(now, other)| now.iter().zip(other).map(moved).sum::<u32>()).sum()
    }

    fn patch(&self, column: usize, row: usize, tolerance: usize) -> Patch {
        let width = self.geometry.width();
        let (left, top) = (column * BLOCK, row * BLOCK);
        let copy = |plane: &[u8]| {
            let mut out = [0; PIXELS];
            for (y, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
                out.copy_from_slice(&plane[(top + y) * width + left..][..BLOCK]);
            }
            out
        };
        let level = copy(&self.background.level);
        let (low, high) =
            if tolerance == 0 { (level, level) } else { self.range(left, top, tolerance) };
        Patch {
            picture: copy(self.picture),
            level,
            spread: copy(&self.background.spread),
            low,
            high,
        }
    }

    /// Least and greatest background level around each pixel of a block.
    fn range(&self, left: usize, top: usize, tolerance: usize) -> ([u8; PIXELS], [u8; PIXELS]) {
        let (width, height) = (self.geometry.width(), self.geometry.height());
        let mut low = [[255; BLOCK]; WINDOW];
        let mut high = [[0; BLOCK]; WINDOW];
        let inside = left >= TOLERANCE_MAX && left + BLOCK + TOLERANCE_MAX <= width;
        let rows = BLOCK + 2 * tolerance;
        for y in 0..rows {
            let source = (top + y).saturating_sub(tolerance).min(height - 1) * width;
            let mut window = [0; WINDOW];
            if inside {
                window.copy_from_slice(
                    &self.background.level[source + left - TOLERANCE_MAX..][..WINDOW],
                );
            } else {
                for (x, out) in window.iter_mut().enumerate() {
                    let x = (left + x).saturating_sub(TOLERANCE_MAX).min(width - 1);
                    *out = self.background.level[source + x];
                }
            }
            for shift in TOLERANCE_MAX - tolerance..=TOLERANCE_MAX + tolerance {
                for x in 0..BLOCK {
                    low[y][x] = low[y][x].min(window[shift + x]);
                    high[y][x] = high[y][x].max(window[shift + x]);
                }
            }
        }
        let (mut low_out, mut high_out) = ([255; PIXELS], [0; PIXELS]);
        for y in 0..BLOCK {
            for shift in 0..=2 * tolerance {
                for x in 0..BLOCK {
                    let at = y * BLOCK + x;
                    low_out[at] = low_out[at].min(low[y + shift][x]);
                    high_out[at] = high_out[at].max(high[y + shift][x]);
                }
            }
        }
        (low_out, high_out)
    }
}

/// Pixels, of 64, that must have changed since a moment ago for a block to move.
const MOVING_PIXELS: u32 = 6;

/// Share of the variance of a block without texture that an even rise may leave unexplained
/// beyond noise.
const BEND: f32 = 0.4;
/// Variance of twice the distances of a block's pixels from its middle.
const DISTANCE_VARIANCE: f32 = ((BLOCK * BLOCK - 1) / 3) as f32;

impl Patch {
    /// The pixels that no background level within the tolerance explains, as bits.
    fn changed(&self, bias: u8, tolerant: bool) -> u64 {
        let mut marks = [0_u8; PIXELS];
        for (at, mark) in marks.iter_mut().enumerate() {
            let spread = self.spread[at];
            let threshold = if tolerant { spread - (spread >> 2) } else { spread };
            let above = self.picture[at].saturating_sub(self.high[at]);
            let below = self.low[at].saturating_sub(self.picture[at]);
            *mark = u8::from((above | below) > threshold.saturating_add(bias));
        }
        let rows = marks.as_chunks::<8>().0.iter().enumerate();
        rows.fold(0, |bits, (row, marks)| bits | u64::from(row_of_bits(*marks)) << (8 * row))
    }

    fn stray(&self) -> u8 {
        (self.spread.iter().map(|spread| u32::from(*spread)).sum::<u32>() / PIXELS as u32) as u8
    }

    /// What is left of the variance of the offset from the background once the plane that fits it
    /// best is taken away.
    fn bend(&self, offset_variance: f32) -> f32 {
        let (mut along_x, mut along_y) = (0_i32, 0_i32);
        for at in 0..PIXELS {
            let offset = i32::from(self.picture[at]) - i32::from(self.level[at]);
            // Twice the distance from the middle, so that it is whole.
            along_x += offset * (2 * (at % BLOCK) as i32 - (BLOCK as i32 - 1));
            along_y += offset * (2 * (at / BLOCK) as i32 - (BLOCK as i32 - 1));
        }
        let square = |sum: i32| (sum as f32 / PIXELS as f32).powi(2);
        offset_variance - (square(along_x) + square(along_y)) / DISTANCE_VARIANCE
    }

    /// Compares structure: the same up to gain and offset is light.
    fn cover(&self, noise: f32, tuning: &BlockTuning) -> Cover {
        let (mut sum, mut sum_level) = (0_i32, 0_i32);
        let (mut square, mut square_level, mut product) = (0_i32, 0_i32, 0_i32);
        let mut spread = 0_u32;
        for at in 0..PIXELS {
            let (picture, level) = (i32::from(self.picture[at]), i32::from(self.level[at]));
            sum += picture;
            sum_level += level;
            square += picture * picture;
            square_level += level * level;
            product += picture * level;
            spread += u32::from(self.spread[at]);
        }
        let pixels = PIXELS as i32;
        let scale = (pixels * pixels) as f32;
        let variance = (pixels * square - sum * sum) as f32 / scale;
        let variance_level = (pixels * square_level - sum_level * sum_level) as f32 / scale;
        let covariance = (pixels * product - sum * sum_level) as f32 / scale;
        let flat = tuning.flat_deviation * tuning.flat_deviation;
        if variance_level <= flat || variance <= flat / 4.0 {
            // Without texture to compare: an even offset may be a light or an even thing, and so
            // may one that rises evenly, as at the rim of a beam. A thing has edges.
            let offset_variance = variance + variance_level - 2.0 * covariance;
            let even = offset_variance <= flat || self.bend(offset_variance) <= flat * BEND + noise;
            return if even { Cover::Flat } else { Cover::Object };
        }
        let correlation = covariance / (variance * variance_level).sqrt();
        let gain = covariance / variance_level;
        let gains = tuning.lit_gain_min..=tuning.lit_gain_max;
        if correlation > tuning.lit_correlation && gains.contains(&gain) {
            return Cover::Light;
        }
        let residual = (variance * (1.0 - correlation * correlation.abs()).max(0.0)).sqrt();
        let spread = spread as f32 / pixels as f32;
        if residual < tuning.lit_residual.max(spread * tuning.lit_residual_ratio) {
            // An even thing before texture leaves little, too, but shows nothing of the texture.
            return if gain >= tuning.lit_gain_min { Cover::Light } else { Cover::Flat };
        }
        Cover::Object
    }
}

/// Eight marks, each 0 or 1, as bits, by one multiplication.
fn row_of_bits(marks: [u8; 8]) -> u8 {
    (u64::from_le_bytes(marks).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_bits_in_their_order() {
        for bits in 0..=u8::MAX {
            let marks = std::array::from_fn(|at| bits >> at & 1);
            assert_eq!(row_of_bits(marks), bits);
        }
    }

    /// A block of which the background shows stripes.
    fn before_stripes(picture: impl Fn(usize) -> u8) -> Cover {
        let level: [u8; PIXELS] = std::array::from_fn(|at| if at % 4 < 2 { 90 } else { 130 });
        let picture = std::array::from_fn(picture);
        let patch = Patch { picture, level, spread: [16; PIXELS], low: level, high: level };
        patch.cover(1.0, &BlockTuning::default())
    }

    #[test]
    fn its_own_texture_in_another_light_is_light_and_an_even_thing_before_it_is_none() {
        let lit = |at: usize| if at % 4 < 2 { 130 } else { 180 };
        assert_eq!(before_stripes(lit), Cover::Light);
        let coat = |at: usize| if at / BLOCK < 4 { 196 } else { 204 };
        assert_eq!(before_stripes(coat), Cover::Flat);
    }
}

//! Pictures reduced to what is compared, in blocks.

use std::collections::VecDeque;

use crate::picture::LumaFrame;

/// A view is about so wide, at least.
const WIDTH_LEAST: usize = 120;
/// Width and height of a block.
pub(super) const BLOCK: usize = 8;
/// A smaller view has too few blocks to tell anything.
const BLOCKS_LEAST: usize = 24;

/// A grey picture, reduced. Its width and height are whole blocks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) width: usize,
    pub(super) height: usize,
    levels: Vec<f32>,
}

/// Pixels of a block.
#[expect(clippy::cast_precision_loss, reason = "64")]
const COUNT: f32 = (BLOCK * BLOCK) as f32;
/// Distance of columns and rows from the middle of a block.
const OFFSETS: [f32; BLOCK] = [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5];
/// Sum of the squares of the offsets of all pixels, in one direction.
const SLOPE_POWER: f32 = 336.0;

/// By how many pixels a view is moved against another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) right: isize,
    pub(super) down: isize,
}

/// What lies in a block of a view.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct BlockOf {
    pub(super) mean: f32,
    /// How much pixels differ from an even slope.
    pub(super) contrast: f32,
    /// Mean step from one pixel to its neighbours.
    pub(super) detail: f32,
}

/// Sums over a block, of its levels alone.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    level: f32,
    square: f32,
    /// By the offset to the right, and down.
    slope: [f32; 2],
}

impl Sums {
    /// What is left of the squares without the mean and an even slope: light falls off evenly, and any two
    /// slopes are alike.
    fn power(self) -> f32 {
        self.without_slope(self, self.square)
    }

    /// The same for the products of two blocks.
    fn without_slope(self, other: Self, products: f32) -> f32 {
        let slopes = self.slope[0] * other.slope[0] + self.slope[1] * other.slope[1];
        products - self.level * other.level / COUNT - slopes / SLOPE_POWER
    }
}

impl View {
    /// Reduces a picture; gives nothing when it is none, or too small.
    pub(super) fn of(picture: &LumaFrame) -> Option<Self> {
        let LumaFrame { width, height, stride, .. } = *picture;
        let factor = (width / WIDTH_LEAST).max(1);
        let columns = width / factor / BLOCK * BLOCK;
        let rows = height / factor / BLOCK * BLOCK;
        let needed = height.checked_sub(1)?.checked_mul(stride)?.checked_add(width)?;
        if (columns / BLOCK) * (rows / BLOCK) < BLOCKS_LEAST
            || stride < width
            || picture.data.len() < needed
        {
            return None;
        }
        let mut levels = Vec::with_capacity(columns * rows);
        let mut sums = vec![0_u16; columns];
        // Of each box two rows are read, wherever there are as many.
        let (step, read) = if factor == 1 { (0, 1) } else { (factor / 2, 2) };
        for row in 0..rows {
            sums.fill(0);
            for line in 0..read {
                let start = (row * factor + line * step) * stride;
                let line = &picture.data[start..start + columns * factor];
                for (sum, pixels) in sums.iter_mut().zip(line.chunks_exact(factor)) {
                    *sum += pixels.iter().map(|pixel| u16::from(*pixel)).sum::<u16>();
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
            let share = 1.0 / (read * factor) as f32;
            levels.extend(sums.iter().map(|sum| f32::from(*sum) * share));
        }
        Some(Self { width: columns, height: rows, levels })
    }

    /// Averages views of one size.
    pub(super) fn mean_of(views: &VecDeque<Self>) -> Option<Self> {
        let mut mean = views.front()?.clone();
        let mut count = 1.0;
        for view in views.iter().skip(1) {
            count += 1.0;
            mean.approach(view, 1.0 / count);
        }
        Some(mean)
    }

    pub(super) fn is_as_large_as(&self, other: &Self) -> bool {
        (self.width, self.height) == (other.width, other.height)
    }

    pub(super) fn blocks(&self) -> usize {
        (self.width / BLOCK) * (self.height / BLOCK)
    }

    /// Moves each level by this share towards that of `other`, which is as large.
    pub(super) fn approach(&mut self, other: &Self, share: f32) {
        for (level, towards) in self.levels.iter_mut().zip(&other.levels) {
            *level += (*towards - *level) * share;
        }
    }

    /// The top left pixel of a block.
    fn corner(&self, block: usize) -> (usize, usize) {
        let across = self.width / BLOCK;
        (block % across * BLOCK, block / across * BLOCK)
    }

    fn row(&self, (left, top): (usize, usize), row: usize) -> &[f32] {
        let start = (top + row) * self.width + left;
        &self.levels[start..start + BLOCK]
    }

    fn sums(&self, corner: (usize, usize)) -> Sums {
        let (mut levels, mut squares, mut down) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        for (row, offset) in OFFSETS.iter().enumerate() {
            let line = self.row(corner, row);
            for column in 0..BLOCK {
                levels[column] += line[column];
                squares[column] += line[column] * line[column];
                down[column] += line[column] * offset;
            }
        }
        let right = levels.iter().zip(OFFSETS).map(|(level, offset)| level * offset).sum();
        Sums {
            level: levels.iter().sum(),
            square: squares.iter().sum(),
            slope: [right, down.iter().sum()],
        }
    }

    /// Measures a block.
    pub(super) fn block(&self, block: usize) -> BlockOf {
        let corner = self.corner(block);
        let sums = self.sums(corner);
        let mut steps = 0.0;
        for row in 0..BLOCK {
            let line = self.row(corner, row);
            steps += line.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f32>();
            if row > 0 {
                let above = self.row(corner, row - 1);
                steps += line.iter().zip(above).map(|(low, high)| (low - high).abs()).sum::<f32>();
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "112")]
        let pairs = (2 * BLOCK * (BLOCK - 1)) as f32;
        BlockOf {
            mean: sums.level / COUNT,
            contrast: (sums.power().max(0.0) / COUNT).sqrt(),
            detail: steps / pairs,
        }
    }

    /// Returns how well a block of this view is the same pattern as in `other`, at its place or a pixel
    /// beside it: 1 for the same however bright, 0 for another. It ends where it is `enough`; it is nothing
    /// where that place lies outside.
    pub(super) fn likeness(
        &self,
        block: usize,
        other: &Self,
        shift: Shift,
        enough: f32,
    ) -> Option<f32> {
        let corner = self.corner(block);
        let sums = self.sums(corner);
        let mut best = None;
        for (right, down) in [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)] {
            let beside = Shift { right: shift.right + right, down: shift.down + down };
            let Some(there) = other.place(corner, beside) else { continue };
            let likeness = self.correlation(corner, sums, other, there).max(0.0);
            best = Some(likeness.max(best.unwrap_or_default()));
            if likeness >= enough {
                break;
            }
        }
        best
    }

    /// The same at one place alone.
    pub(super) fn likeness_at(&self, block: usize, other: &Self, shift: Shift) -> f32 {
        let corner = self.corner(block);
        let place = other.place(corner, shift);
        place.map_or(0.0, |there| self.correlation(corner, self.sums(corner), other, there))
    }

    /// Where a block lies that is shifted; nothing where that is outside.
    fn place(&self, (left, top): (usize, usize), shift: Shift) -> Option<(usize, usize)> {
        let there = (left.checked_add_signed(shift.right)?, top.checked_add_signed(shift.down)?);
        (there.0 + BLOCK <= self.width && there.1 + BLOCK <= self.height).then_some(there)
    }

    fn correlation(
        &self,
        place: (usize, usize),
        sums: Sums,
        other: &Self,
        there: (usize, usize),
    ) -> f32 {
        let mut products = [0.0; BLOCK];
        for row in 0..BLOCK {
            let (line, theirs) = (self.row(place, row), other.row(there, row));
            for column in 0..BLOCK {
                products[column] += line[column] * theirs[column];
            }
        }
        let their_sums = other.sums(there);
        let power = sums.power() * their_sums.power();
        // What differs by less than a tenth of a level on both sides is rounding.
        if power <= 0.4 {
            return 0.0;
        }
        sums.without_slope(their_sums, products.iter().sum()) / power.sqrt()
    }
}

//! One picture looked at in several ways: what one of them does not show, another may.

use crate::picture::{LumaFrame, luma};

/// How a picture is looked at; looks take turns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum View {
    /// As it is.
    #[default]
    Whole,
    /// At half the size and sharpened: of what is out of focus, pale or noisy.
    Sharpened,
    /// Its middle, twice as large: of what is small.
    Centre,
}

impl View {
    pub const ALL: [Self; 3] = [Self::Whole, Self::Sharpened, Self::Centre];

    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Whole => Self::Sharpened,
            Self::Sharpened => Self::Centre,
            Self::Centre => Self::Whole,
        }
    }
}

/// How far around a pixel its surroundings reach when it is sharpened, and how often its difference from
/// them is added: found by trying codes of 61 squares, out of focus by up to half a square.
const NEAR: usize = 2;
const SHARPER: i32 = 4;
/// How far around they reach when it is called dark or light, and by how much it must be darker.
const FAR: usize = 20;
const DARKER: i32 = 4;

/// Black and white, row by row; true is black.
pub(super) struct Bitmap {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) black: Vec<bool>,
}

/// Halves and sharpens a picture.
pub(super) fn sharpened(picture: &LumaFrame) -> Option<Bitmap> {
    let size = (picture.width, picture.height);
    let half = luma::shrink(&picture.data, size, picture.stride, 2, picture.captured_at)?;
    let (width, height) = (half.width, half.height);
    let near = Sums::of(&half.data, width);
    let sharper = |(index, level): (usize, &u8)| {
        let (level, mean) = (i32::from(*level), near.mean(index % width, index / width, NEAR));
        u8::try_from((level + SHARPER * (level - mean)).clamp(0, 255)).unwrap_or_default()
    };
    let levels: Vec<u8> = half.data.iter().enumerate().map(sharper).collect();
    let far = Sums::of(&levels, width);
    let is_black = |(index, level): (usize, &u8)| {
        i32::from(*level) < far.mean(index % width, index / width, FAR) - DARKER
    };
    let black = levels.iter().enumerate().map(is_black).collect();
    Some(Bitmap { width, height, black })
}

/// Takes the middle of a picture, half as wide and high, and doubles it: each new pixel lies between old
/// ones, three parts of the nearer and one of the farther.
pub(super) fn centre(picture: &LumaFrame) -> LumaFrame {
    let (width, height) = (picture.width / 2 * 2, picture.height / 2 * 2);
    let (left, top) = (width / 4, height / 4);
    let level = |x: usize, y: usize| {
        let (x, y) = ((left + x).min(picture.width - 1), (top + y).min(picture.height - 1));
        u32::from(picture.data[y * picture.stride + x])
    };
    let mut data = Vec::with_capacity(width * height);
    for y in 0..height {
        let (row, other_row) = nearest(y);
        for x in 0..width {
            let (column, other_column) = nearest(x);
            let near = 3 * level(column, row) + level(other_column, row);
            let far = 3 * level(column, other_row) + level(other_column, other_row);
            data.push(u8::try_from((3 * near + far) / 16).unwrap_or(u8::MAX));
        }
    }
    LumaFrame { data: data.into(), width, height, stride: width, ..picture.clone() }
}

/// The nearer and the farther of the old places beside a new one.
fn nearest(place: usize) -> (usize, usize) {
    let near = place / 2;
    (near, if place.is_multiple_of(2) { near.saturating_sub(1) } else { near + 1 })
}

/// Sums of all levels to the left of and above each place, from which the mean of any box is told.
struct Sums {
    width: usize,
    height: usize,
    levels: Vec<u32>,
}

impl Sums {
    fn of(levels: &[u8], width: usize) -> Self {
        let height = levels.len() / width.max(1);
        let mut sums = vec![0_u32; (width + 1) * (height + 1)];
        for (y, row) in levels.chunks_exact(width.max(1)).enumerate() {
            let mut sum = 0_u32;
            for (x, level) in row.iter().enumerate() {
                sum += u32::from(*level);
                sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + sum;
            }
        }
        Self { width, height, levels: sums }
    }

    /// The mean of a square around a place, as far as it is in the picture.
    fn mean(&self, x: usize, y: usize, radius: usize) -> i32 {
        let (left, right) = (x.saturating_sub(radius), (x + radius + 1).min(self.width));
        let (top, bottom) = (y.saturating_sub(radius), (y + radius + 1).min(self.height));
        let at = |x: usize, y: usize| self.levels[y * (self.width + 1) + x];
        let sum = at(right, bottom) + at(left, top) - at(left, bottom) - at(right, top);
        let count = u32::try_from((right - left) * (bottom - top)).unwrap_or(1).max(1);
        i32::try_from(sum / count).unwrap_or_default()
    }
}

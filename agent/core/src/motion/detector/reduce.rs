//! The working picture: the camera's plane, averaged over squares, so that noise and cost fall.

use super::{BLOCK, prefetch::prefetch};

/// Width, in pixels, that the working picture comes closest to.
const WORKING_WIDTH: usize = 320;

/// How a plane of the camera becomes the working picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Side, in camera pixels, of the square that becomes one working pixel.
    pub(super) factor: usize,
    /// Size of the camera's plane.
    pub(super) plane_width: usize,
    pub(super) plane_height: usize,
    /// Size of the part of the working picture that shows something.
    pub(super) seen_width: usize,
    pub(super) seen_height: usize,
    /// Size in blocks, the last of which may be filled up with copies of the edge.
    pub(super) columns: usize,
    pub(super) rows: usize,
}

impl Geometry {
    pub(super) fn of(plane_width: usize, plane_height: usize) -> Self {
        let factor = Self::factor_of(plane_width);
        let (seen_width, seen_height) = (plane_width / factor, plane_height / factor);
        Self {
            factor,
            plane_width,
            plane_height,
            seen_width,
            seen_height,
            columns: seen_width.div_ceil(BLOCK),
            rows: seen_height.div_ceil(BLOCK),
        }
    }

    pub(super) fn factor_of(plane_width: usize) -> usize {
        ((plane_width + WORKING_WIDTH / 2) / WORKING_WIDTH).max(1)
    }

    /// Width of the working picture, and distance between its rows.
    pub(super) fn width(&self) -> usize {
        self.columns * BLOCK
    }

    pub(super) fn height(&self) -> usize {
        self.rows * BLOCK
    }

    pub(super) fn pixels(&self) -> usize {
        self.width() * self.height()
    }

    pub(super) fn seen_pixels(&self) -> f32 {
        (self.seen_width * self.seen_height) as f32
    }

    pub(super) fn blocks(&self) -> usize {
        self.columns * self.rows
    }
}

/// Averages the camera's rows into working rows.
#[derive(Debug)]
pub(super) struct Reducer {
    geometry: Geometry,
    /// Sums over the rows of one square, for factors above two.
    sums: Vec<u16>,
}

impl Reducer {
    pub(super) fn new(geometry: Geometry) -> Self {
        let sums = if geometry.factor > 2 { geometry.seen_width * geometry.factor } else { 0 };
        Self { geometry, sums: vec![0; sums] }
    }

    /// Has what [`Self::row`] reads for row `y` fetched from memory; nothing beyond the last row.
    pub(super) fn fetch(&self, plane: &[u8], stride: usize, y: usize) {
        let Geometry { factor, seen_width, seen_height, .. } = self.geometry;
        if y < seen_height {
            for row in y * factor..(y + 1) * factor {
                prefetch(&plane[row * stride..][..seen_width * factor]);
            }
        }
    }

    /// Fills working row `y` of `width()` pixels from the plane, whose rows are `stride` apart.
    pub(super) fn row(&mut self, plane: &[u8], stride: usize, y: usize, out: &mut [u8]) {
        let Geometry { factor, seen_width, seen_height, .. } = self.geometry;
        let top = y.min(seen_height - 1) * factor;
        let (seen, fill) = out.split_at_mut(seen_width);
        let source = |row: usize| &plane[(top + row) * stride..][..seen_width * factor];
        match factor {
            1 => seen.copy_from_slice(source(0)),
            2 => average_pairs(source(0), source(1), seen),
            _ => {
                self.sums.fill(0);
                for row in 0..factor {
                    add_row(&mut self.sums, source(row));
                }
                average_groups(&self.sums, factor, seen);
            }
        }
        fill.fill(seen[seen_width - 1]);
    }
}

/// Columns averaged at a time, so that the rows' mean stays in registers.
const STRIP: usize = 64;

/// Averages twice, rows first; each time the half is rounded up, which no one sees: all pictures
/// and the background made of them share it.
fn average_pairs(upper: &[u8], lower: &[u8], out: &mut [u8]) {
    let (upper_strips, upper_rest) = upper.as_chunks::<STRIP>();
    let (lower_strips, lower_rest) = lower.as_chunks::<STRIP>();
    let (out_strips, out_rest) = out.as_chunks_mut::<{ STRIP / 2 }>();
    for ((upper, lower), out) in upper_strips.iter().zip(lower_strips).zip(out_strips) {
        let mut column = [0; STRIP];
        for ((mean, upper), lower) in column.iter_mut().zip(upper).zip(lower) {
            *mean = mean_up(*upper, *lower);
        }
        for (out, pair) in out.iter_mut().zip(column.as_chunks::<2>().0) {
            let pair = u16::from_le_bytes(*pair);
            *out = (((pair & 0xff) + (pair >> 8) + 1) >> 1) as u8;
        }
    }
    let pairs = upper_rest.as_chunks::<2>().0.iter().zip(lower_rest.as_chunks::<2>().0);
    for (out, (upper, lower)) in out_rest.iter_mut().zip(pairs) {
        *out = mean_up(mean_up(upper[0], lower[0]), mean_up(upper[1], lower[1]));
    }
}

fn mean_up(a: u8, b: u8) -> u8 {
    ((u16::from(a) + u16::from(b) + 1) >> 1) as u8
}

fn add_row(sums: &mut [u16], row: &[u8]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += u16::from(*value);
    }
}

fn average_groups(sums: &[u16], factor: usize, out: &mut [u8]) {
    let area = (factor * factor) as u32;
    let reciprocal = (1 << 16) / area;
    for (out, group) in out.iter_mut().zip(sums.chunks_exact(factor)) {
        let sum: u32 = group.iter().map(|sum| u32::from(*sum)).sum();
        *out = (((sum + area / 2) * reciprocal) >> 16).min(255) as u8;
    }
}

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

/// Of the rows of a square every second one is looked at: memory is what a picture costs most, and the mean
/// of fewer pixels is noisier by less than the thresholds leave.
const ROW_STEP: usize = 2;

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
        if y < self.geometry.seen_height {
            self.sources(plane, stride, y).for_each(prefetch);
        }
    }

    /// The camera's rows that become row `y`.
    fn sources<'a>(
        &self,
        plane: &'a [u8],
        stride: usize,
        y: usize,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Geometry { factor, seen_width, .. } = self.geometry;
        let rows = (y * factor..(y + 1) * factor).step_by(ROW_STEP);
        rows.map(move |row| &plane[row * stride..][..seen_width * factor])
    }

    /// Fills working row `y` of `width()` pixels from the plane, whose rows are `stride` apart.
    pub(super) fn row(&mut self, plane: &[u8], stride: usize, y: usize, out: &mut [u8]) {
        let Geometry { factor, seen_width, seen_height, .. } = self.geometry;
        let mut sources = self.sources(plane, stride, y.min(seen_height - 1));
        let (seen, fill) = out.split_at_mut(seen_width);
        match factor {
            1 => sources.for_each(|row| seen.copy_from_slice(row)),
            // Squares of two have one such row.
            2 => sources.for_each(|row| average_pairs(row, seen)),
            _ => {
                self.sums.fill(0);
                let mut rows = 0;
                for row in sources.by_ref() {
                    add_row(&mut self.sums, row);
                    rows += 1;
                }
                average_groups(&self.sums, factor, rows, seen);
            }
        }
        fill.fill(seen[seen_width - 1]);
    }
}

/// Means of two neighbours; the half is rounded up, which no one sees: all pictures and the background
/// made of them share it.
fn average_pairs(row: &[u8], out: &mut [u8]) {
    for (out, pair) in out.iter_mut().zip(row.as_chunks::<2>().0) {
        let pair = u16::from_le_bytes(*pair);
        *out = (((pair & 0xff) + (pair >> 8) + 1) >> 1) as u8;
    }
}

fn add_row(sums: &mut [u16], row: &[u8]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += u16::from(*value);
    }
}

/// Means over squares of so many columns and rows.
fn average_groups(sums: &[u16], columns: usize, rows: usize, out: &mut [u8]) {
    let area = (columns * rows) as u32;
    let reciprocal = (1 << 16) / area;
    for (out, group) in out.iter_mut().zip(sums.chunks_exact(columns)) {
        let sum: u32 = group.iter().map(|sum| u32::from(*sum)).sum();
        *out = (((sum + area / 2) * reciprocal) >> 16).min(255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first working row of a picture of 64 rows that are `width` wide.
    fn first_row(width: usize, plane: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        let geometry = Geometry::of(width, 64);
        let plane: Vec<u8> = (0..64 * width).map(|at| plane(at % width, at / width)).collect();
        let mut out = vec![0; geometry.width()];
        Reducer::new(geometry).row(&plane, width, 0, &mut out);
        out
    }

    #[test]
    fn a_working_pixel_is_the_mean_of_every_second_row_of_its_square() {
        for (width, factor) in [(320, 1), (640, 2), (960, 3), (1_280, 4), (1_920, 6)] {
            let row = first_row(width, |x, y| if y % 2 == 1 { 255 } else { (x / factor) as u8 });
            let expected: Vec<u8> = (0..320).map(|x| x as u8).collect();
            assert_eq!(row, expected, "{width}");
        }
        let halves = first_row(1_280, |x, _| if x % 4 < 2 { 10 } else { 20 });
        assert_eq!(halves, [15; 320]);
    }
}

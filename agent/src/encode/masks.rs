//! Privacy masks: polygons of the raw picture that are filled before the encoder, the motion
//! detector or a still sees it.

use gstreamer as gst;
use gstreamer_video::{VideoFormat, VideoFrameRef, VideoInfo, prelude::*};
use nightjar_core::orientation::{Change, Orientation};
use nightjar_shared::configuration::{Point, PrivacyMask};

/// What is seen in place of the picture: black, in the levels of video.
const LUMA: u8 = 16;
const CHROMA: u8 = 128;

/// Side of a cell, in pixels: the formats have one sample of colour for so many. Whole cells are
/// filled, so that no colour shines through.
const CELL: usize = 2;
/// Sizes of pictures that come by turns.
const SIZES_MAX: usize = 2;
/// Lines along which a polygon is cut, for each row of cells: nothing thinner than half a pixel
/// slips through.
const CUTS: u8 = 4;

/// Polygons, and the cells that they fill at the size of the pictures that come.
#[derive(Default)]
pub(crate) struct Masks {
    shapes: Vec<PrivacyMask>,
    /// How the picture was shown on which they were drawn.
    drawn: Orientation,
    /// For the sizes that came last: a camera may give a small picture beside each large one.
    rasters: Vec<Raster>,
}

struct Raster {
    shown: Orientation,
    width: usize,
    height: usize,
    /// Row and columns of cells.
    spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    row: usize,
    from: usize,
    until: usize,
}

impl Masks {
    pub(crate) fn new(shapes: &[PrivacyMask], drawn: Orientation) -> Self {
        Self { shapes: shapes.to_vec(), drawn, rasters: Vec::new() }
    }

    pub(crate) fn shapes(&self) -> &[PrivacyMask] {
        &self.shapes
    }

    /// Fills what nobody may see in a picture that is shown like this: a mask stays on the part of the scene
    /// on which it was drawn. An error means that it could not be filled: the picture must go no further.
    pub(crate) fn cover(
        &mut self,
        pad: &gst::Pad,
        buffer: &mut gst::Buffer,
        shown: Orientation,
    ) -> anyhow::Result<()> {
        use anyhow::Context as _;

        if self.shapes.is_empty() {
            return Ok(());
        }
        let caps = pad.current_caps().context("a picture without a format")?;
        let info = VideoInfo::from_caps(&caps)?;
        let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &info)?;
        let size = (usize::try_from(info.width())?, usize::try_from(info.height())?);
        let spans = &self.raster(size, shown).spans;
        let samples: &[(u32, usize)] = match info.format() {
            // Plane, bytes for each cell's colour.
            VideoFormat::I420 => &[(1, 1), (2, 1)],
            VideoFormat::Nv12 => &[(1, 2)],
            other => anyhow::bail!("masks are not drawn in {other} pictures"),
        };
        let strides = frame.plane_stride().to_vec();
        let stride = |plane: u32| usize::try_from(strides[plane as usize]);
        fill_luma(frame.plane_data_mut(0)?, stride(0)?, size, spans);
        for (plane, bytes) in samples {
            let stride = stride(*plane)?;
            let data = frame.plane_data_mut(*plane)?;
            for span in spans {
                let start = span.row * stride;
                fill(data, start + span.from * bytes..start + span.until * bytes, CHROMA);
            }
        }
        Ok(())
    }

    /// Which share of the picture is covered.
    pub(crate) fn covered_share(&self) -> f32 {
        let Some(raster) = self.rasters.last() else { return 0.0 };
        let cells = raster.width.div_ceil(CELL) * raster.height.div_ceil(CELL);
        let covered = raster.spans.iter().map(|span| span.until - span.from).sum();
        to_float(covered) / to_float(cells.max(1))
    }

    fn raster(&mut self, (width, height): (usize, usize), shown: Orientation) -> &Raster {
        let fits = |raster: &Raster| {
            raster.width == width && raster.height == height && raster.shown == shown
        };
        let at = self.rasters.iter().position(fits).unwrap_or_else(|| {
            if self.rasters.len() >= SIZES_MAX {
                self.rasters.remove(0);
            }
            let change = Change { from: self.drawn, to: shown };
            let raster = Raster::of(&change.masks(&self.shapes), width, height);
            self.rasters.push(Raster { shown, ..raster });
            self.rasters.len() - 1
        });
        &self.rasters[at]
    }
}

fn fill_luma(data: &mut [u8], stride: usize, (width, height): (usize, usize), spans: &[Span]) {
    for span in spans {
        let columns = span.from * CELL..(span.until * CELL).min(width);
        for y in span.row * CELL..((span.row + 1) * CELL).min(height) {
            fill(data, y * stride + columns.start..y * stride + columns.end, LUMA);
        }
    }
}

fn fill(data: &mut [u8], range: std::ops::Range<usize>, value: u8) {
    if let Some(samples) = data.get_mut(range) {
        samples.fill(value);
    }
}

impl Raster {
    fn of(shapes: &[PrivacyMask], width: usize, height: usize) -> Self {
        let (columns, rows) = (width.div_ceil(CELL), height.div_ceil(CELL));
        let mut spans = Vec::new();
        for shape in shapes {
            for row in 0..rows {
                for cut in 0..=CUTS {
                    let y = (to_float(row) + f32::from(cut) / f32::from(CUTS)) / to_float(rows);
                    for (left, right) in inside(&shape.points, y) {
                        let (from, until) = cells(left, right, columns);
                        spans.push(Span { row, from, until });
                    }
                }
            }
        }
        Self { shown: Orientation::default(), width, height, spans: united(spans) }
    }
}

/// Where a horizontal line runs inside the polygon, by the even-odd rule.
fn inside(points: &[Point], y: f32) -> Vec<(f32, f32)> {
    let ends = points.iter().cycle().skip(1);
    let mut crossings: Vec<f32> = points
        .iter()
        .zip(ends)
        .filter(|(from, to)| (from.1 > y) != (to.1 > y))
        .map(|(from, to)| from.0 + (to.0 - from.0) * (y - from.1) / (to.1 - from.1))
        .collect();
    crossings.sort_by(f32::total_cmp);
    crossings.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// All cells that are touched.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the columns that exist"
)]
fn cells(left: f32, right: f32, columns: usize) -> (usize, usize) {
    let place = |share: f32| share.clamp(0.0, 1.0) * to_float(columns);
    let from = (place(left).floor() as usize).min(columns - 1);
    (from, (place(right).ceil() as usize).clamp(from + 1, columns))
}

#[expect(clippy::cast_precision_loss, reason = "counts of pixels")]
fn to_float(count: usize) -> f32 {
    count as f32
}

/// In order, and no cell twice.
fn united(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.row, span.from));
    let mut united: Vec<Span> = Vec::new();
    for span in spans {
        match united.last_mut() {
            Some(last) if last.row == span.row && span.from <= last.until => {
                last.until = last.until.max(span.until);
            }
            _ => united.push(span),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(points: &[Point]) -> PrivacyMask {
        PrivacyMask { points: points.to_vec(), ..PrivacyMask::default() }
    }

    fn covered(masks: &[PrivacyMask], width: usize, height: usize) -> Vec<Vec<bool>> {
        let mut cells = vec![vec![false; width.div_ceil(CELL)]; height.div_ceil(CELL)];
        for span in Raster::of(masks, width, height).spans {
            assert!(span.from < span.until, "{span:?}");
            cells[span.row][span.from..span.until].fill(true);
        }
        cells
    }

    #[test]
    fn a_rectangle_covers_its_cells_and_no_other() {
        let quarter = mask(&[(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)]);
        let cells = covered(&[quarter], 640, 360);
        assert!(cells[0][0] && cells[89][159]);
        assert!(!cells[89][160] && !cells[91][159]);
        let count = cells.iter().flatten().filter(|cell| **cell).count();
        assert!((160 * 90..=160 * 91).contains(&count), "{count}");
    }

    #[test]
    fn masks_may_overlap_reach_the_edges_and_be_concave() {
        let notch = mask(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.2), (0.0, 1.0)]);
        let whole = mask(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]);
        assert!(!covered(std::slice::from_ref(&notch), 320, 180)[85][80], "the notch");
        let both = covered(&[notch, whole], 320, 180);
        assert!(both.iter().flatten().all(|cell| *cell));
    }

    #[test]
    fn what_a_mask_only_touches_is_covered_too() {
        // A sliver, a pixel wide, in the middle of two cells.
        let sliver = mask(&[(0.4999, 0.0), (0.5001, 0.0), (0.5001, 1.0), (0.4999, 1.0)]);
        let cells = covered(&[sliver], 640, 360);
        assert!(cells.iter().all(|row| row[159] && row[160]));
    }

    #[test]
    fn odd_sizes_and_odd_polygons_stay_within_the_picture() {
        let flat = mask(&[(0.2, 0.5), (0.8, 0.5), (0.5, 0.5)]);
        let bow = mask(&[(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]);
        for (width, height) in [(2, 2), (641, 361), (1, 1), (1280, 720)] {
            covered(&[flat.clone(), bow.clone()], width, height);
        }
    }
}

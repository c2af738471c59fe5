//! The moving pixels of a frame, drawn out for people and for scoring. Not part of detection.

use super::{
    BLOCK,
    blocks::{Block, Cover},
    reduce::Geometry,
    tracks::Track,
    tuning::Tuning,
};

/// Side of the window in which the majority decides, in working pixels.
const WINDOW: usize = 5;

/// What a mask is drawn from.
pub(super) struct Drawing<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) picture: &'a [u8],
    pub(super) level: &'a [u8],
    pub(super) spread: &'a [u8],
    pub(super) blocks: &'a [Block],
    /// The blocks of this frame that voted.
    pub(super) awake: &'a [u32],
    pub(super) tracks: &'a [Track],
    pub(super) tuning: &'a Tuning,
}

impl Drawing<'_> {
    /// A plane of the camera's size: 255 where something moves, 0 elsewhere.
    pub(super) fn draw(&self) -> Vec<u8> {
        let Geometry { factor, plane_width, plane_height, .. } = *self.geometry;
        let smooth = self.majority(&self.changed(&self.near()));
        let width = self.geometry.width();
        let mut plane = vec![0; plane_width * plane_height];
        for (y, row) in plane.chunks_exact_mut(plane_width).enumerate() {
            let y = (y / factor).min(self.geometry.seen_height - 1);
            let source = &smooth[y * width..][..width];
            for (x, out) in row.iter_mut().enumerate() {
                *out = source[(x / factor).min(self.geometry.seen_width - 1)] * 255;
            }
        }
        plane
    }

    /// The covered blocks and those around them.
    fn near(&self) -> Vec<bool> {
        let Geometry { columns, rows, .. } = *self.geometry;
        let mut near = vec![false; self.blocks.len()];
        for at in self.awake.iter().map(|at| *at as usize) {
            if !matches!(self.blocks[at].cover, Cover::Object | Cover::Flat) {
                continue;
            }
            let (column, row) = (at % columns, at / columns);
            if !self.is_explained(column, row) {
                continue;
            }
            for y in row.saturating_sub(1)..=(row + 1).min(rows - 1) {
                for x in column.saturating_sub(1)..=(column + 1).min(columns - 1) {
                    near[y * columns + x] = true;
                }
            }
        }
        near
    }

    fn is_explained(&self, column: usize, row: usize) -> bool {
        let (x, y) = (column as i32, row as i32);
        let mut tracks = self.tracks.iter().filter(|track| track.explains(self.tuning));
        tracks.any(|track| {
            let span = track.span;
            (span.left - 1..=span.right + 1).contains(&x)
                && (span.top - 1..=span.bottom + 1).contains(&y)
        })
    }

    /// 1 where a pixel of those blocks does not show the background.
    fn changed(&self, near: &[bool]) -> Vec<u8> {
        let (width, columns) = (self.geometry.width(), self.geometry.columns);
        let mut out = vec![0; self.picture.len()];
        for (at, out) in out.iter_mut().enumerate() {
            let block = at / width / BLOCK * columns + at % width / BLOCK;
            if near[block] {
                let difference = self.picture[at].abs_diff(self.level[at]);
                let threshold = f32::from(self.spread[at]) * self.tuning.mask.threshold;
                *out = u8::from(f32::from(difference) > threshold);
            }
        }
        out
    }

    fn majority(&self, changed: &[u8]) -> Vec<u8> {
        let (width, height) = (self.geometry.width(), self.geometry.height());
        let half = WINDOW / 2;
        let mut out = vec![0; changed.len()];
        for y in 0..height {
            for x in 0..width {
                let (left, right) = (x.saturating_sub(half), (x + half).min(width - 1));
                let mut count = 0;
                for row in y.saturating_sub(half)..=(y + half).min(height - 1) {
                    let row = &changed[row * width..][..width];
                    count += row[left..=right].iter().map(|on| u32::from(*on)).sum::<u32>();
                }
                out[y * width + x] = u8::from(count >= self.tuning.mask.majority);
            }
        }
        out
    }
}

//! Draws what the detector saw into the picture, so that an owner can see why: objects green,
//! candidates yellow (the brighter, the nearer to an object), moving pixels red, zones blue, and
//! a red frame while motion goes on.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "drawing: coordinates and levels are small"
)]

use nightjar_shared::configuration::Zone;

use super::detector::Blob;
use crate::picture::LumaFrame;

type Colour = [u8; 3];

const OBJECT: Colour = [60, 230, 60];
const ZONE: Colour = [70, 120, 255];
const MOTION: Colour = [255, 40, 40];
/// Width of the frame around the picture while motion goes on, in pixels.
const BORDER: usize = 3;

/// A picture of 3 bytes a pixel whose sides are even, as encoders want them.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlay {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u8>,
}

impl Overlay {
    /// `mask` is a plane of the frame's size, as [`super::Detector::mask`] gives it.
    pub fn draw(
        frame: &LumaFrame,
        mask: &[u8],
        blobs: &[Blob],
        zones: &[Zone],
        moves: bool,
    ) -> Self {
        let mut overlay = Self::of(frame, mask);
        for zone in zones {
            overlay.outline(&zone.points);
        }
        for blob in blobs {
            let shade = (90.0 + 150.0 * blob.confidence) as u8;
            overlay.frame(blob, if blob.alarms { OBJECT } else { [shade, shade, 0] });
        }
        if moves {
            overlay.border();
        }
        overlay
    }

    fn of(frame: &LumaFrame, mask: &[u8]) -> Self {
        let (width, height) = (frame.width & !1, frame.height & !1);
        let mut pixels = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for x in 0..width {
                let level = frame.data[y * frame.stride + x];
                let moves = mask.get(y * frame.width + x).is_some_and(|mark| *mark > 0);
                let dim = if moves { level / 2 } else { level };
                pixels.extend([if moves { level / 2 + 128 } else { level }, dim, dim]);
            }
        }
        Self { width, height, pixels }
    }

    fn set(&mut self, x: f32, y: f32, colour: Colour) {
        let column = (x.max(0.0) as usize).min(self.width.saturating_sub(1));
        let row = (y.max(0.0) as usize).min(self.height.saturating_sub(1));
        if let Some(pixel) = self.pixels.get_mut(3 * (row * self.width + column)..) {
            pixel[..3].copy_from_slice(&colour);
        }
    }

    /// A straight line between two places in pixels.
    fn line(&mut self, from: (f32, f32), to: (f32, f32), colour: Colour) {
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
        for step in 0..=steps as usize {
            let share = step as f32 / steps;
            let (x, y) = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            self.set(x, y, colour);
        }
    }

    fn frame(&mut self, blob: &Blob, colour: Colour) {
        let (left, top) = self.place((blob.x, blob.y));
        let (right, bottom) = self.place((blob.x + blob.width, blob.y + blob.height));
        self.line((left, top), (right, top), colour);
        self.line((left, bottom), (right, bottom), colour);
        self.line((left, top), (left, bottom), colour);
        self.line((right, top), (right, bottom), colour);
    }

    fn outline(&mut self, points: &[(f32, f32)]) {
        let ends = points.iter().cycle().skip(1);
        for (from, to) in points.iter().zip(ends) {
            self.line(self.place(*from), self.place(*to), ZONE);
        }
    }

    /// From shares of the picture to pixels.
    fn place(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (x * (self.width as f32 - 1.0), y * (self.height as f32 - 1.0))
    }

    fn border(&mut self) {
        for y in 0..self.height {
            for x in 0..self.width {
                let inside = |at: usize, length: usize| at >= BORDER && at + BORDER < length;
                if !inside(x, self.width) || !inside(y, self.height) {
                    self.set(x as f32, y as f32, MOTION);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::monotonic::MonotonicNanos;

    fn drawn(blobs: &[Blob], zones: &[Zone], moves: bool) -> Overlay {
        let frame = LumaFrame {
            data: Bytes::from(vec![100; 41 * 31]),
            width: 41,
            height: 31,
            stride: 41,
            captured_at: MonotonicNanos(0),
        };
        Overlay::draw(&frame, &[], blobs, zones, moves)
    }

    fn count(overlay: &Overlay, colour: Colour) -> usize {
        overlay.pixels.chunks(3).filter(|pixel| **pixel == colour).count()
    }

    #[test]
    fn a_quiet_picture_is_shown_as_it_is_with_even_sides() {
        let overlay = drawn(&[], &[], false);
        assert_eq!((overlay.width, overlay.height), (40, 30));
        assert_eq!(count(&overlay, [100; 3]), 40 * 30);
    }

    #[test]
    fn an_object_a_zone_and_motion_have_their_colours() {
        let blob =
            Blob { x: 0.4, y: 0.4, width: 0.3, height: 0.3, alarms: true, ..Blob::default() };
        let points = vec![(0.2, 0.2), (0.8, 0.2), (0.5, 0.9)];
        let overlay =
            drawn(&[blob], &[Zone { name: "gate".to_owned(), points, ..Zone::default() }], true);
        for colour in [OBJECT, ZONE, MOTION] {
            assert!(count(&overlay, colour) > 20, "{colour:?}");
        }
    }

    #[test]
    fn boxes_and_zones_beyond_the_edges_are_cut() {
        let blob = Blob { x: -1.0, y: 0.9, width: 5.0, height: 5.0, ..Blob::default() };
        let points = vec![(-3.0, 0.5), (2.0, 0.5), (0.5, 7.0)];
        drawn(&[blob], &[Zone { name: "far".to_owned(), points, ..Zone::default() }], true);
    }
}

//! Where motion counts. Zones are polygons in relative coordinates; each is rasterised once, so
//! that asking how much of a box lies in it needs no geometry.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "cells of a raster of 64 by 64"
)]

use nightjar_shared::command::Zone;

use super::detector::Blob;

/// Cells along each side of the raster: a row of cells is one `u64`.
const CELLS: usize = 64;

/// A zone's polygon as cells of a raster over the picture.
#[derive(Debug, Clone, PartialEq)]
struct Raster([u64; CELLS]);

impl Raster {
    /// Cells whose middle lies inside the polygon, by the even-odd rule.
    fn of(points: &[(f32, f32)]) -> Self {
        let middle = |cell: usize| (cell as f32 + 0.5) / CELLS as f32;
        let mut rows = [0; CELLS];
        for (y, row) in rows.iter_mut().enumerate() {
            for x in 0..CELLS {
                *row |= u64::from(is_inside(points, middle(x), middle(y))) << x;
            }
        }
        Self(rows)
    }

    /// Share of a box that lies inside, 0.0 ..= 1.0.
    fn share_of(&self, blob: &Blob) -> f32 {
        let cells = |from: f32, length: f32| {
            let first = ((from * CELLS as f32) as usize).min(CELLS - 1);
            let last = (((from + length) * CELLS as f32).ceil() as usize).clamp(first + 1, CELLS);
            first..last
        };
        let (columns, rows) = (cells(blob.x, blob.width), cells(blob.y, blob.height));
        let width = columns.len() as u32;
        let mask = (u64::MAX >> (CELLS as u32 - width)) << columns.start;
        let total = width * rows.len() as u32;
        let inside: u32 = self.0[rows].iter().map(|row| (row & mask).count_ones()).sum();
        inside as f32 / total as f32
    }
}

fn is_inside(points: &[(f32, f32)], x: f32, y: f32) -> bool {
    let mut inside = false;
    let ends = points.iter().cycle().skip(1);
    for (&(x0, y0), &(x1, y1)) in points.iter().zip(ends) {
        if (y0 > y) != (y1 > y) && x < (x1 - x0) * (y - y0) / (y1 - y0) + x0 {
            inside = !inside;
        }
    }
    inside
}

/// An object this much of which lies in a zone is in it.
const INSIDE: f32 = 0.3;

/// All zones of a camera; without any, the whole picture counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Zones(Vec<(String, Raster)>);

impl Zones {
    pub fn new(zones: &[Zone]) -> Self {
        Self(zones.iter().map(|zone| (zone.name.clone(), Raster::of(&zone.points))).collect())
    }

    /// Whether motion of this blob counts.
    pub(super) fn admit(&self, blob: &Blob) -> bool {
        self.0.is_empty() || self.0.iter().any(|(_, raster)| raster.share_of(blob) >= INSIDE)
    }

    /// Names of the zones that these blobs touch.
    pub(super) fn names(&self, blobs: &[Blob]) -> Vec<String> {
        let touched = self
            .0
            .iter()
            .filter(|(_, raster)| blobs.iter().any(|blob| raster.share_of(blob) >= INSIDE));
        touched.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(x: f32, y: f32, width: f32, height: f32) -> Blob {
        Blob { x, y, width, height, ..Blob::default() }
    }

    fn left_half() -> Zones {
        let points = vec![(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)];
        Zones::new(&[Zone { name: "drive".to_owned(), points }])
    }

    #[test]
    fn without_zones_everything_counts() {
        assert!(Zones::default().admit(&blob(0.9, 0.9, 0.1, 0.1)));
    }

    #[test]
    fn a_zone_admits_what_lies_in_it_and_names_it() {
        let zones = left_half();
        let (inside, outside) = (blob(0.1, 0.4, 0.2, 0.2), blob(0.7, 0.4, 0.2, 0.2));
        assert!(zones.admit(&inside));
        assert!(!zones.admit(&outside));
        assert_eq!(zones.names(&[outside, inside]), ["drive"]);
    }

    #[test]
    fn a_box_across_the_edge_counts_by_its_share() {
        let zones = left_half();
        assert!(zones.admit(&blob(0.4, 0.0, 0.2, 1.0)));
        assert!(!zones.admit(&blob(0.48, 0.0, 0.2, 1.0)));
    }

    #[test]
    fn boxes_at_and_beyond_the_picture_edge_are_judged_too() {
        let zones = left_half();
        assert!(!zones.admit(&blob(1.0, 1.0, 0.0, 0.0)));
        assert!(zones.admit(&blob(0.0, 0.0, 1.0, 1.0)));
        assert!(!zones.admit(&blob(2.0, -1.0, 3.0, 0.5)));
    }

    #[test]
    fn a_concave_zone_leaves_its_notch_out() {
        let points = vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.25), (0.0, 1.0)];
        let zones = Zones::new(&[Zone { name: "lawn".to_owned(), points }]);
        assert!(!zones.admit(&blob(0.45, 0.7, 0.1, 0.2)));
        assert!(zones.admit(&blob(0.05, 0.1, 0.1, 0.2)));
    }
}

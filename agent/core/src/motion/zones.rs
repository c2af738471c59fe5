//! Where motion counts. Zones are polygons in relative coordinates; each is rasterised once, so
//! that asking how much of a box lies in it needs no geometry.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "cells of a raster of 64 by 64"
)]

use nightjar_shared::configuration::{Point, Zone, ZoneKind};

use super::{
    MotionConfig,
    detector::{Blob, Tuning},
};

/// Cells along each side of the raster: a row of cells is one `u64`.
const CELLS: usize = 64;

/// A zone's polygon as cells of a raster over the picture.
#[derive(Debug, Clone, PartialEq)]
struct Raster([u64; CELLS]);

impl Raster {
    /// Cells whose middle lies inside the polygon, by the even-odd rule.
    fn of(points: &[Point]) -> Self {
        let middle = |cell: usize| (cell as f32 + 0.5) / CELLS as f32;
        let mut rows = [0; CELLS];
        for (y, row) in rows.iter_mut().enumerate() {
            for x in 0..CELLS {
                *row |= u64::from(is_inside(points, middle(x), middle(y))) << x;
            }
        }
        let mut raster = Self(rows);
        if raster.cells() == 0 {
            raster.draw_edges(points);
        }
        raster
    }

    /// A polygon so thin that no cell's middle lies inside still has the cells that it crosses.
    fn draw_edges(&mut self, points: &[Point]) {
        let cell = |at: f32| ((at * CELLS as f32) as usize).min(CELLS - 1);
        let ends = points.iter().cycle().skip(1);
        for (&(x0, y0), &(x1, y1)) in points.iter().zip(ends) {
            for step in 0..=2 * CELLS {
                let share = step as f32 / (2 * CELLS) as f32;
                let (x, y) = (x0 + (x1 - x0) * share, y0 + (y1 - y0) * share);
                self.0[cell(y)] |= 1 << cell(x);
            }
        }
    }

    fn cells(&self) -> u32 {
        self.0.iter().map(|row| row.count_ones()).sum()
    }

    fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(row, other)| *row |= other);
    }

    /// Cells of a box: those that lie inside, and all.
    fn count(&self, blob: &Blob) -> (u32, u32) {
        let cells = |from: f32, length: f32| {
            let first = ((from * CELLS as f32) as usize).min(CELLS - 1);
            let last = (((from + length) * CELLS as f32).ceil() as usize).clamp(first + 1, CELLS);
            first..last
        };
        let (columns, rows) = (cells(blob.x, blob.width), cells(blob.y, blob.height));
        let width = columns.len() as u32;
        let mask = (u64::MAX >> (CELLS as u32 - width)) << columns.start;
        let total = width * rows.len() as u32;
        let inside = self.0[rows].iter().map(|row| (row & mask).count_ones()).sum();
        (inside, total)
    }

    /// Share of a box that lies inside, 0.0 ..= 1.0.
    fn share_of(&self, blob: &Blob) -> f32 {
        let (inside, total) = self.count(blob);
        inside as f32 / total as f32
    }

    /// Share of the polygon that a box covers, 0.0 ..= 1.0.
    fn share_under(&self, blob: &Blob) -> f32 {
        self.count(blob).0 as f32 / self.cells().max(1) as f32
    }
}

fn is_inside(points: &[Point], x: f32, y: f32) -> bool {
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
/// So is one that covers this much of the zone: a person before a door is larger than the door.
const FILLED: f32 = 0.5;
/// Motion that goes on is held to this share of what it took to begin: an object that wavers on
/// a border or around a size makes one event, not many.
const KEEPS: f32 = 0.5;
/// An object this much of which lies in what is ignored does not count.
const IGNORED: f32 = 0.7;

/// A polygon in which motion counts.
#[derive(Debug, Clone, PartialEq)]
struct Counting {
    name: String,
    raster: Raster,
    least: Least,
}

impl Counting {
    fn holds(&self, blob: &Blob, strictness: f32) -> bool {
        self.least.is_met(blob, strictness)
            && (self.raster.share_of(blob) >= INSIDE * strictness
                || self.raster.share_under(blob) >= FILLED * strictness)
    }
}

/// The least that counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Least {
    /// Share of the picture that an object covers.
    area: f32,
    /// Blocks that it has travelled.
    travel: f32,
}

impl Least {
    /// What a sensitivity asks beyond what the detector, which is at least as sensitive, asks
    /// already.
    fn of(sensitivity: f32, detector: &Tuning) -> Self {
        let asked = Tuning::of(sensitivity).journey;
        let beyond = |value: f32, asked: f32| if value > asked { value } else { 0.0 };
        Self {
            area: beyond(asked.area_min, detector.journey.area_min),
            travel: beyond(asked.travel, detector.journey.travel),
        }
    }

    fn is_met(self, blob: &Blob, strictness: f32) -> bool {
        blob.area >= self.area * strictness && blob.travel >= self.travel * strictness
    }
}

/// All zones of a camera; without one that includes, the whole picture counts but for what is
/// ignored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Zones {
    counting: Vec<Counting>,
    /// All that is ignored, in one: an object on the border of two such zones is ignored as well.
    ignored: Option<Raster>,
    /// What counts where no zone includes.
    elsewhere: Least,
}

impl Zones {
    /// With each zone's own sensitivity, or the camera's.
    pub fn of(config: &MotionConfig) -> Self {
        let detector = Tuning::of(detector_sensitivity(config));
        let least = |zone: &Zone| {
            let least = Least::of(zone.sensitivity.unwrap_or(config.sensitivity), &detector);
            Least { area: least.area.max(zone.min_area.unwrap_or(0.0)), ..least }
        };
        let counting = |zone: &Zone| Counting {
            name: zone.name.clone(),
            raster: Raster::of(&zone.points),
            least: least(zone),
        };
        let of_kind = |kind| config.zones.iter().filter(move |zone| zone.kind == kind);
        Self {
            counting: of_kind(ZoneKind::Include).map(counting).collect(),
            ignored: of_kind(ZoneKind::Ignore).map(|zone| Raster::of(&zone.points)).reduce(
                |mut all, zone| {
                    all.join(&zone);
                    all
                },
            ),
            elsewhere: Least::of(config.sensitivity, &detector),
        }
    }

    /// Whether motion of this blob counts; `going_on` says that something moves already.
    pub(super) fn admit(&self, blob: &Blob, going_on: bool) -> bool {
        let strictness = if going_on { KEEPS } else { 1.0 };
        let ignored = self.ignored.as_ref().map_or(0.0, |raster| raster.share_of(blob));
        if 1.0 - ignored <= (1.0 - IGNORED) * strictness {
            return false;
        }
        if self.counting.is_empty() {
            return self.elsewhere.is_met(blob, strictness);
        }
        self.counting.iter().any(|zone| zone.holds(blob, strictness))
    }

    /// Names of the zones that these blobs touch.
    pub(super) fn names(&self, blobs: &[Blob]) -> Vec<String> {
        let touched = |zone: &&Counting| blobs.iter().any(|blob| zone.holds(blob, 1.0));
        self.counting.iter().filter(touched).map(|zone| zone.name.clone()).collect()
    }
}

/// The detector must see what the most sensitive zone wants to see.
pub fn detector_sensitivity(config: &MotionConfig) -> f32 {
    let zones = config.zones.iter().filter(|zone| zone.kind == ZoneKind::Include);
    zones.filter_map(|zone| zone.sensitivity).fold(config.sensitivity, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(x: f32, y: f32, width: f32, height: f32) -> Blob {
        Blob { x, y, width, height, area: width * height, travel: f32::INFINITY, ..Blob::default() }
    }

    fn zones(zones: &[Zone]) -> Zones {
        Zones::of(&MotionConfig { zones: zones.to_vec(), ..MotionConfig::default() })
    }

    fn half(name: &str, left: f32) -> Zone {
        let points = vec![(left, 0.0), (left + 0.5, 0.0), (left + 0.5, 1.0), (left, 1.0)];
        Zone { name: name.to_owned(), points, ..Zone::default() }
    }

    #[test]
    fn without_zones_everything_counts() {
        assert!(Zones::default().admit(&blob(0.9, 0.9, 0.1, 0.1), false));
    }

    #[test]
    fn an_object_counts_when_enough_of_it_lies_in_a_zone() {
        let zones = zones(&[half("drive", 0.0)]);
        assert!(zones.admit(&blob(0.4, 0.0, 0.2, 1.0), false));
        assert!(!zones.admit(&blob(0.48, 0.0, 0.2, 1.0), false));
    }

    #[test]
    fn an_object_that_wavers_on_a_border_keeps_its_motion_up() {
        let zones = zones(&[half("drive", 0.0)]);
        let wavering = blob(0.46, 0.0, 0.2, 1.0);
        assert!(!zones.admit(&wavering, false));
        assert!(zones.admit(&wavering, true));
        assert!(!zones.admit(&blob(0.6, 0.0, 0.2, 1.0), true), "it has left");
    }

    #[test]
    fn what_is_ignored_is_ignored_in_every_zone() {
        let tree = Zone { kind: ZoneKind::Ignore, ..half("tree", 0.5) };
        let zones = zones(&[half("drive", 0.0), half("lawn", 0.5), tree]);
        assert!(!zones.admit(&blob(0.6, 0.2, 0.2, 0.2), false));
        assert!(zones.admit(&blob(0.2, 0.2, 0.2, 0.2), false));
        assert!(zones.admit(&blob(0.3, 0.2, 0.4, 0.2), false), "half of it only");
    }

    #[test]
    fn an_ignored_zone_alone_leaves_the_rest_counting() {
        let zones = zones(&[Zone { kind: ZoneKind::Ignore, ..half("tree", 0.5) }]);
        assert!(zones.admit(&blob(0.2, 0.2, 0.2, 0.2), false));
        assert!(!zones.admit(&blob(0.7, 0.2, 0.2, 0.2), false));
        assert!(zones.names(&[blob(0.2, 0.2, 0.2, 0.2)]).is_empty());
    }

    #[test]
    fn an_object_across_two_ignored_zones_is_ignored() {
        let ignored = |zone: Zone| Zone { kind: ZoneKind::Ignore, ..zone };
        let zones = zones(&[ignored(half("street", 0.0)), ignored(half("tree", 0.5))]);
        assert!(!zones.admit(&blob(0.4, 0.4, 0.2, 0.2), false));
    }

    #[test]
    fn an_object_that_wavers_on_the_border_of_what_is_ignored_keeps_its_motion_up() {
        let zones = zones(&[Zone { kind: ZoneKind::Ignore, ..half("tree", 0.5) }]);
        let wavering = blob(0.35, 0.2, 0.65, 0.2);
        assert!(!zones.admit(&wavering, false));
        assert!(zones.admit(&wavering, true));
        assert!(!zones.admit(&blob(0.5, 0.2, 0.4, 0.2), true), "all of it");
    }

    #[test]
    fn one_who_hides_a_small_zone_is_in_it() {
        let points = vec![(0.4, 0.4), (0.5, 0.4), (0.5, 0.6), (0.4, 0.6)];
        let door = Zone { name: "door".to_owned(), points, ..Zone::default() };
        let zones = zones(&[door]);
        let near = blob(0.3, 0.2, 0.3, 0.7);
        assert!(zones.admit(&near, false));
        assert_eq!(zones.names(&[near]), ["door"]);
        assert!(!zones.admit(&blob(0.47, 0.2, 0.3, 0.7), false), "less than half of it");
    }

    #[test]
    fn a_zone_thinner_than_a_cell_is_none_the_less_there() {
        for (left, low) in [(0.501, 0.9), (0.31, 0.3004)] {
            let points = vec![(left, 0.3), (left + 0.002, 0.3), (left + 0.002, low), (left, low)];
            let thin = Zone { name: "threshold".to_owned(), points, ..Zone::default() };
            assert!(zones(&[thin]).admit(&blob(0.2, 0.2, 0.5, 0.75), false), "{left}");
        }
    }

    #[test]
    fn each_zone_has_a_smallest_object_of_its_own() {
        let gate = Zone { min_area: Some(0.02), ..half("gate", 0.0) };
        let zones = zones(&[gate, half("lawn", 0.5)]);
        assert!(!zones.admit(&blob(0.2, 0.2, 0.1, 0.1), false));
        assert!(zones.admit(&blob(0.2, 0.2, 0.2, 0.2), false));
        assert!(zones.admit(&blob(0.7, 0.2, 0.1, 0.1), false));
    }

    #[test]
    fn each_zone_has_a_sensitivity_of_its_own() {
        let keen = Zone { sensitivity: Some(1.0), ..half("gate", 0.0) };
        let dull = Zone { sensitivity: Some(0.0), ..half("street", 0.5) };
        let config = MotionConfig { zones: vec![keen, dull], ..MotionConfig::default() };
        assert!((detector_sensitivity(&config) - 1.0).abs() < f32::EPSILON);
        let zones = Zones::of(&config);
        let small = |x: f32| Blob { area: 0.0004, ..blob(x, 0.2, 0.03, 0.03) };
        assert!(zones.admit(&small(0.2), false), "below the usual smallest object");
        assert!(!zones.admit(&small(0.7), false));
        assert!(!zones.admit(&blob(0.7, 0.2, 0.06, 0.06), false));
        let far = |x: f32, travel: f32| Blob { travel, ..blob(x, 0.2, 0.2, 0.2) };
        assert!(zones.admit(&far(0.7, 2.6), false));
        assert!(
            !zones.admit(&far(0.7, 1.6), false),
            "it has not travelled far enough for a dull zone"
        );
        assert!(zones.admit(&far(0.7, 1.6), true), "motion that goes on is held to less");
        assert!(zones.admit(&far(0.2, 0.9), false));
    }

    #[test]
    fn boxes_at_and_beyond_the_picture_edge_are_judged_too() {
        let zones = zones(&[half("drive", 0.0)]);
        assert!(!zones.admit(&blob(1.0, 1.0, 0.0, 0.0), false));
        assert!(zones.admit(&blob(0.0, 0.0, 1.0, 1.0), false));
        assert!(!zones.admit(&blob(2.0, -1.0, 3.0, 0.5), false));
    }

    #[test]
    fn a_concave_zone_leaves_its_notch_out() {
        let points = vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.25), (0.0, 1.0)];
        let lawn = Zone { name: "lawn".to_owned(), points, ..Zone::default() };
        let zones = zones(&[lawn]);
        assert!(!zones.admit(&blob(0.45, 0.7, 0.1, 0.2), false));
        assert!(zones.admit(&blob(0.05, 0.1, 0.1, 0.2), false));
    }
}

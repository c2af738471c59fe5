//! Which way up a picture is shown, and where a point of it lies when that changes. Pure.

use nightjar_shared::{
    configuration::{Point, PrivacyMask, Zone},
    image::ImageSettings,
};
use serde::{Deserialize, Serialize};

/// How the picture that is shown comes from the one that the source gives: turned clockwise by quarters,
/// then mirrored, left for right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Orientation {
    quarters: u8,
    mirrored: bool,
}

/// The eight of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Identity,
    Right,
    Half,
    Left,
    Mirror,
    /// Mirrored after a quarter to the right: rows become columns.
    MirrorOfRight,
    /// Mirrored after a half: upside down.
    MirrorOfHalf,
    MirrorOfLeft,
}

impl Orientation {
    pub fn of(image: &ImageSettings) -> Self {
        let quarters = u8::try_from(image.rotation / 90 % 4).unwrap_or_default();
        Self { quarters, mirrored: image.mirror }
    }

    pub fn turn(self) -> Turn {
        match (self.quarters % 4, self.mirrored) {
            (0, false) => Turn::Identity,
            (1, false) => Turn::Right,
            (2, false) => Turn::Half,
            (_, false) => Turn::Left,
            (0, true) => Turn::Mirror,
            (1, true) => Turn::MirrorOfRight,
            (2, true) => Turn::MirrorOfHalf,
            (_, true) => Turn::MirrorOfLeft,
        }
    }

    /// Returns whether width and height change places.
    pub fn is_on_its_side(self) -> bool {
        self.quarters % 2 == 1
    }

    /// Where a point of the source's picture is shown.
    fn shown(self, point: Point) -> Point {
        let turned = (0..self.quarters % 4).fold(point, |(x, y), _| (1.0 - y, x));
        if self.mirrored { (1.0 - turned.0, turned.1) } else { turned }
    }

    /// Where a point that is shown lies in the source's picture.
    fn given(self, (x, y): Point) -> Point {
        let point = if self.mirrored { (1.0 - x, y) } else { (x, y) };
        (0..self.quarters % 4).fold(point, |(x, y), _| (y, 1.0 - x))
    }
}

/// From one orientation to another: what lies on a part of the scene stays there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub from: Orientation,
    pub to: Orientation,
}

impl Change {
    pub fn is_none(self) -> bool {
        self.from == self.to
    }

    pub fn mask(self, mask: &PrivacyMask) -> PrivacyMask {
        PrivacyMask { points: self.points(&mask.points), ..mask.clone() }
    }

    pub fn masks(self, masks: &[PrivacyMask]) -> Vec<PrivacyMask> {
        masks.iter().map(|mask| self.mask(mask)).collect()
    }

    pub fn zones(self, zones: &[Zone]) -> Vec<Zone> {
        let moved = |zone: &Zone| Zone { points: self.points(&zone.points), ..zone.clone() };
        zones.iter().map(moved).collect()
    }

    fn points(self, points: &[Point]) -> Vec<Point> {
        if self.is_none() {
            return points.to_vec();
        }
        points.iter().map(|point| self.to.shown(self.from.given(*point))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Orientation> {
        let turned = |quarters| [false, true].map(|mirrored| Orientation { quarters, mirrored });
        (0..4).flat_map(turned).collect()
    }

    fn is_near(one: Point, other: Point) -> bool {
        (one.0 - other.0).abs() < 1e-6 && (one.1 - other.1).abs() < 1e-6
    }

    #[test]
    fn a_corner_goes_where_a_person_who_turns_the_picture_sees_it() {
        let of = |rotation, mirror| {
            Orientation::of(&ImageSettings { rotation, mirror, ..ImageSettings::default() })
        };
        // What is right above in the source's picture.
        let corner = (1.0, 0.0);
        assert_eq!(of(90, false).shown(corner), (1.0, 1.0));
        assert_eq!(of(180, false).shown(corner), (0.0, 1.0));
        assert_eq!(of(270, false).shown(corner), (0.0, 0.0));
        assert_eq!(of(0, true).shown(corner), (0.0, 0.0));
        assert_eq!(of(90, true).shown(corner), (0.0, 1.0));
    }

    #[test]
    fn there_and_back_is_where_it_was() {
        for from in all() {
            for to in all() {
                let point = (0.2, 0.7);
                let there = Change { from, to }.points(&[point])[0];
                let back = Change { from: to, to: from }.points(&[there])[0];
                assert!(is_near(back, point), "{from:?} {to:?}: {back:?}");
                assert!((0.0..=1.0).contains(&there.0) && (0.0..=1.0).contains(&there.1));
            }
        }
    }

    #[test]
    fn all_eight_differ() {
        let places: Vec<Point> = all().iter().map(|it| it.shown((0.1, 0.3))).collect();
        for (at, place) in places.iter().enumerate() {
            assert!(places[..at].iter().all(|other| !is_near(*other, *place)), "{places:?}");
        }
    }
}

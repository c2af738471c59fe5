//! Parts of the picture: where motion counts, and what stays hidden.

use serde::{Deserialize, Serialize};

use super::{at_most, share};
use crate::{text, word::words};

pub(super) const ZONES_MAX: usize = 16;
pub(super) const MASKS_MAX: usize = 8;
const POINTS_MIN: usize = 3;
pub(super) const POINTS_MAX: usize = 32;
pub(super) const NAME_CHARS_MAX: usize = 40;

/// A point of the picture: (0, 0) is the top left corner, (1, 1) the bottom right one.
pub type Point = (f32, f32);

/// A polygon in which motion counts, or does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Zone {
    /// Unlike that of any other zone of the camera.
    pub name: String,
    #[cfg_attr(feature = "schema", schema(schema_with = crate::schema::points))]
    pub points: Vec<Point>,
    #[serde(default)]
    pub kind: ZoneKind,
    /// Of its own, like `motion_sensitivity`; the camera's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<f32>,
    /// The smallest object that counts, as a share of the picture's area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_area: Option<f32>,
}

words! {
    #[derive(Default)]
    ZoneKind {
        /// Motion counts here. With one such zone it counts nowhere else.
        #[default]
        Include = "include",
        /// Motion does not count here, whatever other zones say.
        Ignore = "ignore",
    } or Unknown
}

/// A polygon that stays hidden: the camera fills it before anything else sees the picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PrivacyMask {
    #[serde(default)]
    pub name: String,
    #[cfg_attr(feature = "schema", schema(schema_with = crate::schema::points))]
    pub points: Vec<Point>,
}

pub(super) fn check_zones(zones: &[Zone]) -> Result<(), String> {
    at_most("motion_zones", zones.len(), ZONES_MAX)?;
    for (index, zone) in zones.iter().enumerate() {
        let field = format!("motion_zones[{index}]");
        if !is_name(&zone.name) {
            return Err(format!("{field}.name: expected 1 to {NAME_CHARS_MAX} characters"));
        }
        if zones[..index].iter().any(|other| other.name == zone.name) {
            return Err(format!("{field}.name: another zone is called `{}`", zone.name));
        }
        if zone.kind == ZoneKind::Unknown {
            return Err(format!("{field}.kind: expected `include` or `ignore`"));
        }
        share(&format!("{field}.sensitivity"), zone.sensitivity)?;
        share(&format!("{field}.min_area"), zone.min_area)?;
        check_points(&field, &zone.points)?;
    }
    Ok(())
}

pub(super) fn check_masks(masks: &[PrivacyMask]) -> Result<(), String> {
    at_most("privacy_masks", masks.len(), MASKS_MAX)?;
    for (index, mask) in masks.iter().enumerate() {
        let field = format!("privacy_masks[{index}]");
        if !mask.name.is_empty() && !is_name(&mask.name) {
            return Err(format!("{field}.name: expected at most {NAME_CHARS_MAX} characters"));
        }
        check_points(&field, &mask.points)?;
    }
    Ok(())
}

fn check_points(field: &str, points: &[Point]) -> Result<(), String> {
    if !(POINTS_MIN..=POINTS_MAX).contains(&points.len()) {
        let count = points.len();
        return Err(format!("{field}.points: {count}, expected {POINTS_MIN} to {POINTS_MAX}"));
    }
    let inside = |value: f32| (0.0..=1.0).contains(&value);
    match points.iter().position(|(x, y)| !inside(*x) || !inside(*y)) {
        Some(at) => Err(format!("{field}.points[{at}]: coordinates must lie between 0 and 1")),
        None => Ok(()),
    }
}

fn is_name(text: &str) -> bool {
    text::name(text, NAME_CHARS_MAX).is_some()
}

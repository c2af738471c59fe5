//! What an owner sets at a camera: the arguments of `configure`, and what the camera says of its
//! settings (`up/configuration`).

mod areas;
mod hours;

use serde::{Deserialize, Serialize};

pub use self::{
    areas::{Point, PrivacyMask, Zone, ZoneKind},
    hours::{Period, QuietHours, Schedule, Weekday},
};
use crate::{
    first_protocol,
    image::{self, ImageControl, ImageSettings},
    text,
    word::words,
};

/// In a command: what is to change; an absent field leaves the setting as it is. From a camera:
/// all that it goes by, each field present that it knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Configuration {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    /// 0.0 (only large, clear motion) to 1.0 (the slightest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion_sensitivity: Option<f32>,
    /// An empty list removes all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion_zones: Option<Vec<Zone>>,
    /// How long something must move before it is an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion_min_duration_ms: Option<u32>,
    /// How long after an event no other begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion_cool_down_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Whether tampering with the camera is told, armed or not. Set again, it takes what is seen then as the
    /// scene to watch over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tamper_enabled: Option<bool>,
    /// 0.0 (only what hides nearly all, for long) to 1.0 (soon).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tamper_sensitivity: Option<f32>,
    /// An empty list removes all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_masks: Option<Vec<PrivacyMask>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_mode: Option<RecordingMode>,
    /// The hours of continuous footage; events are recorded at any hour. Without any, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_schedule: Option<Schedule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_roll_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_roll_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_clip_s: Option<u32>,
    /// Byte budget for recordings on the camera's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Target bitrate of the encoder, kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate_kbps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_viewers: Option<u32>,
    /// Uploads are no faster than this, kbit/s; 0 takes the limit away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_max_kbps: Option<u32>,
    /// When only what is fresh or small is uploaded; a span of no length
    /// takes them away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_quiet_hours: Option<QuietHours>,
    /// As a whole: what is absent in it is the camera's own choice. Zones and masks in the same command are
    /// points of the picture as it was shown before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSettings>,
    /// From a camera alone: what of `image` it offers, and within which limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_controls: Option<Vec<ImageControl>>,
}

words! {
    /// What becomes footage.
    RecordingMode {
        /// Clips of motion.
        Event = "event",
        /// Everything, in pieces of a minute that stay on the camera; events of motion have no clip.
        Continuous = "continuous",
        /// Clips of motion, and everything between them.
        Both = "both",
        Off = "off",
    } or Unknown
}

impl RecordingMode {
    /// Returns whether motion gets clips of its own.
    pub fn records_events(self) -> bool {
        matches!(self, Self::Event | Self::Both)
    }

    /// Returns whether what happens between events is recorded, too.
    pub fn records_all(self) -> bool {
        matches!(self, Self::Continuous | Self::Both)
    }
}

impl Configuration {
    /// Returns these settings with what `newer` sets in the place of the old values.
    #[must_use]
    pub fn changed_by(self, newer: Self) -> Self {
        Self {
            protocol: newer.protocol,
            motion_sensitivity: newer.motion_sensitivity.or(self.motion_sensitivity),
            motion_zones: newer.motion_zones.or(self.motion_zones),
            motion_min_duration_ms: newer.motion_min_duration_ms.or(self.motion_min_duration_ms),
            motion_cool_down_s: newer.motion_cool_down_s.or(self.motion_cool_down_s),
            schedule: newer.schedule.or(self.schedule),
            tamper_enabled: newer.tamper_enabled.or(self.tamper_enabled),
            tamper_sensitivity: newer.tamper_sensitivity.or(self.tamper_sensitivity),
            privacy_masks: newer.privacy_masks.or(self.privacy_masks),
            recording_mode: newer.recording_mode.or(self.recording_mode),
            recording_schedule: newer.recording_schedule.or(self.recording_schedule),
            pre_roll_s: newer.pre_roll_s.or(self.pre_roll_s),
            post_roll_s: newer.post_roll_s.or(self.post_roll_s),
            max_clip_s: newer.max_clip_s.or(self.max_clip_s),
            max_bytes: newer.max_bytes.or(self.max_bytes),
            bitrate_kbps: newer.bitrate_kbps.or(self.bitrate_kbps),
            max_viewers: newer.max_viewers.or(self.max_viewers),
            upload_max_kbps: newer.upload_max_kbps.or(self.upload_max_kbps),
            upload_quiet_hours: newer.upload_quiet_hours.or(self.upload_quiet_hours),
            image: newer.image.or(self.image),
            // Nobody sets them.
            image_controls: self.image_controls,
        }
    }

    /// Returns these settings with each name in its one form. What is no name stays, and is refused
    /// by [`Self::validate`].
    #[must_use]
    pub fn with_normal_names(mut self) -> Self {
        let zones = self.motion_zones.iter_mut().flatten().map(|zone| &mut zone.name);
        let masks = self.privacy_masks.iter_mut().flatten().map(|mask| &mut mask.name);
        for name in zones.chain(masks) {
            if let Some(normal) = text::name(name, areas::NAME_CHARS_MAX) {
                *name = normal;
            }
        }
        self
    }

    /// Checks ranges and counts; the error names the field, its value and what is allowed.
    /// Whether a time zone exists is for the camera to say, which knows them.
    pub fn validate(&self) -> Result<(), String> {
        within("motion_min_duration_ms", self.motion_min_duration_ms, 0, 10_000)?;
        within("motion_cool_down_s", self.motion_cool_down_s, 0, 3_600)?;
        within("pre_roll_s", self.pre_roll_s, 0, 60)?;
        within("post_roll_s", self.post_roll_s, 1, 300)?;
        within("max_clip_s", self.max_clip_s, 5, 3_600)?;
        within("bitrate_kbps", self.bitrate_kbps, 100, 20_000)?;
        within("max_viewers", self.max_viewers, 0, 64)?;
        within("upload_max_kbps", self.upload_max_kbps, 0, 1_000_000)?;
        self.upload_quiet_hours.as_ref().map_or(Ok(()), QuietHours::validate)?;
        self.image.as_ref().map_or(Ok(()), ImageSettings::validate)?;
        image::validate_controls(self.image_controls.as_deref().unwrap_or_default())?;
        share("motion_sensitivity", self.motion_sensitivity)?;
        share("tamper_sensitivity", self.tamper_sensitivity)?;
        areas::check_zones(self.motion_zones.as_deref().unwrap_or_default())?;
        areas::check_masks(self.privacy_masks.as_deref().unwrap_or_default())?;
        if self.recording_mode == Some(RecordingMode::Unknown) {
            return Err(
                "recording_mode: expected `event`, `continuous`, `both` or `off`".to_owned()
            );
        }
        let check = |field, schedule: &Option<Schedule>| {
            schedule.as_ref().map_or(Ok(()), |schedule| schedule.validate(field))
        };
        check("recording_schedule", &self.recording_schedule)?;
        check("schedule", &self.schedule)
    }
}

fn within(field: &str, value: Option<u32>, low: u32, high: u32) -> Result<(), String> {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            Err(format!("{field} = {value}: expected {low} to {high}"))
        }
        _ => Ok(()),
    }
}

fn share(field: &str, value: Option<f32>) -> Result<(), String> {
    match value {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            Err(format!("{field} = {value}: expected 0.0 to 1.0"))
        }
        _ => Ok(()),
    }
}

fn at_most(field: &str, count: usize, most: usize) -> Result<(), String> {
    if count > most { Err(format!("{field}: {count}, at most {most}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        areas::{MASKS_MAX, NAME_CHARS_MAX, POINTS_MAX, ZONES_MAX},
        hours::PERIODS_MAX,
        *,
    };

    fn refusal(arguments: Value) -> String {
        let configuration: Configuration = serde_json::from_value(arguments).unwrap();
        configuration.validate().unwrap_err()
    }

    fn triangle() -> Value {
        json!([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    }

    #[test]
    fn a_refused_zone_is_named_with_its_field() {
        let zone = |changes: &Value| {
            let mut zone = json!({"name": "path", "points": triangle()});
            zone.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            refusal(json!({"motion_zones": [zone]}))
        };
        assert!(zone(&json!({"name": ""})).starts_with("motion_zones[0].name"));
        assert!(
            zone(&json!({"sensitivity": 1.5})).starts_with("motion_zones[0].sensitivity = 1.5")
        );
        assert!(zone(&json!({"min_area": -0.1})).starts_with("motion_zones[0].min_area = -0.1"));
        assert!(zone(&json!({"kind": "maybe"})).starts_with("motion_zones[0].kind"));
        assert!(zone(&json!({"points": [[0.0, 0.0]]})).starts_with("motion_zones[0].points: 1"));
        let outside = json!({"points": [[0.0, 0.0], [0.5, 1.1], [1.0, 0.0]]});
        assert!(zone(&outside).starts_with("motion_zones[0].points[1]"));
    }

    #[test]
    fn counts_are_bounded_and_names_are_unlike() {
        let zone = |name: String| json!({"name": name, "points": triangle()});
        let many: Vec<Value> = (0..17).map(|number| zone(number.to_string())).collect();
        assert_eq!(refusal(json!({"motion_zones": many})), "motion_zones: 17, at most 16");
        let twice = json!([zone("path".to_owned()), zone("path".to_owned())]);
        assert!(refusal(json!({"motion_zones": twice})).starts_with("motion_zones[1].name"));
        let masks: Vec<Value> = (0..9).map(|_| json!({"points": triangle()})).collect();
        assert_eq!(refusal(json!({"privacy_masks": masks})), "privacy_masks: 9, at most 8");
        let points: Vec<Value> = (0..33).map(|_| json!([0.5, 0.5])).collect();
        let masks = json!([{"points": points}]);
        assert!(
            refusal(json!({"privacy_masks": masks})).starts_with("privacy_masks[0].points: 33")
        );
    }

    #[test]
    fn a_refused_schedule_is_named_with_its_field() {
        let zone = refusal(json!({"schedule": {"time_zone": "../etc", "armed": []}}));
        assert!(zone.starts_with("schedule.time_zone"), "{zone}");
        let backwards = json!([{"day": "monday", "from_minute": 600, "until_minute": 600}]);
        let period = refusal(json!({"schedule": {"time_zone": "UTC", "armed": backwards}}));
        assert!(period.starts_with("schedule.armed[0]"), "{period}");
    }

    #[test]
    fn the_largest_configuration_fits_into_a_message() {
        let points = vec![(0.123_456_79, 0.987_654_3); POINTS_MAX];
        let name = |number: usize| format!("{number:\u{e9}>NAME_CHARS_MAX$}");
        let zone = |number| Zone { name: name(number), points: points.clone(), ..Zone::default() };
        let mask = |number| PrivacyMask { name: name(number), points: points.clone() };
        let period = Period { day: Weekday::Wednesday, from_minute: 1_000, until_minute: 1_060 };
        let configuration = Configuration {
            motion_zones: Some((0..ZONES_MAX).map(zone).collect()),
            privacy_masks: Some((0..MASKS_MAX).map(mask).collect()),
            schedule: Some(Schedule {
                time_zone: "America/Argentina/ComodRivadavia".to_owned(),
                armed: vec![period; PERIODS_MAX],
            }),
            ..Configuration::default()
        };
        assert_eq!(configuration.validate(), Ok(()));
        let length = serde_json::to_vec(&configuration).unwrap().len();
        assert!(length < 48 * 1024, "{length} bytes");
    }
}

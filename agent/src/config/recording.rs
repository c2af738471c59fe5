//! `[recording]`: what is kept, and for how long.

use nightjar_shared::configuration::{RecordingMode, Schedule};
use serde::{Deserialize, Deserializer, de};

use super::unknown;

const RECORDING_MODES: &str = "\"event\", \"continuous\", \"both\" or \"off\"";

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingConfig {
    #[serde(deserialize_with = "recording_mode")]
    pub mode: RecordingMode,
    /// The hours of continuous footage; always when absent.
    pub schedule: Option<Schedule>,
    pub pre_roll_s: u32,
    pub post_roll_s: u32,
    /// Longer motion closes the clip and opens the next one, for the same event.
    pub max_clip_s: u32,
    /// Byte budget for all recordings.
    pub max_bytes: u64,
    /// Share of the disk that recordings leave free to everybody else; 0 where the disk is shared
    /// with something that fills it anyway.
    pub min_free_percent: u32,
    /// Clips and snapshots older than this are deleted; 0 keeps them for as long as there is room.
    pub max_age_days: u32,
    /// Continuous footage older than this is deleted; 0 keeps it for as long as there is room.
    pub continuous_max_age_days: u32,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self {
            mode: RecordingMode::Event,
            schedule: None,
            pre_roll_s: 5,
            post_roll_s: 5,
            max_clip_s: 60,
            max_bytes: 20_000_000_000,
            min_free_percent: 5,
            max_age_days: 0,
            continuous_max_age_days: 0,
        }
    }
}

fn recording_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RecordingMode, D::Error> {
    let word = String::deserialize(deserializer)?;
    match word.as_str() {
        "event" => Ok(RecordingMode::Event),
        "continuous" => Ok(RecordingMode::Continuous),
        "both" => Ok(RecordingMode::Both),
        "off" => Ok(RecordingMode::Off),
        _ => Err(de::Error::custom(unknown("recording.mode", &word, RECORDING_MODES))),
    }
}

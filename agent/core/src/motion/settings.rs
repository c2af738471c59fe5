//! What the owner sets of motion detection.

use nightjar_shared::configuration::{Schedule, Zone};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MotionConfig {
    pub enabled: bool,
    /// 0.0 (only large, clear motion) to 1.0 (the slightest).
    pub sensitivity: f32,
    /// Where motion counts, and where it does not; it counts everywhere when there is none.
    pub zones: Vec<Zone>,
    /// Motion that lasts less than this opens no event.
    pub min_duration_ms: u32,
    /// After an event, none is opened for this long.
    pub cool_down_s: u32,
    /// When motion opens events; always when absent.
    pub schedule: Option<Schedule>,
}

impl Default for MotionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            sensitivity: 0.5,
            zones: Vec::new(),
            min_duration_ms: 0,
            cool_down_s: 0,
            schedule: None,
        }
    }
}

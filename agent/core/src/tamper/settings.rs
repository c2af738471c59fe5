//! What the owner sets of the watch over the camera itself, and what it means.

use std::time::Duration;

use nightjar_shared::event::TamperKind;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TamperConfig {
    pub enabled: bool,
    /// 0.0 (only what hides nearly all, for long) to 1.0 (soon).
    pub sensitivity: f32,
}

impl Default for TamperConfig {
    fn default() -> Self {
        Self { enabled: true, sensitivity: 0.5 }
    }
}

/// What a sensitivity means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    /// With a smaller share of its landmarks, a scene is another one.
    pub(super) lost: f32,
    /// With a smaller share, a good part of it is hidden or another.
    pub(super) changed: f32,
    /// With less of its usual sharpness, a picture is blurred.
    pub(super) sharpness: f32,
    /// How much longer than usual something must last.
    patience: f32,
}

impl Limits {
    pub(super) fn of(config: &TamperConfig) -> Self {
        let keenness = config.sensitivity.clamp(0.0, 1.0) - 0.5;
        Self {
            lost: 0.4 + 0.2 * keenness,
            changed: 0.62 + 0.2 * keenness,
            sharpness: 0.55 + 0.2 * keenness,
            patience: (-2.0 * keenness).exp2(),
        }
    }

    /// Returns how long something must last. Who cleans a lens, a lorry that stops, and a lens that looks
    /// for its focus take less.
    pub(super) fn lasts(self, kind: TamperKind) -> Duration {
        let seconds = match kind {
            TamperKind::Black | TamperKind::Covered => 8.0,
            TamperKind::Turned | TamperKind::Unknown => 10.0,
            TamperKind::Blurred => 15.0,
            TamperKind::SceneChanged => 20.0,
        };
        Duration::from_secs_f32(seconds * self.patience)
    }
}

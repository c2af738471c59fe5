//! `[metrics]`: what `/metrics` says beside the relay's own figures.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Cameras that have series of their own; 0 for none. Of further ones only the sums are told.
    pub cameras_max: u32,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        // Five series each: 5,000, which any Prometheus takes.
        Self { cameras_max: 1_000 }
    }
}

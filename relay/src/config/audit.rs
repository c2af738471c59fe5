//! How long the trail of who did what is kept.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// A trail that is gone tomorrow tells nobody anything.
const DAYS_MIN: u16 = 7;
const DAYS_MAX: u16 = 3_650;

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    pub keep_days: u16,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { keep_days: 365 }
    }
}

impl AuditConfig {
    pub const DAYS: RangeInclusive<u16> = DAYS_MIN..=DAYS_MAX;

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if Self::DAYS.contains(&self.keep_days) {
            return Ok(());
        }
        Err(ConfigError::value("audit.keep_days", self.keep_days, "write 7 to 3650"))
    }

    pub fn kept_for(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.keep_days))
    }
}

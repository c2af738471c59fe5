//! What may be changed while the relay runs: the values that are in force, as an administrator set them
//! above the configuration.

use std::sync::{Arc, PoisonError, RwLock};

use nightjar_shared::{
    admin::{LogLevel, Setting},
    role::Registration,
};
use serde_json::Value;

use crate::config::{AuditConfig, Config, LimitsConfig};

/// More is no banner, but a page.
pub const BANNER_CHARS_MAX: usize = 300;
/// The largest number of anything that is taken: a petabyte in megabytes.
const COUNT_MAX: u64 = 1_000_000_000;

/// The values in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Current {
    pub registration: Registration,
    pub banner: Option<String>,
    /// As the program was started, where nothing is said.
    pub log_level: Option<LogLevel>,
    pub mail_on: bool,
    pub require_verified: bool,
    pub audit: AuditConfig,
    pub turn_site_megabytes_per_day: u64,
    pub limits: LimitsConfig,
}

/// Why a value is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {remedy}")]
pub struct InvalidSetting {
    pub setting: Setting,
    pub remedy: String,
}

impl Current {
    pub fn of(config: &Config) -> Self {
        Self {
            registration: config.registration,
            banner: None,
            log_level: None,
            mail_on: true,
            require_verified: config.mail.require_verified,
            audit: config.audit.clone(),
            turn_site_megabytes_per_day: config.turn.site_megabytes_per_day,
            limits: config.limits.clone(),
        }
    }

    pub fn turn_site_bytes_per_day(&self) -> u64 {
        self.turn_site_megabytes_per_day.saturating_mul(1_000_000)
    }

    /// Returns the value of a setting, as JSON.
    pub fn get(&self, setting: Setting) -> Value {
        match setting {
            Setting::Registration => self.registration.as_str().into(),
            Setting::Banner => self.banner.clone().into(),
            Setting::LogLevel => self.log_level.map(LogLevel::as_str).into(),
            Setting::MailOn => self.mail_on.into(),
            Setting::MailRequireVerified => self.require_verified.into(),
            Setting::AuditKeepDays => self.audit.keep_days.into(),
            Setting::TurnSiteMegabytesPerDay => self.turn_site_megabytes_per_day.into(),
            _ => self.clone().limit(setting).map(|limit| *limit).into(),
        }
    }

    /// Takes a value that is of the right type and in its range.
    pub fn set(&mut self, setting: Setting, value: &Value) -> Result<(), InvalidSetting> {
        let invalid = |remedy: String| InvalidSetting { setting, remedy };
        let word = || value.as_str().unwrap_or_default();
        let truth = || value.as_bool().ok_or_else(|| invalid("write true or false".to_owned()));
        match setting {
            Setting::Registration => {
                self.registration = word().parse().map_err(|_| {
                    invalid("write \"closed\", \"invitation\" or \"open\"".to_owned())
                })?;
            }
            Setting::LogLevel => {
                let words = "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"";
                self.log_level = Some(word().parse().map_err(|_| invalid(words.to_owned()))?);
            }
            Setting::Banner => {
                let is_shown = |text: &&str| {
                    (1..=BANNER_CHARS_MAX).contains(&text.chars().count())
                        && !text.chars().any(char::is_control)
                };
                let text = value.as_str().map(str::trim).filter(is_shown).ok_or_else(|| {
                    invalid(format!("write a line of 1 to {BANNER_CHARS_MAX} characters"))
                })?;
                self.banner = Some(text.to_owned());
            }
            Setting::MailOn => self.mail_on = truth()?,
            Setting::MailRequireVerified => self.require_verified = truth()?,
            Setting::AuditKeepDays => {
                let days = value.as_u64().and_then(|days| u16::try_from(days).ok());
                let days = days.filter(|days| AuditConfig::DAYS.contains(days));
                let (least, most) = (AuditConfig::DAYS.start(), AuditConfig::DAYS.end());
                self.audit.keep_days =
                    days.ok_or_else(|| invalid(format!("write a number from {least} to {most}")))?;
            }
            Setting::TurnSiteMegabytesPerDay => {
                self.turn_site_megabytes_per_day = number(value).map_err(invalid)?;
            }
            _ => {
                let number = number(value).map_err(invalid)?;
                if let Some(limit) = self.limit(setting) {
                    *limit = number;
                }
            }
        }
        Ok(())
    }

    fn limit(&mut self, setting: Setting) -> Option<&mut u64> {
        let limits = &mut self.limits;
        Some(match setting {
            Setting::CameraMegabytes => &mut limits.camera_megabytes,
            Setting::SiteMegabytes => &mut limits.site_megabytes,
            Setting::AccountMegabytes => &mut limits.account_megabytes,
            Setting::CameraEvents => &mut limits.camera_events,
            Setting::SiteEvents => &mut limits.site_events,
            Setting::AccountEvents => &mut limits.account_events,
            Setting::CameraClips => &mut limits.camera_clips,
            Setting::SiteClips => &mut limits.site_clips,
            Setting::AccountClips => &mut limits.account_clips,
            _ => return None,
        })
    }
}

fn number(value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .filter(|number| *number <= COUNT_MAX)
        .ok_or_else(|| format!("write a whole number from 0 to {COUNT_MAX}"))
}

/// The settings of a relay that runs.
pub struct Settings {
    current: RwLock<Arc<Current>>,
    /// Of the database's, what these are.
    version: RwLock<Option<u64>>,
}

impl Settings {
    pub fn new(config: &Config) -> Self {
        let current = RwLock::new(Arc::new(Current::of(config)));
        Self { current, version: RwLock::default() }
    }

    pub fn get(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn is_of(&self, version: u64) -> bool {
        *self.version.read().unwrap_or_else(PoisonError::into_inner) == Some(version)
    }

    pub fn put(&self, current: Current, version: u64) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        *self.version.write().unwrap_or_else(PoisonError::into_inner) = Some(version);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_setting_takes_what_it_gives_and_no_other_type() {
        let mut current = Current::of(&Config::default());
        current.banner = Some("Hello".to_owned());
        current.log_level = Some(LogLevel::Info);
        for setting in Setting::ALL.iter().copied() {
            let value = current.get(setting);
            let mut other = current.clone();
            other.set(setting, &value).unwrap();
            assert_eq!(other, current, "{setting}");
            let odd = [
                json!(null),
                json!([]),
                json!({}),
                json!(-1),
                json!(1.5),
                json!("\n"),
                json!(u64::MAX),
            ];
            for value in odd {
                assert!(other.set(setting, &value).is_err(), "{setting} takes {value}");
            }
            assert_eq!(other, current, "{setting}: what is refused changes nothing");
        }
    }
}

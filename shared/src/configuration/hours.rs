//! Hours in the time of the place where the camera hangs.

use serde::{Deserialize, Serialize};

use super::at_most;

const TIME_ZONE_CHARS_MAX: usize = 64;
/// Every hour of a week.
pub(super) const PERIODS_MAX: usize = 7 * 24;
const MINUTES_A_DAY: u16 = 24 * 60;

/// The same hours every day, over midnight where they end before they begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QuietHours {
    /// A name of the IANA time zone database, for instance `Europe/Zurich`.
    pub time_zone: String,
    /// Minutes after midnight, 0 to 1439.
    pub from_minute: u16,
    /// Minutes after midnight, 0 to 1439.
    pub until_minute: u16,
}

impl QuietHours {
    /// Returns whether a minute of the day, counted from midnight, is in the span.
    pub fn cover(&self, minute: u16) -> bool {
        let (from, until) = (self.from_minute, self.until_minute);
        if from <= until {
            (from..until).contains(&minute)
        } else {
            minute >= from || minute < until
        }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        let minutes = [self.from_minute, self.until_minute];
        if minutes.iter().any(|minute| *minute >= MINUTES_A_DAY) {
            return Err("upload_quiet_hours: minutes are 0 to 1439".to_owned());
        }
        if self.time_zone.chars().count() > TIME_ZONE_CHARS_MAX {
            return Err("upload_quiet_hours.time_zone: too long".to_owned());
        }
        Ok(())
    }
}

/// Hours of a week, in the time of the place where the camera hangs: those in which motion opens
/// events, or those in which continuous footage is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Schedule {
    /// A name of the IANA time zone database, for instance `Europe/Zurich`.
    pub time_zone: String,
    /// Without any, always.
    #[serde(default)]
    pub armed: Vec<Period>,
}

/// From the beginning of one minute to the beginning of another of the same local day. What goes
/// on over midnight is two periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Period {
    pub day: Weekday,
    /// 0 to 1439.
    pub from_minute: u16,
    /// Later than `from_minute`, at most 1440.
    pub until_minute: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Schedule {
    pub(super) fn validate(&self, field: &str) -> Result<(), String> {
        let in_names = |letter: u8| letter.is_ascii_alphanumeric() || b"/_+-".contains(&letter);
        let length = self.time_zone.len();
        if !(1..=TIME_ZONE_CHARS_MAX).contains(&length) || !self.time_zone.bytes().all(in_names) {
            return Err(format!("{field}.time_zone: expected a name such as Europe/Zurich"));
        }
        at_most(&format!("{field}.armed"), self.armed.len(), PERIODS_MAX)?;
        let sound = |period: &Period| {
            period.from_minute < period.until_minute && period.until_minute <= MINUTES_A_DAY
        };
        match self.armed.iter().position(|period| !sound(period)) {
            Some(at) => Err(format!(
                "{field}.armed[{at}]: expected from_minute < until_minute <= {MINUTES_A_DAY}"
            )),
            None => Ok(()),
        }
    }
}

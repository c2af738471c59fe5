//! Whom to tell of a fault: what stands in `/.well-known/security.txt` (RFC 9116).

use nightjar_shared::time::UnixMillis;
use serde::{Deserialize, Serialize};
use toml::value::{Datetime, Offset};

use super::ConfigError;

/// Without a contact there is no such file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// URIs, the preferred one first: `mailto:`, `https:` or `tel:`.
    pub contact: Vec<String>,
    /// From when on this is not to be relied on.
    pub expires: Option<Datetime>,
    /// Where the operator says how faults are dealt with.
    pub policy: Option<String>,
    /// Language tags, separated by commas.
    pub preferred_languages: Option<String>,
}

impl SecurityConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let is_uri = |uri: &&String| {
            ["mailto:", "https://", "tel:"].iter().any(|scheme| uri.starts_with(scheme))
                && is_one_line(uri)
        };
        if let Some(contact) = self.contact.iter().find(|uri| !is_uri(uri)) {
            let remedy = "write a URI: \"mailto:security@example.org\", \"https://…\" or \"tel:…\"";
            return Err(ConfigError::value("security.contact", contact, remedy));
        }
        if let Some(policy) = self.policy.as_ref().filter(|uri| !is_uri(uri)) {
            let remedy = "write an address like https://example.org/security";
            return Err(ConfigError::value("security.policy", policy, remedy));
        }
        if let Some(languages) = self.preferred_languages.as_ref().filter(|it| !is_one_line(it)) {
            let remedy = "write language tags like \"en, de\"";
            return Err(ConfigError::value("security.preferred_languages", languages, remedy));
        }
        let expires = self.expires.map(|expires| expires.to_string()).unwrap_or_default();
        if !self.contact.is_empty() && self.expires_at().is_none() {
            let remedy = "a contact needs a time with its zone, like 2027-06-30T00:00:00Z";
            return Err(ConfigError::value("security.expires", expires, remedy));
        }
        Ok(())
    }

    /// Returns when what stands here expires, if that is a moment.
    fn expires_at(&self) -> Option<UnixMillis> {
        let Datetime { date: Some(date), time: Some(time), offset: Some(offset) } = self.expires?
        else {
            return None;
        };
        let behind_utc_minutes = match offset {
            Offset::Z => 0,
            Offset::Custom { minutes } => i64::from(minutes),
        };
        let day = days_since_1970(date.year.into(), date.month.into(), date.day.into());
        let minutes = (day * 24 + i64::from(time.hour)) * 60 + i64::from(time.minute);
        let seconds = (minutes - behind_utc_minutes) * 60 + i64::from(time.second.unwrap_or(0));
        Some(UnixMillis(seconds * 1_000))
    }

    /// Writes the file as it is to be served, or nothing where there is no contact or the time is
    /// over: a reader must not rely on what has expired.
    pub fn text(&self, public_url: &str, now: UnixMillis) -> Option<String> {
        let expires = self.expires.filter(|_| self.expires_at().is_some_and(|at| at > now))?;
        if self.contact.is_empty() {
            return None;
        }
        let mut lines: Vec<String> =
            self.contact.iter().map(|uri| format!("Contact: {uri}")).collect();
        lines.push(format!("Expires: {expires}"));
        lines.push(format!("Canonical: {public_url}/.well-known/security.txt"));
        lines.extend(self.policy.iter().map(|uri| format!("Policy: {uri}")));
        let languages = self.preferred_languages.iter();
        lines.extend(languages.map(|tags| format!("Preferred-Languages: {tags}")));
        Some(lines.join("\n") + "\n")
    }
}

/// A line break would begin another field.
fn is_one_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// Counts the days of the Gregorian calendar from 1970-01-01. Years begin in March here, so that a
/// leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> SecurityConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn moments_are_counted_as_the_calendar_does() {
        let moments = [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2027-06-30T00:00:00Z", 1_814_313_600),
            ("2027-06-30T02:00:00+02:00", 1_814_313_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ];
        for (text, seconds) in moments {
            let expires_at = config(&format!("expires = {text}")).expires_at();
            assert_eq!(expires_at, Some(UnixMillis(seconds * 1_000)), "{text}");
        }
    }

    #[test]
    fn what_cannot_stand_in_the_file_is_refused() {
        for text in [
            "contact = [\"security@example.org\"]\nexpires = 2027-06-30T00:00:00Z",
            "contact = [\"mailto:a@example.org\\nExpires: 2099-01-01T00:00:00Z\"]\nexpires = 2027-06-30T00:00:00Z",
            "contact = [\"mailto:a@example.org\"]",
            "contact = [\"mailto:a@example.org\"]\nexpires = 2027-06-30",
            "contact = [\"mailto:a@example.org\"]\nexpires = 2027-06-30T00:00:00Z\npolicy = \"ours\"",
        ] {
            config(text).validate().unwrap_err();
        }
        config("").validate().unwrap();
    }
}

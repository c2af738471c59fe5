//! What the camera does by the clock: local hours of a week, in the zone where it hangs.

use jiff::{Timestamp, civil, tz};
use nightjar_shared::{
    configuration::{Period, QuietHours, Schedule, Weekday},
    time::UnixMillis,
};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "schedule.time_zone = {0}: this camera knows no such zone; expected one like Europe/Zurich"
)]
pub struct UnknownTimeZone(String);

/// A schedule whose time zone is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Week {
    zone: tz::TimeZone,
    armed: Vec<Period>,
}

impl Default for Week {
    fn default() -> Self {
        Self { zone: tz::TimeZone::UTC, armed: Vec::new() }
    }
}

impl Week {
    pub fn new(schedule: &Schedule) -> Result<Self, UnknownTimeZone> {
        Ok(Self { zone: time_zone(&schedule.time_zone)?, armed: schedule.armed.clone() })
    }

    /// Whether that time is among the hours. A clock that has not been set yet (`None`) must not
    /// switch a camera off.
    pub fn covers_at(&self, now: Option<UnixMillis>) -> bool {
        let Some(now) = now else { return true };
        self.armed.is_empty() || self.covers(now)
    }

    fn covers(&self, now: UnixMillis) -> bool {
        // A time beyond what calendars reach is no better than none.
        let Ok(now) = Timestamp::from_millisecond(now.0) else { return true };
        let local = self.zone.to_datetime(now);
        let minute = minute_of_day(local);
        self.armed.iter().any(|period| {
            weekday(period.day) == local.weekday()
                && (period.from_minute..period.until_minute).contains(&minute)
        })
    }
}

/// Daily hours whose time zone is known.
#[derive(Debug, Clone, PartialEq)]
pub struct DailyHours {
    zone: tz::TimeZone,
    hours: QuietHours,
}

impl DailyHours {
    pub fn new(hours: &QuietHours) -> Result<Self, UnknownTimeZone> {
        Ok(Self { zone: time_zone(&hours.time_zone)?, hours: hours.clone() })
    }

    pub fn cover(&self, now: UnixMillis) -> bool {
        let Ok(now) = Timestamp::from_millisecond(now.0) else { return false };
        self.hours.cover(minute_of_day(self.zone.to_datetime(now)))
    }
}

fn minute_of_day(local: civil::DateTime) -> u16 {
    u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs())
}

/// The system's data are updated with the system; the agent's own are there on every system.
fn time_zone(name: &str) -> Result<tz::TimeZone, UnknownTimeZone> {
    let known = tz::db().get(name).or_else(|_| tz::TimeZoneDatabase::bundled().get(name));
    known.map_err(|_| UnknownTimeZone(name.chars().take(64).collect()))
}

fn weekday(day: Weekday) -> civil::Weekday {
    match day {
        Weekday::Monday => civil::Weekday::Monday,
        Weekday::Tuesday => civil::Weekday::Tuesday,
        Weekday::Wednesday => civil::Weekday::Wednesday,
        Weekday::Thursday => civil::Weekday::Thursday,
        Weekday::Friday => civil::Weekday::Friday,
        Weekday::Saturday => civil::Weekday::Saturday,
        Weekday::Sunday => civil::Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn week(time_zone: &str, day: Weekday, from_minute: u16, until_minute: u16) -> Week {
        let armed = vec![Period { day, from_minute, until_minute }];
        Week::new(&Schedule { time_zone: time_zone.to_owned(), armed }).unwrap()
    }

    #[track_caller]
    fn is_armed(week: &Week, utc: &str) -> bool {
        let at = utc.parse::<Timestamp>().unwrap().as_millisecond();
        week.covers_at(Some(UnixMillis(at)))
    }

    #[test]
    fn without_periods_or_without_a_clock_it_is_always_armed() {
        assert!(is_armed(&Week::default(), "2026-01-01T00:00:00Z"));
        let mondays = week("UTC", Weekday::Monday, 0, 1_440);
        assert!(!is_armed(&mondays, "2026-11-24T00:00:00Z"), "a Tuesday");
        assert!(mondays.covers_at(None));
    }

    #[test]
    fn a_period_begins_with_its_first_minute_and_ends_before_its_last() {
        let shop = week("Asia/Kolkata", Weekday::Friday, 9 * 60, 17 * 60 + 30);
        assert!(!is_armed(&shop, "2026-11-20T03:29:59Z"));
        assert!(is_armed(&shop, "2026-11-20T03:30:00Z"));
        assert!(is_armed(&shop, "2026-11-20T11:59:59Z"));
        assert!(!is_armed(&shop, "2026-11-20T12:00:00Z"));
        assert!(!is_armed(&shop, "2026-11-21T05:00:00Z"), "a Saturday");
    }

    #[test]
    fn midnight_is_that_of_the_place() {
        let saturday = week("Pacific/Auckland", Weekday::Saturday, 0, 1_440);
        assert!(is_armed(&saturday, "2026-11-20T11:00:00Z"), "Saturday, 00:00 there");
        assert!(!is_armed(&saturday, "2026-11-20T10:59:59Z"));
    }

    #[test]
    fn in_spring_the_hour_that_is_left_out_shortens_its_period() {
        // Zurich, 29 March 2026: 01:59:59 +01:00 is followed by 03:00:00 +02:00.
        let night = week("Europe/Zurich", Weekday::Sunday, 60, 3 * 60);
        assert!(is_armed(&night, "2026-03-29T00:59:59Z"), "01:59:59");
        assert!(!is_armed(&night, "2026-03-29T01:00:00Z"), "03:00:00");
        let morning = week("Europe/Zurich", Weekday::Sunday, 3 * 60, 4 * 60);
        assert!(is_armed(&morning, "2026-03-29T01:00:00Z"));
        assert!(!is_armed(&morning, "2026-03-29T02:00:00Z"));
    }

    #[test]
    fn in_autumn_the_hour_that_comes_twice_counts_twice() {
        // Zurich, 25 October 2026: 02:59:59 +02:00 is followed by 02:00:00 +01:00.
        let hour = week("Europe/Zurich", Weekday::Sunday, 2 * 60, 3 * 60);
        assert!(!is_armed(&hour, "2026-10-24T23:59:59Z"));
        assert!(is_armed(&hour, "2026-10-25T00:30:00Z"), "the first 02:30");
        assert!(is_armed(&hour, "2026-10-25T01:30:00Z"), "the second 02:30");
        assert!(!is_armed(&hour, "2026-10-25T02:00:00Z"), "03:00");
    }

    #[test]
    fn daily_hours_go_over_midnight_of_the_place() {
        let hours = QuietHours {
            time_zone: "Asia/Kolkata".to_owned(),
            from_minute: 22 * 60,
            until_minute: 6 * 60,
        };
        let night = DailyHours::new(&hours).unwrap();
        let cover =
            |utc: &str| night.cover(UnixMillis(utc.parse::<Timestamp>().unwrap().as_millisecond()));
        assert!(cover("2026-11-20T16:30:00Z"), "22:00");
        assert!(cover("2026-11-21T00:29:59Z"), "05:59");
        assert!(!cover("2026-11-21T00:30:00Z"), "06:00");
        assert!(!cover("2026-11-20T16:29:59Z"), "21:59");
        let never = QuietHours { until_minute: 22 * 60, ..hours };
        assert!(!DailyHours::new(&never).unwrap().cover(UnixMillis(0)));
    }

    #[test]
    fn an_unknown_zone_is_named() {
        let schedule = Schedule { time_zone: "Europe/Atlantis".to_owned(), armed: Vec::new() };
        let error = Week::new(&schedule).unwrap_err().to_string();
        assert!(error.starts_with("schedule.time_zone = Europe/Atlantis"), "{error}");
    }

    #[test]
    fn odd_times_are_survived() {
        let mondays = week("UTC", Weekday::Monday, 0, 1_440);
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            mondays.covers_at(Some(UnixMillis(millis)));
        }
    }
}

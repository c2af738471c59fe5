//! Times as people write them: RFC 3339 in UTC.

use nightjar_shared::time::UnixMillis;

/// Reads a time such as `2026-11-20T13:00:00Z`; seconds, `Z` and the time of day may be left out, a space may stand
/// for the `T`.
pub(super) fn parse_time(text: &str) -> Result<UnixMillis, String> {
    let hint = || format!("`{text}` is not a time like 2026-11-20T13:00:00Z");
    let plain = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = plain.split_once(['T', ' ']).unwrap_or((plain, "00:00"));
    let mut date = date.splitn(3, '-').map(|word| word.parse::<u32>().ok());
    let mut time = time.splitn(3, ':').map(|word| word.parse::<u32>().ok());
    let mut next = |low, high| {
        date.next().flatten().filter(|number| (low..=high).contains(number)).ok_or_else(hint)
    };
    let (year, month, day) = (next(1970, 9_999)?, next(1, 12)?, next(1, 31)?);
    let mut next = |high, default| match time.next() {
        None => default,
        Some(number) => number.filter(|number| *number <= high),
    };
    let clock = (next(23, None), next(59, None), next(59, Some(0)));
    let (Some(hours), Some(minutes), Some(seconds)) = clock else { return Err(hint()) };
    let days = days_since_1970(year, month, day);
    // There is no 30th of February.
    if date_of(days) != (i64::from(year), month.into(), day.into()) {
        return Err(hint());
    }
    let seconds_of_day = i64::from(hours * 3_600 + minutes * 60 + seconds);
    Ok(UnixMillis((days * 86_400 + seconds_of_day) * 1_000))
}

pub(super) fn show_time(time: UnixMillis) -> String {
    let seconds = time.0.div_euclid(1_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hours, minutes, seconds) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

/// Counts the days of the Gregorian calendar in years that begin in March: leap days come last.
fn days_since_1970(year: u32, month: u32, day: u32) -> i64 {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-20T13:00:00Z", 1_795_179_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(parse_time(text), Ok(UnixMillis(seconds * 1_000)), "{text}");
            assert_eq!(show_time(UnixMillis(seconds * 1_000)), text);
        }
        assert_eq!(parse_time("2026-11-20 13:00"), parse_time("2026-11-20T13:00:00Z"));
        assert_eq!(parse_time("2026-11-20"), parse_time("2026-11-20T00:00:00Z"));
    }

    #[test]
    fn every_day_is_shown_as_it_is_read() {
        for day in (0..60_000).step_by(7) {
            let time = UnixMillis(day * 86_400_000);
            assert_eq!(parse_time(&show_time(time)), Ok(time));
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in ["", "yesterday", "2026-13-01", "2026-11-20T25:00", "2026-11-20T10", "1-1-1"] {
            assert!(parse_time(text).unwrap_err().contains("2026-11-20T13:00:00Z"), "{text}");
        }
    }
}

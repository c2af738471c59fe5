//! `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.

use std::time::Duration;

use http::{HeaderMap, header};
use jiff::fmt::rfc2822;
use nightjar_shared::time::UnixMillis;

/// No server has the relay wait longer: what is told then is of no use to anybody.
const MAX: Duration = Duration::from_hours(6);

/// Returns how long a server asks to wait: nothing where it does not say, or says it in a way that nobody
/// understands.
pub fn retry_after(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        // More digits than a number has are a long time.
        text.parse().map_or(MAX, Duration::from_secs)
    } else {
        let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        UnixMillis(at.as_millisecond()).since(now)
    };
    Some(wait.min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nothing_waits_for_a_year() {
        // Sun, 06 Nov 1994 08:49:37 GMT.
        let now = UnixMillis(784_111_777_000);
        let wait = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static(text));
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("0"), Some(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:51:37 GMT"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:40:00 GMT"), Some(0));
        for long in ["31536000", "99999999999999999999999999", "Mon, 06 Nov 1995 08:49:37 GMT"] {
            assert_eq!(wait(long), Some(MAX.as_secs()), "{long}");
        }
        for garbage in ["", "soon", "-1", "1.5", "12 s", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(wait(garbage), None, "{garbage}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}

//! Why a request was refused, as one line for who runs the relay. Pure.
//!
//! It names method, path and headers, and nothing of the query: that is the signature.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, Uri, header};
use nightjar_shared::time::UnixMillis;

/// One line in this time; what is left out is counted.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// A signature from the future is taken for so long, as s3s does.
const AHEAD_MAX: Duration = Duration::from_mins(15);

/// What of a request is looked at when it is refused.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
}

/// Which refusals are logged.
#[derive(Default)]
pub(super) struct Lines {
    last_at: Option<UnixMillis>,
    left_out: u64,
}

impl Lines {
    /// Returns whether there is room for a line, and how many were left out before it.
    pub(super) fn next(&mut self, now: UnixMillis) -> Option<u64> {
        if self.last_at.is_some_and(|last| now.since(last) < LINE_EVERY && now >= last) {
            self.left_out += 1;
            return None;
        }
        self.last_at = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Returns whether an answer is one that points at a fault: what is not there, a range beyond the end
/// and what nobody offers are everyday answers.
pub(super) fn is_worth_a_line(status: StatusCode) -> bool {
    let everyday =
        [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::RANGE_NOT_SATISFIABLE];
    status.is_client_error() && !everyday.contains(&status)
}

/// Says what is wrong with a refused request, and what to do. `code` is S3's word for it.
pub(super) fn explain(asked: &Asked, code: &str, now: UnixMillis) -> String {
    let query = asked.uri.query().unwrap_or_default();
    if query_value(query, "X-Amz-Signature").is_none() {
        return "it carries no signature: the query was cut off on the way, or nobody signed it"
            .to_owned();
    }
    match code {
        "AccessDenied" | "SignatureDoesNotMatch" | "InvalidRequest" | "MissingContentLength" => {
            expired(query, now)
                .or_else(|| missing_header(query, &asked.headers))
                .unwrap_or_else(|| {
                    "its signature is not for what arrived: method, path, query or a signed header was \
                     changed on the way, or the store has new credentials"
                        .to_owned()
                })
        }
        "InvalidAccessKeyId" => "it was signed with credentials that are not the store's".to_owned(),
        "BadDigest" | "XAmzContentChecksumMismatch" => {
            "the bytes are not those that its checksum promises".to_owned()
        }
        "IncompleteBody" => "its body ended early, or went on too long".to_owned(),
        "EntityTooLarge" => "the object is larger than any may be".to_owned(),
        "PreconditionFailed" => "other bytes are stored under this key".to_owned(),
        _ => "the store does not take it".to_owned(),
    }
}

fn expired(query: &str, now: UnixMillis) -> Option<String> {
    let signed_at = signed_at(query_value(query, "X-Amz-Date")?)?;
    let lasts = Duration::from_secs(query_value(query, "X-Amz-Expires")?.parse().ok()?);
    if signed_at.since(now) > AHEAD_MAX {
        let ahead = signed_at.since(now).as_secs();
        return Some(format!("it is signed for {ahead} s from now: compare the clocks"));
    }
    let over = now.since(signed_at.plus(lasts)).as_secs();
    (over > 0).then(|| format!("its address ran out {over} s ago"))
}

/// Finds a header that is signed for and did not arrive.
fn missing_header(query: &str, headers: &HeaderMap) -> Option<String> {
    let signed = query_value(query, "X-Amz-SignedHeaders")?;
    let signed = signed.replace("%3B", ";").replace("%3b", ";");
    // The store knows its host itself.
    let is_missing = |name: &&str| *name != header::HOST && !headers.contains_key(*name);
    let name = signed.split(';').find(is_missing)?;
    let remedy = match name {
        "content-length" => "a proxy on the way must pass uploads on whole, not in chunks",
        _ => "a proxy on the way must pass it on",
    };
    let name: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
    Some(format!("the header {name} is signed for and did not arrive: {remedy}"))
}

fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

/// Reads `20261130T120000Z`.
fn signed_at(text: &str) -> Option<UnixMillis> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(UnixMillis(time.timestamp().as_millisecond()))
}

/// Returns the code of an S3 error.
pub(super) fn code_of(body: &[u8]) -> Option<&str> {
    let (_, rest) = std::str::from_utf8(body).ok()?.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "http://store/clips/a.mp4?X-Amz-Date=20261130T120000Z&X-Amz-Expires=300\
                          &X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost&X-Amz-Signature=00";
    const SIGNED_AT: UnixMillis = UnixMillis(1_796_040_000_000);

    fn explained(uri: &str, code: &str, headers: &[&'static str], after_s: i64) -> String {
        let mut map = HeaderMap::new();
        for name in headers {
            map.insert(*name, "x".parse().unwrap());
        }
        let asked = Asked { method: Method::PUT, uri: uri.parse().unwrap(), headers: map };
        let why = explain(&asked, code, UnixMillis(SIGNED_AT.0 + after_s * 1000));
        assert!(!why.contains("X-Amz") && !why.contains('\n'), "{why}");
        why
    }

    #[test]
    fn what_is_wrong_is_said_and_the_signature_is_not() {
        let all = ["content-length", "content-type", "host"];
        for (uri, code, headers, after_s, part) in [
            ("http://store/clips/a.mp4", "AccessDenied", &all[..], 0, "no signature"),
            (SIGNED, "AccessDenied", &all[..], 337, "ran out 37 s ago"),
            (SIGNED, "AccessDenied", &all[..], -3_600, "from now: compare the clocks"),
            (SIGNED, "SignatureDoesNotMatch", &all[1..], 0, "content-length is signed for"),
            (SIGNED, "SignatureDoesNotMatch", &all[..1], 0, "header content-type"),
            (SIGNED, "SignatureDoesNotMatch", &all[..], 0, "changed on the way"),
            (SIGNED, "BadDigest", &all[..], 0, "not those"),
            (SIGNED, "SlowDown", &all[..], 0, "does not take it"),
        ] {
            let why = explained(uri, code, headers, after_s);
            assert!(why.contains(part), "{code}: {why}");
        }
    }

    #[test]
    fn refusals_without_end_are_a_line_now_and_then() {
        let mut lines = Lines::default();
        let at = |s: i64| UnixMillis(1_000_000 + s * 1000);
        assert_eq!(lines.next(at(0)), Some(0));
        assert!((1..10).all(|s| lines.next(at(s)).is_none()));
        assert_eq!(lines.next(at(10)), Some(9));
        assert_eq!(lines.next(at(11)), None);
        assert_eq!(lines.next(at(5)), Some(1), "a clock that was set back holds nothing up");
    }

    #[test]
    fn what_is_not_there_is_no_fault() {
        assert!(is_worth_a_line(StatusCode::FORBIDDEN) && is_worth_a_line(StatusCode::BAD_REQUEST));
        assert!(!is_worth_a_line(StatusCode::NOT_FOUND) && !is_worth_a_line(StatusCode::OK));
    }
}

//! Single attributes of a session description, and which of their values are taken.

use super::MAX_CANDIDATE_LENGTH;

/// Checks a candidate, as in `a=candidate:` without the `a=`. Names, as mDNS candidates have, are
/// left out: `GStreamer` 1.22 never frees a connection that closes while it looks one up. The viewer
/// is found without, as it is the first to send to the camera's address. So are those of ICE over
/// TCP, which the camera does not do.
pub fn is_candidate(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("candidate:") else { return false };
    let words: Vec<&str> = rest.split(' ').collect();
    let [foundation, component, transport, priority, address, port, "typ", kind, ..] =
        words.as_slice()
    else {
        return false;
    };
    text.len() <= MAX_CANDIDATE_LENGTH
        && words.iter().all(|word| is_token(word, 1, 256))
        && is_ice_text(foundation, 1)
        && ["1", "2"].contains(component)
        && transport.eq_ignore_ascii_case("udp")
        && priority.parse::<u32>().is_ok()
        && address.parse::<std::net::IpAddr>().is_ok()
        && port.parse::<u16>().is_ok()
        && ["host", "srflx", "prflx", "relay"].contains(kind)
}

/// Returns whether this is of the letters of ICE, and of so many at least.
pub(super) fn is_ice_text(text: &str, least: usize) -> bool {
    (least..=256).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

fn is_token(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns whether this is `NAME/RATE` or `NAME/RATE/CHANNELS`, as in an `rtpmap`.
pub(super) fn is_codec(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let (name, rate, channels) = match parts.as_slice() {
        [name, rate] => (*name, *rate, "1"),
        [name, rate, channels] => (*name, *rate, *channels),
        _ => return false,
    };
    is_token(name, 1, 32)
        && rate.parse::<u32>().is_ok_and(|rate| (1..=1_000_000).contains(&rate))
        && channels.parse::<u8>().is_ok_and(|channels| (1..=8).contains(&channels))
}

/// Finds one `key=value` of a format's parameters.
pub(super) fn parameter<'a>(format: &'a str, key: &str) -> Option<&'a str> {
    format.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case(key).then_some(value.trim())
    })
}

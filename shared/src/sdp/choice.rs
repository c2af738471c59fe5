//! Which of the offered payload types the answer uses.

use super::{attribute::parameter, section::Section};

/// The RTP header extension that numbers packets for transport-wide feedback.
pub const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// The RTP header extension that tells a player how long to wait with each picture. Described at
/// <https://webrtc.googlesource.com/src/+/main/docs/native-code/rtp-hdrext/playout-delay/README.md>.
pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// The payload type that the answer uses.
pub(super) struct Choice {
    pub(super) payload_type: u8,
    pub(super) profile_level_id: Option<String>,
    /// The payload type of its retransmissions, if the viewer knows them.
    pub(super) retransmissions: Option<u8>,
    /// The number of the header extension for transport-wide feedback, if the viewer sends that.
    pub(super) transport_cc: Option<u8>,
    /// The number of the header extension that tells players how long to wait.
    pub(super) playout_delay: Option<u8>,
}

impl Choice {
    /// H.264 with packetization-mode=1, best constrained baseline: that is what the encoder
    /// makes, and what Safari and Firefox want.
    ///
    /// Where that is not offered, H.264 without a mode. By RFC 6184 it is mode 0, but `GStreamer`'s
    /// `whepclientsrc` never names one and takes mode 1.
    pub(super) fn best(section: &Section<'_>) -> Option<Self> {
        section
            .by_payload("fmtp")
            .filter(|(payload, _)| is_h264(section, *payload))
            .filter_map(|(payload_type, format)| {
                let mode = mode_rank(parameter(format, "packetization-mode"))?;
                let profile = parameter(format, "profile-level-id").map(str::to_ascii_lowercase);
                Some((payload_type, mode, profile.filter(|profile| is_profile(profile))))
            })
            // The first of the best: viewers list what they prefer first.
            .min_by_key(|(_, mode, profile)| (*mode, profile_rank(profile.as_deref())))
            .map(|(payload_type, _, profile_level_id)| Self {
                payload_type,
                profile_level_id,
                retransmissions: retransmissions_of(section, payload_type),
                transport_cc: transport_cc_of(section, payload_type),
                playout_delay: extension_of(section, PLAYOUT_DELAY),
            })
    }
}

/// Ranks a mode: the less, the better; none where our packets would be refused.
fn mode_rank(mode: Option<&str>) -> Option<u8> {
    match mode {
        Some("1") => Some(0),
        None => Some(1),
        Some(_) => None,
    }
}

fn profile_rank(profile: Option<&str>) -> u8 {
    match profile {
        Some(profile) if profile.starts_with("42e0") => 0,
        Some(profile) if profile.starts_with("4200") => 1,
        Some(profile) if profile.starts_with("4d00") => 2,
        _ => 3,
    }
}

fn is_h264(section: &Section<'_>, payload: u8) -> bool {
    let is_it =
        |(other, codec): (u8, &str)| other == payload && codec.eq_ignore_ascii_case("H264/90000");
    section.has_format(payload) && section.by_payload("rtpmap").any(is_it)
}

fn retransmissions_of(section: &Section<'_>, payload_type: u8) -> Option<u8> {
    let repeats = |format: &str| {
        parameter(format, "apt").and_then(|apt| apt.parse::<u8>().ok()) == Some(payload_type)
    };
    section
        .by_payload("fmtp")
        .find(|(payload, format)| {
            *payload != payload_type && section.has_format(*payload) && repeats(format)
        })
        .map(|(payload, _)| payload)
}

fn transport_cc_of(section: &Section<'_>, payload: u8) -> Option<u8> {
    let id = extension_of(section, TRANSPORT_CC)?;
    section.gives_feedback(payload, "transport-cc").then_some(id)
}

/// Numbers above 14 need headers that nobody else uses.
fn extension_of(section: &Section<'_>, uri: &str) -> Option<u8> {
    section
        .by_payload("extmap")
        .find(|(id, offered)| (1..=14).contains(id) && *offered == uri)
        .map(|(id, _)| id)
}

fn is_profile(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

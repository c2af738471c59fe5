//! Which of the offered payload types the answer uses.

use super::{
    attribute::parameter,
    section::{Attribute, Section},
};

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
    /// The header extension for transport-wide feedback, if the viewer sends that.
    pub(super) transport_cc: Option<Extension>,
    /// The header extension that tells players how long to wait.
    pub(super) playout_delay: Option<Extension>,
}

/// An RTP header extension, as its receiver offers it (RFC 8285, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) id: u8,
    /// Whether it is offered for receiving alone, and has to be answered in kind.
    pub(super) one_way: bool,
}

impl Choice {
    /// H.264 with packetization-mode=1, best constrained baseline: that is what the encoder
    /// makes, and what Safari and Firefox want.
    ///
    /// Where that is not offered, H.264 without a mode, or without any parameters. By RFC 6184 it
    /// is mode 0, but `GStreamer`'s `whepclientsrc` never names one and takes mode 1.
    pub(super) fn best(section: &Section<'_>, session: &[Attribute<'_>]) -> Option<Self> {
        let codecs = section.by_payload("rtpmap");
        codecs
            .filter(|(payload, codec)| {
                codec.eq_ignore_ascii_case("H264/90000") && section.has_format(*payload)
            })
            .filter_map(|(payload_type, _)| {
                let mut formats = section.by_payload("fmtp");
                let format = formats.find(|(payload, _)| *payload == payload_type);
                let format = format.map_or("", |(_, format)| format);
                let mode = mode_rank(parameter(format, "packetization-mode"))?;
                let profile = parameter(format, "profile-level-id").map(str::to_ascii_lowercase);
                Some((payload_type, mode, profile.filter(|profile| is_profile(profile))))
            })
            // The first of the best: viewers list what they prefer first.
            .min_by_key(|(payload, mode, profile)| {
                let place = section.formats.iter().position(|it| it.parse() == Ok(*payload));
                (*mode, profile_rank(profile.as_deref()), place)
            })
            .map(|(payload_type, _, profile_level_id)| Self {
                payload_type,
                profile_level_id,
                retransmissions: retransmissions_of(section, payload_type),
                transport_cc: extension_of(section, session, TRANSPORT_CC)
                    .filter(|_| section.gives_feedback(payload_type, "transport-cc")),
                playout_delay: extension_of(section, session, PLAYOUT_DELAY),
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

/// Finds an extension, offered for the section or for all of them: `3`, or `3/recvonly`, then its name
/// and perhaps more. One that its viewer only sends is none of ours. Numbers above 14 need headers
/// that nobody else uses.
fn extension_of(section: &Section<'_>, session: &[Attribute<'_>], uri: &str) -> Option<Extension> {
    let offered = section.attributes.iter().chain(session).filter(|(key, _)| *key == "extmap");
    offered.map(|(_, value)| value).find_map(|value| {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        let number = words.next()?;
        if words.next()? != uri {
            return None;
        }
        let (id, direction) = number.split_once('/').unwrap_or((number, "sendrecv"));
        let one_way = match direction {
            "recvonly" => true,
            "sendrecv" => false,
            _ => return None,
        };
        let id = id.parse().ok().filter(|id| (1..=14).contains(id))?;
        Some(Extension { id, one_way })
    })
}

fn is_profile(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

//! One section of a session description, as it was read.

use super::attribute::is_codec;

pub(super) const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

/// The profiles that all mean SRTP by DTLS where there is a fingerprint (RFC 8829, section 5.1.2).
const PROFILES: [&str; 8] = [
    "UDP/TLS/RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "RTP/SAVPF",
    "RTP/SAVP",
    "RTP/AVPF",
    "RTP/AVP",
    "TCP/DTLS/RTP/SAVPF",
    "TCP/DTLS/RTP/SAVP",
];

/// Those of data channels (RFC 8841).
const DATA_PROTOCOLS: [&str; 3] = ["UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"];

/// A line `a=key:value` as key and value.
pub(super) type Attribute<'a> = (&'a str, &'a str);

/// One `m=` section.
pub(super) struct Section<'a> {
    pub(super) kind: &'a str,
    port: u16,
    pub(super) protocol: &'a str,
    pub(super) formats: Vec<&'a str>,
    pub(super) attributes: Vec<Attribute<'a>>,
}

impl<'a> Section<'a> {
    /// Reads the value of an `m=` line: kind, port with a number of ports, protocol, formats.
    pub(super) fn parse(header: &'a str) -> Option<Self> {
        let mut words = header.split(' ').filter(|word| !word.is_empty());
        let (kind, port, protocol) = (words.next()?, words.next()?, words.next()?);
        let (port, ports) = port.split_once('/').unwrap_or((port, "1"));
        let port = port.parse().ok()?;
        ports.parse::<u16>().ok()?;
        let formats = words.collect();
        Some(Self { kind, port, protocol, formats, attributes: Vec::new() })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        find(&self.attributes, key)
    }

    /// Returns its name, where it has one.
    pub(super) fn mid(&self) -> Option<&'a str> {
        self.get("mid")
    }

    /// Returns whether its maker wants nothing of it. One that is bundled alone has no port, either
    /// (RFC 9143, section 6).
    pub(super) fn is_disabled(&self) -> bool {
        self.port == 0 && self.get("bundle-only").is_none()
    }

    pub(super) fn is_rtp(&self) -> bool {
        ["audio", "video"].contains(&self.kind) && PROFILES.contains(&self.protocol)
    }

    pub(super) fn is_data(&self) -> bool {
        self.kind == "application"
            && DATA_PROTOCOLS.contains(&self.protocol)
            && self.formats == ["webrtc-datachannel"]
    }

    pub(super) fn multiplexes_rtcp(&self) -> bool {
        self.get("rtcp-mux").is_some() || self.get("rtcp-mux-only").is_some()
    }

    /// Values of the attributes that begin with a payload type.
    pub(super) fn by_payload(&self, key: &str) -> impl Iterator<Item = (u8, &'a str)> {
        let named = self.attributes.iter().filter(move |(name, _)| *name == key);
        named.filter_map(|(_, value)| {
            let (payload, rest) = value.split_once(' ')?;
            Some((payload.parse().ok().filter(|payload| *payload < 128)?, rest.trim()))
        })
    }

    pub(super) fn has_format(&self, payload: u8) -> bool {
        self.formats.iter().any(|format| format.parse() == Ok(payload))
    }

    /// Returns its one direction, with that of the whole description for one that says nothing;
    /// nothing when there are two.
    pub(super) fn direction(&self, default: &'a str) -> Option<&'a str> {
        let mut said = self.attributes.iter().filter(|(key, _)| DIRECTIONS.contains(key));
        let first = said.next().map_or(default, |(key, _)| key);
        said.all(|(key, _)| *key == first).then_some(first)
    }

    /// Returns the codecs of a section that is not ours, so that the answer can name one.
    pub(super) fn codecs(&self) -> impl Iterator<Item = (u8, &'a str)> {
        self.by_payload("rtpmap")
            .filter(|(payload, codec)| self.has_format(*payload) && is_codec(codec))
    }

    /// Returns whether its receiver gives this kind of feedback on a payload type, or on all of them.
    pub(super) fn gives_feedback(&self, payload: u8, feedback: &str) -> bool {
        self.attributes.iter().filter(|(key, _)| *key == "rtcp-fb").any(|(_, value)| {
            value.split_once(' ').is_some_and(|(on, offered)| {
                offered.trim() == feedback && (on == "*" || on.parse() == Ok(payload))
            })
        })
    }
}

/// Finds the first attribute of this name.
pub(super) fn find<'a>(attributes: &[Attribute<'a>], key: &str) -> Option<&'a str> {
    attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}

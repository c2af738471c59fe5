//! One section of a session description, as it was read.

use super::attribute::is_codec;

pub(super) const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

/// A line `a=key:value` as key and value.
pub(super) type Attribute<'a> = (&'a str, &'a str);

/// One `m=` section.
pub(super) struct Section<'a> {
    pub(super) kind: &'a str,
    /// The whole `m=` line's value: kind, port, protocol, formats.
    pub(super) header: &'a str,
    pub(super) attributes: Vec<Attribute<'a>>,
}

impl<'a> Section<'a> {
    pub(super) fn parse(header: &'a str) -> Option<Self> {
        let words: Vec<&str> = header.split(' ').collect();
        let [kind, port, protocol, formats @ ..] = words.as_slice() else { return None };
        port.parse::<u16>().ok()?;
        let is_payload = |format: &&str| format.parse::<u8>().is_ok_and(|payload| payload < 128);
        let known = match *kind {
            "audio" | "video" => {
                ["UDP/TLS/RTP/SAVPF", "RTP/SAVPF"].contains(protocol)
                    && !formats.is_empty()
                    && formats.iter().all(is_payload)
            }
            "application" => {
                ["UDP/DTLS/SCTP", "DTLS/SCTP"].contains(protocol)
                    && *formats == ["webrtc-datachannel"]
            }
            _ => false,
        };
        known.then(|| Self { kind, header, attributes: Vec::new() })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        find(&self.attributes, key)
    }

    pub(super) fn mid(&self) -> &'a str {
        self.get("mid").unwrap_or_default()
    }

    /// Values of the attributes that begin with a payload type.
    pub(super) fn by_payload(&self, key: &str) -> impl Iterator<Item = (u8, &'a str)> {
        let named = self.attributes.iter().filter(move |(name, _)| *name == key);
        named.filter_map(|(_, value)| {
            let (payload, rest) = value.split_once(' ')?;
            Some((payload.parse().ok().filter(|payload| *payload < 128)?, rest))
        })
    }

    pub(super) fn has_format(&self, payload: u8) -> bool {
        self.header.split(' ').skip(3).any(|format| format.parse() == Ok(payload))
    }

    /// Kind, port and protocol.
    pub(super) fn transport(&self) -> String {
        self.header.split(' ').take(3).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn is_receiving_video(&self) -> bool {
        self.kind == "video" && self.get("sendonly").is_none() && self.get("inactive").is_none()
    }

    /// Returns the codecs of a section that is not ours, so that the answer can name one.
    pub(super) fn codecs(&self) -> impl Iterator<Item = (u8, &'a str)> {
        self.by_payload("rtpmap")
            .filter(|(payload, codec)| self.has_format(*payload) && is_codec(codec))
    }

    pub(super) fn has_codecs(&self) -> bool {
        self.kind == "application" || self.codecs().next().is_some()
    }

    /// Returns whether there is one direction: more than one is none.
    pub(super) fn has_one_direction(&self) -> bool {
        self.attributes.iter().filter(|(key, _)| DIRECTIONS.contains(key)).count() <= 1
    }

    /// Returns whether its receiver gives this kind of feedback on a payload type.
    pub(super) fn gives_feedback(&self, payload: u8, feedback: &str) -> bool {
        self.by_payload("rtcp-fb").any(|offered| offered == (payload, feedback))
    }
}

/// Finds the first attribute of this name.
pub(super) fn find<'a>(attributes: &[Attribute<'a>], key: &str) -> Option<&'a str> {
    attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}

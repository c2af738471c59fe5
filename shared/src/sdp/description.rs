//! A session description as lines, read strictly and written anew.

use std::fmt::Write as _;

use super::{
    InvalidOffer, MAX_LENGTH, MAX_LINES, MAX_SECTIONS,
    attribute::{is_codec, is_known},
    choice::Choice,
};

const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

/// A line `a=key:value` as key and value.
type Attribute<'a> = (&'a str, &'a str);

/// One `m=` section.
pub(super) struct Section<'a> {
    kind: &'a str,
    /// The whole `m=` line's value: kind, port, protocol, formats.
    header: &'a str,
    attributes: Vec<Attribute<'a>>,
}

impl<'a> Section<'a> {
    fn parse(header: &'a str) -> Option<Self> {
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

    fn get(&self, key: &str) -> Option<&'a str> {
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

    fn is_receiving_video(&self) -> bool {
        self.kind == "video" && self.get("sendonly").is_none() && self.get("inactive").is_none()
    }

    fn write(&self, text: &mut String, choice: Option<&Choice>) {
        match choice {
            Some(choice) => choice.write_header(text, self),
            None => self.write_header(text),
        }
        line(text, 'c', "IN IP4 0.0.0.0");
        write_attributes(text, &self.attributes);
        // What RFC 8866 says of a section without one; `webrtcbin` would reject the section.
        if !self.attributes.iter().any(|(key, value)| DIRECTIONS.contains(key) && value.is_empty())
        {
            line(text, 'a', "sendrecv");
        }
        match choice {
            Some(choice) => choice.write_codec(text, self),
            None => self.write_codecs(text),
        }
    }

    /// The codecs of a section that is not ours, so that the answer can name one.
    fn codecs(&self) -> impl Iterator<Item = (u8, &'a str)> {
        self.by_payload("rtpmap")
            .filter(|(payload, codec)| self.has_format(*payload) && is_codec(codec))
    }

    /// The `m=` line of a section that is not ours. A format without a codec is left out:
    /// `webrtcbin` trips over it.
    fn write_header(&self, text: &mut String) {
        if self.kind == "application" {
            return line(text, 'm', self.header);
        }
        let _ = write!(text, "m={}", self.transport());
        let mut written = Vec::new();
        for (payload, _) in self.codecs() {
            if !written.contains(&payload) {
                let _ = write!(text, " {payload}");
                written.push(payload);
            }
        }
        text.push_str("\r\n");
    }

    fn write_codecs(&self, text: &mut String) {
        for (payload, codec) in self.codecs() {
            line(text, 'a', &format!("rtpmap:{payload} {codec}"));
        }
    }

    fn has_codecs(&self) -> bool {
        self.kind == "application" || self.codecs().next().is_some()
    }

    /// More than one direction is none.
    fn has_one_direction(&self) -> bool {
        self.attributes.iter().filter(|(key, _)| DIRECTIONS.contains(key)).count() <= 1
    }
}

/// A whole session description.
pub(super) struct Description<'a> {
    origin: &'a str,
    attributes: Vec<Attribute<'a>>,
    pub(super) sections: Vec<Section<'a>>,
}

impl<'a> Description<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, InvalidOffer> {
        if text.len() > MAX_LENGTH || text.lines().count() > MAX_LINES {
            return Err(InvalidOffer::TooLarge);
        }
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, first)| first) != Some("v=0") {
            return Err(InvalidOffer::NotSdp(1));
        }
        let origin = lines.next().and_then(|(_, second)| second.strip_prefix("o="));
        let origin = origin.filter(|origin| is_origin(origin)).ok_or(InvalidOffer::NotSdp(2))?;
        let mut this = Self { origin, attributes: Vec::new(), sections: Vec::new() };
        for (index, text) in lines {
            this.take(text).ok_or(InvalidOffer::NotSdp(index + 1))?;
        }
        this.check_sections()?;
        Ok(this)
    }

    fn take(&mut self, text: &'a str) -> Option<()> {
        let (key, value) = text.split_once('=')?;
        if value.is_empty() || value.chars().any(char::is_control) {
            return None;
        }
        match key {
            "m" => self.sections.push(Section::parse(value)?),
            "a" => {
                let attribute = value.split_once(':').unwrap_or((value, ""));
                let section = self.sections.last_mut().map(|section| &mut section.attributes);
                section.unwrap_or(&mut self.attributes).push(attribute);
            }
            // Known lines that say nothing an answer depends on.
            "s" | "t" | "i" | "u" | "e" | "p" | "c" | "b" | "r" | "z" | "k" => {}
            _ => return None,
        }
        Some(())
    }

    fn check_sections(&self) -> Result<(), InvalidOffer> {
        if !(1..=MAX_SECTIONS).contains(&self.sections.len()) {
            return Err(InvalidOffer::Sections);
        }
        let mut mids: Vec<&str> = self.sections.iter().map(Section::mid).collect();
        mids.sort_unstable();
        mids.dedup();
        let unnamed = mids.iter().any(|mid| !is_known("mid", mid));
        if unnamed || mids.len() != self.sections.len() {
            return Err(InvalidOffer::Names);
        }
        Ok(())
    }

    /// The section to answer with video: its transport must be complete, and those of the others
    /// as well. `webrtcbin` would refuse them later, and never free what it had begun.
    pub(super) fn video_section(&self) -> Result<usize, InvalidOffer> {
        let video = self
            .sections
            .iter()
            .position(Section::is_receiving_video)
            .ok_or(InvalidOffer::NoVideo)?;
        self.check_transport(&self.sections[video])?;
        if self.transport(&self.sections[video], "rtcp-mux").is_none() {
            return Err(InvalidOffer::Missing("rtcp-mux"));
        }
        for section in &self.sections {
            self.check_transport(section)?;
            if !section.has_codecs() || !section.has_one_direction() {
                return Err(InvalidOffer::Sections);
            }
        }
        self.check_agreement()?;
        Ok(video)
    }

    fn check_transport(&self, section: &Section<'a>) -> Result<(), InvalidOffer> {
        for key in ["ice-ufrag", "ice-pwd", "fingerprint"] {
            self.transport(section, key).ok_or(InvalidOffer::Missing(key))?;
        }
        // `GStreamer` looks for both in one place.
        if section.get("ice-ufrag").is_some() != section.get("ice-pwd").is_some() {
            return Err(InvalidOffer::Missing("ice-pwd"));
        }
        let setup = section.get("setup").filter(|value| is_known("setup", value));
        setup.map(drop).ok_or(InvalidOffer::Missing("setup"))
    }

    /// An attribute of a section's transport, its own or that of the whole description.
    fn transport(&self, section: &Section<'a>, key: &str) -> Option<&'a str> {
        let value = section.get(key).or_else(|| find(&self.attributes, key));
        value.filter(|value| is_known(key, value))
    }

    /// One viewer has one certificate, and bundled sections share their transport.
    fn check_agreement(&self) -> Result<(), InvalidOffer> {
        let all = |key| self.sections.iter().filter_map(move |section| section.get(key));
        let mut fingerprints = all("fingerprint").chain(find(&self.attributes, "fingerprint"));
        let first = fingerprints.next();
        if fingerprints.any(|other| Some(other) != first) {
            return Err(InvalidOffer::Sections);
        }
        for key in ["ice-ufrag", "ice-pwd"] {
            let mut values = self.sections.iter().map(|section| section.get(key));
            let first = values.next();
            if self.is_bundled() && values.any(|other| Some(other) != first) {
                return Err(InvalidOffer::Sections);
            }
        }
        Ok(())
    }

    fn is_bundled(&self) -> bool {
        find(&self.attributes, "group").is_some_and(|group| group.starts_with("BUNDLE"))
    }

    /// The description with known attributes only; the section `video` with the chosen codec.
    pub(super) fn rewritten(&self, video: usize, choice: &Choice) -> String {
        let mut text = String::with_capacity(2_048);
        line(&mut text, 'v', "0");
        line(&mut text, 'o', self.origin);
        line(&mut text, 's', "-");
        line(&mut text, 't', "0 0");
        if self.is_bundled() {
            let mids: Vec<&str> = self.sections.iter().map(Section::mid).collect();
            line(&mut text, 'a', &format!("group:BUNDLE {}", mids.join(" ")));
        }
        write_attributes(&mut text, &self.attributes);
        for (index, section) in self.sections.iter().enumerate() {
            section.write(&mut text, (index == video).then_some(choice));
        }
        text
    }
}

/// `name session version IN IP4|IP6 address`.
fn is_origin(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let [_, session, version, "IN", "IP4" | "IP6", address] = words.as_slice() else {
        return false;
    };
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    text.bytes().all(|byte| (0x20..0x7F).contains(&byte))
        && is_number(session)
        && is_number(version)
        && address.parse::<std::net::IpAddr>().is_ok()
}

fn find<'a>(attributes: &[Attribute<'a>], key: &str) -> Option<&'a str> {
    attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}

fn line(text: &mut String, key: char, value: &str) {
    let _ = write!(text, "{key}={value}\r\n");
}

fn write_attributes(text: &mut String, attributes: &[Attribute<'_>]) {
    for (key, value) in attributes.iter().filter(|(key, value)| is_known(key, value)) {
        if value.is_empty() {
            line(text, 'a', key);
        } else {
            line(text, 'a', &format!("{key}:{value}"));
        }
    }
}

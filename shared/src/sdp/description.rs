//! A session description as lines, read strictly and written anew.

use std::fmt::Write as _;

use super::{
    MAX_LENGTH, MAX_LINES, MAX_SECTIONS,
    attribute::is_known,
    choice::{Choice, TRANSPORT_CC},
    invalid::InvalidOffer,
    section::{Attribute, DIRECTIONS, Section, find},
};

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

    /// Finds an attribute of a section's transport, its own or that of the whole description.
    fn transport(&self, section: &Section<'a>, key: &str) -> Option<&'a str> {
        let value = section.get(key).or_else(|| find(&self.attributes, key));
        value.filter(|value| is_known(key, value))
    }

    /// Checks that there is one certificate and that bundled sections share their transport.
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
            write_section(&mut text, section, (index == video).then_some(choice));
        }
        text
    }
}

/// Returns whether this is `name session version IN IP4|IP6 address`.
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

fn write_section(text: &mut String, section: &Section<'_>, choice: Option<&Choice>) {
    match choice {
        Some(choice) => write_chosen_header(text, section, choice),
        None => write_header(text, section),
    }
    line(text, 'c', "IN IP4 0.0.0.0");
    write_attributes(text, &section.attributes);
    // What RFC 8866 says of a section without one; `webrtcbin` would reject the section.
    if !section.attributes.iter().any(|(key, value)| DIRECTIONS.contains(key) && value.is_empty()) {
        line(text, 'a', "sendrecv");
    }
    match choice {
        Some(choice) => write_chosen_codec(text, section, choice),
        None => write_codecs(text, section),
    }
}

/// The `m=` line of a section that is not ours. A format without a codec is left out:
/// `webrtcbin` trips over it.
fn write_header(text: &mut String, section: &Section<'_>) {
    if section.kind == "application" {
        return line(text, 'm', section.header);
    }
    let _ = write!(text, "m={}", section.transport());
    let mut written = Vec::new();
    for (payload, _) in section.codecs() {
        if !written.contains(&payload) {
            let _ = write!(text, " {payload}");
            written.push(payload);
        }
    }
    text.push_str("\r\n");
}

fn write_codecs(text: &mut String, section: &Section<'_>) {
    for (payload, codec) in section.codecs() {
        line(text, 'a', &format!("rtpmap:{payload} {codec}"));
    }
}

/// Writes the section's `m=` line with this payload type only.
fn write_chosen_header(text: &mut String, section: &Section<'_>, choice: &Choice) {
    let _ = write!(text, "m={} {}", section.transport(), choice.payload_type);
    if let Some(payload) = choice.retransmissions {
        let _ = write!(text, " {payload}");
    }
    text.push_str("\r\n");
}

/// Writes the attributes of this payload type.
fn write_chosen_codec(text: &mut String, section: &Section<'_>, choice: &Choice) {
    let payload = choice.payload_type;
    let _ = write!(text, "a=rtpmap:{payload} H264/90000\r\n");
    let _ = write!(text, "a=fmtp:{payload} level-asymmetry-allowed=1;packetization-mode=1");
    if let Some(profile) = &choice.profile_level_id {
        let _ = write!(text, ";profile-level-id={profile}");
    }
    text.push_str("\r\n");
    for feedback in ["nack", "nack pli", "ccm fir"] {
        if section.gives_feedback(payload, feedback) {
            let _ = write!(text, "a=rtcp-fb:{payload} {feedback}\r\n");
        }
    }
    if let Some(id) = choice.transport_cc {
        let _ = write!(text, "a=rtcp-fb:{payload} transport-cc\r\n");
        let _ = write!(text, "a=extmap:{id} {TRANSPORT_CC}\r\n");
    }
    if let Some(again) = choice.retransmissions {
        let _ = write!(text, "a=rtpmap:{again} rtx/90000\r\na=fmtp:{again} apt={payload}\r\n");
    }
}

//! A session description as lines. Which forms are taken, and which refused: docs/decisions/0045.

use super::{
    MAX_LENGTH, MAX_LINES, MAX_NAME_LENGTH, MAX_SECTIONS,
    choice::Choice,
    invalid::InvalidOffer,
    section::{Attribute, DIRECTIONS, Section, find},
    transport::Transport,
};

/// A whole session description.
pub(super) struct Description<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) attributes: Vec<Attribute<'a>>,
    pub(super) sections: Vec<Section<'a>>,
}

/// The number and the version of a session, as `o=` says them.
pub(super) struct Origin<'a> {
    pub(super) session: &'a str,
    pub(super) version: &'a str,
}

/// What an answer begins with: the section that gets the picture, those that share its transport and
/// are answered too, and the one whose transport it is.
pub(super) struct Plan<'a> {
    pub(super) video: usize,
    pub(super) choice: Choice,
    /// In order, `video` among them.
    pub(super) kept: Vec<usize>,
    /// The names of `kept` in the order of their BUNDLE group; none without a group.
    pub(super) bundle: Vec<&'a str>,
    /// One of `kept`.
    pub(super) tagged: usize,
    pub(super) transport: Transport<'a>,
}

impl<'a> Description<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, InvalidOffer> {
        if text.len() > MAX_LENGTH || text.lines().count() > MAX_LINES {
            return Err(InvalidOffer::TooLarge);
        }
        // Programs leave blank lines at the end, and editors a mark at the beginning.
        let text = text.trim_start_matches('\u{feff}');
        let lines = text.lines().map(str::trim_end).enumerate();
        let mut lines = lines.filter(|(_, line)| !line.is_empty());
        if lines.next().map(|(_, first)| first) != Some("v=0") {
            return Err(InvalidOffer::NotSdp(1));
        }
        let origin = lines.next().and_then(|(_, second)| second.strip_prefix("o="));
        let origin = origin.and_then(Origin::parse).ok_or(InvalidOffer::NotSdp(2))?;
        let mut this = Self { origin, attributes: Vec::new(), sections: Vec::new() };
        for (index, text) in lines {
            this.take(text).ok_or(InvalidOffer::NotSdp(index + 1))?;
        }
        this.check_names()?;
        Ok(this)
    }

    fn take(&mut self, text: &'a str) -> Option<()> {
        let (key, value) = text.split_once('=')?;
        if value.chars().any(char::is_control) {
            return None;
        }
        match key {
            "m" => self.sections.push(Section::parse(value)?),
            "a" => {
                let attribute = value.split_once(':').unwrap_or((value, ""));
                let section = self.sections.last_mut().map(|section| &mut section.attributes);
                section.unwrap_or(&mut self.attributes).push(attribute);
            }
            // Known lines that say nothing an answer depends on. A session has a name, but programs
            // leave it out.
            "s" | "t" | "i" | "u" | "e" | "p" | "c" | "b" | "r" | "z" | "k" => {}
            _ => return None,
        }
        Some(())
    }

    fn check_names(&self) -> Result<(), InvalidOffer> {
        if self.sections.len() > MAX_SECTIONS {
            return Err(InvalidOffer::TooLarge);
        }
        let mut mids: Vec<&str> = self.sections.iter().filter_map(Section::mid).collect();
        let is_token = |mid: &&str| mid.bytes().all(|byte| byte.is_ascii_graphic());
        if mids.iter().any(|mid| mid.len() > MAX_NAME_LENGTH) {
            return Err(InvalidOffer::Unsupported("a name of a section of more than 64 bytes"));
        }
        let named = mids.len();
        mids.sort_unstable();
        mids.dedup();
        if mids.len() != named || mids.iter().any(|mid| mid.is_empty() || !is_token(mid)) {
            return Err(InvalidOffer::Names);
        }
        Ok(())
    }

    /// Decides what is answered: the first video section that wants to receive what the camera has.
    pub(super) fn plan(&self) -> Result<Plan<'a>, InvalidOffer> {
        let mut first_error = None;
        for video in 0..self.sections.len() {
            if !self.wants_video(&self.sections[video]) {
                continue;
            }
            match self.plan_for(video) {
                Ok(plan) => return Ok(plan),
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        Err(first_error.unwrap_or(InvalidOffer::NoVideo))
    }

    fn wants_video(&self, section: &Section<'a>) -> bool {
        let direction = section.direction(self.default_direction());
        section.kind == "video"
            && !section.is_disabled()
            && direction.is_none_or(|direction| ["recvonly", "sendrecv"].contains(&direction))
    }

    fn plan_for(&self, video: usize) -> Result<Plan<'a>, InvalidOffer> {
        let section = &self.sections[video];
        if !section.is_rtp() {
            return Err(InvalidOffer::Unsupported("a protocol other than RTP with DTLS"));
        }
        if section.direction(self.default_direction()).is_none() {
            return Err(InvalidOffer::Directions);
        }
        let choice = Choice::best(section, &self.attributes).ok_or(InvalidOffer::NoH264)?;
        let mut kept: Vec<usize> = vec![video];
        let group = self.group_of(section);
        kept.extend(self.sections.iter().enumerate().filter_map(|(index, other)| {
            let bundled = other.mid().is_some_and(|mid| group.contains(&mid));
            (index != video && bundled && self.is_answerable(other)).then_some(index)
        }));
        kept.sort_unstable();
        let place = |mid: &&str| {
            kept.iter().copied().find(|index| self.sections[*index].mid() == Some(*mid))
        };
        let bundle: Vec<&str> = group.iter().copied().filter(|mid| place(mid).is_some()).collect();
        // Of a group, the transport is that of the section named first (RFC 9143, section 7.2); where
        // that one is not answered, of the next.
        let tagged = bundle.first().and_then(place).unwrap_or(video);
        let transport = Transport::of(&self.sections[tagged], &self.attributes)?;
        if !section.multiplexes_rtcp() {
            return Err(InvalidOffer::Unsupported("RTCP on a port of its own, without rtcp-mux"));
        }
        Ok(Plan { video, choice, kept, bundle, tagged, transport })
    }

    /// Returns whether the media engine can answer a section that is not ours. It trips over others,
    /// which are rejected.
    fn is_answerable(&self, section: &Section<'a>) -> bool {
        let is_payload = |format: &&str| format.parse::<u8>().is_ok_and(|payload| payload < 128);
        let has_codecs = section.is_rtp()
            && section.formats.iter().all(is_payload)
            && section.codecs().next().is_some();
        !section.is_disabled()
            && (has_codecs || section.is_data())
            && section.direction(self.default_direction()).is_some()
    }

    /// Lists the names of the BUNDLE group that a section is in, in their order.
    fn group_of(&self, section: &Section<'a>) -> Vec<&'a str> {
        let groups = self.attributes.iter().filter(|(key, _)| *key == "group");
        let groups = groups.filter_map(|(_, value)| value.strip_prefix("BUNDLE "));
        let mut groups = groups.map(|names| names.split(' ').filter(|name| !name.is_empty()));
        let own = section.mid();
        let group = groups.find(|names| names.clone().any(|name| Some(name) == own));
        let mut unique = Vec::new();
        for name in group.into_iter().flatten() {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        unique
    }

    /// Returns the direction of sections that say none (RFC 8866, section 6.7).
    pub(super) fn default_direction(&self) -> &'a str {
        let said = self.attributes.iter().find(|(key, _)| DIRECTIONS.contains(key));
        said.map_or("sendrecv", |(key, _)| key)
    }

    pub(super) fn is_ice_lite(&self) -> bool {
        find(&self.attributes, "ice-lite").is_some()
    }
}

impl<'a> Origin<'a> {
    /// Reads `name session version IN IP4 address`. The address may be a host's name, and the numbers
    /// of any length.
    fn parse(text: &'a str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        // The name is left out by some.
        let ([session, version, _, _, _] | [_, session, version, _, _, _]) = words.as_slice()
        else {
            return None;
        };
        let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let printable = !text.chars().any(char::is_control);
        (printable && is_number(session) && is_number(version)).then_some(Self { session, version })
    }

    /// Writes a number that the media engine can read.
    pub(super) fn plain(number: &str) -> u64 {
        number.parse().unwrap_or(0)
    }
}

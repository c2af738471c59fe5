//! A viewer's offer, as the camera takes it.

use super::{
    MAX_CANDIDATES, MAX_LENGTH, MAX_LINES,
    answer::Frame,
    attribute::{is_candidate, is_ice_text},
    description::Description,
    engine,
    invalid::InvalidOffer,
};
use crate::authenticity::normal_fingerprint;

/// What is needed to answer with one H.264 stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The RTP payload type that the viewer uses for our kind of H.264.
    pub payload_type: u8,
    pub profile_level_id: Option<String>,
    /// The number of the RTP header extension for transport-wide feedback, when the viewer
    /// gives such feedback.
    pub transport_cc: Option<u8>,
    /// The number of the RTP header extension that tells players how long to wait with a picture,
    /// when the viewer knows it. Only the answer speaks of it: `GStreamer` does not know it.
    pub playout_delay: Option<u8>,
    /// Of the certificate that the viewer must show; of an SFU's it is in its answer.
    pub fingerprint: Option<String>,
    /// The `mid` of every section that is answered, in order: what candidates refer to.
    mids: Vec<Option<String>>,
    /// Which of them all share the transport of.
    tagged: usize,
    frame: Frame,
    text: String,
}

impl Offer {
    /// What the camera itself offers to those it publishes to: the encoder's constrained
    /// baseline, by the payload type and extension number that everybody uses for it.
    pub fn of_the_camera() -> Self {
        Self {
            payload_type: 96,
            profile_level_id: Some("42e01f".to_owned()),
            transport_cc: Some(1),
            playout_delay: None,
            fingerprint: None,
            mids: Vec::new(),
            tagged: 0,
            frame: Frame::default(),
            text: String::new(),
        }
    }

    /// Returns the offer with the names of the sections of the description that was made of it.
    #[must_use]
    pub fn described_by(self, description: &str) -> Self {
        let mids = description.lines().filter_map(|line| line.strip_prefix("a=mid:"));
        Self { mids: mids.map(|mid| Some(mid.trim_end().to_owned())).collect(), ..self }
    }

    pub fn parse(text: &str) -> Result<Self, InvalidOffer> {
        let description = Description::parse(text)?;
        let plan = description.plan()?;
        let fingerprint = plan.transport.fingerprints.first().copied();
        let fingerprint = fingerprint.and_then(normal_fingerprint);
        let name_of = |index: &usize| description.sections[*index].mid().map(str::to_owned);
        Ok(Self {
            payload_type: plan.choice.payload_type,
            profile_level_id: plan.choice.profile_level_id.clone(),
            transport_cc: plan.choice.transport_cc.map(|extension| extension.id),
            playout_delay: plan.choice.playout_delay.map(|extension| extension.id),
            fingerprint: Some(fingerprint.ok_or(InvalidOffer::Missing("fingerprint"))?),
            mids: plan.kept.iter().map(name_of).collect(),
            tagged: plan.kept.iter().position(|index| *index == plan.tagged).unwrap_or(0),
            frame: Frame::of(&description, &plan),
            text: engine::write(&description, &plan),
        })
    }

    /// The offer as `GStreamer` sees it: known attributes, the sections that are answered, and for
    /// video the chosen payload type with its retransmissions only.
    pub fn rewritten(&self) -> &str {
        &self.text
    }

    /// Returns the answer to the whole offer, with what the engine answered to [`Self::rewritten`].
    pub fn answered(&self, made: &str) -> String {
        self.frame.put_around(made)
    }

    /// Returns the offer with the ICE user, the password and the candidates that a fragment names, for
    /// a viewer whose network has changed.
    pub fn restarted(&self, fragment: &str) -> Result<Self, InvalidOffer> {
        if fragment.len() > MAX_LENGTH || fragment.lines().count() > MAX_LINES {
            return Err(InvalidOffer::TooLarge);
        }
        let find = |key: &'static str, least| {
            let prefix = format!("a={key}:");
            let value = fragment.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
            let value = value.map(str::trim_end).filter(|value| is_ice_text(value, least));
            value.ok_or(InvalidOffer::Missing(key))
        };
        let (user, password) = (find("ice-ufrag", 4)?, find("ice-pwd", 22)?);
        let candidates: String = fragment
            .lines()
            .filter(|line| line.strip_prefix("a=").is_some_and(is_candidate))
            .take(MAX_CANDIDATES)
            .flat_map(|line| [line, "\r\n"])
            .collect();
        let mut text = String::with_capacity(self.text.len() + candidates.len());
        let mut sections = 0;
        for line in self.text.lines() {
            sections += usize::from(line.starts_with("m="));
            // Everything is bundled in one section: its end is their place.
            if sections == self.tagged + 2 && line.starts_with("m=") {
                text.push_str(&candidates);
            }
            match line.split(':').next() {
                Some("a=ice-ufrag") => text.extend(["a=ice-ufrag:", user]),
                Some("a=ice-pwd") => text.extend(["a=ice-pwd:", password]),
                // They were of the old network.
                Some("a=candidate" | "a=end-of-candidates") => continue,
                _ => text.push_str(line),
            }
            text.push_str("\r\n");
        }
        if sections == self.tagged + 1 {
            text.push_str(&candidates);
        }
        Ok(Self { text, ..self.clone() })
    }

    /// Returns the name of a section, as a candidate says to which one it belongs.
    pub fn mid_of(&self, section: u32) -> Option<&str> {
        self.mids.get(usize::try_from(section).ok()?)?.as_deref()
    }

    /// Finds the section that a candidate belongs to. Without a `mid` it is the one whose transport all
    /// share, and so it is where no section has a name.
    pub fn section_of(&self, mid: Option<&str>) -> Option<u32> {
        let tagged = u32::try_from(self.tagged).ok();
        if self.mids.iter().all(Option::is_none) {
            return tagged;
        }
        let Some(mid) = mid else { return tagged };
        let index = self.mids.iter().position(|known| known.as_deref() == Some(mid))?;
        u32::try_from(index).ok()
    }
}

//! The camera's answer in the form of the offer: its sections, names, protocols and groups. The media
//! engine answers those sections that it was shown; the others are rejected here (RFC 3264, section 6).

use super::{
    choice::{Choice, PLAYOUT_DELAY, TRANSPORT_CC},
    description::{Description, Plan},
};

/// What an answer must repeat of its offer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// In the order of the offer.
    sections: Vec<FrameSection>,
    /// The names of the answered sections in the order of their group; none without one.
    bundle: Vec<String>,
    /// Numbers of header extensions that were offered for receiving alone.
    one_way: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FrameSection {
    mid: Option<String>,
    protocol: String,
    /// Kind and formats of one that is rejected.
    rejected: Option<(String, String)>,
}

impl Frame {
    pub(super) fn of(description: &Description<'_>, plan: &Plan<'_>) -> Self {
        let sections = description.sections.iter().enumerate().map(|(index, section)| {
            let rejected = (!plan.kept.contains(&index)).then(|| {
                // A section has at least one format.
                let formats =
                    if section.formats.is_empty() { &["0"] } else { &section.formats[..] };
                (section.kind.to_owned(), formats.join(" "))
            });
            let (mid, protocol) = (section.mid().map(str::to_owned), section.protocol.to_owned());
            FrameSection { mid, protocol, rejected }
        });
        let Choice { transport_cc, playout_delay, .. } = &plan.choice;
        let extensions = transport_cc.iter().chain(playout_delay);
        Self {
            sections: sections.collect(),
            bundle: plan.bundle.iter().map(|name| (*name).to_owned()).collect(),
            one_way: extensions.filter(|it| it.one_way).map(|it| it.id).collect(),
        }
    }

    /// Writes what the engine made as the answer to the whole offer.
    pub(super) fn put_around(&self, made: &str) -> String {
        let mut text = String::with_capacity(made.len() + 512);
        let mut sections = self.sections.iter();
        let mut current = None;
        for line in made.lines() {
            if line.starts_with("m=") {
                current = open_next(&mut sections, &mut text);
            }
            self.write_line(line, current, &mut text);
        }
        for section in sections.filter(|section| section.rejected.is_some()) {
            section.write_rejected(&mut text);
        }
        text
    }

    fn write_line(&self, line: &str, section: Option<&FrameSection>, text: &mut String) {
        let mut push = |parts: &[&str]| {
            text.extend(parts.iter().copied());
            text.push_str("\r\n");
        };
        if let Some(header) = line.strip_prefix("m=") {
            let mut words = header.splitn(4, ' ');
            let words = [words.next(), words.next(), words.next(), words.next()];
            match (words, section) {
                ([Some(kind), Some(port), Some(_), Some(formats)], Some(section)) => {
                    push(&["m=", kind, " ", port, " ", &section.protocol, " ", formats]);
                }
                _ => push(&[line]),
            }
        } else if line.starts_with("a=group:BUNDLE") {
            if !self.bundle.is_empty() {
                push(&["a=group:BUNDLE ", &self.bundle.join(" ")]);
            }
        } else if line.starts_with("a=mid:") && section.is_some_and(|it| it.mid.is_none()) {
            // An answer names no section that the offer does not.
        } else if let Some((number, uri)) = extension(line)
            && self.one_way.contains(&number)
        {
            push(&["a=extmap:", &number.to_string(), "/sendonly ", uri]);
        } else {
            push(&[line]);
        }
    }
}

/// Goes to the next section that the engine has answered, past those that it was not shown.
fn open_next<'a>(
    sections: &mut std::slice::Iter<'a, FrameSection>,
    text: &mut String,
) -> Option<&'a FrameSection> {
    for section in sections {
        if section.rejected.is_none() {
            return Some(section);
        }
        section.write_rejected(text);
    }
    None
}

impl FrameSection {
    fn write_rejected(&self, text: &mut String) {
        let Some((kind, formats)) = &self.rejected else { return };
        text.extend(["m=", kind, " 0 ", &self.protocol, " ", formats, "\r\n"]);
        text.push_str("c=IN IP4 0.0.0.0\r\na=inactive\r\n");
        if let Some(mid) = &self.mid {
            text.extend(["a=mid:", mid, "\r\n"]);
        }
    }
}

/// Reads number and name of a header extension of ours.
fn extension(line: &str) -> Option<(u8, &str)> {
    let (number, uri) = line.strip_prefix("a=extmap:")?.split_once(' ')?;
    [TRANSPORT_CC, PLAYOUT_DELAY].contains(&uri).then_some((number.parse().ok()?, uri))
}

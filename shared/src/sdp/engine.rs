//! An offer as the media engine gets to see it: attributes in their known form, the sections that are
//! answered, and for video the chosen payload type alone.

use std::fmt::Write as _;

use super::{
    choice::{Choice, TRANSPORT_CC},
    description::{Description, Origin, Plan},
    section::Section,
    transport::Transport,
};

/// The one profile that the engine needs to know; the answer says the offer's own.
const PROFILE: &str = "UDP/TLS/RTP/SAVPF";

/// Returns the name by which the engine knows a section: its own, or one that no section has.
pub(super) fn name_of(section: &Section<'_>, index: usize) -> String {
    section.mid().map_or_else(|| format!("unnamed{index}"), str::to_owned)
}

/// Writes the offer for the engine. What is written is an offer itself, and is written the same again.
pub(super) fn write(description: &Description<'_>, plan: &Plan<'_>) -> String {
    let mut text = String::with_capacity(2_048);
    let Origin { session, version } = description.origin;
    let (session, version) = (Origin::plain(session), Origin::plain(version));
    line(&mut text, 'v', "0");
    line(&mut text, 'o', &format!("- {session} {version} IN IP4 127.0.0.1"));
    line(&mut text, 's', "-");
    line(&mut text, 't', "0 0");
    let names: Vec<String> = if plan.bundle.is_empty() {
        plan.kept.iter().map(|index| name_of(&description.sections[*index], *index)).collect()
    } else {
        plan.bundle.iter().map(|name| (*name).to_owned()).collect()
    };
    line(&mut text, 'a', &format!("group:BUNDLE {}", names.join(" ")));
    if description.is_ice_lite() {
        line(&mut text, 'a', "ice-lite");
    }
    for index in &plan.kept {
        let section = &description.sections[*index];
        let choice = (*index == plan.video).then_some(&plan.choice);
        write_header(&mut text, section, choice);
        line(&mut text, 'c', "IN IP4 0.0.0.0");
        line(&mut text, 'a', &format!("mid:{}", name_of(section, *index)));
        write_transport(&mut text, &plan.transport, *index == plan.tagged);
        if section.is_rtp() {
            let direction = section.direction(description.default_direction());
            line(&mut text, 'a', direction.unwrap_or("inactive"));
            line(&mut text, 'a', "rtcp-mux");
            if section.get("rtcp-rsize").is_some() {
                line(&mut text, 'a', "rtcp-rsize");
            }
        }
        match choice {
            Some(choice) => write_chosen_codec(&mut text, section, choice),
            None => write_codecs(&mut text, section),
        }
    }
    text
}

fn line(text: &mut String, key: char, value: &str) {
    let _ = write!(text, "{key}={value}\r\n");
}

/// Writes what all sections of a group share: those of the tagged one (RFC 9143, section 7).
fn write_transport(text: &mut String, transport: &Transport<'_>, is_tagged: bool) {
    line(text, 'a', &format!("ice-ufrag:{}", transport.user));
    line(text, 'a', &format!("ice-pwd:{}", transport.password));
    if transport.trickles {
        line(text, 'a', "ice-options:trickle");
    }
    for fingerprint in &transport.fingerprints {
        line(text, 'a', &format!("fingerprint:{fingerprint}"));
    }
    line(text, 'a', &format!("setup:{}", transport.setup));
    if is_tagged {
        for candidate in &transport.candidates {
            line(text, 'a', &format!("candidate:{candidate}"));
        }
        if transport.no_more_candidates {
            line(text, 'a', "end-of-candidates");
        }
    }
}

/// Writes the `m=` line: for video with the chosen payload type only, for others with those formats
/// whose codec is told.
fn write_header(text: &mut String, section: &Section<'_>, choice: Option<&Choice>) {
    if section.is_data() {
        return line(text, 'm', &format!("{} 9 UDP/DTLS/SCTP webrtc-datachannel", section.kind));
    }
    let _ = write!(text, "m={} 9 {PROFILE}", section.kind);
    let mut written = Vec::new();
    let chosen = choice
        .into_iter()
        .flat_map(|it| [Some(it.payload_type), it.retransmissions].into_iter().flatten());
    let told = section.codecs().map(|(payload, _)| payload).filter(|_| choice.is_none());
    for payload in chosen.chain(told) {
        if !written.contains(&payload) {
            let _ = write!(text, " {payload}");
            written.push(payload);
        }
    }
    text.push_str("\r\n");
}

fn write_codecs(text: &mut String, section: &Section<'_>) {
    if section.is_data() {
        for (key, fallback) in [("sctp-port", "5000"), ("max-message-size", "65536")] {
            let value = section.get(key).filter(|value| value.parse::<u32>().is_ok());
            line(text, 'a', &format!("{key}:{}", value.unwrap_or(fallback)));
        }
        return;
    }
    for (payload, codec) in section.codecs() {
        line(text, 'a', &format!("rtpmap:{payload} {codec}"));
    }
}

/// Writes the attributes of the chosen payload type.
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
    if let Some(extension) = choice.transport_cc {
        let _ = write!(text, "a=rtcp-fb:{payload} transport-cc\r\n");
        let _ = write!(text, "a=extmap:{} {TRANSPORT_CC}\r\n", extension.id);
    }
    if let Some(again) = choice.retransmissions {
        let _ = write!(text, "a=rtpmap:{again} rtx/90000\r\na=fmtp:{again} apt={payload}\r\n");
    }
}

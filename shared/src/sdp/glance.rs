//! What the relay checks of a session description before it passes it on. The camera's worker
//! parses it; here only obvious nonsense is stopped.

use super::{
    MAX_CANDIDATES, MAX_LENGTH, MAX_LINES, MAX_SECTIONS, attribute::is_ice_text,
    invalid::InvalidSdp,
};
use crate::problem::ProblemCode;

type Result<T> = std::result::Result<T, InvalidSdp>;

const MAX_LINE_LENGTH: usize = 4 * 1024;

/// Refuses what cannot be a viewer's offer.
pub fn check_offer(offer: &str) -> Result<()> {
    let refused = |code, title| Err(InvalidSdp { code, title });
    check_lines(offer)?;
    if !offer.trim_start_matches(['\u{feff}', '\r', '\n']).starts_with("v=0") {
        return Err(InvalidSdp::unreadable("A session description begins with v=0."));
    }
    let media = offer.lines().filter(|line| line.starts_with("m=")).count();
    if media > MAX_SECTIONS {
        return refused(ProblemCode::TooLarge, "A session description has at most 16 media.");
    }
    if !offer.lines().any(|line| line.starts_with("m=video ")) {
        return refused(ProblemCode::NoVideoSection, "A viewer offers to receive video.");
    }
    let has = |attribute: &str| offer.lines().any(|line| line.starts_with(attribute));
    if !has("a=fingerprint:") && has("a=crypto:") {
        return refused(
            ProblemCode::UnsupportedOffer,
            "The camera encrypts by DTLS, not by keys in the description.",
        );
    }
    for attribute in ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"] {
        if !has(attribute) {
            return refused(
                ProblemCode::IncompleteOffer,
                "A viewer's offer names its ICE user and its DTLS fingerprint.",
            );
        }
    }
    Ok(())
}

/// An ICE candidate of a viewer.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Without `a=`; empty at the end of candidates.
    pub text: String,
    pub sdp_mid: Option<String>,
}

impl Candidate {
    /// Reads one candidate by itself, as a socket brings it.
    pub fn new(text: String, sdp_mid: Option<String>) -> Result<Self> {
        let bytes = text.len() + sdp_mid.as_ref().map_or(0, String::len);
        let text_is_one = text.is_empty() || text.starts_with("candidate:");
        let controls = |text: &str| text.chars().any(char::is_control);
        if bytes > MAX_LINE_LENGTH
            || !text_is_one
            || controls(&text)
            || sdp_mid.as_deref().is_some_and(controls)
        {
            return Err(InvalidSdp::unreadable("This is no ICE candidate."));
        }
        Ok(Self { text, sdp_mid })
    }
}

/// Writes what belongs to ICE of a description, or of a piece of one, as a fragment (RFC 8840): user
/// and password, and the candidates of the first medium that has any, on which everything else is bundled.
pub fn ice_fragment(description: &str) -> Result<String> {
    check_lines(description)?;
    let first = |attribute: &str| description.lines().find(|line| line.starts_with(attribute));
    let secret = |prefix: &str, least| {
        first(prefix).filter(|line| is_ice_text(line[prefix.len()..].trim_end(), least))
    };
    let (user, password) = (secret("a=ice-ufrag:", 4), secret("a=ice-pwd:", 22));
    let (Some(user), Some(password)) = (user, password) else {
        return Err(InvalidSdp::unreadable("ICE begins with a user and a password."));
    };
    let medium = "m=video 9 UDP/TLS/RTP/SAVPF 0";
    let is_candidate = |line: &&str| line.starts_with("a=candidate:");
    // Those before it are rejected, and have none.
    let sections = description.split_inclusive("\nm=");
    let section = sections.into_iter().find(|section| section.lines().any(|it| is_candidate(&it)));
    let section = section.unwrap_or(description);
    let mid = section.lines().find(|line| line.starts_with("a=mid:")).or_else(|| first("a=mid:"));
    let mut fragment = vec![user, password, medium, mid.unwrap_or("a=mid:0")];
    fragment.extend(section.lines().filter(is_candidate).take(MAX_CANDIDATES));
    fragment.extend(first("a=end-of-candidates"));
    Ok(fragment.join("\r\n") + "\r\n")
}

/// Lists ICE's users with their passwords that a description or a piece of one names: that of the
/// whole, and those of its sections.
pub fn ice_users(description: &str) -> Vec<(&str, &str)> {
    let mut users = Vec::new();
    let mut whole = (None, None);
    let mut current = (None, None);
    let mut is_section = false;
    for line in description.lines().map(str::trim_end).chain(["m="]) {
        if let Some(user) = line.strip_prefix("a=ice-ufrag:") {
            current.0 = Some(user);
        } else if let Some(password) = line.strip_prefix("a=ice-pwd:") {
            current.1 = Some(password);
        } else if line.starts_with("m=") {
            if !is_section {
                whole = current;
            }
            let (user, password) = (current.0.or(whole.0), current.1.or(whole.1));
            if let (Some(user), Some(password)) = (user, password)
                && !users.contains(&(user, password))
            {
                users.push((user, password));
            }
            (current, is_section) = ((None, None), true);
        }
    }
    users
}

/// Reads the candidates of an SDP fragment (RFC 8840), each with the medium it stands under.
pub fn read_fragment(fragment: &str) -> Result<Vec<Candidate>> {
    check_lines(fragment)?;
    let mut candidates = Vec::new();
    let mut sdp_mid = None;
    for line in fragment.lines() {
        if let Some(mid) = line.strip_prefix("a=mid:") {
            sdp_mid = Some(mid.to_owned());
        } else if line.starts_with("a=candidate:") {
            candidates.push(Candidate { text: line[2..].to_owned(), sdp_mid: sdp_mid.clone() });
        } else if line == "a=end-of-candidates" {
            candidates.push(Candidate { text: String::new(), sdp_mid: sdp_mid.clone() });
        }
    }
    if candidates.len() > MAX_CANDIDATES {
        return Err(InvalidSdp::unreadable("A fragment has at most 64 candidates."));
    }
    Ok(candidates)
}

/// Lines of `x=value`, not too many and not too long, without control characters. Blank ones are
/// harmless.
fn check_lines(text: &str) -> Result<()> {
    let well_formed = |line: &str| {
        let bytes = line.as_bytes();
        let is_one =
            bytes.first().is_some_and(u8::is_ascii_lowercase) && bytes.get(1) == Some(&b'=');
        bytes.len() <= MAX_LINE_LENGTH
            && (is_one || line.trim().is_empty())
            && !line.chars().any(char::is_control)
    };
    let text = text.trim_start_matches('\u{feff}');
    // In JSON, as cameras get it, these take two bytes: what came by a narrow door must fit through
    // the next one too.
    let escaped = text.bytes().filter(|byte| b"\"\\".contains(byte)).count();
    if text.len() + escaped > MAX_LENGTH || text.lines().count() > MAX_LINES {
        return Err(InvalidSdp {
            code: ProblemCode::TooLarge,
            title: "A session description has at most 32 KiB and 1,000 lines.",
        });
    }
    if text.lines().all(well_formed) {
        Ok(())
    } else {
        Err(InvalidSdp::unreadable("This is no session description."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
        a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11\r\na=recvonly\r\n";

    #[test]
    fn a_browsers_offer_passes() {
        check_offer(OFFER).unwrap();
        check_offer(&OFFER.replace("\r\n", "\n")).unwrap();
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "hello",
            "v=0",
            "{\"sdp\": \"v=0\"}",
            &OFFER.replace("v=0\r\n", ""),
            &OFFER.replace("m=video", "m=audio"),
            &OFFER.replace("a=fingerprint", "a=finger"),
            &OFFER.replace("a=recvonly", "a=rec\0vonly"),
            &format!("{OFFER}{}", "m=audio 9 X 0\r\n".repeat(16)),
            &format!("{OFFER}{}", "a=x\r\n".repeat(1_000)),
            &format!("{OFFER}a={}\r\n", "x".repeat(5_000)),
        ] {
            assert!(check_offer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fragment_gives_its_candidates_by_medium() {
        let fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:x\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n\
            a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\na=end-of-candidates\r\n";
        let candidates = read_fragment(fragment).unwrap();
        assert_eq!(candidates.len(), 2);
        assert!(candidates[0].text.starts_with("candidate:1 1 udp"));
        assert_eq!(candidates[0].sdp_mid.as_deref(), Some("0"));
        assert_eq!(candidates[1].text, "");
    }

    #[test]
    fn a_restart_says_what_belongs_to_ice() {
        let answer = format!(
            "{OFFER}a=mid:video0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n\
             m=audio 9 X 0\r\na=mid:1\r\na=candidate:2 1 udp 1 192.0.2.2 5000 typ host\r\n"
        );
        let fragment = ice_fragment(&answer).unwrap();
        assert_eq!(
            fragment,
            "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:video0\r\n\
             a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n"
        );
        assert_eq!(ice_fragment(&fragment).unwrap(), fragment);
        ice_fragment("a=ice-ufrag:abcd\r\n").unwrap_err();
        ice_fragment(&fragment.replace("abcd", "abc")).unwrap_err();
        ice_fragment(&fragment.replace("0123456789", "0123 45678")).unwrap_err();
        ice_fragment("v=0").unwrap_err();
    }

    #[test]
    fn a_candidate_by_itself_is_one_line() {
        Candidate::new("candidate:1 1 udp 1 192.0.2.1 5000 typ host".to_owned(), None).unwrap();
        Candidate::new(String::new(), Some("0".to_owned())).unwrap();
        for text in ["a=candidate:1", "candidate:1\r\na=x", "nonsense"] {
            Candidate::new(text.to_owned(), None).unwrap_err();
        }
        Candidate::new(format!("candidate:{}", "1".repeat(5_000)), None).unwrap_err();
    }

    #[test]
    fn a_flood_of_candidates_is_refused() {
        let fragment = "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n".repeat(65);
        read_fragment(&fragment).unwrap_err();
    }
}

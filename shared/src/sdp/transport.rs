//! How a section is reached: ICE's user and password, and the DTLS certificate. Each attribute is the
//! section's own, or that of the whole description (RFC 8839, 8842, 8122).

use super::{
    MAX_CANDIDATES,
    attribute::{is_candidate, is_ice_text},
    invalid::InvalidOffer,
    section::{Attribute, Section, find},
};

/// The hash functions by which a certificate is known here, and the bytes of each.
const HASHES: [(&str, usize); 3] = [("sha-256", 32), ("sha-384", 48), ("sha-512", 64)];

/// The transport of a section.
pub(super) struct Transport<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    /// Those by known hash functions, all of one certificate.
    pub(super) fingerprints: Vec<&'a str>,
    pub(super) setup: &'static str,
    pub(super) trickles: bool,
    /// Without `candidate:`.
    pub(super) candidates: Vec<&'a str>,
    pub(super) no_more_candidates: bool,
}

impl<'a> Transport<'a> {
    pub(super) fn of(
        section: &Section<'a>,
        session: &[Attribute<'a>],
    ) -> Result<Self, InvalidOffer> {
        let value = |key| section.get(key).or_else(|| find(session, key));
        let ice = |key, least| {
            let valid = value(key).filter(|value| is_ice_text(value, least));
            valid.ok_or(InvalidOffer::Missing(key))
        };
        let candidates = section.attributes.iter().filter(|(key, value)| {
            *key == "candidate" && is_candidate(&format!("candidate:{value}"))
        });
        Ok(Self {
            user: ice("ice-ufrag", 4)?,
            password: ice("ice-pwd", 22)?,
            fingerprints: fingerprints(section, session)?,
            setup: setup(value("setup"))?,
            trickles: value("ice-options")
                .is_some_and(|options| options.split([' ', ',']).any(|option| option == "trickle")),
            candidates: candidates.map(|(_, value)| *value).take(MAX_CANDIDATES).collect(),
            no_more_candidates: section.get("end-of-candidates").is_some(),
        })
    }
}

/// Lists a section's fingerprints, by known functions. Several are of one certificate by several
/// functions, and one that is known is enough (RFC 8122, section 5).
fn fingerprints<'a>(
    section: &Section<'a>,
    session: &[Attribute<'a>],
) -> Result<Vec<&'a str>, InvalidOffer> {
    let all = |attributes: &[Attribute<'a>]| -> Vec<&'a str> {
        let named = attributes.iter().filter(|(key, _)| *key == "fingerprint");
        named.map(|(_, value)| *value).collect()
    };
    let own = all(&section.attributes);
    let offered = if own.is_empty() { all(session) } else { own };
    if offered.is_empty() {
        let by_sdes = section.get("crypto").is_some();
        return Err(if by_sdes {
            InvalidOffer::Unsupported("SRTP with keys in the description, without DTLS")
        } else {
            InvalidOffer::Missing("fingerprint")
        });
    }
    let mut known = Vec::new();
    let mut is_foreign = false;
    for fingerprint in offered {
        match is_fingerprint(fingerprint) {
            Some(true) if known.len() < HASHES.len() => known.push(fingerprint),
            Some(true) => {}
            Some(false) => is_foreign = true,
            None => return Err(InvalidOffer::Missing("fingerprint")),
        }
    }
    match (known.is_empty(), is_foreign) {
        (true, true) => Err(InvalidOffer::Unsupported(
            "a fingerprint by another function than sha-256, sha-384 or sha-512",
        )),
        _ => Ok(known),
    }
}

/// Returns whether a fingerprint's function is known; nothing when it is no fingerprint.
fn is_fingerprint(text: &str) -> Option<bool> {
    let (function, digest) = text.trim().split_once(' ')?;
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digest.split(':').all(is_pair) {
        return None;
    }
    match HASHES.iter().find(|(name, _)| function.eq_ignore_ascii_case(name)) {
        Some((_, bytes)) => (digest.split(':').count() == *bytes).then_some(true),
        None => Some(false),
    }
}

/// Which end opens the DTLS connection. An offer without a word means `active` (RFC 4145, section
/// 4.1): the answer to it is `passive`, which also suits who takes either.
fn setup(value: Option<&str>) -> Result<&'static str, InvalidOffer> {
    let Some(value) = value else { return Ok("active") };
    let known = ["actpass", "active", "passive"];
    let known = known.into_iter().find(|known| value.trim().eq_ignore_ascii_case(known));
    match known {
        Some(known) => Ok(known),
        None if value.eq_ignore_ascii_case("holdconn") => {
            Err(InvalidOffer::Unsupported("setup:holdconn"))
        }
        None => Err(InvalidOffer::Missing("setup")),
    }
}

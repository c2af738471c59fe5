//! How a camera becomes part of a site.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ids::CameraId, word::words};

/// The letters of a join code: base 20 without vowels, so that no code spells a word
/// (RFC 8628, section 6.1).
pub const CODE_ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Letters in a join code: 20^8, or 34.6 bits.
pub const CODE_LENGTH: usize = 8;

words! {
    /// How far a pairing is.
    PairingState {
        Open = "open",
        /// A camera took it.
        Claimed = "claimed",
        Expired = "expired",
    }
}

/// A join code that a person types, shown as `BCDF-GHJK`.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinCode(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a join code has 8 letters of {}, like BCDF-GHJK", String::from_utf8_lossy(CODE_ALPHABET))]
pub struct InvalidJoinCode;

impl JoinCode {
    /// Makes a code from random bytes. Bytes of 240 and above are skipped, so that every letter
    /// is equally likely; gives nothing when too few bytes remain.
    pub fn from_random(bytes: impl IntoIterator<Item = u8>) -> Option<Self> {
        let letters: String = bytes
            .into_iter()
            .filter(|byte| *byte < 240)
            .take(CODE_LENGTH)
            .map(|byte| char::from(CODE_ALPHABET[usize::from(byte % 20)]))
            .collect();
        (letters.len() == CODE_LENGTH).then_some(Self(letters))
    }

    /// Returns the eight letters, without the hyphen.
    pub fn letters(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JoinCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, tail) = self.0.split_at(CODE_LENGTH / 2);
        write!(formatter, "{head}-{tail}")
    }
}

/// A code is a secret while it lasts.
impl fmt::Debug for JoinCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JoinCode(…)")
    }
}

impl FromStr for JoinCode {
    type Err = InvalidJoinCode;

    /// Reads a code as people type and paste it: case, dashes and blanks of all kinds do not matter.
    fn from_str(text: &str) -> Result<Self, InvalidJoinCode> {
        let letters: String = text
            .chars()
            .filter(|letter| !is_between(*letter))
            .map(|letter| letter.to_ascii_uppercase())
            .take(CODE_LENGTH + 1)
            .collect();
        let valid = letters.len() == CODE_LENGTH
            && letters.bytes().all(|letter| CODE_ALPHABET.contains(&letter));
        if valid { Ok(Self(letters)) } else { Err(InvalidJoinCode) }
    }
}

/// Returns whether a character may stand between the letters of a code.
fn is_between(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(letter, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{200b}' | '\u{feff}')
}

/// The file that an installer brings to a camera, for `nightjar-agent pair --file` (TOML).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisioningFile {
    pub relay_url: String,
    /// Single use, at most 24 hours.
    pub secret: String,
    /// SHA-256 of the relay's CA certificate in DER, lower-case hexadecimal. The camera checks
    /// it before it sends anything. Absent where the relay is reached by plain http on loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_sha256: Option<String>,
    /// The key of the browser that opened the pairing: Ed25519, base64 (standard, padded). The
    /// browser writes it into the file itself, so the relay has no part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_key: Option<String>,
}

impl fmt::Debug for ProvisioningFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProvisioningFile")
            .field("relay_url", &self.relay_url)
            .field("ca_sha256", &self.ca_sha256)
            .finish_non_exhaustive()
    }
}

/// Writes the text a camera signs when it claims a pairing. `public_key` is base64 (standard, padded).
pub fn claim_proof(nonce: &str, public_key: &str) -> String {
    format!("nightjar claim v1\n{nonce}\n{public_key}")
}

/// Writes the text a camera signs to get a device token.
pub fn token_proof(nonce: &str, camera_id: CameraId) -> String {
    format!("nightjar token v1\n{nonce}\n{camera_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for text in ["bcdf ghjk\n", "\u{feff}BCDF\u{2011}GHJK\r\n", " bc\u{a0}df\u{2013}gh jk "] {
            let code: JoinCode = text.parse().unwrap();
            assert_eq!(code.to_string(), "BCDF-GHJK", "{text:?}");
        }
    }

    #[test]
    fn vowels_short_and_long_codes_are_refused() {
        for text in ["BCDF-GHJA", "BCDF", "BCDF-GHJK-L", "", "ÄÄÄÄÄÄÄÄ"] {
            assert_eq!(text.parse::<JoinCode>(), Err(InvalidJoinCode), "{text}");
        }
    }

    #[test]
    fn biased_bytes_are_skipped() {
        let bytes = [255, 0, 250, 1, 2, 3, 4, 5, 6, 239];
        assert_eq!(JoinCode::from_random(bytes).unwrap().letters(), "BCDFGHJZ");
        assert!(JoinCode::from_random([0; 7]).is_none());
    }
}

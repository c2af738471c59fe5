//! How a camera becomes part of a site.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::CameraId,
    text_file::{self, NotText},
    time::UnixMillis,
    wifi::Wifi,
    word::words,
};

/// The letters of a join code: base 20 without vowels, so that no code spells a word
/// (RFC 8628, section 6.1).
pub const CODE_ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Letters in a join code: 20^8, or 34.6 bits.
pub const CODE_LENGTH: usize = 8;

/// How many letters of a code tell which pairing is meant. What is left, 20^5, is what an impostor of
/// the relay has to guess, with one guess each time that somebody types a code.
const HEAD_LENGTH: usize = 3;

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

    /// Returns the letters that tell which pairing is meant.
    pub fn head(&self) -> &str {
        &self.0[..HEAD_LENGTH]
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

/// Name of the file on the boot partition.
pub const PROVISIONING_FILE: &str = "nightjar.toml";
/// A larger file is none of ours.
pub const PROVISIONING_BYTES_MAX: usize = 64 * 1024;

/// The file that an installer brings to a camera, on its boot partition or for `nightjar-agent pair
/// --file` (TOML).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisioningFile {
    #[serde(alias = "relay")]
    pub relay_url: String,
    /// Single use. Without one the camera shows a code, by which an owner takes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// SHA-256 of the relay's CA certificate in DER, lower-case hexadecimal. The camera checks
    /// it before it sends anything. Absent where the relay is reached by plain http on loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_sha256: Option<String>,
    /// The key of the browser that opened the pairing: Ed25519, base64 (standard, padded). The
    /// browser writes it into the file itself, so the relay has no part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_key: Option<String>,
    /// What the camera is to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// From then on the relay refuses the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wifi: Option<Wifi>,
}

/// Why a file is no provisioning file. Each says what is wrong, and none of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProvisioning {
    #[error("it is larger than 64 KB, so it is none of Nightjar's")]
    TooLarge,
    #[error("it is empty")]
    Empty,
    #[error("{0}")]
    NotText(#[from] NotText),
    #[error("{0}")]
    Malformed(String),
    #[error("relay_url must be an https:// address")]
    RelayUrl,
    #[error("ca_sha256 must have 64 hexadecimal digits")]
    CaSha256,
}

impl ProvisioningFile {
    /// Reads a file as any editor saves it. `from_toml` is the reader's parser; what it complains of
    /// may quote the file, and so is not shown but for what a rule of ours says.
    pub fn read<E: fmt::Display>(
        bytes: &[u8],
        from_toml: impl FnOnce(&str) -> Result<Self, E>,
    ) -> Result<Self, NotProvisioning> {
        if bytes.len() > PROVISIONING_BYTES_MAX {
            return Err(NotProvisioning::TooLarge);
        }
        let text = text_file::decode(bytes)?;
        if text.trim().is_empty() {
            return Err(NotProvisioning::Empty);
        }
        let file = from_toml(&text)
            .map_err(|error| NotProvisioning::Malformed(error.to_string().replace('\n', " ")))?;
        let is_address = ["https://", "http://"].iter().any(|it| file.relay_url.starts_with(it));
        if !is_address || file.relay_url.chars().any(char::is_control) {
            return Err(NotProvisioning::RelayUrl);
        }
        let is_hash =
            |hash: &String| hash.len() == 64 && hash.bytes().all(|it| it.is_ascii_hexdigit());
        if file.ca_sha256.as_ref().is_some_and(|hash| !is_hash(hash)) {
            return Err(NotProvisioning::CaSha256);
        }
        Ok(file)
    }
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

/// `POST agent/announcement`: a camera that belongs to nobody yet says that it is there, so that an owner
/// takes it by the code that it shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AnnouncementRequest {
    /// Ed25519 public key, base64 (standard, padded).
    pub public_key: String,
    pub nonce: String,
    /// Ed25519 over [`announcement_proof`], base64 (standard, padded).
    pub signature: String,
    pub name: String,
    pub model: String,
    pub agent_version: String,
    /// What it sees: a JPEG of at most 16,384 bytes, base64 (standard, padded).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// What the camera shows, and by what it asks whether somebody has taken it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AnnouncementAnswer {
    /// Like `BCDF-GHJK`.
    pub code: String,
    /// Once somebody has taken the camera, the secret of its claim.
    pub ticket: String,
    pub expires_at: UnixMillis,
}

/// `POST agent/announcement/state`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AnnouncementQuestion {
    pub ticket: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AnnouncementStatus {
    pub state: AnnouncementState,
}

words! {
    /// What became of an announcement.
    AnnouncementState {
        Open = "open",
        /// Somebody took the camera: its ticket is the secret of its claim.
        Accepted = "accepted",
        /// Its time is over: the camera announces itself anew, with another code.
        Expired = "expired",
    } or Unknown
}

/// Writes the text a camera signs when it announces itself. `public_key` is base64 (standard, padded).
pub fn announcement_proof(nonce: &str, public_key: &str) -> String {
    format!("nightjar announcement v1\n{nonce}\n{public_key}")
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

    fn read(bytes: &[u8]) -> Result<ProvisioningFile, NotProvisioning> {
        ProvisioningFile::read(bytes, |text| serde_json::from_str(text))
    }

    #[test]
    fn a_file_is_read_or_named_wrong() {
        let good = br#"{"relay": "https://cam.example.org", "new": 1, "wifi": {"ssid": "Home"}}"#;
        let file = read(good).unwrap();
        assert!(file.secret.is_empty() && file.wifi.unwrap().ssid.as_str() == "Home");
        for (bytes, expected) in [
            (b" \n".to_vec(), NotProvisioning::Empty),
            (vec![b'#'; PROVISIONING_BYTES_MAX + 1], NotProvisioning::TooLarge),
            (br#"{"relay": "cam.example.org"}"#.to_vec(), NotProvisioning::RelayUrl),
            (br#"{"relay": "https://a\u0007"}"#.to_vec(), NotProvisioning::RelayUrl),
            (br#"{"relay": "https://a", "ca_sha256": "0a"}"#.to_vec(), NotProvisioning::CaSha256),
            (b"\xff\xfea\0".to_vec(), NotProvisioning::NotText(NotText::Utf16)),
        ] {
            assert_eq!(read(&bytes).unwrap_err(), expected);
        }
        for bytes in [
            &br#"{"secret": "geheim"}"#[..],
            br#"{"relay": "https://a", "wifi": {"ssid": "a\u0007"}}"#,
        ] {
            assert!(matches!(read(bytes), Err(NotProvisioning::Malformed(_))));
        }
    }

    #[test]
    fn biased_bytes_are_skipped() {
        let bytes = [255, 0, 250, 1, 2, 3, 4, 5, 6, 239];
        assert_eq!(JoinCode::from_random(bytes).unwrap().letters(), "BCDFGHJZ");
        assert!(JoinCode::from_random([0; 7]).is_none());
    }
}

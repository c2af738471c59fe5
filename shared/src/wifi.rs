//! A Wi-Fi network that an installer brings to a camera, in a file or in a QR code. What a network cannot
//! be called, or a passphrase cannot be, is refused where it is read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{text::is_hidden, word::words};

/// Bytes of a network's name (IEEE 802.11, 9.4.2.2).
const SSID_BYTES_MAX: usize = 32;
/// Characters of a passphrase of WPA2 and WPA3 personal; the key that is made of one is written in
/// hexadecimal digits instead.
const PASSPHRASE_CHARS: std::ops::RangeInclusive<usize> = 8..=63;
const KEY_DIGITS: usize = 64;

/// A network, and how it is joined. Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wifi {
    pub ssid: Ssid,
    /// Absent for an open network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Passphrase>,
    /// It does not tell its name: it is asked for by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Where the camera stands: which channels it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
}

words! {
    /// Why a camera does not join a network.
    WifiProblem {
        NoNetworkManager = "wifi_no_network_manager",
        NoRadio = "wifi_no_radio",
        RadioOff = "wifi_radio_off",
        NotFound = "wifi_not_found",
        WrongPassphrase = "wifi_wrong_passphrase",
        NoAddress = "wifi_no_address",
        TimedOut = "wifi_timed_out",
        NotPermitted = "wifi_not_permitted",
        Failed = "wifi_failed",
    }
}

/// Why a network cannot be joined as it is described. Says nothing of the passphrase itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWifi {
    #[error("the Wi-Fi's name has 1 to {SSID_BYTES_MAX} bytes; this one has {bytes}")]
    SsidLength { bytes: usize },
    #[error("the Wi-Fi's name has a control or invisible character; write it anew")]
    SsidCharacter,
    #[error(
        "the Wi-Fi's passphrase has 8 to 63 characters of plain ASCII, or is a key of 64 \
         hexadecimal digits"
    )]
    Passphrase,
    #[error("the Wi-Fi's country is two letters, like DE")]
    Country,
}

/// The name of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ssid(String);

/// The passphrase of WPA2 or WPA3 personal, or the key that is made of one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Passphrase(String);

/// A country as ISO 3166 abbreviates it, in capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Ssid {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Passphrase {
    /// Returns the secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Country {
    pub fn as_str(&self) -> &str {
        // Two letters of ASCII: see `from_str`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Ssid {
    type Err = InvalidWifi;

    fn from_str(text: &str) -> Result<Self, InvalidWifi> {
        if text.is_empty() || text.len() > SSID_BYTES_MAX {
            return Err(InvalidWifi::SsidLength { bytes: text.len() });
        }
        if text.chars().any(is_hidden) {
            return Err(InvalidWifi::SsidCharacter);
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Passphrase {
    type Err = InvalidWifi;

    fn from_str(text: &str) -> Result<Self, InvalidWifi> {
        let is_phrase = PASSPHRASE_CHARS.contains(&text.len())
            && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let is_key = text.len() == KEY_DIGITS && text.bytes().all(|it| it.is_ascii_hexdigit());
        (is_phrase || is_key).then(|| Self(text.to_owned())).ok_or(InvalidWifi::Passphrase)
    }
}

impl FromStr for Country {
    type Err = InvalidWifi;

    fn from_str(text: &str) -> Result<Self, InvalidWifi> {
        match text.as_bytes() {
            [one, two] if one.is_ascii_alphabetic() && two.is_ascii_alphabetic() => {
                Ok(Self([one.to_ascii_uppercase(), two.to_ascii_uppercase()]))
            }
            _ => Err(InvalidWifi::Country),
        }
    }
}

/// A passphrase is a secret: it stands in no log.
impl fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Passphrase(…)")
    }
}

impl fmt::Display for Ssid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Display for Country {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl TryFrom<String> for Ssid {
    type Error = InvalidWifi;

    fn try_from(text: String) -> Result<Self, InvalidWifi> {
        text.parse()
    }
}

impl TryFrom<String> for Passphrase {
    type Error = InvalidWifi;

    fn try_from(text: String) -> Result<Self, InvalidWifi> {
        text.parse()
    }
}

impl TryFrom<String> for Country {
    type Error = InvalidWifi;

    fn try_from(text: String) -> Result<Self, InvalidWifi> {
        text.parse()
    }
}

impl From<Ssid> for String {
    fn from(ssid: Ssid) -> Self {
        ssid.0
    }
}

impl From<Passphrase> for String {
    fn from(passphrase: Passphrase) -> Self {
        passphrase.0
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_bytes_that_can_be_seen() {
        for name in ["Home", "a", " two words ", "Zoë's 📷", &"x".repeat(32)] {
            assert_eq!(name.parse::<Ssid>().unwrap().as_str(), name);
        }
        assert_eq!("".parse::<Ssid>(), Err(InvalidWifi::SsidLength { bytes: 0 }));
        let long = "ü".repeat(17);
        assert_eq!(long.parse::<Ssid>(), Err(InvalidWifi::SsidLength { bytes: 34 }));
        for name in ["a\nb", "a\0", "\u{1b}[2J", "a\u{7f}", "a\u{202e}b", "a\u{85}"] {
            assert_eq!(name.parse::<Ssid>(), Err(InvalidWifi::SsidCharacter), "{name:?}");
        }
    }

    #[test]
    fn a_passphrase_is_plain_or_a_key() {
        for secret in ["12345678", "a b~ \"\\;:,", &"p".repeat(63), &"0aF".repeat(22)[..64]] {
            assert_eq!(secret.parse::<Passphrase>().unwrap().reveal(), secret);
        }
        for secret in ["", "1234567", &"p".repeat(64), &"a".repeat(65), "pässword", "12345678\n"] {
            assert_eq!(secret.parse::<Passphrase>(), Err(InvalidWifi::Passphrase), "{secret:?}");
        }
    }

    #[test]
    fn a_country_is_two_letters() {
        assert_eq!("de".parse::<Country>().unwrap().as_str(), "DE");
        for country in ["", "D", "DEU", "D1", "ßß", "00"] {
            assert_eq!(country.parse::<Country>(), Err(InvalidWifi::Country), "{country:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is_read_and_no_secret_with_it() {
        let read = |json: &str| serde_json::from_str::<Wifi>(json);
        let wifi = read(r#"{"ssid": "Home", "passphrase": "geheim-geheim", "new": 1}"#).unwrap();
        assert!(!wifi.hidden && wifi.country.is_none());
        assert!(!format!("{wifi:?}").contains("geheim"), "{wifi:?}");
        let open = read(r#"{"ssid": "Home", "hidden": true, "country": "de"}"#).unwrap();
        assert!(open.hidden && open.passphrase.is_none());
        assert_eq!(open.country.unwrap().to_string(), "DE");
        for wrong in [
            r#"{"ssid": ""}"#,
            r#"{"ssid": "a\u0007"}"#,
            r#"{"passphrase": "geheim-geheim"}"#,
            r#"{"ssid": "Home", "passphrase": "geheim"}"#,
            r#"{"ssid": "Home", "passphrase": "geheim\ngeheim"}"#,
            r#"{"ssid": "Home", "country": "Germany"}"#,
        ] {
            let complaint = read(wrong).unwrap_err().to_string();
            assert!(!complaint.contains("geheim"), "{complaint}");
        }
    }
}

//! The text of the QR code that an unpaired camera is shown, and why one is refused.
//!
//! It is written like the well-known codes of Wi-Fi networks, a letter for each field, so that it is
//! short: `NIGHTJAR:V:1;R:https://cam.example.org;S:…;C:…;E:1790000000;O:…;N:Home;P:…;;`. A backslash
//! stands before a `\` or `;` of a value. No scanner takes it for an address that it could open, and so
//! no secret of it is sent anywhere. The relay writes what the pairing is; the browser adds the owner's
//! key and the Wi-Fi, which the relay has no part in.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use crate::{
    time::UnixMillis,
    web_address::{self, InvalidAddress},
    wifi::{InvalidWifi, Wifi},
    word::words,
};

/// What the text begins with.
const PREFIX: &str = "NIGHTJAR:";
/// What the text of a Wi-Fi network begins with, as routers and phones show it.
const WIFI_PREFIX: &str = "WIFI:";
/// What [`PairingQr`] writes, and the newest that is read.
const VERSION: u32 = 1;

/// Bytes of the longest text: what a QR code of version 15 holds at level M. A larger one has more
/// squares than a camera of fixed focus can tell apart.
pub const QR_BYTES_MAX: usize = 412;

const SHA256_DIGITS: usize = 64;
/// An Ed25519 key in base64, standard and padded.
const KEY_LETTERS: usize = 44;
const SECRET_LETTERS_MAX: usize = 64;

/// What the QR code says.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingQr {
    pub relay_url: String,
    /// Single use.
    pub secret: String,
    /// SHA-256 of the relay's CA certificate, lower-case hexadecimal: the camera checks it before it sends
    /// anything. Absent where the relay has a public certificate, or is on this machine.
    pub ca_sha256: Option<String>,
    /// From then on it is not shown any more. To the second.
    pub expires_at: UnixMillis,
    /// The key of the browser that shows the code: Ed25519, base64 (standard, padded).
    pub owner_key: Option<String>,
    pub wifi: Option<Wifi>,
}

/// Why the text of a QR code is not followed. Says nothing of the text itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QrRefusal {
    #[error("the QR code is of another product")]
    OtherProduct,
    #[error("the QR code holds a Wi-Fi network alone, and no relay")]
    WifiAlone,
    #[error("the QR code is not text")]
    NotText,
    #[error("the QR code is longer than {QR_BYTES_MAX} bytes")]
    TooLong,
    #[error("the QR code is of a newer version than this agent knows")]
    NewerVersion,
    #[error("the QR code is damaged: {0}")]
    Malformed(&'static str),
    #[error("the QR code's relay cannot be used: {0}")]
    Relay(InvalidAddress),
    #[error("the QR code's Wi-Fi cannot be used: {0}")]
    Wifi(InvalidWifi),
    #[error("the QR code has expired")]
    Expired,
    #[error("several pairing codes are in the picture at once")]
    Several,
}

words! {
    /// Why a code that the camera was shown does not pair it, for programs.
    QrProblem {
        OtherProduct = "qr_other_product",
        WifiAlone = "qr_wifi_alone",
        NotText = "qr_not_text",
        TooLong = "qr_too_long",
        NewerVersion = "qr_newer_version",
        Malformed = "qr_malformed",
        Relay = "qr_relay",
        Wifi = "qr_wifi",
        Expired = "qr_expired",
        Several = "qr_several",
        /// Of a relay that the camera's owner does not admit.
        NotAdmitted = "qr_foreign_relay",
        /// The relay does not take its secret.
        NotAccepted = "not_accepted",
        TooManyTries = "too_many_tries",
        /// Relay and agent are too far apart in age.
        Protocol = "protocol",
        /// What answers is not the relay of the code.
        ForeignRelay = "foreign_relay",
        /// The camera's clock is not set.
        NoTime = "no_time",
        Unreachable = "unreachable",
        /// The relay refuses the camera.
        Refused = "refused",
        /// The pairing cannot be written down.
        NotKept = "not_kept",
    }
}

impl QrRefusal {
    /// Names it for programs.
    pub fn problem(&self) -> QrProblem {
        match self {
            Self::OtherProduct => QrProblem::OtherProduct,
            Self::WifiAlone => QrProblem::WifiAlone,
            Self::NotText => QrProblem::NotText,
            Self::TooLong => QrProblem::TooLong,
            Self::NewerVersion => QrProblem::NewerVersion,
            Self::Malformed(_) => QrProblem::Malformed,
            Self::Relay(_) => QrProblem::Relay,
            Self::Wifi(_) => QrProblem::Wifi,
            Self::Expired => QrProblem::Expired,
            Self::Several => QrProblem::Several,
        }
    }

    /// Says what the person with the code can do.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::OtherProduct | Self::WifiAlone | Self::NotText | Self::TooLong => {
                "show the code of the app's page \"Add a camera\""
            }
            Self::NewerVersion => "update the camera's agent",
            Self::Malformed(_) | Self::Expired => {
                "open the app's page \"Add a camera\" anew, and show its code"
            }
            Self::Relay(_) => "correct the relay's public address, then show a new code",
            Self::Wifi(_) => "correct the Wi-Fi on the app's page, and show its code again",
            Self::Several => "show the camera one code",
        }
    }
}

impl PairingQr {
    /// Returns whether a text is meant for a camera of Nightjar, right or wrong.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Reads what a QR code says. `now` is the time where it is known; who does not know it leaves the
    /// judgement to the relay.
    pub fn read(text: &str, now: Option<UnixMillis>) -> Result<Self, QrRefusal> {
        if text.len() > QR_BYTES_MAX {
            return Err(QrRefusal::TooLong);
        }
        let code: Self = text.parse()?;
        match now {
            Some(now) if code.expires_at <= now => Err(QrRefusal::Expired),
            _ => Ok(code),
        }
    }
}

impl FromStr for PairingQr {
    type Err = QrRefusal;

    fn from_str(text: &str) -> Result<Self, QrRefusal> {
        let Some(body) = text.strip_prefix(PREFIX) else {
            let is_wifi = text.get(..WIFI_PREFIX.len()) == Some(WIFI_PREFIX);
            return Err(if is_wifi { QrRefusal::WifiAlone } else { QrRefusal::OtherProduct });
        };
        let mut fields = Fields::split(body)?;
        match fields.take('V').ok_or(QrRefusal::Malformed("it has no version"))?.parse() {
            Ok(VERSION) => {}
            Ok(0) | Err(_) => return Err(QrRefusal::Malformed("its version is no number")),
            Ok::<u32, _>(_) => return Err(QrRefusal::NewerVersion),
        }
        let code = Self {
            relay_url: fields.take('R').ok_or(QrRefusal::Malformed("it names no relay"))?,
            secret: fields.take('S').ok_or(QrRefusal::Malformed("it has no secret"))?,
            ca_sha256: fields.take('C'),
            expires_at: fields.expiry()?,
            owner_key: fields.take('O'),
            wifi: fields.wifi()?,
        };
        code.check()?;
        Ok(code)
    }
}

impl PairingQr {
    fn check(&self) -> Result<(), QrRefusal> {
        web_address::check(&self.relay_url).map_err(QrRefusal::Relay)?;
        let is_secret = (1..=SECRET_LETTERS_MAX).contains(&self.secret.len())
            && self.secret.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
        let is_digest = |text: &String| {
            text.len() == SHA256_DIGITS
                && text.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it))
        };
        let is_key = |text: &String| {
            text.len() == KEY_LETTERS
                && text.ends_with('=')
                && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"+/=".contains(&it))
        };
        if !is_secret {
            return Err(QrRefusal::Malformed("its secret is none"));
        }
        if !self.ca_sha256.as_ref().is_none_or(is_digest) {
            return Err(QrRefusal::Malformed("its SHA-256 has not 64 hexadecimal digits"));
        }
        if !self.owner_key.as_ref().is_none_or(is_key) {
            return Err(QrRefusal::Malformed("its owner's key is none"));
        }
        Ok(())
    }
}

/// The fields of a text, each with its letter. Those of newer versions stay unread.
struct Fields(Vec<(char, String)>);

impl Fields {
    fn split(body: &str) -> Result<Self, QrRefusal> {
        const OPEN: QrRefusal = QrRefusal::Malformed("its end is missing");
        let body = body.strip_suffix(";;").ok_or(OPEN)?;
        let mut fields: Vec<(char, String)> = Vec::new();
        let mut letters = body.chars();
        while let Some(key) = letters.next() {
            if letters.next() != Some(':') {
                return Err(QrRefusal::Malformed("a field has no letter"));
            }
            if fields.iter().any(|(known, _)| *known == key) {
                return Err(QrRefusal::Malformed("a field stands there twice"));
            }
            fields.push((key, value(&mut letters)?));
        }
        Ok(Self(fields))
    }

    fn take(&mut self, key: char) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| *known == key)?;
        Some(self.0.swap_remove(place).1)
    }

    fn expiry(&mut self) -> Result<UnixMillis, QrRefusal> {
        let seconds = self.take('E').ok_or(QrRefusal::Malformed("it says not until when"))?;
        let millis = seconds.parse::<i64>().ok().and_then(|it| it.checked_mul(1000));
        millis.map(UnixMillis).ok_or(QrRefusal::Malformed("its expiry is no time"))
    }

    fn wifi(&mut self) -> Result<Option<Wifi>, QrRefusal> {
        let (ssid, passphrase) = (self.take('N'), self.take('P'));
        let (hidden, country) = (self.take('H'), self.take('L'));
        let Some(ssid) = ssid else { return Ok(None) };
        let wifi = || {
            Ok(Wifi {
                ssid: ssid.parse()?,
                passphrase: passphrase.as_deref().map(str::parse).transpose()?,
                hidden: hidden.is_some(),
                country: country.as_deref().map(str::parse).transpose()?,
            })
        };
        wifi().map(Some).map_err(QrRefusal::Wifi)
    }
}

/// Reads up to the end of a field, and takes the backslashes away.
fn value(letters: &mut std::str::Chars<'_>) -> Result<String, QrRefusal> {
    let mut value = String::new();
    loop {
        match letters.next() {
            None | Some(';') => return Ok(value),
            Some('\\') => {
                value.push(letters.next().ok_or(QrRefusal::Malformed("it ends in a backslash"))?);
            }
            Some(letter) => value.push(letter),
        }
    }
}

impl fmt::Display for PairingQr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(PREFIX)?;
        let mut field = |key: char, value: &str| {
            write!(formatter, "{key}:")?;
            for letter in value.chars() {
                if matches!(letter, '\\' | ';') {
                    formatter.write_char('\\')?;
                }
                formatter.write_char(letter)?;
            }
            formatter.write_char(';')
        };
        field('V', &VERSION.to_string()).and_then(|()| field('R', &self.relay_url))?;
        field('S', &self.secret)?;
        for (key, value) in [('C', &self.ca_sha256), ('O', &self.owner_key)] {
            value.as_ref().map_or(Ok(()), |value| field(key, value))?;
        }
        field('E', &(self.expires_at.0 / 1000).to_string())?;
        if let Some(wifi) = &self.wifi {
            field('N', wifi.ssid.as_str())?;
            wifi.passphrase.as_ref().map_or(Ok(()), |secret| field('P', secret.reveal()))?;
            if wifi.hidden {
                field('H', "1")?;
            }
            wifi.country.map_or(Ok(()), |country| field('L', country.as_str()))?;
        }
        formatter.write_char(';')
    }
}

/// Its secrets stand in no log.
impl fmt::Debug for PairingQr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PairingQr")
            .field("relay_url", &self.relay_url)
            .field("ca_sha256", &self.ca_sha256)
            .field("expires_at", &self.expires_at)
            .field("wifi", &self.wifi)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn whole() -> PairingQr {
        PairingQr {
            relay_url: "https://cam.example.org".to_owned(),
            secret: "mC8TqHnLr5o0Ttq9fPq4xA".to_owned(),
            ca_sha256: Some("0a".repeat(32)),
            expires_at: UnixMillis(NOW.0 + 600_000),
            owner_key: Some(KEY.to_owned()),
            wifi: Some(Wifi {
                ssid: r"Caf\u{e9}; \back".parse().unwrap(),
                passphrase: Some(r"a;b\c: ~d".parse().unwrap()),
                hidden: true,
                country: Some("DE".parse().unwrap()),
            }),
        }
    }

    #[test]
    fn what_is_written_is_read_and_fits_what_a_camera_can_see() {
        let plain = PairingQr { wifi: None, owner_key: None, ca_sha256: None, ..whole() };
        for code in [whole(), plain] {
            let text = code.to_string();
            assert!(text.len() <= QR_BYTES_MAX && text.ends_with(";;"), "{text}");
            assert_eq!(PairingQr::read(&text, Some(NOW)), Ok(code));
        }
        let debugged = format!("{:?}", whole());
        assert!(!debugged.contains("mC8T") && !debugged.contains("a;b"), "{debugged}");
    }

    #[test]
    fn the_longest_wi_fi_fits_beside_an_address_of_a_hundred_letters() {
        let wifi = Wifi {
            ssid: "n".repeat(32).parse().unwrap(),
            passphrase: Some("p".repeat(63).parse().unwrap()),
            hidden: true,
            country: Some("DE".parse().unwrap()),
        };
        let relay_url = format!("https://{}", "a".repeat(92));
        let text = PairingQr { relay_url, wifi: Some(wifi), ..whole() }.to_string();
        assert!(text.len() <= QR_BYTES_MAX, "{}", text.len());
    }

    #[test]
    fn fields_of_a_newer_writer_and_another_order_are_read() {
        let text = format!(
            "NIGHTJAR:Z:\\;new;E:1790000600;S:c2VjcmV0;R:http://localhost:8080;V:1;O:{KEY};;"
        );
        let code = PairingQr::read(&text, Some(NOW)).unwrap();
        assert_eq!(
            (code.relay_url.as_str(), code.secret.as_str()),
            ("http://localhost:8080", "c2VjcmV0")
        );
        assert_eq!((code.owner_key.as_deref(), code.wifi), (Some(KEY), None));
    }

    #[test]
    fn each_wrong_code_is_refused_for_its_own_reason() {
        let body = "V:1;R:https://a.example;S:c2VjcmV0;E:1790000600;";
        let with = |more: &str| format!("NIGHTJAR:{body}{more};");
        let long = with(&format!("Z:{};", "z".repeat(QR_BYTES_MAX)));
        for (text, code) in [
            ("https://example.org/menu".to_owned(), "qr_other_product"),
            (String::new(), "qr_other_product"),
            ("nightjar:V:1;;".to_owned(), "qr_other_product"),
            ("WIFI:T:WPA;S:Home;P:geheim-geheim;;".to_owned(), "qr_wifi_alone"),
            (long, "qr_too_long"),
            (with("").replace("V:1", "V:2"), "qr_newer_version"),
            (with("").replace("V:1", "V:x"), "qr_malformed"),
            (with("").replace("V:1;", ""), "qr_malformed"),
            (with("R:https://b.example;"), "qr_malformed"),
            (with("").replace(";;", ";"), "qr_malformed"),
            (with("nothing;"), "qr_malformed"),
            (with("").replace("S:c2VjcmV0;", ""), "qr_malformed"),
            (with("").replace("c2VjcmV0", "sec ret\u{7}"), "qr_malformed"),
            (with("").replace("E:1790000600;", ""), "qr_malformed"),
            (with("").replace("1790000600", "9223372036854775807"), "qr_malformed"),
            (with("C:0A;"), "qr_malformed"),
            (with("O:nokey;"), "qr_malformed"),
            (with("").replace("https://a.example", "http://a.example"), "qr_relay"),
            (with("").replace("https://a.example", "https://me:pw@a.example"), "qr_relay"),
            (with("").replace("https://a.example", "https://a.exa\u{7}mple"), "qr_relay"),
            (with("N:a\u{1b}[2J;"), "qr_wifi"),
            (with("N:Home;P:short;"), "qr_wifi"),
            (with("N:;"), "qr_wifi"),
            (with("N:Home;L:Germany;"), "qr_wifi"),
            (with("").replace("1790000600", "1790000000"), "qr_expired"),
        ] {
            let refusal = PairingQr::read(&text, Some(NOW)).unwrap_err();
            assert_eq!(refusal.problem().as_str(), code, "{text:?}: {refusal}");
            assert!(!refusal.next_step().is_empty());
        }
        // A board without a clock leaves it to the relay.
        let old = with("").replace("1790000600", "1000");
        assert!(PairingQr::read(&old, None).is_ok());
    }
}

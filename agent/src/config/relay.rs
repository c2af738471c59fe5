//! The relay where a camera shows itself while it belongs to nobody.

use serde::Deserialize;

use super::ConfigError;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    pub url: String,
    /// Of the relay's own certificate authority, as the app shows it; absent where the relay has a public
    /// certificate.
    pub ca_sha256: Option<String>,
}

impl RelayConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !["https://", "http://"].iter().any(|scheme| self.url.starts_with(scheme)) {
            return Err(ConfigError::value(
                "relay.url",
                &self.url,
                "write the address of the relay, like https://cam.example.org",
            ));
        }
        let is_hash =
            |text: &String| text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
        match &self.ca_sha256 {
            Some(hash) if !is_hash(hash) => Err(ConfigError::value(
                "relay.ca_sha256",
                hash,
                "a SHA-256 has 64 hexadecimal digits; copy it from the app",
            )),
            _ => Ok(()),
        }
    }
}

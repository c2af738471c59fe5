//! `[qr]`: whether a camera that belongs to nobody looks for a pairing code in its pictures.

use nightjar_shared::web_address;
use serde::Deserialize;

use super::ConfigError;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QrConfig {
    pub enabled: bool,
    /// The only relay whose codes are followed; any when absent.
    pub relay: Option<String>,
}

impl Default for QrConfig {
    fn default() -> Self {
        Self { enabled: true, relay: None }
    }
}

impl QrConfig {
    /// Returns whether codes of this relay are followed.
    pub fn admits(&self, relay_url: &str) -> bool {
        let plain = |url: &str| url.trim_end_matches('/').to_ascii_lowercase();
        self.relay.as_deref().is_none_or(|only| plain(only) == plain(relay_url))
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let Some(Err(problem)) = self.relay.as_deref().map(web_address::check) else {
            return Ok(());
        };
        let remedy = format!("{problem}; name the relay's address, or leave it out");
        Err(ConfigError::value("qr.relay", &"(see there)", remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_relay_is_the_only_one() {
        let any = QrConfig::default();
        assert!(any.enabled && any.admits("https://a.example"));
        let relay = Some("https://A.example/".to_owned());
        let one = QrConfig { relay, ..any };
        assert!(one.validate().is_ok());
        assert!(one.admits("https://a.example") && !one.admits("https://a.example.evil"));
        let wrong = QrConfig { relay: Some("a.example".to_owned()), ..one };
        assert!(wrong.validate().unwrap_err().to_string().starts_with("qr.relay"));
    }
}

//! `[live]`: who may watch, and by which way.

use std::path::PathBuf;

use nightjar_shared::web_address;
use serde::Deserialize;

use super::{ConfigError, range};

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveConfig {
    pub max_viewers: u32,
    /// How far the encoder's bitrate, which recordings share, may follow the viewers' networks
    /// down, kbit/s. Who cannot receive that much gets a smaller picture.
    pub min_bitrate_kbps: u32,
    pub authenticity: AuthenticityMode,
    pub mode: LiveMode,
    /// For the mode `sfu`.
    pub sfu: Option<SfuConfig>,
}

/// Whether viewers and camera prove to each other, past the relay, who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticityMode {
    Off,
    /// The camera proves itself; a viewer that gives a proof must give a good one.
    #[default]
    Prefer,
    /// Only viewers that an owner let in; no third-party players.
    Require,
}

/// By which way the picture reaches its viewers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveMode {
    /// Straight to each of them.
    #[default]
    P2p,
    /// Once to an SFU, which serves them all.
    Sfu,
}

/// An SFU that takes WHIP (RFC 9725) and serves WHEP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SfuConfig {
    /// Where this camera publishes.
    pub whip_url: String,
    /// Where viewers find it. They are told it: it must not name a secret.
    pub whep_url: String,
    /// A file with the token that the SFU wants of this camera, readable by the agent alone.
    pub token_file: Option<PathBuf>,
}

impl Default for LiveConfig {
    fn default() -> Self {
        Self {
            max_viewers: 8,
            min_bitrate_kbps: 600,
            authenticity: AuthenticityMode::default(),
            mode: LiveMode::default(),
            sfu: None,
        }
    }
}

impl LiveConfig {
    /// The SFU that is published to, if any.
    pub fn publishes_to(&self) -> Option<&SfuConfig> {
        self.sfu.as_ref().filter(|_| self.mode == LiveMode::Sfu)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        range("live.min_bitrate_kbps", self.min_bitrate_kbps, 100, 20_000)?;
        range("live.max_viewers", self.max_viewers, 0, 64)?;
        if let Some(sfu) = &self.sfu {
            for (key, url) in
                [("live.sfu.whip_url", &sfu.whip_url), ("live.sfu.whep_url", &sfu.whep_url)]
            {
                // The URL may hold what should not be shown: it may end up in a journal.
                web_address::check(url).map_err(|reason| {
                    ConfigError::value(key, &"(see there)", reason.to_string())
                })?;
            }
        }
        match self.mode {
            LiveMode::P2p => Ok(()),
            LiveMode::Sfu if self.sfu.is_none() => Err(ConfigError::value(
                "live.mode",
                &"\"sfu\"",
                "add a section [live.sfu] with whip_url and whep_url",
            )),
            // An SFU decrypts what passes it, and cannot sign in the camera's place.
            LiveMode::Sfu if self.authenticity == AuthenticityMode::Require => {
                Err(ConfigError::value(
                    "live.mode",
                    &"\"sfu\"",
                    "an SFU cannot prove itself to viewers: choose authenticity = \"prefer\" or \
                     \"off\", or mode = \"p2p\"",
                ))
            }
            LiveMode::Sfu => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<LiveConfig, ConfigError> {
        Config::parse(text, Path::new("agent.toml")).map(|config| config.live)
    }

    const SFU: &str = "[live.sfu]\nwhip_url = \"https://sfu.example/whip/porch\"\n\
        whep_url = \"https://sfu.example/whep/porch\"\ntoken_file = \"/etc/nightjar/sfu-token\"\n";

    #[test]
    fn an_sfu_is_published_to_when_the_mode_says_so() {
        let config = parse(&format!("[live]\nmode = \"sfu\"\n{SFU}")).unwrap();
        assert_eq!(config.publishes_to().unwrap().whip_url, "https://sfu.example/whip/porch");
        assert!(parse(SFU).unwrap().publishes_to().is_none(), "p2p is the default");
    }

    #[test]
    fn an_sfu_without_addresses_is_refused_with_what_to_add() {
        let message = parse("[live]\nmode = \"sfu\"\n").unwrap_err().to_string();
        assert!(message.contains("live.mode = \"sfu\"") && message.contains("[live.sfu]"));
        let without = SFU.replace("whep_url", "# whep_url");
        let message = parse(&format!("[live]\nmode = \"sfu\"\n{without}")).unwrap_err();
        assert!(message.to_string().contains("whep_url"), "{message}");
    }

    #[test]
    fn a_refused_address_is_named_by_its_key_and_not_shown() {
        let bad = SFU.replace("https://sfu.example/whip", "https://me:secret@sfu.example/whip");
        let message = parse(&bad).unwrap_err().to_string();
        assert!(message.contains("live.sfu.whip_url"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn an_sfu_cannot_stand_in_for_the_camera_s_proof() {
        let text = format!("[live]\nmode = \"sfu\"\nauthenticity = \"require\"\n{SFU}");
        assert!(parse(&text).unwrap_err().to_string().contains("authenticity"));
    }
}

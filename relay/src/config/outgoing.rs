//! `[outgoing]`: what the relay reaches on behalf of users, for push services and webhooks.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::network::Network;

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutgoingConfig {
    /// Private addresses and networks that webhooks may reach all the same, also by http: an ntfy server at
    /// home, like `192.168.1.20` or `10.0.1.0/24`. Whoever manages a site here then reaches them.
    pub allowed_networks: Vec<String>,
}

impl OutgoingConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.networks().map(drop)
    }

    pub fn networks(&self) -> Result<Vec<Network>, ConfigError> {
        let parse = |text: &String| {
            text.parse().map_err(|problem| {
                ConfigError::value("outgoing.allowed_networks", text, format!("{problem}"))
            })
        };
        self.allowed_networks.iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;

    #[test]
    fn what_is_no_network_is_named() {
        let parse = |text: &str| {
            let text = format!("[outgoing]\nallowed_networks = [\"{text}\"]");
            Config::parse(&text, Path::new("relay.toml"))
        };
        assert_eq!(parse("192.168.1.20").unwrap().outgoing.networks().unwrap().len(), 1);
        let message = parse("ntfy.lan").unwrap_err().to_string();
        assert!(message.starts_with("outgoing.allowed_networks = ntfy.lan"), "{message}");
    }
}

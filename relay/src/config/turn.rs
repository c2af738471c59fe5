//! How media crosses networks that let nothing in.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// How media crosses networks that let nothing in. Keys that an engine has no use for are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnConfig {
    /// Without it: `embedded` where the relay is reached off localhost, else `none`.
    pub engine: Option<TurnEngine>,
    /// Embedded: for UDP and TCP. Without it the address of the top-level `listen`, port 3478.
    pub listen: Option<SocketAddr>,
    /// Embedded: for TLS, with the relay's own certificate. Without it the address of `listen`,
    /// port 5349.
    pub tls_listen: Option<SocketAddr>,
    /// Embedded: whether TLS is served at all. Without it, where the relay is reached by https.
    pub tls: Option<bool>,
    /// Embedded: whether TURN over TCP and TLS is served at the port of the app, too, which is then the one
    /// that viewers and cameras are told. Without it, where the relay itself speaks TLS there.
    pub web_port: Option<bool>,
    /// Embedded: the address at which others reach what is relayed. Without it the one that is
    /// listened on, or else the one that `public_url` has in the DNS.
    pub address: Option<IpAddr>,
    /// Embedded: first and last UDP port of what is relayed; a firewall must let them in.
    pub relay_ports: [u16; 2],
    /// Embedded: private addresses to which media may be relayed all the same, like `10.0.1.0/24`.
    pub allow_peers: Vec<String>,
    /// Embedded: what may be relayed for a site in a (UTC) day, both ways together.
    pub site_megabytes_per_day: u64,
    /// External: `stun:`, `turn:` and `turns:` URLs, in the order in which they are to be tried.
    pub urls: Vec<String>,
    /// External: holds what the server calls `static-auth-secret`.
    pub secret_file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEngine {
    None,
    Embedded,
    External,
}

impl TurnConfig {
    pub(super) fn check(&self, engine: TurnEngine) -> Result<(), ConfigError> {
        let [first, last] = self.relay_ports;
        if first < 1024 || first > last {
            return Err(ConfigError::value(
                "turn.relay_ports",
                format!("[{first}, {last}]"),
                "write the first and the last port, from 1024 on",
            ));
        }
        let is_url = |url: &String| {
            ["stun:", "turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme))
                && !url.contains(['<', '>', '"', ' ', ','])
        };
        if engine == TurnEngine::External
            && !(self.urls.iter().any(|_| true) && self.urls.iter().all(is_url))
        {
            return Err(ConfigError::value(
                "turn.urls",
                format!("{:?}", self.urls),
                "write URLs like \"turn:turn.example.org:3478?transport=udp\"",
            ));
        }
        Ok(())
    }
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            engine: None,
            listen: None,
            tls_listen: None,
            tls: None,
            web_port: None,
            address: None,
            relay_ports: [49_152, 50_175],
            allow_peers: Vec::new(),
            site_megabytes_per_day: 20_000,
            urls: Vec::new(),
            secret_file: PathBuf::from("/etc/nightjar/turn-secret"),
        }
    }
}

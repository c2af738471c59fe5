//! Which programs in front of the relay are believed when they say on whose behalf they ask.

use std::net::IpAddr;

use super::{Config, ConfigError, urls};
use crate::network::Network;

/// The networks that `trusted_proxies` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

impl Proxies {
    pub(super) fn parse(texts: &[String]) -> Result<Self, ConfigError> {
        let parse = |text: &String| {
            text.trim().parse().map_err(|_| {
                let remedy = "write addresses and networks like \"127.0.0.1\" or \"10.0.1.0/24\"";
                ConfigError::value("trusted_proxies", text, remedy)
            })
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    pub fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl<const N: usize> From<[Network; N]> for Proxies {
    fn from(networks: [Network; N]) -> Self {
        Self(networks.into())
    }
}

impl Config {
    pub(super) fn check_proxies(&self) -> Result<(), ConfigError> {
        if !self.proxies()?.are_none() {
            return Ok(());
        }
        let needs = [
            ("tls", !self.tls.enabled && self.is_https()),
            ("store.tls", !self.store.tls && self.store.public_url.starts_with("https:")),
            ("proxy_protocol", self.proxy_protocol),
            ("store.proxy_protocol", self.store.proxy_protocol),
            ("mqtt.proxy_protocol", self.mqtt.proxy_protocol),
        ];
        for (key, needed) in needs {
            if needed {
                let value = key.ends_with("proxy_protocol");
                let remedy = "this is for a proxy in front: name its address in trusted_proxies";
                return Err(ConfigError::value(key, value, remedy));
            }
        }
        Ok(())
    }

    /// Returns the proxies that are believed.
    pub fn proxies(&self) -> Result<Proxies, ConfigError> {
        Proxies::parse(self.trusted_proxies.as_deref().unwrap_or_default())
    }

    /// Returns whether people can only reach the relay through a program on its own machine that
    /// `trusted_proxies` says nothing of: then loopback is no address of anybody.
    pub fn has_unnamed_proxy(&self) -> bool {
        self.trusted_proxies.is_none()
            && self.listen.ip().is_loopback()
            && !urls::is_localhost(self.host())
    }
}

//! Which programs in front of the relay are believed when they say on whose behalf they ask.

use std::net::IpAddr;

use super::ConfigError;
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

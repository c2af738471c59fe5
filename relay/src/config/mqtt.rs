//! Where cameras speak MQTT.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttConfig {
    pub listen: SocketAddr,
    /// What cameras are told at their pairing.
    pub public_url: String,
    /// Whether connections to `listen` begin with the PROXY protocol's header.
    pub proxy_protocol: bool,
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8883)),
            public_url: "mqtts://localhost:8883".to_owned(),
            proxy_protocol: false,
        }
    }
}

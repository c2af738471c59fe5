//! The relay's broker: where it is, and how a connection to it is set up.

use std::{net::Ipv6Addr, sync::Arc, time::Duration};

use nightjar_shared::{
    event::Presence,
    ids::CameraId,
    topic::{Channel, Topic},
};
use rumqttc::{
    NetworkOptions, TlsConfiguration, Transport,
    v5::{
        AsyncClient, MqttOptions,
        mqttbytes::{QoS, v5::LastWill},
    },
};
use rustls::ClientConfig;

use super::{
    error::{AddressError, LinkError},
    in_flight::InFlight,
    publisher::{Client, MAX_PACKET_BYTES, Publisher},
    receiver::{Arrivals, Events, Receiver},
    simulated::Dial,
};
use crate::{
    cloud::DeviceToken,
    pairing::Pairing,
    tls::{TimeFloor, Trust, client_config},
};

/// A dead connection is noticed after two of these at the latest.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT_S: u64 = 10;
/// Publications handed to the client and not sent yet. When full, the sender waits.
const REQUESTS: usize = 16;
/// Of MQTT over TLS.
const DEFAULT_PORT: u16 = 8883;
/// Unacknowledged publications of all kinds; beyond, the client waits for the broker.
const MAX_IN_FLIGHT: u16 = 64;

/// The broker of the relay that this camera is paired with.
pub struct Broker {
    way: Way,
    camera_id: CameraId,
}

/// How the broker is reached.
enum Way {
    Network { host: String, port: u16, trust: Trust, floor: TimeFloor },
    Simulated(Dial),
}

impl Broker {
    /// Reads the broker's address and its certificate authority from the pairing.
    pub fn new(pairing: &Pairing, floor: TimeFloor) -> Result<Self, AddressError> {
        let wrong = || AddressError(pairing.mqtt.url.chars().take(200).collect());
        let (host, port) = broker_address(&pairing.mqtt.url).ok_or_else(wrong)?;
        let trust = Trust::Pinned(pairing.ca().map_err(|_| wrong())?);
        let way = Way::Network { host, port, trust, floor };
        Ok(Self { way, camera_id: pairing.camera_id })
    }

    /// Reaches a simulated broker.
    pub(in crate::uplink) fn simulated(camera_id: CameraId, dial: Dial) -> Self {
        Self { way: Way::Simulated(dial), camera_id }
    }

    /// Makes a client and an event loop for one connection. It comes about while the receiver runs.
    /// The broker publishes `will` when the connection breaks.
    pub(in crate::uplink) async fn connect(
        &self,
        token: &DeviceToken,
        will: &Presence,
        arrivals: Arrivals,
    ) -> Result<(Publisher, Receiver), LinkError> {
        let (client, events) = self.dial(token, will).await?;
        let (camera_id, in_flight) = (self.camera_id, InFlight::default());
        let publisher = Publisher { client, camera_id, in_flight: in_flight.clone() };
        Ok((publisher, Receiver { camera_id, in_flight, events, arrivals }))
    }

    async fn dial(
        &self,
        token: &DeviceToken,
        will: &Presence,
    ) -> Result<(Client, Events), LinkError> {
        let id = self.camera_id.to_string();
        let topic = Topic::new(self.camera_id, Channel::UpPresence).to_string();
        let will = (topic, serde_json::to_vec(will).unwrap_or_default());
        match &self.way {
            Way::Network { host, port, trust, floor } => {
                let mut options = MqttOptions::new(&id, host, *port);
                options.set_credentials(id, &token.value);
                set_up(&mut options, client_config(trust, floor)?, will);
                let (client, events) = AsyncClient::new(options, REQUESTS);
                Ok((Client::Network(client), Events::Network(Box::new(events))))
            }
            Way::Simulated(dial) => {
                let (packets, events) = dial.connect(id, token.value.clone(), will).await;
                Ok((Client::Simulated(packets), Events::Simulated(events)))
            }
        }
    }
}

fn set_up(options: &mut MqttOptions, tls: ClientConfig, (topic, will): (String, Vec<u8>)) {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_TIMEOUT_S);
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))))
        .set_network_options(network)
        .set_connection_timeout(CONNECT_TIMEOUT_S)
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_start(true)
        .set_max_packet_size(Some(MAX_PACKET_BYTES))
        .set_outgoing_inflight_upper_limit(MAX_IN_FLIGHT)
        .set_last_will(LastWill::new(topic, will, QoS::AtLeastOnce, true, None));
}

/// Splits `mqtts://host:port` into host and port.
fn broker_address(url: &str) -> Option<(String, u16)> {
    let (scheme, authority) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("mqtts") {
        return None;
    }
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        // The client library, and TLS, want the address without its brackets.
        let (address, port) = rest.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        let split = authority.split_once(':');
        let (host, port) = split.map_or((authority, None), |(host, port)| (host, Some(port)));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return None;
        }
        (host, port)
    };
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok().filter(|it| *it != 0))?;
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_named_by_host_and_port() {
        assert_eq!(broker_address("mqtts://localhost:8883"), Some(("localhost".to_owned(), 8883)));
        assert_eq!(
            broker_address("mqtts://relay.example/"),
            Some(("relay.example".to_owned(), 8883))
        );
        assert_eq!(broker_address("MQTTS://[::1]:1"), Some(("::1".to_owned(), 1)));
        assert_eq!(
            broker_address("mqtts://[2001:db8::7]/"),
            Some(("2001:db8::7".to_owned(), 8883))
        );
        for wrong in [
            "mqtt://relay.example:1883",
            "mqtts://",
            "mqtts://a:b",
            "mqtts://a:0",
            "mqtts://a:65536",
            "mqtts://::1:8883",
            "mqtts://[::1",
            "mqtts://[::1]8883",
            "mqtts://[relay.example]:8883",
            "mqtts://me@relay.example",
            "mqtts://relay.example/path",
            "",
        ] {
            assert_eq!(broker_address(wrong), None, "{wrong}");
        }
    }
}

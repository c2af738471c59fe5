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
        AsyncClient, EventLoop, MqttOptions,
        mqttbytes::{QoS, v5::LastWill},
    },
};
use rustls::ClientConfig;
use tokio::{net::TcpStream, time::timeout};

use super::{
    error::{AddressError, LinkError},
    in_flight::InFlight,
    publisher::{Client, MAX_PACKET_BYTES, Publisher},
    receiver::{Arrivals, Events, Receiver},
    routes::{CONNECT_MAX, Choice, Route},
    simulated::Dial,
};
use crate::{
    cloud::DeviceToken,
    pairing::Pairing,
    tls::{TimeFloor, Trust, client_config},
};

/// A dead connection is noticed after two of these at the latest. It is also shorter than what
/// proxies wait before they close a connection on which nothing is said.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Publications handed to the client and not sent yet. When full, the sender waits.
const REQUESTS: usize = 16;
/// Of MQTT over TLS.
const DEFAULT_PORT: u16 = 8883;
/// Unacknowledged publications of all kinds; beyond, the client waits for the broker.
const MAX_IN_FLIGHT: u16 = 64;
/// Below the relay's address.
const WEBSOCKET_PATH: &str = "/mqtt";

/// The broker of the relay that this camera is paired with.
pub struct Broker {
    way: Way,
    camera_id: CameraId,
}

/// How the broker is reached.
enum Way {
    Network(Box<Network>),
    Simulated(Dial),
}

struct Network {
    direct: Direct,
    /// The trust is that of https.
    websocket: (String, Trust),
    floor: TimeFloor,
    choice: Choice,
}

/// The port of MQTT.
#[derive(Clone)]
struct Direct {
    host: String,
    port: u16,
    trust: Trust,
}

/// Topic and payload of a last will.
type Will = (String, Vec<u8>);

impl Broker {
    /// Reads the broker's addresses and its certificate authority from the pairing.
    pub fn new(pairing: &Pairing, floor: TimeFloor) -> Result<Self, AddressError> {
        let wrong = || AddressError(pairing.mqtt.url.chars().take(200).collect());
        let (host, port) = broker_address(&pairing.mqtt.url).ok_or_else(wrong)?;
        let ca = pairing.ca().map_err(|_| wrong())?;
        let https = pairing.https_trust().map_err(|_| wrong())?;
        let network = Network {
            direct: Direct { host, port, trust: Trust::Pinned(ca) },
            websocket: (websocket_address(&pairing.relay_url).ok_or_else(wrong)?, https),
            floor,
            choice: Choice::default(),
        };
        Ok(Self { way: Way::Network(Box::new(network)), camera_id: pairing.camera_id })
    }

    /// Reaches a simulated broker.
    pub(in crate::uplink) fn simulated(camera_id: CameraId, dial: Dial) -> Self {
        Self { way: Way::Simulated(dial), camera_id }
    }

    pub(in crate::uplink) fn camera_id(&self) -> CameraId {
        self.camera_id
    }

    /// Returns the route that is tried first: the one that worked last.
    pub(in crate::uplink) fn route(&self) -> Route {
        match &self.way {
            Way::Network(network) => network.choice.first(),
            Way::Simulated(_) => Route::Direct,
        }
    }

    /// Tries this route first from now on.
    pub(in crate::uplink) fn prefer(&mut self, route: Route) {
        if let Way::Network(network) = &mut self.way {
            network.choice.prefer(route);
        }
    }

    /// Makes a client and an event loop for one connection, by the first route that works. The broker
    /// publishes `will` when the connection breaks.
    pub(in crate::uplink) async fn connect(
        &mut self,
        token: &DeviceToken,
        will: &Presence,
        arrivals: Arrivals,
    ) -> Result<(Publisher, Receiver), LinkError> {
        let (client, events) = self.dial(token, will).await?;
        let (camera_id, in_flight) = (self.camera_id, InFlight::default());
        let publisher = Publisher { client, camera_id, in_flight: in_flight.clone() };
        Ok((publisher, Receiver { camera_id, in_flight, events, arrivals }))
    }

    /// Asks the broker by one route for its refusal: a connection with the right token would take the place
    /// of the one that the agent has.
    pub async fn knock(&self, route: Route) -> Result<(), String> {
        let Way::Network(network) = &self.way else { return Ok(()) };
        let id = self.camera_id.to_string();
        let options =
            network.options(route, &id, "none", None).map_err(|error| error.to_string())?;
        match connect(options, CONNECT_MAX).await {
            Ok(_) => Ok(()),
            Err(error) if error.refused_credentials() => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Names where a route leads.
    pub fn address(&self, route: Route) -> String {
        match (&self.way, route) {
            (Way::Network(network), Route::Direct) => {
                let Direct { host, port, .. } = &network.direct;
                format!("{host}:{port}")
            }
            (Way::Network(network), Route::WebSocket) => network.websocket.0.clone(),
            (Way::Simulated(_), _) => String::new(),
        }
    }

    async fn dial(
        &mut self,
        token: &DeviceToken,
        will: &Presence,
    ) -> Result<(Client, Events), LinkError> {
        let id = self.camera_id.to_string();
        let topic = Topic::new(self.camera_id, Channel::UpPresence).to_string();
        let will = (topic, serde_json::to_vec(will).unwrap_or_default());
        match &mut self.way {
            Way::Network(network) => {
                let (client, events) = network.dial(&id, token, &will).await?;
                Ok((Client::Network(client), Events::Network(Box::new(events))))
            }
            Way::Simulated(dial) => {
                let (packets, events) = dial.connect(id, token.value.clone(), will).await;
                Ok((Client::Simulated(packets), Events::Simulated(events)))
            }
        }
    }

    /// Waits until the port of MQTT may be worth another try, when the broker is reached in another
    /// way.
    pub(in crate::uplink) fn look_back(&mut self) -> impl Future<Output = ()> + use<> {
        let looking = match &mut self.way {
            Way::Network(network) if network.choice.first() == Route::WebSocket => {
                Some((network.choice.look_back_after(), network.direct.clone()))
            }
            _ => None,
        };
        async move {
            let Some((after, direct)) = looking else { return std::future::pending().await };
            let mut pause = after;
            loop {
                tokio::time::sleep(pause).await;
                let address = (direct.host.as_str(), direct.port);
                if matches!(timeout(CONNECT_MAX, TcpStream::connect(address)).await, Ok(Ok(_))) {
                    return;
                }
                pause = Choice::later(pause);
            }
        }
    }
}

impl Network {
    async fn dial(
        &mut self,
        id: &str,
        token: &DeviceToken,
        will: &Will,
    ) -> Result<(AsyncClient, EventLoop), LinkError> {
        let mut failed: Option<LinkError> = None;
        for (route, patience) in self.choice.order() {
            let options = self.options(route, id, &token.value, Some(will))?;
            match connect(options, patience).await {
                Ok(connected) => {
                    self.choice.worked(route);
                    if let Some(error) = failed {
                        tracing::info!(?route, %error, "connected; the other route failed");
                    }
                    return Ok(connected);
                }
                // The broker answered: another route changes nothing.
                Err(error) if error.refused_credentials() => return Err(error),
                Err(error) => {
                    failed = Some(match failed {
                        None => error,
                        Some(first) => {
                            LinkError::NoRoute { first: Box::new(first), second: Box::new(error) }
                        }
                    });
                }
            }
        }
        self.choice.none_worked();
        Err(failed.unwrap_or(LinkError::Ended))
    }

    fn options(
        &self,
        route: Route,
        id: &str,
        password: &str,
        will: Option<&Will>,
    ) -> Result<MqttOptions, LinkError> {
        let tls = |trust: &Trust| -> Result<TlsConfiguration, LinkError> {
            let config: ClientConfig = client_config(trust, &self.floor)?;
            Ok(TlsConfiguration::Rustls(Arc::new(config)))
        };
        let (mut options, transport) = match route {
            Route::Direct => {
                let Direct { host, port, trust } = &self.direct;
                let transport = Transport::tls_with_config(tls(trust)?);
                (MqttOptions::new(id, host, *port), transport)
            }
            Route::WebSocket => {
                let (url, trust) = &self.websocket;
                // Without TLS on this machine alone.
                let transport = if url.starts_with("wss:") {
                    Transport::wss_with_config(tls(trust)?)
                } else {
                    Transport::Ws
                };
                // The port stands in the URL.
                (MqttOptions::new(id, url, DEFAULT_PORT), transport)
            }
        };
        options.set_credentials(id, password).set_transport(transport);
        set_up(&mut options, will);
        Ok(options)
    }
}

/// Connects as far as the broker's answer to CONNECT.
async fn connect(
    options: MqttOptions,
    patience: Duration,
) -> Result<(AsyncClient, EventLoop), LinkError> {
    let (client, mut events) = AsyncClient::new(options, REQUESTS);
    match timeout(patience, Box::pin(events.poll())).await {
        // The first event of a connection is that it was accepted.
        Ok(Ok(_)) => Ok((client, events)),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(LinkError::NoAnswer),
    }
}

fn set_up(options: &mut MqttOptions, will: Option<&Will>) {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_MAX.as_secs());
    options
        .set_network_options(network)
        .set_connection_timeout(CONNECT_MAX.as_secs())
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_start(true)
        .set_max_packet_size(Some(MAX_PACKET_BYTES))
        .set_outgoing_inflight_upper_limit(MAX_IN_FLIGHT);
    if let Some((topic, will)) = will {
        let will = LastWill::new(topic, will.clone(), QoS::AtLeastOnce, true, None);
        options.set_last_will(will);
    }
}

/// Makes `wss://host:port/mqtt` of the relay's address; `ws` where that is http, on this machine.
fn websocket_address(relay_url: &str) -> Option<String> {
    let (scheme, authority) = relay_url.trim_end_matches('/').split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "https" => "wss",
        "http" => "ws",
        _ => return None,
    };
    Some(format!("{scheme}://{authority}{WEBSOCKET_PATH}"))
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
    fn the_websocket_is_at_the_relay_s_own_address() {
        for (relay, expected) in [
            ("https://cam.example.org", Some("wss://cam.example.org/mqtt")),
            ("https://cam.example.org:8443/", Some("wss://cam.example.org:8443/mqtt")),
            ("http://localhost:8080", Some("ws://localhost:8080/mqtt")),
            ("https://[::1]:443", Some("wss://[::1]:443/mqtt")),
            ("cam.example.org", None),
        ] {
            assert_eq!(websocket_address(relay).as_deref(), expected);
        }
    }

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

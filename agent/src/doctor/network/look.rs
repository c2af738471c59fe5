//! The looks themselves, in the order in which one depends on the other.

use std::{sync::Arc, time::Duration};

use nightjar_shared::{
    api::NetworkMeans,
    time::{ClockState, UnixMillis},
};
use tokio::{net::lookup_host, time::timeout};

use super::{
    Depth,
    finding::{
        ClockFinding, MqttFinding, NetworkFinding, RelayFinding, Server, ServerFinding,
        StoreFinding, TurnFinding,
    },
};
use crate::{
    clock::Clock,
    cloud::{Cloud, Disposition},
    identity::Identity,
    machine::blocking,
    pairing::Pairing,
    tls::{
        TimeFloor, Trust,
        inspect::{TlsFailure, inspect},
    },
    uplink::{Broker, Route},
    webrtc::reach,
};

/// For one look.
const WITHIN: Duration = Duration::from_secs(10);
const NO_ANSWER: &str = "no answer in 10 s";
/// How far the clock may be from the relay's before recordings carry a time that confuses people.
const APART_MAX: Duration = Duration::from_mins(1);
/// How long before its end a certificate is told of: renewals happen earlier.
const ENDS_SOON: Duration = Duration::from_hours(14 * 24);

pub(super) fn clock(clock: &Clock) -> NetworkFinding {
    match clock.state() {
        ClockState::Synced => NetworkFinding::Clock(ClockFinding::Set),
        ClockState::Unsynced => NetworkFinding::Clock(ClockFinding::Unset),
    }
}

/// What it takes to look.
pub(super) struct Look {
    pairing: Pairing,
    https: Trust,
    pinned: Trust,
    clock: Clock,
    floor: TimeFloor,
    cloud: Cloud,
    mqtt: Broker,
}

impl Look {
    pub(super) fn new(
        pairing: Pairing,
        identity: Identity,
        clock: &Clock,
    ) -> Result<Self, NetworkFinding> {
        let broken = |cause: String| NetworkFinding::Relay(RelayFinding::Broken { cause });
        let floor = TimeFloor::new(clock.clone(), UnixMillis(0));
        let cloud = Cloud::new(&pairing, Arc::new(identity), floor.clone())
            .map_err(|error| broken(error.to_string()))?;
        let mqtt =
            Broker::new(&pairing, floor.clone()).map_err(|error| broken(error.to_string()))?;
        let ca = pairing.ca().map_err(|error| broken(error.to_string()))?;
        let pinned = Trust::Pinned(ca);
        let https = pairing.https_trust().map_err(|error| broken(error.to_string()))?;
        Ok(Self { pairing, https, pinned, clock: clock.clone(), floor, cloud, mqtt })
    }

    pub(super) async fn run(self, depth: Depth) -> Vec<NetworkFinding> {
        let tls = self.server(Server::Relay, &self.pairing.relay_url, &self.https).await;
        let mut findings: Vec<_> = tls.into_iter().collect();
        findings.extend(self.relay().await);
        findings.extend(self.mqtt().await);
        // Else the relay does not answer, which was said, or is older than these looks.
        if let Ok(Ok(means)) = timeout(WITHIN, self.cloud.network()).await {
            findings.extend(self.store(&means).await);
            if depth == Depth::Whole {
                findings.push(turn(&means).await);
            }
        }
        findings
    }

    /// Looks at the name of a server, and at the certificates that it shows.
    async fn server(&self, server: Server, url: &str, trust: &Trust) -> Option<NetworkFinding> {
        let (host, port, is_tls) = parts(url)?;
        let found = match address(&host).await {
            Err(cause) => Some(ServerFinding::NoName { cause }),
            Ok(()) if is_tls => self.tls(&host, port, trust).await,
            Ok(()) => None,
        };
        found.map(|found| NetworkFinding::Server { server, host, found })
    }

    async fn tls(&self, host: &str, port: u16, trust: &Trust) -> Option<ServerFinding> {
        let (trust, floor, host) = (trust.clone(), self.floor.clone(), host.to_owned());
        let seen = blocking(move || inspect(&host, port, &trust, &floor, WITHIN)).await.ok()?;
        Some(match seen {
            Ok(Some(it)) if it.not_after < self.floor.now().plus(ENDS_SOON) => {
                ServerFinding::EndsSoon { certificate: Box::new(it) }
            }
            Ok(_) => ServerFinding::Trusted,
            Err(TlsFailure::Unreachable(error)) => {
                ServerFinding::Unreachable { port, cause: error.to_string() }
            }
            Err(TlsFailure::NoTls(cause)) => ServerFinding::NoTls { port, cause },
            Err(TlsFailure::Certificate { certificate, fault }) => {
                ServerFinding::Untrusted { certificate, fault }
            }
        })
    }

    /// Asks the relay for a token, which proves address, certificate and key at once; its answer also
    /// tells the time.
    async fn relay(&self) -> Vec<NetworkFinding> {
        let silent = |cause: String| NetworkFinding::Relay(RelayFinding::Silent { cause });
        let challenge = match timeout(WITHIN, self.cloud.challenge()).await {
            Ok(Ok(challenge)) => challenge,
            Ok(Err(error)) => return vec![silent(error.to_string())],
            Err(_) => return vec![silent(NO_ANSWER.to_owned())],
        };
        let (own, told) = (self.clock.unix(), challenge.server_time);
        let by = own.since(told).max(told.since(own));
        let apart = ClockFinding::Apart { by, is_ahead: own > told };
        let apart = (by > APART_MAX).then_some(NetworkFinding::Clock(apart));
        let relay = match timeout(WITHIN, self.cloud.token()).await {
            Ok(Ok(_)) => {
                NetworkFinding::Relay(RelayFinding::Knows { url: self.pairing.relay_url.clone() })
            }
            Ok(Err(error)) if error.disposition() == Disposition::Unauthorized => {
                NetworkFinding::Relay(RelayFinding::Unknown { cause: error.to_string() })
            }
            Ok(Err(error)) => silent(error.to_string()),
            Err(_) => silent(NO_ANSWER.to_owned()),
        };
        apart.into_iter().chain([relay]).collect()
    }

    async fn mqtt(&self) -> Vec<NetworkFinding> {
        let (direct, websocket) =
            tokio::join!(self.mqtt.knock(Route::Direct), self.mqtt.knock(Route::WebSocket));
        let at = |route| self.mqtt.address(route);
        let answers = NetworkFinding::Mqtt(match (direct, websocket) {
            (Ok(()), Ok(())) => {
                MqttFinding::BothWays { direct: at(Route::Direct), websocket: at(Route::WebSocket) }
            }
            (Ok(()), Err(cause)) => {
                MqttFinding::DirectAlone { websocket: at(Route::WebSocket), cause }
            }
            (Err(cause), Ok(())) => MqttFinding::WithinHttps { direct: at(Route::Direct), cause },
            (Err(direct), Err(websocket)) => MqttFinding::Silent { direct, websocket },
        });
        // Where https is not pinned, these are other certificates. That nothing answers was said above,
        // with what works instead.
        let url = self.pairing.mqtt.url.replacen("mqtts:", "https:", 1);
        let tls = self.server(Server::Mqtt, &url, &self.pinned).await;
        let tls = tls.filter(|finding| {
            matches!(finding, NetworkFinding::Server { found, .. } if found.is_about_certificate())
        });
        [answers].into_iter().chain(tls).collect()
    }

    async fn store(&self, means: &NetworkMeans) -> Vec<NetworkFinding> {
        let is_bad = |found: &Option<NetworkFinding>| matches!(found, Some(NetworkFinding::Server { found, .. }) if found.is_bad());
        let mut server = self.server(Server::Store, &means.store_url, &Trust::Public).await;
        if is_bad(&server) {
            // As uploads do: the relay's own store shows another one to who asks for it.
            server = self.server(Server::Store, &means.store_url, &self.pinned).await;
        }
        if is_bad(&server) {
            return server.into_iter().collect();
        }
        let url = means.store_url.clone();
        let found = match timeout(WITHIN, self.cloud.knock_at_store(&url)).await {
            Ok(Ok(status)) => StoreFinding::Answers { status },
            Ok(Err(error)) => StoreFinding::Silent { cause: error.to_string() },
            Err(_) => StoreFinding::Silent { cause: NO_ANSWER.to_owned() },
        };
        server.into_iter().chain([NetworkFinding::Store { url, found }]).collect()
    }
}

/// Finds out whether a name has an address; an address has one.
async fn address(host: &str) -> Result<(), String> {
    match timeout(WITHIN, lookup_host((host, 0))).await {
        Ok(Ok(mut addresses)) => match addresses.next() {
            Some(_) => Ok(()),
            None => Err("it has none".to_owned()),
        },
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(NO_ANSWER.to_owned()),
    }
}

/// Allocates a place at the TURN server, as for a viewer.
async fn turn(means: &NetworkMeans) -> NetworkFinding {
    let urls = || means.ice_servers.iter().flat_map(|it| it.urls.clone());
    let urls: Vec<String> = urls().filter(|url| url.starts_with("turn")).collect();
    if urls.is_empty() {
        return NetworkFinding::Turn(TurnFinding::NotOffered);
    }
    NetworkFinding::Turn(match reach::candidate_kinds(&means.ice_servers).await {
        Ok(kinds) if kinds.contains("relay") => {
            TurnFinding::Relays { kinds: kinds.into_iter().collect() }
        }
        Ok(kinds) => TurnFinding::NoPlace { urls, kinds: kinds.into_iter().collect() },
        Err(error) => TurnFinding::Untried { cause: format!("{error:#}") },
    })
}

/// Takes an address apart: host, port, and whether it is https.
fn parts(url: &str) -> Option<(String, u16, bool)> {
    let (scheme, rest) = url.split_once("://")?;
    let is_tls = scheme.eq_ignore_ascii_case("https");
    let authority = rest.split('/').next()?;
    let default = if is_tls { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    Some((host.trim_matches(['[', ']']).to_owned(), port, is_tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_apart() {
        let parts = |url| parts(url).map(|(host, port, is_tls)| format!("{host} {port} {is_tls}"));
        assert_eq!(parts("https://cam.example").as_deref(), Some("cam.example 443 true"));
        assert_eq!(parts("https://cam.example:8443/x").as_deref(), Some("cam.example 8443 true"));
        assert_eq!(parts("https://[::1]:8443").as_deref(), Some("::1 8443 true"));
        assert_eq!(parts("https://[::1]").as_deref(), Some("::1 443 true"));
        assert_eq!(parts("http://localhost:8080").as_deref(), Some("localhost 8080 false"));
        assert_eq!(parts("cam.example"), None);
    }
}

//! The MQTT connection. It only forwards: nothing here waits for the rest of the agent.
//!
//! Every connection gets a client and an event loop of its own, so that no packet of a broken
//! connection survives in the client library: what must not be lost lies in the outbox and is
//! sent again from there. The start is clean for the same reason: the relay's database, not the
//! broker's memory, is the queue of commands, and a signal for a session of the last connection
//! is worth nothing.

mod publisher;
mod receiver;

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use nightjar_core::backoff::Backoff;
use nightjar_shared::{
    PROTOCOL_VERSION,
    configuration::Configuration,
    event::{Health, Presence},
    ids::{BootId, CameraId},
    signal::Signal,
    topic::{Channel, Topic},
};
use rumqttc::{
    NetworkOptions, TlsConfiguration, Transport,
    v5::{
        AsyncClient, ClientError, ConnectionError, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{ConnectReturnCode, LastWill, PubAckReason, SubscribeReasonCode},
        },
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub(in crate::uplink) use self::publisher::Publisher;
use self::receiver::Receiver;
use super::{
    commands::ArrivedCommand,
    inflight::InFlight,
    outbox::{self, WINDOW},
};
use crate::{
    chance::chance,
    clock::Clock,
    cloud::{Cloud, CloudError, DeviceToken, Disposition},
    pairing::Pairing,
    store::{Store, StoreError},
    tls::{TimeFloor, Trust, client_config},
};

/// A dead connection is noticed after two of these at the latest.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT_S: u64 = 10;
const RECONNECT_AFTER: Duration = Duration::from_millis(500);
const RECONNECT_AFTER_AT_MOST: Duration = Duration::from_secs(30);
/// A connection that lasted this long was a good one: the next failure begins small again.
const STABLE_AFTER: Duration = Duration::from_mins(1);
/// A camera that was removed at the relay asks seldom.
const ASK_AGAIN_WHEN_REMOVED: Duration = Duration::from_mins(1);
/// The largest message either way; a session description has at most half of it.
pub(in crate::uplink) const MAX_PACKET_BYTES: u32 = 64 * 1024;
/// Publications handed to the client and not sent yet. When full, the sender waits.
const REQUESTS: usize = 16;
/// Unacknowledged publications of all kinds; beyond, the client waits for the broker.
const MAX_IN_FLIGHT: u16 = 64;
/// For the disconnection to reach the wire.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// The pairing names no broker that this agent can reach.
#[derive(Debug, thiserror::Error)]
#[error("the relay's broker address `{0}` is not of the form mqtts://name:port")]
pub struct AddressError(String);

/// Why a connection ended or did not come about.
#[derive(Debug, thiserror::Error)]
pub(in crate::uplink) enum LinkError {
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error("the relay's certificate authority cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Connection(#[from] Box<ConnectionError>),
    #[error("the broker refused the subscription: {0:?}")]
    Subscription(Vec<SubscribeReasonCode>),
    #[error("the broker refused a message: {0:?}")]
    Message(PubAckReason),
    #[error("the connection ended")]
    Ended,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(Box::new(error))
    }
}

impl From<ClientError> for LinkError {
    fn from(_: ClientError) -> Self {
        Self::Ended
    }
}

impl LinkError {
    fn refused_credentials(&self) -> bool {
        let Self::Connection(error) = self else { return false };
        matches!(
            **error,
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::NotAuthorized
                    | ConnectReturnCode::BadUserNamePassword
                    | ConnectReturnCode::Banned
            )
        )
    }

    fn camera_was_removed(&self) -> bool {
        matches!(self, Self::Cloud(error) if error.disposition() == Disposition::Unauthorized)
    }
}

/// The ends that the connection forwards to and from.
pub(in crate::uplink) struct LinkEnds {
    pub(in crate::uplink) store: Store,
    pub(in crate::uplink) cloud: Cloud,
    pub(in crate::uplink) clock: Clock,
    pub(in crate::uplink) boot_id: BootId,
    pub(in crate::uplink) commands: mpsc::Sender<ArrivedCommand>,
    pub(in crate::uplink) signals_in: mpsc::Sender<Signal>,
    pub(in crate::uplink) signals_out: mpsc::Receiver<(String, Signal)>,
    pub(in crate::uplink) health: watch::Receiver<Option<Health>>,
    pub(in crate::uplink) configuration: watch::Receiver<Configuration>,
}

/// Keeps one connection to the broker.
pub(in crate::uplink) struct Link {
    host: String,
    port: u16,
    trust: Trust,
    floor: TimeFloor,
    camera_id: CameraId,
    ends: LinkEnds,
    /// Whether the relay has the camera's presence now.
    connected: bool,
}

impl Link {
    pub(in crate::uplink) fn new(pairing: &Pairing, ends: LinkEnds) -> Result<Self, AddressError> {
        let wrong = || AddressError(pairing.mqtt.url.chars().take(200).collect());
        let (host, port) = broker_address(&pairing.mqtt.url).ok_or_else(wrong)?;
        let trust = Trust::Pinned(pairing.ca().map_err(|_| wrong())?);
        let floor = ends.cloud.floor();
        Ok(Self { host, port, trust, floor, camera_id: pairing.camera_id, ends, connected: false })
    }

    /// Connects again and again, until cancelled.
    pub(in crate::uplink) async fn run(mut self, cancel: CancellationToken) {
        let mut backoff = Backoff::new(RECONNECT_AFTER, RECONNECT_AFTER_AT_MOST);
        let mut told = String::new();
        while !cancel.is_cancelled() {
            let began_at = self.ends.clock.monotonic();
            let ended = self.run_once(&cancel).await;
            let was_connected = std::mem::take(&mut self.connected);
            let Err(error) = ended else { return };
            if was_connected && self.ends.clock.monotonic().since(began_at) >= STABLE_AFTER {
                backoff.reset();
            }
            let delay = if error.camera_was_removed() {
                ASK_AGAIN_WHEN_REMOVED
            } else {
                backoff.next_delay(chance())
            };
            // Offline for days, the log says so once.
            let text = error.to_string();
            if was_connected || text != told {
                tracing::warn!(error = %text, "no connection to the relay; trying again");
                told = text;
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = discard(&mut self.ends.signals_out) => {}
                () = sleep(delay) => {}
            }
        }
    }

    /// One connection from its token to its end. `Ok` after an orderly good-bye.
    async fn run_once(&mut self, cancel: &CancellationToken) -> Result<(), LinkError> {
        let token = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = discard(&mut self.ends.signals_out) => return Ok(()),
            token = self.ends.cloud.token() => token?,
        };
        let ended = self.connect(&token, cancel).await;
        if ended.as_ref().is_err_and(LinkError::refused_credentials) {
            self.ends.cloud.forget_token(&token).await;
        }
        ended
    }

    async fn connect(
        &mut self,
        token: &DeviceToken,
        cancel: &CancellationToken,
    ) -> Result<(), LinkError> {
        let (client, events) = AsyncClient::new(self.options(token)?, REQUESTS);
        let in_flight = Arc::new(Mutex::new(InFlight::default()));
        // Acknowledged outbox messages, plus subscription and farewell: never full.
        let (progress_in, progress) = mpsc::channel(WINDOW + 4);
        let publisher =
            Publisher { client, camera_id: self.camera_id, in_flight: in_flight.clone() };
        let receiver = Receiver {
            camera_id: self.camera_id,
            clock: self.ends.clock.clone(),
            in_flight,
            progress: progress_in,
            commands: self.ends.commands.clone(),
            signals: self.ends.signals_in.clone(),
        };
        let presence = Presence { boots: self.ends.store.boots().await?, ..self.presence(true) };
        let farewell = self.presence(false);
        let sender = outbox::Sender::new(&mut self.ends, &mut self.connected, publisher, progress);
        let mut receiving = pin!(receiver.run(events));
        tokio::select! {
            ended = &mut receiving => return ended,
            sent = sender.run(presence, &farewell, cancel) => sent?,
        }
        // The good-bye is handed over; the event loop still has to send it.
        drop(timeout(LEAVE_WITHIN, receiving).await);
        Ok(())
    }

    fn options(&self, token: &DeviceToken) -> Result<MqttOptions, LinkError> {
        let id = self.camera_id.to_string();
        let mut options = MqttOptions::new(&id, &self.host, self.port);
        let tls = Arc::new(client_config(&self.trust, &self.floor)?);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_TIMEOUT_S);
        let presence = Topic::new(self.camera_id, Channel::UpPresence).to_string();
        let will = serde_json::to_vec(&self.presence(false)).unwrap_or_default();
        options
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)))
            .set_network_options(network)
            .set_connection_timeout(CONNECT_TIMEOUT_S)
            .set_credentials(id, &token.value)
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_start(true)
            .set_max_packet_size(Some(MAX_PACKET_BYTES))
            .set_outgoing_inflight_upper_limit(MAX_IN_FLIGHT)
            .set_last_will(LastWill::new(presence, will, QoS::AtLeastOnce, true, None));
        Ok(options)
    }

    fn presence(&self, online: bool) -> Presence {
        Presence {
            protocol: PROTOCOL_VERSION,
            online,
            boot_id: self.ends.boot_id,
            agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            boots: Vec::new(),
        }
    }
}

/// Host and port of `mqtts://host:port`.
fn broker_address(url: &str) -> Option<(String, u16)> {
    let authority = url.strip_prefix("mqtts://")?.trim_end_matches('/');
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 8883),
    };
    // The client library cannot connect to a bare IPv6 address: it needs a name.
    let plain =
        host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    (plain && !host.is_empty()).then(|| (host.to_owned(), port))
}

/// Reads and drops signals for as long as it is polled.
pub(in crate::uplink) async fn discard(signals: &mut mpsc::Receiver<(String, Signal)>) {
    while signals.recv().await.is_some() {}
    std::future::pending::<()>().await;
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
        for wrong in
            ["mqtt://relay.example:1883", "mqtts://", "mqtts://a:b", "mqtts://[::1]:8883", ""]
        {
            assert_eq!(broker_address(wrong), None, "{wrong}");
        }
    }
}

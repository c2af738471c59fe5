//! The MQTT connection. It only forwards: nothing here waits for the rest of the agent.
//!
//! Every connection gets a client and an event loop of its own, so that no packet of a broken
//! connection survives in the client library: what must not be lost lies in the outbox and is
//! sent again from there. The start is clean for the same reason: the relay's database, not the
//! broker's memory, is the queue of commands, and a signal for a session of the last connection
//! is worth nothing.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nightjar_shared::{
    PROTOCOL_VERSION,
    event::{Health, Presence},
    ids::{BootId, CameraId},
    signal::Signal,
    topic::{Channel, Topic, down_filter},
};
use rumqttc::{
    NetworkOptions, Outgoing, TlsConfiguration, Transport,
    v5::{
        AsyncClient, ClientError, ConnectionError, Event, EventLoop, Incoming, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{
                ConnectReturnCode, LastWill, PubAck, PubAckReason, Publish, SubAck,
                SubscribeReasonCode,
            },
        },
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    commands::ArrivedCommand,
    inflight::{InFlight, Publication},
    outbox::{self, Progress, WINDOW},
};
use crate::{
    backoff::{Backoff, chance},
    clock::{monotonic_now, uptime_ms},
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
pub(super) const MAX_PACKET_BYTES: u32 = 64 * 1024;
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
pub(super) enum LinkError {
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
pub(super) struct LinkEnds {
    pub(super) store: Store,
    pub(super) cloud: Cloud,
    pub(super) boot_id: BootId,
    pub(super) commands: mpsc::Sender<ArrivedCommand>,
    pub(super) signals_in: mpsc::Sender<Signal>,
    pub(super) signals_out: mpsc::Receiver<(String, Signal)>,
    pub(super) health: watch::Receiver<Option<Health>>,
    pub(super) connected: watch::Sender<bool>,
}

/// Keeps one connection to the broker.
pub(super) struct Link {
    host: String,
    port: u16,
    trust: Trust,
    floor: TimeFloor,
    camera_id: CameraId,
    ends: LinkEnds,
}

impl Link {
    pub(super) fn new(pairing: &Pairing, ends: LinkEnds) -> Result<Self, AddressError> {
        let wrong = || AddressError(pairing.mqtt.url.chars().take(200).collect());
        let (host, port) = broker_address(&pairing.mqtt.url).ok_or_else(wrong)?;
        let trust = Trust::Pinned(pairing.ca().map_err(|_| wrong())?);
        let floor = ends.cloud.floor();
        Ok(Self { host, port, trust, floor, camera_id: pairing.camera_id, ends })
    }

    /// Connects again and again, until cancelled.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let mut backoff = Backoff::new(RECONNECT_AFTER, RECONNECT_AFTER_AT_MOST);
        let mut told = String::new();
        while !cancel.is_cancelled() {
            let began_at = monotonic_now();
            let ended = self.run_once(&cancel).await;
            let was_connected = self.ends.connected.send_replace(false);
            let Err(error) = ended else { return };
            if was_connected && monotonic_now().since(began_at) >= STABLE_AFTER {
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
            in_flight,
            progress: progress_in,
            commands: self.ends.commands.clone(),
            signals: self.ends.signals_in.clone(),
        };
        let presence = self.presence(true);
        let farewell = self.presence(false);
        let sender = outbox::Sender::new(&mut self.ends, publisher, progress);
        let mut receiving = pin!(receiver.run(events));
        tokio::select! {
            ended = &mut receiving => return ended,
            sent = sender.run(&presence, &farewell, cancel) => sent?,
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
pub(super) async fn discard(signals: &mut mpsc::Receiver<(String, Signal)>) {
    while signals.recv().await.is_some() {}
    std::future::pending::<()>().await;
}

/// Hands publications to the client and remembers their order.
pub(super) struct Publisher {
    client: AsyncClient,
    camera_id: CameraId,
    in_flight: Arc<Mutex<InFlight>>,
}

impl Publisher {
    pub(super) async fn subscribe(&self) -> Result<(), LinkError> {
        Ok(self.client.subscribe(down_filter(self.camera_id), QoS::AtLeastOnce).await?)
    }

    pub(super) async fn publish(
        &self,
        channel: Channel,
        retain: bool,
        payload: Vec<u8>,
        publication: Publication,
    ) -> Result<(), LinkError> {
        let topic = Topic::new(self.camera_id, channel).to_string();
        locked(&self.in_flight).handed_over(publication);
        Ok(self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await?)
    }

    pub(super) async fn disconnect(&self) -> Result<(), LinkError> {
        Ok(self.client.disconnect().await?)
    }
}

fn locked(in_flight: &Mutex<InFlight>) -> std::sync::MutexGuard<'_, InFlight> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Turns the client's events into messages for the rest of the agent.
struct Receiver {
    camera_id: CameraId,
    in_flight: Arc<Mutex<InFlight>>,
    progress: mpsc::Sender<Progress>,
    commands: mpsc::Sender<ArrivedCommand>,
    signals: mpsc::Sender<Signal>,
}

impl Receiver {
    async fn run(self, mut events: EventLoop) -> Result<(), LinkError> {
        loop {
            match events.poll().await? {
                Event::Incoming(Incoming::Publish(publish)) => self.forward(&publish),
                Event::Incoming(Incoming::SubAck(ack)) => self.subscribed(ack)?,
                Event::Incoming(Incoming::PubAck(ack)) => self.acknowledged(&ack)?,
                Event::Outgoing(Outgoing::Publish(id)) => locked(&self.in_flight).sent(id),
                Event::Outgoing(Outgoing::Disconnect) => return Ok(()),
                _ => {}
            }
        }
    }

    fn subscribed(&self, ack: SubAck) -> Result<(), LinkError> {
        let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
        if !ack.return_codes.iter().all(granted) {
            return Err(LinkError::Subscription(ack.return_codes));
        }
        self.report(Progress::Subscribed)
    }

    fn acknowledged(&self, ack: &PubAck) -> Result<(), LinkError> {
        let publication = locked(&self.in_flight).acknowledged(ack.pkid);
        let progress = match (publication, ack.reason) {
            (None | Some(Publication::Other), _) => return Ok(()),
            (Some(Publication::Farewell), _) => Progress::FarewellArrived,
            (
                Some(Publication::Outbox(id)),
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers,
            ) => Progress::Arrived(id),
            (
                Some(Publication::Outbox(id)),
                reason @ (PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid),
            ) => {
                tracing::error!(?reason, "the broker will never take this message; it is dropped");
                Progress::Arrived(id)
            }
            (Some(Publication::Outbox(_)), reason) => return Err(LinkError::Message(reason)),
        };
        self.report(progress)
    }

    fn report(&self, progress: Progress) -> Result<(), LinkError> {
        self.progress.try_send(progress).map_err(|_| LinkError::Ended)
    }

    fn forward(&self, publish: &Publish) {
        let topic = std::str::from_utf8(&publish.topic).ok().and_then(|text| text.parse().ok());
        match topic {
            Some(Topic { camera_id, channel: Channel::DownCommand })
                if camera_id == self.camera_id =>
            {
                self.forward_command(publish);
            }
            Some(Topic { camera_id, channel: Channel::DownSignal })
                if camera_id == self.camera_id =>
            {
                self.forward_signal(publish);
            }
            _ => tracing::warn!("a message on a topic that is not for this camera was dropped"),
        }
    }

    fn forward_command(&self, publish: &Publish) {
        let expiry = publish.properties.as_ref().and_then(|it| it.message_expiry_interval);
        let arrived = ArrivedCommand {
            payload: publish.payload.clone(),
            arrived_at_ms: uptime_ms(),
            message_expiry: expiry.map(|seconds| Duration::from_secs(u64::from(seconds))),
        };
        if self.commands.try_send(arrived).is_err() {
            tracing::warn!("too many commands wait; one is dropped and expires at the relay");
        }
    }

    fn forward_signal(&self, publish: &Publish) {
        match serde_json::from_slice(&publish.payload) {
            Ok(signal) => {
                if self.signals.try_send(signal).is_err() {
                    tracing::warn!("too many signals wait; one is dropped and its session ends");
                }
            }
            Err(error) => tracing::warn!(%error, "a signal could not be read"),
        }
    }
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

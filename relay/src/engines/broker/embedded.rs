//! rmqtt in this process. The one place that knows the crate.
//!
//! Facts about rmqtt 0.24 that this file works around, each held by a test in `tests/engines/mqtt.rs`:
//! the last will is published without any ACL check; a session is taken over by client id alone;
//! retained messages are off until a storage says otherwise; its publish hook runs before its ACL
//! hook, so messages are consumed in the latter; it waits without an end for the
//! version in a CONNECT.

mod front;
mod hooks;
mod places;
mod presence;

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use futures::future::join_all;
use nightjar_shared::{ids::CameraId, topic::Topic};
use rmqtt::{
    codec::v5::PublishProperties,
    context::ServerContext,
    net::{Builder, Listener},
    server::MqttServer,
    types::{CodecPublish, From as Sender, Id, Publish, QoS},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    front::{Admission, Front, Open},
    hooks::State,
    places::Places,
};
use super::{
    Broker, BrokerError, BrokerInbox, BrokerLimits, Connected, Delivery, EmbeddedBrokerConfig,
    Entrance, Order,
};
use crate::{clock, engines::metrics::Metrics};

/// Cameras whose credentials wait to be verified. When full, a camera waits for its turn until
/// its time for authentication is over, and is refused.
const AUTHENTICATION_QUEUE: usize = 256;
/// Arrivals that wait for the relay. When full, the broker waits: the sending camera gets no
/// PUBACK, and MQTT's own flow control holds it back.
const ARRIVAL_QUEUE: usize = 256;
/// Sessions do not outlive their connection: what a camera has missed is in the database, and is
/// sent again when it is ready. (Zero would mean "unlimited" to rmqtt.)
const SESSION_EXPIRY: Duration = Duration::from_secs(1);
/// How long a camera that is to go may take to acknowledge what was sent to it before: why it must go
/// is part of that. One that acknowledges nothing stays for so long, and its credential is refused
/// meanwhile.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the farewell to all cameras may take at shutdown.
const FAREWELL: Duration = Duration::from_secs(2);

/// Starts the broker. Its orders are served until `cancel` is cancelled.
pub(super) async fn start(
    config: EmbeddedBrokerConfig,
    metrics: &Metrics,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> anyhow::Result<(Broker, BrokerInbox)> {
    let (authentications, authentications_in) = mpsc::channel(AUTHENTICATION_QUEUE);
    let (arrivals, arrivals_in) = mpsc::channel(ARRIVAL_QUEUE);
    let limits = config.limits.clone();
    let connected = Connected::default();
    let state = State::new(authentications, arrivals, limits, connected.clone(), metrics);
    let state = Arc::new(state);
    let context = ServerContext::new()
        .mqtt_max_sessions(isize::try_from(config.limits.sessions).unwrap_or(isize::MAX))
        .busy_check_enable(false)
        .build()
        .await;
    hooks::install(&context, &state).await;
    presence::keep(&context, &state).await;
    let places = Places::new(config.limits.sessions, config.limits.connections_per_network);
    let admission = Admission::new(places, metrics);
    let patience = config.limits.patience();
    let (inner, inside) = listen_inside(&config.limits)?;
    let door = config.listen;
    let front = Front::bind(config, admission.clone(), inside, metrics)
        .with_context(|| format!("cannot listen for MQTT on {door}"))?;
    let address = front.address()?;
    let over = CancellationToken::new();
    tracker.spawn(front.serve(tracker.clone(), cancel.clone(), over.clone()));
    tracker.spawn({
        let (over, cancel, admission) = (over.clone(), cancel.clone(), admission.clone());
        async move {
            front::grace_after(cancel, admission).await;
            over.cancel();
        }
    });
    let (broker, orders) = Broker::new(address, connected);
    let server =
        Server { context, state, inside, admission, patience, over, tracker: tracker.clone() };
    tracker.spawn(server.clone().serve(orders, cancel.clone()));
    tracker.spawn(server.run(inner, cancel));
    let inbox = BrokerInbox { authentications: authentications_in, arrivals: arrivals_in };
    Ok((broker, inbox))
}

/// rmqtt, and what it takes to serve the relay's orders.
#[derive(Clone)]
struct Server {
    context: ServerContext,
    state: Arc<State>,
    /// Where rmqtt listens, on loopback and without TLS, which is ended before it.
    inside: SocketAddr,
    admission: Admission,
    patience: Duration,
    /// Is cancelled when the last words were said.
    over: CancellationToken,
    tracker: TaskTracker,
}

impl Server {
    async fn run(self, inner: Listener, cancel: CancellationToken) {
        let port = self.inside.port();
        let server = MqttServer::new(self.context.clone()).listener_by_id(inner, port).build();
        // Sessions have tasks of their own.
        if let Some(ended) = cancel.run_until_cancelled(server.run()).await {
            tracing::error!(?ended, "MQTT broker ended by itself");
        }
        // Wills and disconnects that the relay causes by stopping say nothing about cameras.
        let farewells = self.state.close().into_iter().map(|id| disconnect(&self.context, id));
        if timeout(FAREWELL, join_all(farewells)).await.is_err() {
            tracing::warn!("some cameras were not disconnected in time");
        }
    }

    /// Carries the relay's orders out one after the other: what is sent to a camera keeps its order.
    async fn serve(self, mut orders: mpsc::Receiver<Order>, cancel: CancellationToken) {
        while let Some(Some(order)) = cancel.run_until_cancelled(orders.recv()).await {
            match order {
                Order::Publish { topic, payload, expires_in, delivery } => {
                    let delivered = self.publish(&topic, payload, expires_in).await;
                    // Who gave the order may have given up.
                    let _ = delivery.send(delivered);
                }
                Order::Kick(camera_id) => self.kick(camera_id),
                Order::Admit { client, entrance } => {
                    if let Some(place) = self.admission.admit(client, false) {
                        // Who asked may have gone; its place is free then.
                        let _ = entrance.send(self.entrance(place));
                    }
                }
            }
        }
    }

    fn entrance(&self, place: Open) -> Entrance {
        Entrance {
            address: self.inside,
            _place: Box::new(place),
            patience: self.patience,
            over: self.over.clone(),
            _tracked: self.tracker.token(),
        }
    }

    fn kick(&self, camera_id: CameraId) {
        if let Some(session) = self.state.session(camera_id) {
            let server = self.clone();
            // Not awaited: the session may be waiting for the relay to handle one of its messages,
            // and the relay for its next order.
            self.tracker.spawn(async move {
                // rmqtt ends a session before it has sent what waits for it.
                let _ = timeout(LAST_WORDS, server.state.all_heard(camera_id)).await;
                disconnect(&server.context, session).await;
            });
        }
    }

    async fn publish(
        &self,
        topic: &Topic,
        payload: Bytes,
        expires_in: Duration,
    ) -> Result<Delivery, BrokerError> {
        let from = Id::new(self.context.node.id(), 0, None, None, "relay".into(), None);
        let seconds = u32::try_from(expires_in.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        let publish = CodecPublish {
            dup: false,
            retain: false,
            qos: QoS::AtLeastOnce,
            topic: topic.to_string().into(),
            packet_id: None,
            payload,
            properties: Some(PublishProperties {
                message_expiry_interval: NonZeroU32::new(seconds.max(1)),
                ..PublishProperties::default()
            }),
        };
        let publish = Publish::from(publish).create_time(clock::now().0);
        let shared = self.context.extends.shared().await;
        self.state.sending(topic.camera_id);
        let sent = match shared.forwards(None, Sender::from_admin(from), publish).await {
            Ok(0) => Ok(Delivery::NotConnected),
            Ok(_) => Ok(Delivery::Sent),
            Err((_, failures)) => Err(BrokerError::Routing(
                failures.into_iter().map(|(.., reason)| reason.to_string()).collect(),
            )),
        };
        if !matches!(sent, Ok(Delivery::Sent)) {
            self.state.not_sent(topic.camera_id);
        }
        sent
    }
}

/// Ends a session, whatever it is doing. rmqtt itself gives up after 5 s.
async fn disconnect(context: &ServerContext, session: Id) {
    let mut entry = context.extends.shared().await.entry(session);
    if let Err(error) = entry.kick(true, true, true).await {
        tracing::warn!(%error, "a camera could not be disconnected");
    }
}

/// Has rmqtt listen at a free port of loopback.
fn listen_inside(limits: &BrokerLimits) -> anyhow::Result<(Listener, SocketAddr)> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let inner = builder(limits, free).bind().and_then(Listener::tcp);
    let inner = inner
        .map_err(|error| anyhow!("{error:#}"))
        .context("cannot listen for MQTT on loopback")?;
    let inside = inner.local_addr().map_err(|error| anyhow!("{error}"))?;
    Ok((inner, inside))
}

fn builder(limits: &BrokerLimits, listen: SocketAddr) -> Builder {
    Builder::new()
        .name("nightjar")
        .laddr(listen)
        .nodelay(true)
        .allow_anonymous(false)
        .allow_zero_keepalive(false)
        .max_keepalive(limits.keep_alive_s)
        .max_connections(limits.sessions)
        .max_packet_size(limits.packet_bytes)
        .max_inflight(NonZeroU16::new(limits.inflight).unwrap_or(NonZeroU16::MIN))
        .max_mqueue_len(limits.queue_length)
        .max_subscriptions(limits.subscriptions)
        .max_clientid_len(64)
        .max_topic_levels(8)
        .max_qos_allowed(QoS::AtLeastOnce)
        .handshake_timeout(limits.handshake)
        .session_expiry_interval(SESSION_EXPIRY)
        .max_session_expiry_interval(SESSION_EXPIRY)
}

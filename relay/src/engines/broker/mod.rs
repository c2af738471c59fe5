//! The MQTT broker by which relay and cameras talk.
//!
//! The relay holds two ends of it and does not know what is between them: [`Broker`] gives orders
//! and knows who is connected, [`BrokerInbox`] brings what comes from cameras. The broker of this
//! process serves them in `embedded`; the simulated world of the tests serves them, too.

pub mod acl;
mod embedded;

use std::{
    any::Any,
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use nightjar_shared::{
    ids::CameraId,
    topic::{Channel, Topic},
};
use rustls::ServerConfig;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::metrics::Metrics;
use crate::config::Proxies;

/// Orders that wait for the broker, which carries each out in moments. When full, who gives the
/// next one waits.
const ORDER_QUEUE: usize = 256;

/// Bounds of the embedded broker.
#[derive(Debug, Clone)]
pub struct BrokerLimits {
    /// Connections, of cameras and of those who say that they are some.
    pub sessions: usize,
    /// Of one network, loopback too.
    pub connections_per_network: usize,
    pub packet_bytes: u32,
    /// Unacknowledged messages in each direction of a connection.
    pub inflight: u16,
    /// Messages that wait for one camera; when full, the oldest one goes.
    pub queue_length: usize,
    pub subscriptions: usize,
    /// What every camera is told. One that vanishes without a goodbye is noticed after one and a
    /// half times that, in time to be shown as offline within 30 s.
    pub keep_alive_s: u16,
    /// From the TCP connection to the end of TLS, and again from the version in a CONNECT to its end.
    pub handshake: Duration,
    /// How long a camera waits for its credential to be verified.
    pub authentication: Duration,
    /// How long a message may take to be handled before its camera is told to come back.
    pub handling: Duration,
}

impl BrokerLimits {
    /// Returns how long a client may take until its CONNECT is answered: rmqtt waits for the version in it
    /// without an end.
    pub fn patience(&self) -> Duration {
        self.handshake + self.authentication
    }
}

impl Default for BrokerLimits {
    fn default() -> Self {
        Self {
            // Each takes three descriptors of the 65,536 that the unit file permits.
            sessions: 15_000,
            // A large site behind one address.
            connections_per_network: 1_024,
            packet_bytes: 256 * 1024,
            inflight: 32,
            queue_length: 64,
            subscriptions: 8,
            keep_alive_s: 15,
            handshake: Duration::from_secs(10),
            authentication: Duration::from_secs(5),
            handling: Duration::from_secs(10),
        }
    }
}

/// Where the embedded broker listens, with which certificate, and what stands in front of it.
#[derive(Debug, Clone)]
pub struct EmbeddedBrokerConfig {
    /// Port 0 takes a free one; [`Broker::address`] tells which.
    pub listen: SocketAddr,
    pub tls: Arc<ServerConfig>,
    /// Who opens connections for others, and may open more than one network may.
    pub proxies: Proxies,
    /// Connections begin with the PROXY protocol's header: then proxies alone are let in.
    pub proxy_protocol: bool,
    pub limits: BrokerLimits,
}

/// A camera wants to connect. Dropping `answer` refuses it.
#[derive(Debug)]
pub struct AuthenticationRequest {
    pub camera_id: CameraId,
    /// The device token that it gave as password. Never to be logged.
    pub token: String,
    pub answer: oneshot::Sender<bool>,
}

/// What comes from cameras, in the order in which each of them sent it.
#[derive(Debug)]
pub enum Arrival {
    Connected {
        camera_id: CameraId,
    },
    /// The camera has subscribed to what is sent to it: from now on, messages reach it.
    Ready {
        camera_id: CameraId,
    },
    Disconnected {
        camera_id: CameraId,
    },
    Message(Message),
}

/// A message from a camera, on one of its own `up/` channels.
#[derive(Debug)]
pub struct Message {
    pub camera_id: CameraId,
    pub channel: Channel,
    pub payload: Bytes,
    /// The camera gets its PUBACK when this says `Done`, so that it keeps the message until it is
    /// stored. Dropping it means `TryAgain`.
    pub handled: oneshot::Sender<Handled>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// Stored, or refused for good: the camera may forget it.
    Done,
    /// Something here failed that may work later: the camera is disconnected without a PUBACK,
    /// keeps the message and sends it again.
    TryAgain,
}

/// Whether a message found its camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Handed to the camera's session. Only the camera's own answer proves more.
    Sent,
    /// The camera is not connected, or has not subscribed yet.
    NotConnected,
}

#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("`{0}` is not a topic to a camera")]
    NotDown(Topic),
    #[error("the broker could not route a message: {0}")]
    Routing(String),
    #[error("the broker has stopped")]
    Stopped,
}

/// The receiving ends that the relay's doors serve.
#[derive(Debug)]
pub struct BrokerInbox {
    pub authentications: mpsc::Receiver<AuthenticationRequest>,
    pub arrivals: mpsc::Receiver<Arrival>,
}

/// What the relay wants of its broker.
#[derive(Debug)]
pub enum Order {
    /// Send `payload` to the camera of `topic`, at least once, unless `expires_in` has passed
    /// before.
    Publish {
        topic: Topic,
        payload: Bytes,
        expires_in: Duration,
        delivery: oneshot::Sender<Result<Delivery, BrokerError>>,
    },
    /// End the camera's connection, if it has one.
    Kick(CameraId),
    /// Let a connection in that came to another door of the relay. Dropping `entrance` refuses it.
    Admit { client: IpAddr, entrance: oneshot::Sender<Entrance> },
}

/// The way to the broker of a connection that another door accepted: it counts as one of the broker's
/// own until this is dropped.
pub struct Entrance {
    address: SocketAddr,
    /// Its place among the connections.
    _place: Box<dyn Any + Send + Sync>,
    /// How long a client may take until the broker has answered its CONNECT.
    pub patience: Duration,
    /// Is cancelled when the broker has said its last words.
    over: CancellationToken,
    _tracked: TaskTrackerToken,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Entrance").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Entrance {
    /// Connects to the broker, which speaks MQTT without TLS here.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Waits until the broker has stopped: what it said at its end has arrived by then.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }
}

/// The cameras that are connected now, as the broker knows them. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Connected(Arc<Mutex<HashSet<CameraId>>>);

impl Connected {
    pub fn insert(&self, camera_id: CameraId) {
        self.cameras().insert(camera_id);
    }

    pub fn remove(&self, camera_id: CameraId) {
        self.cameras().remove(&camera_id);
    }

    fn contains(&self, camera_id: CameraId) -> bool {
        self.cameras().contains(&camera_id)
    }

    fn cameras(&self) -> MutexGuard<'_, HashSet<CameraId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The relay's way to its broker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Broker {
    orders: mpsc::Sender<Order>,
    connected: Connected,
    address: SocketAddr,
}

impl Broker {
    /// Makes the relay's end of a broker that listens at `address`. Who serves the orders keeps
    /// `connected` true.
    pub fn new(address: SocketAddr, connected: Connected) -> (Self, mpsc::Receiver<Order>) {
        let (orders, to_serve) = mpsc::channel(ORDER_QUEUE);
        (Self { orders, connected, address }, to_serve)
    }

    /// Starts the broker in this process. It listens when this returns, and stops when `cancel`
    /// is cancelled; its port is free again once `tracker` has been waited for.
    pub async fn start_embedded(
        config: EmbeddedBrokerConfig,
        metrics: &Metrics,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> anyhow::Result<(Self, BrokerInbox)> {
        embedded::start(config, metrics, tracker, cancel).await
    }

    /// Gives a connection of `client` that came to another door its way in; nothing where there are too
    /// many, of its network or in all.
    pub async fn admit(&self, client: IpAddr) -> Option<Entrance> {
        let (entrance, admitted) = oneshot::channel();
        self.order(Order::Admit { client, entrance }).await;
        admitted.await.ok()
    }

    /// Returns where cameras connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends `payload` to a camera, at least once, unless `expires_in` has passed before (rounded
    /// up to whole seconds, as MQTT counts).
    pub async fn publish(
        &self,
        topic: &Topic,
        payload: Bytes,
        expires_in: Duration,
    ) -> Result<Delivery, BrokerError> {
        if topic.channel.is_up() {
            return Err(BrokerError::NotDown(topic.clone()));
        }
        let (delivery, delivered) = oneshot::channel();
        let topic = topic.clone();
        self.order(Order::Publish { topic, payload, expires_in, delivery }).await;
        delivered.await.unwrap_or(Err(BrokerError::Stopped))
    }

    /// Has the camera's connection ended, if it has one: it is gone within moments, and comes back
    /// unless its credential is refused.
    pub async fn kick(&self, camera_id: CameraId) {
        self.order(Order::Kick(camera_id)).await;
    }

    /// Lists the cameras that are connected now.
    pub fn connected(&self) -> Vec<CameraId> {
        self.connected.cameras().iter().copied().collect()
    }

    /// Returns whether the camera is connected now.
    pub fn online(&self, camera_id: CameraId) -> bool {
        self.connected.contains(camera_id)
    }

    async fn order(&self, order: Order) {
        // A broker that has stopped has no connections, and its readers are told by what they wait
        // for.
        let _ = self.orders.send(order).await;
    }
}

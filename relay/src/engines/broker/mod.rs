//! The MQTT broker by which relay and cameras talk.
//!
//! One enum, chosen by configuration. Whatever is behind it, the relay sees the same: requests to
//! verify a camera's credential, arrivals from cameras, and a way to publish to one.

pub mod acl;
mod embedded;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use nightjar_shared::{
    ids::CameraId,
    topic::{Channel, Topic},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::metrics::Metrics;

/// Bounds of the embedded broker.
#[derive(Debug, Clone)]
pub struct BrokerLimits {
    /// Connected cameras.
    pub sessions: usize,
    pub packet_bytes: u32,
    /// Unacknowledged messages in each direction of a connection.
    pub inflight: u16,
    /// Messages that wait for one camera; when full, the oldest one goes.
    pub queue_length: usize,
    pub subscriptions: usize,
    /// What every camera is told. One that vanishes without a goodbye is noticed after one and a
    /// half times that, in time to be shown as offline within 30 s.
    pub keep_alive_s: u16,
    /// From the TCP connection to the end of TLS, and again to the end of CONNECT.
    pub handshake: Duration,
    /// How long a camera waits for its credential to be verified.
    pub authentication: Duration,
    /// How long a message may take to be handled before its camera is told to come back.
    pub handling: Duration,
}

impl Default for BrokerLimits {
    fn default() -> Self {
        Self {
            sessions: 20_000,
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

/// Where the embedded broker listens, and with which certificate.
#[derive(Debug, Clone)]
pub struct EmbeddedBrokerConfig {
    /// Port 0 takes a free one; [`Broker::address`] tells which.
    pub listen: SocketAddr,
    pub certificate_path: PathBuf,
    pub private_key_path: PathBuf,
    pub limits: BrokerLimits,
}

/// A camera wants to connect. Dropping `answer` refuses it.
#[derive(Debug)]
pub struct AuthenticationRequest {
    pub camera_id: CameraId,
    /// The device token that it gave as password. Never to be logged.
    pub token: String,
    pub peer: Option<SocketAddr>,
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
}

/// The receiving ends that the relay's doors serve.
#[derive(Debug)]
pub struct BrokerInbox {
    pub authentications: mpsc::Receiver<AuthenticationRequest>,
    pub arrivals: mpsc::Receiver<Arrival>,
}

#[derive(Clone)]
pub enum Broker {
    Embedded(embedded::EmbeddedBroker),
}

impl Broker {
    /// Starts the broker in this process. It listens when this returns, and stops when `cancel`
    /// is cancelled; its port is free again once `tracker` has been waited for.
    pub async fn start_embedded(
        config: EmbeddedBrokerConfig,
        metrics: &Metrics,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> anyhow::Result<(Self, BrokerInbox)> {
        let (broker, inbox) =
            embedded::EmbeddedBroker::start(config, metrics, tracker, cancel).await?;
        Ok((Self::Embedded(broker), inbox))
    }

    /// Shows the certificate that its files hold now to who connects from now on: it listens anew at
    /// the same address. Who is connected stays. Returns at once.
    pub fn listen_anew(&self) {
        match self {
            Self::Embedded(broker) => broker.listen_anew(),
        }
    }

    /// Returns where cameras connect.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Embedded(broker) => broker.address(),
        }
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
        match self {
            Self::Embedded(broker) => broker.publish(topic, payload, expires_in).await,
        }
    }

    /// Ends the camera's connection, if it has one. Returns at once; the camera is gone within
    /// moments, and comes back unless its credential is refused.
    pub fn kick(&self, camera_id: CameraId) {
        match self {
            Self::Embedded(broker) => broker.kick(camera_id),
        }
    }

    /// Returns whether the camera is connected now.
    pub fn online(&self, camera_id: CameraId) -> bool {
        match self {
            Self::Embedded(broker) => broker.online(camera_id),
        }
    }
}

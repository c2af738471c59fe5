//! The receiving side of one connection.

use std::time::Duration;

use nightjar_shared::{
    ids::CameraId,
    signal::Signal,
    topic::{Channel, Topic},
};
use rumqttc::{
    Outgoing,
    v5::{
        ConnectionError, Event, EventLoop, Incoming,
        mqttbytes::v5::{PubAck, PubAckReason, Publish, SubAck, SubscribeReasonCode},
    },
};
use tokio::sync::mpsc;

use super::{
    error::LinkError,
    in_flight::{InFlight, PacketKind},
};
use crate::{clock::Clock, store::MessageId, uplink::commands::ArrivedCommand};

/// What the receiving side of a connection learns for the sending one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::uplink) enum Progress {
    Subscribed,
    /// The broker has this message of the outbox.
    Arrived(MessageId),
    FarewellArrived,
}

/// Where the receiver puts what arrives.
pub(in crate::uplink) struct Arrivals {
    pub(in crate::uplink) clock: Clock,
    /// Has room for all that can be unacknowledged at a time.
    pub(in crate::uplink) progress: mpsc::Sender<Progress>,
    pub(in crate::uplink) commands: mpsc::Sender<ArrivedCommand>,
    pub(in crate::uplink) signals: mpsc::Sender<Signal>,
}

/// What comes from the broker, and what became of what was sent to it.
pub(super) enum Events {
    Network(Box<EventLoop>),
    Simulated(mpsc::Receiver<Result<Event, ConnectionError>>),
}

impl Events {
    async fn next(&mut self) -> Result<Event, LinkError> {
        match self {
            Self::Network(events) => Ok(events.poll().await?),
            Self::Simulated(events) => Ok(events.recv().await.ok_or(LinkError::Ended)??),
        }
    }
}

/// Turns the client's events into messages for the rest of the agent.
pub(in crate::uplink) struct Receiver {
    pub(super) camera_id: CameraId,
    pub(super) in_flight: InFlight,
    pub(super) events: Events,
    pub(super) arrivals: Arrivals,
}

impl Receiver {
    /// Receives until the connection ends. Returns `Ok` after a disconnection by the publisher.
    pub(in crate::uplink) async fn run(&mut self) -> Result<(), LinkError> {
        loop {
            match self.events.next().await? {
                Event::Incoming(Incoming::Publish(publish)) => self.forward(&publish),
                Event::Incoming(Incoming::SubAck(ack)) => self.subscribed(ack)?,
                Event::Incoming(Incoming::PubAck(ack)) => self.acknowledged(&ack)?,
                Event::Outgoing(Outgoing::Publish(id)) => self.in_flight.sent(id),
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
        self.send_progress(Progress::Subscribed)
    }

    fn acknowledged(&self, ack: &PubAck) -> Result<(), LinkError> {
        let kind = self.in_flight.acknowledged(ack.pkid);
        let progress = match (kind, ack.reason) {
            (None | Some(PacketKind::Other), _) => return Ok(()),
            (Some(PacketKind::Farewell), _) => Progress::FarewellArrived,
            (
                Some(PacketKind::Outbox(id)),
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers,
            ) => Progress::Arrived(id),
            (
                Some(PacketKind::Outbox(id)),
                reason @ (PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid),
            ) => {
                tracing::error!(?reason, "the broker will never take this message; it is dropped");
                Progress::Arrived(id)
            }
            (Some(PacketKind::Outbox(_)), reason) => return Err(LinkError::Message(reason)),
        };
        self.send_progress(progress)
    }

    fn send_progress(&self, progress: Progress) -> Result<(), LinkError> {
        self.arrivals.progress.try_send(progress).map_err(|_| LinkError::Ended)
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
            arrived_at_ms: self.arrivals.clock.uptime_ms(),
            message_expiry: expiry.map(|seconds| Duration::from_secs(u64::from(seconds))),
        };
        if self.arrivals.commands.try_send(arrived).is_err() {
            tracing::warn!("too many commands wait; one is dropped and expires at the relay");
        }
    }

    fn forward_signal(&self, publish: &Publish) {
        match serde_json::from_slice(&publish.payload) {
            Ok(signal) => {
                if self.arrivals.signals.try_send(signal).is_err() {
                    tracing::warn!("too many signals wait; one is dropped and its session ends");
                }
            }
            Err(error) => tracing::warn!(%error, "a signal could not be read"),
        }
    }
}

//! The receiving side of one connection.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use nightjar_shared::{
    ids::CameraId,
    signal::Signal,
    topic::{Channel, Topic},
};
use rumqttc::{
    Outgoing,
    v5::{
        Event, EventLoop, Incoming,
        mqttbytes::v5::{PubAck, PubAckReason, Publish, SubAck, SubscribeReasonCode},
    },
};
use tokio::sync::mpsc;

use super::LinkError;
use crate::{
    clock::Clock,
    lock::lock,
    uplink::{
        commands::ArrivedCommand,
        inflight::{InFlight, Publication},
        outbox::Progress,
    },
};

/// Turns the client's events into messages for the rest of the agent.
pub(super) struct Receiver {
    pub(super) camera_id: CameraId,
    pub(super) clock: Clock,
    pub(super) in_flight: Arc<Mutex<InFlight>>,
    pub(super) progress: mpsc::Sender<Progress>,
    pub(super) commands: mpsc::Sender<ArrivedCommand>,
    pub(super) signals: mpsc::Sender<Signal>,
}

impl Receiver {
    pub(super) async fn run(self, mut events: EventLoop) -> Result<(), LinkError> {
        loop {
            match events.poll().await? {
                Event::Incoming(Incoming::Publish(publish)) => self.forward(&publish),
                Event::Incoming(Incoming::SubAck(ack)) => self.subscribed(ack)?,
                Event::Incoming(Incoming::PubAck(ack)) => self.acknowledged(&ack)?,
                Event::Outgoing(Outgoing::Publish(id)) => lock(&self.in_flight).sent(id),
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
        let publication = lock(&self.in_flight).acknowledged(ack.pkid);
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
            arrived_at_ms: self.clock.uptime_ms(),
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

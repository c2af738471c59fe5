//! Sends what waits for the relay over one connection: the outbox in its order, each message
//! until the broker has acknowledged it; health, configuration and signals as they come.

use std::{sync::Arc, time::Duration};

use nightjar_shared::{
    configuration::Configuration,
    event::{Health, Presence},
    signal::Signal,
    topic::Channel,
};
use serde::Serialize;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::mqtt::{LinkError, MAX_PACKET_BYTES, PacketKind, Progress, Publisher};
use crate::store::{MessageId, OutboxMessage, Store};

/// How many messages may be unacknowledged: enough to fill a slow link, few enough to
/// repeat after a broken one.
pub(super) const WINDOW: usize = 16;

/// The largest message: what is left of [`MAX_PACKET_BYTES`] beside topic and properties.
const MAX_PAYLOAD_BYTES: usize = MAX_PACKET_BYTES as usize - 1024;

/// How many messages may have arrived that the index cannot forget. With more, no other is sent
/// until it can.
const MAX_UNFORGOTTEN: usize = 1_000;

/// How long shutdown waits for the last messages, then for the farewell.
const FLUSH_WITHIN: Duration = Duration::from_millis(800);
const FAREWELL_WITHIN: Duration = Duration::from_millis(400);

/// What is sent to the relay. It outlives connections.
pub(super) struct DrainSources {
    pub(super) store: Store,
    pub(super) signals: mpsc::Receiver<(String, Signal)>,
    pub(super) health: watch::Receiver<Option<Health>>,
    pub(super) configuration: watch::Receiver<Configuration>,
}

impl DrainSources {
    /// Reads and drops signals for as long as it is polled: they are worth nothing without a
    /// connection.
    pub(super) async fn discard_signals(&mut self) {
        while self.signals.recv().await.is_some() {}
        std::future::pending::<()>().await;
    }
}

/// The sending side of one connection.
pub(super) struct Drain<'a> {
    sources: &'a mut DrainSources,
    publisher: Publisher,
    progress: mpsc::Receiver<Progress>,
    wake: Arc<Notify>,
    connected: &'a mut bool,
    window: Window,
}

impl<'a> Drain<'a> {
    pub(super) fn new(
        sources: &'a mut DrainSources,
        publisher: Publisher,
        progress: mpsc::Receiver<Progress>,
        connected: &'a mut bool,
    ) -> Self {
        let wake = sources.store.outbox_wake();
        Self { sources, publisher, progress, wake, connected, window: Window::default() }
    }

    /// Sends until cancelled; then `farewell` is the last word.
    pub(super) async fn run(
        mut self,
        mut presence: Presence,
        farewell: &Presence,
        cancel: &CancellationToken,
    ) -> Result<(), LinkError> {
        self.publisher.subscribe().await?;
        // The relay sends waiting commands as soon as it learns of the camera: it must be able
        // to hear them by then.
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(()),
            subscribed = self.progress.recv() => drop(subscribed.ok_or(LinkError::Ended)?),
            () = self.sources.discard_signals() => {}
        }
        self.publish(Channel::UpPresence, true, &presence, PacketKind::Other).await?;
        tracing::info!("connected to the relay");
        *self.connected = true;
        // Uploads that wait after failures need not wait any longer.
        self.sources.store.relay_is_back();
        self.sources.health.mark_changed();
        self.sources.configuration.mark_changed();
        self.send_until(&mut presence, cancel).await?;
        self.flush().await?;
        self.publish(Channel::UpPresence, true, farewell, PacketKind::Farewell).await?;
        drop(timeout(FAREWELL_WITHIN, self.farewell_arrived()).await);
        self.publisher.disconnect().await
    }

    async fn send_until(
        &mut self,
        presence: &mut Presence,
        cancel: &CancellationToken,
    ) -> Result<(), LinkError> {
        let wake = Arc::clone(&self.wake);
        let clock_set = self.sources.store.clock_set();
        let mut more = true;
        loop {
            if more {
                more = self.fill_window().await?;
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                () = wake.notified() => more = true,
                Some(progress) = self.progress.recv() => {
                    self.settle(progress).await;
                    more = true;
                }
                Some((replica, signal)) = self.sources.signals.recv() => {
                    self.send_signal(replica, &signal).await?;
                }
                Ok(()) = self.sources.health.changed() => {
                    self.send_health().await?;
                    self.forget_arrived().await;
                    more = true;
                }
                Ok(()) = self.sources.configuration.changed() => self.send_configuration().await?,
                // It gives what the relay was told before its right time.
                () = clock_set.notified() => {
                    presence.boots = self.sources.store.boots().await?;
                    self.publish(Channel::UpPresence, true, presence, PacketKind::Other).await?;
                }
            }
        }
    }

    /// Hands over the next messages of the outbox. Returns whether more may wait behind them.
    async fn fill_window(&mut self) -> Result<bool, LinkError> {
        let room = self.window.room();
        if room == 0 {
            return Ok(false);
        }
        let messages = self.sources.store.next_messages(&self.window.messages(), room).await?;
        let full = messages.len() == room;
        for message in messages {
            self.send_message(message).await?;
        }
        // With a full window the next acknowledgement asks again.
        Ok(full && self.window.room() > 0)
    }

    async fn send_message(&mut self, message: OutboxMessage) -> Result<(), LinkError> {
        if message.payload.len() > MAX_PAYLOAD_BYTES {
            tracing::error!(
                bytes = message.payload.len(),
                "a message is too large for the broker; it is dropped"
            );
            self.window.arrived(message.id);
            self.forget_arrived().await;
            return Ok(());
        }
        self.window.handed_over(message.id);
        let channel = message.kind.channel();
        let payload = message.payload.into_bytes();
        self.publisher.publish(channel, false, payload, PacketKind::Outbox(message.id)).await
    }

    async fn settle(&mut self, progress: Progress) {
        if let Progress::Arrived(id) = progress {
            self.window.arrived(id);
            self.forget_arrived().await;
        }
    }

    /// Forgets the messages that have arrived. On a full disk the index cannot. The connection must
    /// not suffer from that, because
    /// it is how the owner hears of the disk: what stays is forgotten later, and after a lost
    /// connection arrives twice, which the relay does not mind.
    async fn forget_arrived(&mut self) {
        while let Some(id) = self.window.unforgotten() {
            if let Err(error) = self.sources.store.remove_message(id).await {
                tracing::warn!(%error, "a message that has arrived stays in the outbox for now");
                return;
            }
            self.window.forgotten(id);
        }
    }

    async fn send_signal(&mut self, replica: String, signal: &Signal) -> Result<(), LinkError> {
        self.publish(Channel::UpSignal { replica }, false, signal, PacketKind::Other).await
    }

    async fn send_health(&mut self) -> Result<(), LinkError> {
        let health = self.sources.health.borrow_and_update().clone();
        match health {
            Some(health) => {
                self.publish(Channel::UpHealth, false, &health, PacketKind::Other).await
            }
            None => Ok(()),
        }
    }

    /// Sends the settings, on every connection and after every change: the relay knows what the
    /// camera goes by, not what it was once told.
    async fn send_configuration(&mut self) -> Result<(), LinkError> {
        let configuration = self.sources.configuration.borrow_and_update().clone();
        self.publish(Channel::UpConfiguration, false, &configuration, PacketKind::Other).await
    }

    async fn publish<T: Serialize>(
        &self,
        channel: Channel,
        retain: bool,
        message: &T,
        kind: PacketKind,
    ) -> Result<(), LinkError> {
        let payload = match serde_json::to_vec(message) {
            Ok(payload) if payload.len() <= MAX_PAYLOAD_BYTES => payload,
            Ok(payload) => {
                tracing::error!(
                    bytes = payload.len(),
                    ?channel,
                    "a message is too large for the broker; it is dropped"
                );
                return Ok(());
            }
            Err(error) => {
                tracing::error!(%error, ?channel, "a message cannot be written as JSON; it is dropped");
                return Ok(());
            }
        };
        self.publisher.publish(channel, retain, payload, kind).await
    }

    /// Sends what the features said while they stopped: the last signals, and the outbox as far as
    /// the time allows; the rest keeps.
    async fn flush(&mut self) -> Result<(), LinkError> {
        while let Ok((replica, signal)) = self.sources.signals.try_recv() {
            self.send_signal(replica, &signal).await?;
        }
        let emptied = async {
            loop {
                while self.fill_window().await? {}
                if self.window.is_empty() {
                    return Ok(());
                }
                let progress = self.progress.recv().await.ok_or(LinkError::Ended)?;
                self.settle(progress).await;
            }
        };
        timeout(FLUSH_WITHIN, emptied).await.unwrap_or(Ok(()))
    }

    async fn farewell_arrived(&mut self) {
        while self.progress.recv().await.is_some_and(|it| it != Progress::FarewellArrived) {}
    }
}

/// What this connection has done with the outbox. It is empty when a connection begins: what was not
/// acknowledged is sent again, in order.
#[derive(Debug, Default)]
struct Window {
    on_the_way: Vec<MessageId>,
    /// Messages that the broker has, and the index has not forgotten yet.
    arrived: Vec<MessageId>,
}

impl Window {
    /// Returns how many more messages may be handed over.
    fn room(&self) -> usize {
        let unforgotten = self.arrived.len() + self.on_the_way.len();
        WINDOW
            .saturating_sub(self.on_the_way.len())
            .min(MAX_UNFORGOTTEN.saturating_sub(unforgotten))
    }

    fn is_empty(&self) -> bool {
        self.on_the_way.is_empty()
    }

    /// Lists the messages that are not to be sent again.
    fn messages(&self) -> Vec<MessageId> {
        self.on_the_way.iter().chain(&self.arrived).copied().collect()
    }

    fn handed_over(&mut self, id: MessageId) {
        self.on_the_way.push(id);
    }

    fn arrived(&mut self, id: MessageId) {
        self.on_the_way.retain(|other| *other != id);
        self.arrived.push(id);
    }

    fn unforgotten(&self) -> Option<MessageId> {
        self.arrived.last().copied()
    }

    fn forgotten(&mut self, id: MessageId) {
        self.arrived.retain(|other| *other != id);
    }
}

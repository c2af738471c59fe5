//! The connection to the relay's broker. It only forwards: nothing here waits for the rest of the
//! agent.
//!
//! Every connection gets a client and an event loop of its own, so that no packet of a broken
//! connection survives in the client library: what must not be lost lies in the outbox and is
//! sent again from there. The start is clean for the same reason: the relay's database, not the
//! broker's memory, is the queue of commands, and a signal for a session of the last connection
//! is worth nothing.

use std::{pin::pin, time::Duration};

use nightjar_core::backoff::Backoff;
use nightjar_shared::{PROTOCOL_VERSION, event::Presence, ids::BootId, signal::Signal};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    commands::ArrivedCommand,
    drain::{Drain, DrainSources, WINDOW},
    mqtt::{Arrivals, Broker, LinkError},
};
use crate::{
    clock::Clock,
    cloud::{Cloud, DeviceToken},
    machine::chance,
};

const RECONNECT_AFTER: Duration = Duration::from_millis(500);
const RECONNECT_AFTER_AT_MOST: Duration = Duration::from_secs(30);
/// A connection that lasted this long was a good one: the next failure begins small again.
const STABLE_AFTER: Duration = Duration::from_mins(1);
/// How often a camera asks that was removed at the relay.
const ASK_AGAIN_WHEN_REMOVED: Duration = Duration::from_mins(1);
/// How long the disconnection may take to reach the wire.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// Keeps one connection to the broker.
pub(super) struct Link {
    pub(super) broker: Broker,
    pub(super) cloud: Cloud,
    pub(super) clock: Clock,
    pub(super) boot_id: BootId,
    /// Where commands go that arrive.
    pub(super) commands: mpsc::Sender<ArrivedCommand>,
    /// Where signals go that arrive.
    pub(super) signals: mpsc::Sender<Signal>,
    /// What is sent.
    pub(super) sources: DrainSources,
}

impl Link {
    /// Connects again and again, until cancelled.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let mut backoff = Backoff::new(RECONNECT_AFTER, RECONNECT_AFTER_AT_MOST);
        let mut told = String::new();
        while !cancel.is_cancelled() {
            let began_at = self.clock.monotonic();
            let mut connected = false;
            let Err(error) = self.run_once(&mut connected, &cancel).await else { return };
            if connected && self.clock.monotonic().since(began_at) >= STABLE_AFTER {
                backoff.reset();
            }
            let delay = if error.camera_was_removed() {
                ASK_AGAIN_WHEN_REMOVED
            } else {
                backoff.next_delay(chance())
            };
            // Offline for days, the log says so once.
            let text = error.to_string();
            if connected || text != told {
                tracing::warn!(error = %text, "no connection to the relay; trying again");
                told = text;
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = self.sources.discard_signals() => {}
                () = sleep(delay) => {}
            }
        }
    }

    /// Runs one connection from its token to its end. Returns `Ok` after an orderly farewell, and
    /// sets `connected` once the relay knows of the camera's presence.
    async fn run_once(
        &mut self,
        connected: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<(), LinkError> {
        let token = tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(()),
            () = self.sources.discard_signals() => return Ok(()),
            token = self.cloud.token() => token?,
        };
        let ended = self.connect(&token, connected, cancel).await;
        if ended.as_ref().is_err_and(LinkError::refused_credentials) {
            self.cloud.forget_token(&token).await;
        }
        ended
    }

    async fn connect(
        &mut self,
        token: &DeviceToken,
        connected: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<(), LinkError> {
        let farewell = self.presence(false);
        // Acknowledged outbox messages, plus subscription and farewell: never full.
        let (progress_in, progress) = mpsc::channel(WINDOW + 4);
        let arrivals = Arrivals {
            clock: self.clock.clone(),
            progress: progress_in,
            commands: self.commands.clone(),
            signals: self.signals.clone(),
        };
        let (publisher, receiver) = self.broker.connect(token, &farewell, arrivals).await?;
        let boots = self.sources.store.boots().await?;
        let presence = Presence { boots, ..self.presence(true) };
        let drain = Drain::new(&mut self.sources, publisher, progress, connected);
        let mut receiving = pin!(receiver.run());
        tokio::select! {
            biased;
            ended = &mut receiving => return ended,
            sent = drain.run(presence, &farewell, cancel) => sent?,
        }
        // The farewell is handed over; the event loop still has to send it.
        drop(timeout(LEAVE_WITHIN, receiving).await);
        Ok(())
    }

    fn presence(&self, online: bool) -> Presence {
        Presence {
            protocol: PROTOCOL_VERSION,
            online,
            boot_id: self.boot_id,
            agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            boots: Vec::new(),
        }
    }
}

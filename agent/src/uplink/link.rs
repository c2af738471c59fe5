//! The connection to the relay's broker. It only forwards: nothing here waits for the rest of the
//! agent.
//!
//! Every connection gets a client and an event loop of its own, so that no packet of a broken
//! connection survives in the client library: what must not be lost lies in the outbox and is
//! sent again from there. The start is clean for the same reason: the relay's database, not the
//! broker's memory, is the queue of commands, and a signal for a session of the last connection
//! is worth nothing.
//!
//! Where the port of MQTT does not answer, the connection goes through https. Which route worked is
//! remembered, and from time to time it is looked whether the port answers again: then, while nobody
//! watches, the camera moves back. The broker sees one session take the other over, and nobody sees it
//! offline.

use std::{pin::pin, time::Duration};

use nightjar_core::backoff::Backoff;
use nightjar_shared::{
    PROTOCOL_VERSION,
    event::{Health, Presence},
    ids::{BootId, CameraId},
    signal::Signal,
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    commands::ArrivedCommand,
    drain::{Drain, DrainSources, WINDOW},
    mqtt::{Arrivals, Broker, LinkError, Receiver, Route},
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

/// Name of a setting in the index.
const ROUTE: &str = "broker_route";

/// The route that worked last. It does not hold for another pairing.
#[derive(Serialize, Deserialize)]
struct KeptRoute {
    camera_id: CameraId,
    route: Route,
}

/// Why a connection was left in an orderly way.
enum Left {
    Farewell,
    /// The port of MQTT answers again. The connection stays until that one has taken it over.
    WayBack(Box<Receiver>),
}

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
    /// The route that is written down.
    pub(super) kept_route: Option<Route>,
}

impl Link {
    /// Connects again and again, until cancelled.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let mut backoff = Backoff::new(RECONNECT_AFTER, RECONNECT_AFTER_AT_MOST);
        let mut told = String::new();
        let mut left = None;
        self.remember_route().await;
        while !cancel.is_cancelled() {
            let began_at = self.clock.monotonic();
            let mut connected = false;
            let error = match self.run_once(left.take(), &mut connected, &cancel).await {
                Ok(Left::Farewell) => return,
                Ok(Left::WayBack(receiver)) => {
                    left = Some(receiver);
                    continue;
                }
                Err(error) => error,
            };
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

    /// Runs one connection from its token to its end. Returns `Ok` after it was left in an orderly way,
    /// and sets `connected` once the relay knows of the camera's presence. The connection of `before`
    /// ends when this one has come about.
    async fn run_once(
        &mut self,
        before: Option<Box<Receiver>>,
        connected: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<Left, LinkError> {
        let token = tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(Left::Farewell),
            () = self.sources.discard_signals() => return Ok(Left::Farewell),
            token = self.cloud.token() => token?,
        };
        let ended = self.connect(&token, before, connected, cancel).await;
        if ended.as_ref().is_err_and(LinkError::refused_credentials) {
            self.cloud.forget_token(&token).await;
        }
        ended
    }

    async fn connect(
        &mut self,
        token: &DeviceToken,
        before: Option<Box<Receiver>>,
        connected: &mut bool,
        cancel: &CancellationToken,
    ) -> Result<Left, LinkError> {
        let farewell = self.presence(false);
        // Acknowledged outbox messages, plus subscription and farewell: never full.
        let (progress_in, progress) = mpsc::channel(WINDOW + 4);
        let arrivals = Arrivals {
            clock: self.clock.clone(),
            progress: progress_in,
            commands: self.commands.clone(),
            signals: self.signals.clone(),
        };
        let (publisher, mut receiver) = tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(Left::Farewell),
            () = self.sources.discard_signals() => return Ok(Left::Farewell),
            dialled = self.broker.connect(token, &farewell, arrivals) => dialled?,
        };
        drop(before);
        self.keep_route().await;
        let boots = self.sources.store.boots().await?;
        let presence = Presence { boots, ..self.presence(true) };
        let way_back = self.way_back();
        let drain = Drain::new(&mut self.sources, publisher, progress, connected);
        {
            let mut receiving = pin!(receiver.run());
            tokio::select! {
                biased;
                ended = &mut receiving => return ended.map(|()| Left::Farewell),
                sent = drain.run(presence, &farewell, cancel) => {
                    sent?;
                    // The farewell is handed over; the event loop still has to send it.
                    drop(timeout(LEAVE_WITHIN, receiving).await);
                    return Ok(Left::Farewell);
                }
                () = way_back => {}
            }
        }
        tracing::info!("the port of MQTT answers again: going back to it");
        self.broker.prefer(Route::Direct);
        Ok(Left::WayBack(Box::new(receiver)))
    }

    /// Waits until the camera should move back to the port of MQTT: it answers, and nobody watches, whose
    /// session a move would end.
    fn way_back(&mut self) -> impl Future<Output = ()> + use<> {
        let look_back = self.broker.look_back();
        let mut health = self.sources.health.clone();
        async move {
            look_back.await;
            let nobody_watches =
                |health: &Option<Health>| health.as_ref().is_none_or(|health| health.viewers == 0);
            if health.wait_for(nobody_watches).await.is_err() {
                // The agent stops.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn remember_route(&mut self) {
        match self.sources.store.setting::<KeptRoute>(ROUTE).await {
            Ok(Some(kept)) if kept.camera_id == self.broker.camera_id() => {
                self.broker.prefer(kept.route);
                self.kept_route = Some(kept.route);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "which route to the relay worked is not known"),
        }
    }

    async fn keep_route(&mut self) {
        let route = self.broker.route();
        if self.kept_route == Some(route) {
            return;
        }
        let kept = KeptRoute { camera_id: self.broker.camera_id(), route };
        match self.sources.store.set_setting(ROUTE, &kept).await {
            Ok(()) => self.kept_route = Some(route),
            Err(error) => tracing::warn!(%error, "which route to the relay worked is not kept"),
        }
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

//! The task that connects signalling, the live worker and the encoders: it carries out what
//! `sessions` decides, and replaces a worker that ended or hangs.

use std::time::Duration;

use nightjar_shared::{
    session::SessionEndReason,
    signal::{Signal, SignalKind},
};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    authenticity::{Authenticity, ProofError, ViewerTrust},
    process::{WorkerCommand, WorkerProcess},
    publish::SfuPublication,
    sessions::{Effect, Sessions},
    settings::LiveSettings,
    wire::{Sdp, Wishes, WorkerOrder, WorkerReport},
};
use crate::{
    clock::{monotonic_now, trusted_now},
    encode::Media,
};

/// How often expiry and silence are looked for.
const TICK: Duration = Duration::from_millis(250);

/// A worker says something every second; one that is silent for longer hangs.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// The first start of a media engine looks at every plugin, which takes a slow board a while.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A worker that was well for this long is replaced at once, others after a pause.
const PROVEN_AFTER: Duration = Duration::from_secs(5);
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Owns the sessions and the worker that holds their connections.
pub(super) struct LiveTask {
    pub(super) media: Media,
    pub(super) worker_command: WorkerCommand,
    pub(super) signals_in: mpsc::Receiver<Signal>,
    /// Each with the replica that it is for.
    pub(super) signals_out: mpsc::Sender<(String, Signal)>,
    pub(super) settings: watch::Receiver<LiveSettings>,
    /// How many sessions there are.
    pub(super) viewers: watch::Sender<u32>,
    pub(super) tracker: TaskTracker,
    pub(super) sessions: Sessions,
    pub(super) authenticity: Authenticity,
    pub(super) trust: watch::Receiver<ViewerTrust>,
    pub(super) worker: Option<RunningWorker>,
    /// The connection to an SFU, where there is one: viewers are sent there.
    pub(super) publication: Option<SfuPublication>,
}

/// A worker that has not ended yet.
pub(super) struct RunningWorker {
    process: WorkerProcess,
    started: Instant,
    /// When it must have said something again.
    deadline: Instant,
}

impl LiveTask {
    /// Runs until cancelled, then says farewell to every viewer.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut start_at = Instant::now();
        let mut signals_open = true;
        loop {
            if self.worker.is_none() && Instant::now() >= start_at {
                self.start_worker();
                start_at = Instant::now() + RESTART_PAUSE;
            }
            let effects = tokio::select! {
                () = cancel.cancelled() => break,
                signal = self.signals_in.recv(), if signals_open => {
                    signals_open = signal.is_some();
                    self.on_signal(signal)
                }
                report = next_report(&mut self.worker) => {
                    if report.is_none() {
                        start_at = self.next_start();
                    }
                    self.on_report(report)
                }
                order = next_order(&mut self.publication) => vec![Effect::Order(order)],
                Ok(()) = self.settings.changed() => self.adopt_settings(),
                _ = ticks.tick() => self.on_tick(),
            };
            self.apply(effects);
        }
        let effects = self.sessions.shut_down();
        self.apply(effects);
    }

    fn start_worker(&mut self) {
        match WorkerProcess::start(&self.worker_command, &self.media, &self.tracker) {
            Ok(process) => {
                let started = Instant::now();
                let deadline = started + START_LIMIT;
                self.worker = Some(RunningWorker { process, started, deadline });
                let mut effects = vec![self.order_bounds()];
                effects.extend(self.sessions.worker_started());
                self.apply(effects);
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "no live worker"),
        }
    }

    /// Returns when the worker that just ended is to be replaced.
    fn next_start(&self) -> Instant {
        let proven =
            self.worker.as_ref().is_some_and(|worker| worker.started.elapsed() >= PROVEN_AFTER);
        if proven { Instant::now() } else { Instant::now() + RESTART_PAUSE }
    }

    fn lose_worker(&mut self) -> Vec<Effect> {
        self.worker = None;
        if let Some(publication) = &mut self.publication {
            publication.worker_lost();
        }
        self.sessions.worker_lost()
    }

    fn on_signal(&mut self, signal: Option<Signal>) -> Vec<Effect> {
        let Some(signal) = signal else { return Vec::new() };
        if let (Some(publication), SignalKind::Offer, false) =
            (&self.publication, signal.kind, self.settings.borrow().private)
        {
            return publication.redirect(signal);
        }
        match self.admit(&signal) {
            Ok(()) => self.sessions.on_signal(signal, monotonic_now()),
            Err(refusal) => {
                tracing::warn!(session_id = %signal.session_id, %refusal, "a viewer is refused");
                Sessions::refuse(signal, SessionEndReason::NotAuthentic)
            }
        }
    }

    /// Checks whether the viewer that makes an offer may watch.
    fn admit(&mut self, signal: &Signal) -> Result<(), ProofError> {
        let (SignalKind::Offer, Some(offer)) = (signal.kind, &signal.sdp) else { return Ok(()) };
        if self.trust.has_changed().unwrap_or(false) {
            self.authenticity.set_trust(self.trust.borrow_and_update().clone());
        }
        self.authenticity.admit(signal.session_id, offer, trusted_now())
    }

    /// Takes a report of the worker; `None` says that it has ended.
    fn on_report(&mut self, report: Option<WorkerReport>) -> Vec<Effect> {
        let Some(report) = report else { return self.lose_worker() };
        if let Some(worker) = &mut self.worker {
            worker.deadline = Instant::now() + SILENCE_LIMIT;
        }
        let report = match &self.publication {
            Some(publication) => match publication.take_report(report) {
                Some(report) => report,
                None => return Vec::new(),
            },
            None => report,
        };
        let report = match report {
            WorkerReport::Answer { session_id, sdp } => {
                let sdp = Sdp(self.authenticity.sign(session_id, sdp.0));
                WorkerReport::Answer { session_id, sdp }
            }
            other => other,
        };
        match report {
            WorkerReport::Ready => tracing::info!("live viewing is ready"),
            WorkerReport::Statistics(statistics) => tracing::trace!(?statistics, "live worker"),
            _ => {}
        }
        self.sessions.on_report(report)
    }

    fn adopt_settings(&mut self) -> Vec<Effect> {
        let settings = *self.settings.borrow_and_update();
        self.sessions.set_max_viewers(settings.max_viewers);
        let mut effects = self.sessions.set_private(settings.private);
        effects.push(self.order_bounds());
        effects
    }

    fn order_bounds(&self) -> Effect {
        Effect::Order(WorkerOrder::Bounds(self.settings.borrow().bounds()))
    }

    /// Fits the encoders to what the worker wishes for. It deals with strangers, so its wishes are
    /// kept within bounds.
    fn fit_encoders(&self, wishes: Wishes) {
        let bounds = self.settings.borrow().bounds();
        let limit = wishes.main_kbps.map(|kbps| kbps.max(bounds.least_kbps));
        self.media.limit_bitrate_kbps(limit);
        self.media.want_low(wishes.low);
    }

    fn on_tick(&mut self) -> Vec<Effect> {
        let hangs = self.worker.as_ref().is_some_and(|worker| worker.deadline <= Instant::now());
        let mut effects = self.sessions.expire(monotonic_now());
        if hangs {
            tracing::warn!("the live worker is silent");
            effects.extend(self.lose_worker());
        }
        effects
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        let viewers = self.sessions.viewers();
        self.viewers.send_if_modified(|known| std::mem::replace(known, viewers) != viewers);
        // Frames must flow before the key frame that a new viewer asks for is made.
        if let Some(worker) = &self.worker {
            let published = self.publication.as_ref().is_some_and(SfuPublication::is_open);
            let watched = viewers > 0 || published;
            worker
                .process
                .watched
                .send_if_modified(|known| std::mem::replace(known, watched) != watched);
        }
        for effect in effects {
            match effect {
                Effect::ForceKeyFrame(layer) => self.media.force_key_frame_of(layer),
                Effect::ProvideKeyFrame => self.media.provide_key_frame(),
                Effect::FitEncoders(wishes) => self.fit_encoders(wishes),
                Effect::Reply { to, signal } => {
                    if self.signals_out.try_send((to, *signal)).is_err() {
                        tracing::warn!("a reply to a viewer is dropped: the queue is full");
                    }
                }
                Effect::Order(order) => {
                    let Some(worker) = &self.worker else {
                        if let Some(publication) = &mut self.publication {
                            publication.worker_lost();
                        }
                        continue;
                    };
                    if worker.process.orders.try_send(order).is_err() {
                        tracing::warn!("an order to the live worker is dropped");
                    }
                }
            }
        }
    }
}

/// Waits for the next report; `None` when the worker has ended. Never resolves while there is none.
async fn next_report(worker: &mut Option<RunningWorker>) -> Option<WorkerReport> {
    match worker {
        Some(worker) => worker.process.reports.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits for the next order of the publisher. Never resolves while nothing is published.
async fn next_order(publication: &mut Option<SfuPublication>) -> WorkerOrder {
    match publication {
        Some(publication) => publication.next_order().await,
        None => std::future::pending().await,
    }
}

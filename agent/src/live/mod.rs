//! Live viewing: WebRTC sessions, held by a process of their own.
//!
//! What strangers send is parsed in the live worker, a child process without keys or files. It
//! may crash or be killed: recording does not notice, and the next worker is there within two
//! seconds.

mod authenticity;
mod process;
mod publish;
mod quality;
mod session;
mod wire;
pub mod worker;

use std::{sync::Arc, time::Duration};

use nightjar_core::rtp::layers::Bounds;
use nightjar_shared::{
    event::SfuHealth,
    signal::{Signal, SignalKind},
};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{authenticity::Trust, process::WorkerCommand};
use self::{
    authenticity::{Authenticity, Refusal},
    process::Worker,
    publish::Publication,
    session::{Effect, Sessions},
    wire::{Control, EndReason, Report, Sdp, Wishes},
};
use crate::{
    clock::{monotonic_now, trusted_now},
    config::LiveConfig,
    encode::Media,
    identity::Identity,
};

const TICK: Duration = Duration::from_millis(250);

/// A worker says something every second; one that is silent for longer hangs.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// The first start of a media engine looks at every plugin, which takes a slow board a while.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A worker that was well for this long is replaced at once, others after a pause.
const PROVEN_AFTER: Duration = Duration::from_secs(5);
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Live viewing; dropping the handle changes nothing, the token ends it.
#[derive(Clone)]
pub struct Live {
    settings: watch::Sender<Settings>,
    viewers: watch::Receiver<u32>,
    trust: watch::Sender<Trust>,
    sfu: watch::Receiver<Option<SfuHealth>>,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    private: bool,
    max_viewers: u32,
    /// The main layer's bitrate lies between the first and the second, kbit/s.
    least_kbps: u32,
    most_kbps: u32,
}

impl Settings {
    fn bounds(self) -> Bounds {
        Bounds { least_kbps: self.least_kbps, most_kbps: self.most_kbps }
    }
}

/// Starts the worker and the task that connects it with signalling. Replies go out with the
/// replica that they are for; when `signals_out` is full they are dropped, and the viewer's
/// request times out.
pub fn start(
    media: Media,
    config: &LiveConfig,
    worker_command: WorkerCommand,
    (signals_in, signals_out): (mpsc::Receiver<Signal>, mpsc::Sender<(String, Signal)>),
    identity: Arc<Identity>,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> Live {
    let max_viewers = config.max_viewers;
    let (least_kbps, most_kbps) = (config.min_bitrate_kbps, media.bitrate_kbps());
    let settings = Settings { private: false, max_viewers, least_kbps, most_kbps };
    let (settings, settings_receiver) = watch::channel(settings);
    let (viewers_sender, viewers) = watch::channel(0);
    let (trust, trust_receiver) = watch::channel(Trust::default());
    let (sfu_state, sfu) = watch::channel(None);
    let publication = config.publishes_to().map(|config| {
        let (publication, publisher) =
            publish::prepare(config, settings_receiver.clone(), sfu_state);
        tracker.spawn(publisher.run(cancel.clone()));
        publication
    });
    let task = Task {
        media,
        worker_command,
        signals_in,
        signals_out,
        settings: settings_receiver,
        viewers: viewers_sender,
        tracker: tracker.clone(),
        sessions: Sessions::new(max_viewers),
        authenticity: Authenticity::new(config.authenticity, identity),
        trust: trust_receiver,
        worker: None,
        publication,
    };
    tracker.spawn(task.run(cancel));
    Live { settings, viewers, trust, sfu }
}

impl Live {
    /// In privacy mode running sessions end and new ones are refused.
    pub fn set_privacy(&self, private: bool) {
        self.settings.send_modify(|settings| settings.private = private);
    }

    /// Holds for new sessions.
    pub fn set_max_viewers(&self, max_viewers: u32) {
        self.settings.send_modify(|settings| settings.max_viewers = max_viewers);
    }

    /// The main layer's bitrate never rises above it.
    pub fn set_max_bitrate_kbps(&self, most_kbps: u32) {
        self.settings.send_modify(|settings| settings.most_kbps = most_kbps);
    }

    /// Who the camera is, and whose proofs it takes.
    pub fn set_trust(&self, trust: Trust) {
        self.trust.send_replace(trust);
    }

    /// How many sessions there are now.
    pub fn viewers(&self) -> watch::Receiver<u32> {
        self.viewers.clone()
    }

    /// How publishing to an SFU goes; nothing when viewers come here.
    pub fn sfu(&self) -> watch::Receiver<Option<SfuHealth>> {
        self.sfu.clone()
    }
}

struct Task {
    media: Media,
    worker_command: WorkerCommand,
    signals_in: mpsc::Receiver<Signal>,
    signals_out: mpsc::Sender<(String, Signal)>,
    settings: watch::Receiver<Settings>,
    viewers: watch::Sender<u32>,
    tracker: TaskTracker,
    sessions: Sessions,
    authenticity: Authenticity,
    trust: watch::Receiver<Trust>,
    worker: Option<RunningWorker>,
    /// To an SFU, where viewers are sent.
    publication: Option<Publication>,
}

struct RunningWorker {
    process: Worker,
    started: Instant,
    /// When it must have said something again.
    deadline: Instant,
}

impl Task {
    async fn run(mut self, cancel: CancellationToken) {
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
                    self.take(signal)
                }
                report = next_report(&mut self.worker) => {
                    if report.is_none() {
                        start_at = self.next_start();
                    }
                    self.hear(report)
                }
                order = next_order(&mut self.publication) => vec![Effect::Worker(order)],
                Ok(()) = self.settings.changed() => self.configure(),
                _ = ticks.tick() => self.tick(),
            };
            self.apply(effects);
        }
        let effects = self.sessions.shut_down();
        self.apply(effects);
    }

    fn start_worker(&mut self) {
        match Worker::start(&self.worker_command, &self.media, &self.tracker) {
            Ok(process) => {
                let started = Instant::now();
                let deadline = started + START_LIMIT;
                self.worker = Some(RunningWorker { process, started, deadline });
                let mut effects = vec![self.bounds()];
                effects.extend(self.sessions.worker_started());
                self.apply(effects);
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "no live worker"),
        }
    }

    /// When the worker that just ended is to be replaced.
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

    fn take(&mut self, signal: Option<Signal>) -> Vec<Effect> {
        let Some(signal) = signal else { return Vec::new() };
        if let (Some(publication), SignalKind::Offer, false) =
            (&self.publication, signal.kind, self.settings.borrow().private)
        {
            return publication.redirect(signal);
        }
        match self.judge(&signal) {
            Ok(()) => self.sessions.signal(signal, monotonic_now()),
            Err(refusal) => {
                tracing::warn!(session_id = %signal.session_id, %refusal, "a viewer is refused");
                Sessions::refuse(signal, EndReason::NotAuthentic)
            }
        }
    }

    fn judge(&mut self, signal: &Signal) -> Result<(), Refusal> {
        let (SignalKind::Offer, Some(offer)) = (signal.kind, &signal.sdp) else { return Ok(()) };
        if self.trust.has_changed().unwrap_or(false) {
            self.authenticity.set_trust(self.trust.borrow_and_update().clone());
        }
        self.authenticity.admit(signal.session_id, offer, trusted_now())
    }

    /// `None` when the worker has ended.
    fn hear(&mut self, report: Option<Report>) -> Vec<Effect> {
        let Some(report) = report else { return self.lose_worker() };
        if let Some(worker) = &mut self.worker {
            worker.deadline = Instant::now() + SILENCE_LIMIT;
        }
        let report = match &self.publication {
            Some(publication) => match publication.hear(report) {
                Some(report) => report,
                None => return Vec::new(),
            },
            None => report,
        };
        let report = match report {
            Report::Answer { session_id, sdp } => {
                let sdp = Sdp(self.authenticity.sign(session_id, sdp.0));
                Report::Answer { session_id, sdp }
            }
            other => other,
        };
        match report {
            Report::Ready => tracing::info!("live viewing is ready"),
            Report::Statistics(statistics) => tracing::trace!(?statistics, "live worker"),
            _ => {}
        }
        self.sessions.report(report)
    }

    fn configure(&mut self) -> Vec<Effect> {
        let settings = *self.settings.borrow_and_update();
        self.sessions.set_max_viewers(settings.max_viewers);
        let mut effects = self.sessions.set_private(settings.private);
        effects.push(self.bounds());
        effects
    }

    fn bounds(&self) -> Effect {
        Effect::Worker(Control::Bounds(self.settings.borrow().bounds()))
    }

    /// The worker deals with strangers: what it wishes for is kept within bounds.
    fn fit(&self, wishes: Wishes) {
        let bounds = self.settings.borrow().bounds();
        let limit = wishes.main_kbps.map(|kbps| kbps.max(bounds.least_kbps));
        self.media.limit_bitrate_kbps(limit);
        self.media.want_low(wishes.low);
    }

    fn tick(&mut self) -> Vec<Effect> {
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
        // Frames must flow before the key frame that a newcomer asks for is made.
        if let Some(worker) = &self.worker {
            let published = self.publication.as_ref().is_some_and(Publication::is_open);
            let watched = viewers > 0 || published;
            worker
                .process
                .watched
                .send_if_modified(|known| std::mem::replace(known, watched) != watched);
        }
        for effect in effects {
            match effect {
                Effect::ForceKeyFrame(layer) => self.media.force_key_frame_of(layer),
                Effect::Encode(wishes) => self.fit(wishes),
                Effect::Reply { to, signal } => {
                    if self.signals_out.try_send((to, *signal)).is_err() {
                        tracing::warn!("a reply to a viewer is dropped: the queue is full");
                    }
                }
                Effect::Worker(control) => {
                    let Some(worker) = &self.worker else {
                        if let Some(publication) = &mut self.publication {
                            publication.worker_lost();
                        }
                        continue;
                    };
                    if worker.process.control.try_send(control).is_err() {
                        tracing::warn!("a message to the live worker is dropped");
                    }
                }
            }
        }
    }
}

/// `None` when the worker has ended; never, while there is none.
async fn next_report(worker: &mut Option<RunningWorker>) -> Option<Report> {
    match worker {
        Some(worker) => worker.process.reports.recv().await,
        None => std::future::pending().await,
    }
}

/// Never, while nothing is published.
async fn next_order(publication: &mut Option<Publication>) -> Control {
    match publication {
        Some(publication) => publication.next_order().await,
        None => std::future::pending().await,
    }
}

//! The live worker: a child process that holds the viewers' WebRTC connections. It has no key and
//! no file, gets encoded frames and signals over its standard input, and ends when that closes.

use std::{
    collections::HashMap,
    io,
    os::{fd::AsFd as _, unix::net::UnixStream as StdUnixStream},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use nightjar_shared::{ids::SessionId, signal::IceServer};
use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{self, MissedTickBehavior},
};
use tokio_util::task::TaskTracker;

use super::wire::{Control, EndReason, Report, Sdp, Statistics, ToWorker, Writer, read_to_worker};
use crate::{
    clock::{MonotonicNanos, monotonic_now},
    frame::EncodedFrame,
    media::peer::{self, OnEvent, Peer, PeerError, PeerEvent, SharedFrame},
};

/// Messages from the agent on their way; when full, the agent waits, and skips frames.
const INPUT_QUEUE: usize = 16;

/// Reports on their way; when full, those that may be lost are.
const REPORT_QUEUE: usize = 256;

/// What the connections tell; when full, an event is lost, and silence still ends the session.
const EVENT_QUEUE: usize = 256;

/// Candidates that may come before the answer is made.
const MAX_EARLY_CANDIDATES: usize = 64;

/// A viewer that was heard once and then not for this long is gone. Browsers report every second.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// Connecting, perhaps through a relay, may take this long.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

const TICK: Duration = Duration::from_millis(250);
const TICKS_PER_REPORT: u32 = 4;

/// A newcomer starts with the key frame of the moment if that is no older than this: for an
/// older one it asks for its own.
const FRESH: Duration = Duration::from_millis(300);

/// Runs the worker until the agent closes its standard input. Blocks; makes a runtime of its own.
pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve());
    // Connections that still close are given up: the process ends with them.
    runtime.shutdown_background();
    result
}

async fn serve() -> anyhow::Result<()> {
    let (read, write) = agent_stream()?.into_split();
    // The agent's whole process group gets these. It ends the worker when its viewers are told.
    let _interrupts = signal(SignalKind::interrupt())?;
    let _terminations = signal(SignalKind::terminate())?;
    let tracker = TaskTracker::new();
    let (reports, report_receiver) = mpsc::channel(REPORT_QUEUE);
    tracker.spawn(write_reports(write, report_receiver));
    if let Err(error) = peer::warm_up().await {
        tracing::warn!(error = format!("{error:#}"), "the media engine does not warm up");
    }
    let (input, mut inputs) = mpsc::channel(INPUT_QUEUE);
    tracker.spawn(read_inputs(read, input));
    let (events, mut event_receiver) = mpsc::channel(EVENT_QUEUE);
    let mut viewers = Viewers::new(events, reports, tracker);
    viewers.report(Report::Ready);
    let mut ticks = time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            input = inputs.recv() => match input {
                Some(ToWorker::Frame(frame)) => viewers.frame(frame),
                Some(ToWorker::Control(control)) => viewers.control(control),
                None => return Ok(()),
            },
            Some(event) = event_receiver.recv() => viewers.event(event),
            _ = ticks.tick() => viewers.tick(monotonic_now()),
        }
    }
}

/// The agent's end of the socket pair is this process' standard input.
fn agent_stream() -> anyhow::Result<UnixStream> {
    let descriptor = io::stdin().as_fd().try_clone_to_owned().context("no standard input")?;
    let stream = StdUnixStream::from(descriptor);
    stream.peer_addr().context("live-worker is started by the agent, not by hand")?;
    stream.set_nonblocking(true)?;
    Ok(UnixStream::from_std(stream)?)
}

async fn read_inputs(read: OwnedReadHalf, inputs: mpsc::Sender<ToWorker>) {
    let mut read = BufReader::with_capacity(64 * 1024, read);
    loop {
        match read_to_worker(&mut read).await {
            Ok(Some(input)) => {
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "the connection to the agent broke");
                return;
            }
        }
    }
}

async fn write_reports(write: OwnedWriteHalf, mut reports: mpsc::Receiver<Report>) {
    let mut writer = Writer::new(write);
    while let Some(report) = reports.recv().await {
        // The agent is gone: reading its end says so, too.
        if writer.json(&report).await.is_err() {
            return;
        }
    }
}

/// What happens to the viewers' connections.
enum Event {
    Answered(SessionId, Result<(Peer, String), PeerError>),
    Peer(SessionId, PeerEvent),
}

struct Viewer {
    offered_at: MonotonicNanos,
    connection: Connection,
}

enum Connection {
    /// The answer is being made.
    Negotiating(Vec<(String, Option<String>)>),
    Open(Box<Peer>),
}

/// All connections of this worker.
struct Viewers {
    by_session: HashMap<SessionId, Viewer>,
    /// The newest key frame and what followed it, as long as it is fresh.
    recent: Vec<SharedFrame>,
    recent_since: MonotonicNanos,
    events: mpsc::Sender<Event>,
    reports: mpsc::Sender<Report>,
    statistics: Statistics,
    ticks: u32,
    tracker: TaskTracker,
}

impl Viewers {
    fn new(
        events: mpsc::Sender<Event>,
        reports: mpsc::Sender<Report>,
        tracker: TaskTracker,
    ) -> Self {
        Self {
            by_session: HashMap::new(),
            recent: Vec::new(),
            recent_since: MonotonicNanos::default(),
            events,
            reports,
            statistics: Statistics::default(),
            ticks: 0,
            tracker,
        }
    }

    fn report(&self, report: Report) {
        if self.reports.try_send(report).is_err() {
            tracing::warn!("a report to the agent is dropped: the queue is full");
        }
    }

    fn frame(&mut self, frame: EncodedFrame) {
        self.statistics.frames_received += 1;
        if frame.key_frame {
            self.recent.clear();
            self.recent_since = frame.captured_at;
        }
        let fresh = frame.captured_at.since(self.recent_since) <= FRESH;
        let frame = SharedFrame::from(frame);
        for viewer in self.by_session.values_mut() {
            if let Connection::Open(peer) = &mut viewer.connection
                && !peer.send(&frame)
            {
                self.statistics.frames_skipped += 1;
            }
        }
        if fresh {
            self.recent.push(frame);
        } else {
            self.recent.clear();
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Offer { session_id, sdp, ice_servers } => {
                self.offer(session_id, sdp, ice_servers);
            }
            Control::Candidate { session_id, candidate, sdp_mid } => {
                match self.by_session.get_mut(&session_id).map(|viewer| &mut viewer.connection) {
                    Some(Connection::Open(peer)) => {
                        peer.add_candidate(&candidate, sdp_mid.as_deref());
                    }
                    Some(Connection::Negotiating(early)) if early.len() < MAX_EARLY_CANDIDATES => {
                        early.push((candidate, sdp_mid));
                    }
                    Some(Connection::Negotiating(_)) | None => {}
                }
            }
            Control::Close { session_id } => self.close(session_id),
        }
    }

    fn offer(&mut self, session_id: SessionId, sdp: Sdp, ice_servers: Vec<IceServer>) {
        let connection = Connection::Negotiating(Vec::new());
        self.by_session.insert(session_id, Viewer { offered_at: monotonic_now(), connection });
        let events = self.events.clone();
        let peer_events = self.events.clone();
        let on_event: OnEvent = Arc::new(move |event| {
            let _ = peer_events.try_send(Event::Peer(session_id, event));
        });
        self.tracker.spawn(async move {
            let answer = Peer::answer(&sdp.0, &ice_servers, on_event).await;
            let _ = events.send(Event::Answered(session_id, answer)).await;
        });
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Answered(session_id, Ok((peer, sdp))) => self.answered(session_id, peer, sdp),
            Event::Answered(session_id, Err(error)) => {
                tracing::info!(%session_id, %error, "an offer gets no answer");
                let reason = match error {
                    PeerError::InvalidOffer(_) | PeerError::Refused(_) => EndReason::InvalidOffer,
                    PeerError::Engine(_) => EndReason::Failed,
                };
                self.end(session_id, reason);
            }
            Event::Peer(session_id, PeerEvent::Connected) => {
                self.report(Report::Streaming { session_id });
            }
            Event::Peer(_, PeerEvent::KeyFrameWanted) => self.report(Report::KeyFrameWanted),
            Event::Peer(session_id, PeerEvent::Ended) => {
                self.end(session_id, EndReason::ViewerGone);
            }
        }
    }

    fn answered(&mut self, session_id: SessionId, mut peer: Peer, sdp: String) {
        let Some(viewer) = self.by_session.get_mut(&session_id) else {
            // Closed in the meantime.
            self.tracker.spawn(peer.close());
            return;
        };
        if let Connection::Negotiating(early) = &viewer.connection {
            for (candidate, mid) in early {
                peer.add_candidate(candidate, mid.as_deref());
            }
        }
        let mut started = false;
        for frame in &self.recent {
            started |= peer.send(frame);
        }
        viewer.connection = Connection::Open(Box::new(peer));
        self.report(Report::Answer { session_id, sdp: Sdp(sdp) });
        if !started {
            self.report(Report::KeyFrameWanted);
        }
    }

    fn end(&mut self, session_id: SessionId, reason: EndReason) {
        if self.by_session.contains_key(&session_id) {
            self.close(session_id);
            self.report(Report::Ended { session_id, reason });
        }
    }

    fn close(&mut self, session_id: SessionId) {
        let viewer = self.by_session.remove(&session_id);
        if let Some(Viewer { connection: Connection::Open(peer), .. }) = viewer {
            self.tracker.spawn(peer.close());
        }
    }

    fn tick(&mut self, now: MonotonicNanos) {
        let gone: Vec<SessionId> = self
            .by_session
            .iter()
            .filter(|(_, viewer)| viewer.is_gone(now))
            .map(|(session_id, _)| *session_id)
            .collect();
        for session_id in gone {
            self.end(session_id, EndReason::ViewerGone);
        }
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS_PER_REPORT) {
            self.statistics.viewers = u32::try_from(self.by_session.len()).unwrap_or(u32::MAX);
            self.report(Report::Statistics(self.statistics));
        }
    }
}

impl Viewer {
    fn is_gone(&self, now: MonotonicNanos) -> bool {
        match &self.connection {
            Connection::Negotiating(_) => false,
            Connection::Open(peer) => match peer.last_heard() {
                Some(heard) => now.since(heard) >= SILENCE_LIMIT,
                None => now.since(self.offered_at) >= CONNECT_LIMIT,
            },
        }
    }
}

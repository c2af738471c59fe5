//! The worker's connections: carries out what the agent orders, and reports what happens to them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::{EncodedFrame, Layer, key_frames::SHORTEST_INTERVAL, recent::RecentFrames},
    rtp::layers::Bounds,
};
use nightjar_shared::{ids::SessionId, sdp::Offer, session::SessionEndReason, signal::IceServer};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{
    connection::{Connection, Viewer, open},
    quality::Quality,
    spares::Spares,
};
use crate::{
    clock::monotonic_now,
    live::wire::{Sdp, WorkerOrder, WorkerReport, WorkerStatistics},
    webrtc::{
        measure::Sample,
        peer::{OnEvent, Peer, PeerError, PeerEvent, SharedFrame},
    },
};

/// Candidates that may come before the answer is made.
const MAX_EARLY_CANDIDATES: usize = 64;

const TICKS_PER_REPORT: u32 = 4;

/// How often each viewer's connection is measured.
const TICKS_PER_MEASUREMENT: u32 = 8;

/// A new viewer begins with the newest key frame, and all that followed it, if that is no older
/// than this. When its offer came it was no older than half of it, or a new one was asked for; the
/// rest is what answering takes on a slow board.
const FRESH: Duration = SHORTEST_INTERVAL.saturating_mul(2);

/// What happens to the viewers' connections.
pub(super) enum ConnectionEvent {
    Offered(SessionId, Result<(Peer, String), PeerError>),
    Accepted(SessionId, Result<(), PeerError>),
    Answered(SessionId, Result<(Peer, String), PeerError>),
    Restarted(SessionId, Result<String, PeerError>),
    Measured(SessionId, Sample),
    Peer(SessionId, PeerEvent),
}

/// All connections of this worker.
pub(super) struct Viewers {
    by_session: HashMap<SessionId, Viewer>,
    /// Of the main layer.
    recent: RecentFrames<SharedFrame>,
    spares: Spares,
    events: mpsc::Sender<ConnectionEvent>,
    reports: mpsc::Sender<WorkerReport>,
    quality: Quality,
    statistics: WorkerStatistics,
    ticks: u32,
    tracker: TaskTracker,
}

impl Viewers {
    pub(super) fn new(
        events: mpsc::Sender<ConnectionEvent>,
        reports: mpsc::Sender<WorkerReport>,
        tracker: TaskTracker,
    ) -> Self {
        Self {
            by_session: HashMap::new(),
            recent: RecentFrames::new(FRESH),
            spares: Spares::new(tracker.clone()),
            events,
            reports,
            quality: Quality::new(Bounds::default()),
            statistics: WorkerStatistics::default(),
            ticks: 0,
            tracker,
        }
    }

    /// Sends the agent a report. When the queue is full it is lost.
    pub(super) fn send_report(&self, report: WorkerReport) {
        if self.reports.try_send(report).is_err() {
            tracing::warn!("a report to the agent is dropped: the queue is full");
        }
    }

    /// Sends a frame to the viewers of its layer.
    pub(super) fn on_frame(&mut self, layer: Layer, frame: EncodedFrame) {
        self.statistics.frames_received += 1;
        let frame = SharedFrame::from(frame);
        for peer in open(&mut self.by_session) {
            if !peer.send(layer, &frame) {
                self.statistics.frames_skipped += 1;
            }
        }
        if layer == Layer::Main {
            let (key_frame, captured_at) = (frame.is_key_frame(), frame.captured_at());
            self.recent.push(frame, key_frame, captured_at);
            // Not with the ticks alone: a viewer whose path became narrow sees nothing meanwhile.
            self.adapt(monotonic_now());
        }
    }

    /// Gives each viewer its layer, and tells the agent what they all need.
    fn adapt(&mut self, now: MonotonicNanos) {
        for layer in self.quality.assign(open(&mut self.by_session), now) {
            self.send_report(WorkerReport::KeyFrameWanted { layer });
        }
        if let Some(wishes) = self.quality.news(now) {
            self.send_report(WorkerReport::Wishes(wishes));
        }
    }

    /// Carries out an order of the agent.
    pub(super) fn on_order(&mut self, order: WorkerOrder) {
        match order {
            WorkerOrder::Offer { session_id, sdp, ice_servers, trickle } => {
                self.answer(session_id, &sdp, ice_servers, trickle);
            }
            WorkerOrder::Publish { session_id, ice_servers, complete } => {
                self.publish(session_id, ice_servers, complete);
            }
            WorkerOrder::Accept { session_id, sdp, ice_servers } => {
                self.accept(session_id, sdp, &ice_servers);
            }
            WorkerOrder::Restart { session_id, fragment } => self.restart(session_id, &fragment),
            WorkerOrder::Candidate { session_id, candidate, sdp_mid } => {
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
            WorkerOrder::Close { session_id } => self.close(session_id),
            WorkerOrder::Bounds(bounds) => self.quality.set_bounds(bounds),
            WorkerOrder::FramesBegin => self.recent.clear(),
        }
    }

    fn answer(
        &mut self,
        session_id: SessionId,
        sdp: &Sdp,
        ice_servers: Vec<IceServer>,
        trickle: bool,
    ) {
        let (events, on_event) = self.begin(session_id);
        let offer = match Offer::parse(&sdp.0) {
            Ok(offer) => offer,
            Err(error) => {
                return self.on_event(ConnectionEvent::Answered(session_id, Err(error.into())));
            }
        };
        let spare = self.spares.take();
        self.tracker.spawn(async move {
            let answer = Peer::answer(spare, offer, &ice_servers, trickle, on_event).await;
            let _ = events.send(ConnectionEvent::Answered(session_id, answer)).await;
        });
    }

    fn publish(&mut self, session_id: SessionId, ice_servers: Vec<IceServer>, complete: bool) {
        let (events, on_event) = self.begin(session_id);
        self.tracker.spawn(async move {
            let offer = Peer::offer(&ice_servers, complete, on_event).await;
            let _ = events.send(ConnectionEvent::Offered(session_id, offer)).await;
        });
    }

    /// Makes room for a connection and returns where its events go.
    fn begin(&mut self, session_id: SessionId) -> (mpsc::Sender<ConnectionEvent>, OnEvent) {
        self.by_session.insert(session_id, Viewer::new());
        let peer_events = self.events.clone();
        let on_event: OnEvent = Arc::new(move |event| {
            let _ = peer_events.try_send(ConnectionEvent::Peer(session_id, event));
        });
        (self.events.clone(), on_event)
    }

    fn accept(&mut self, session_id: SessionId, sdp: Sdp, ice_servers: &[IceServer]) {
        let viewer = self.by_session.get_mut(&session_id);
        let Some(Viewer { connection: Connection::Open(peer), .. }) = viewer else { return };
        let accepted = peer.accept(sdp.0, ice_servers);
        let events = self.events.clone();
        self.tracker.spawn(async move {
            let _ = events.send(ConnectionEvent::Accepted(session_id, accepted.await)).await;
        });
    }

    fn restart(&mut self, session_id: SessionId, fragment: &Sdp) {
        let viewer = self.by_session.get_mut(&session_id);
        let Some(Viewer { connection: Connection::Open(peer), .. }) = viewer else { return };
        let events = self.events.clone();
        let restarted = match peer.restart(&fragment.0) {
            Ok(restarted) => restarted,
            Err(error) => {
                tracing::info!(%session_id, %error, "ICE cannot be restarted");
                return;
            }
        };
        self.tracker.spawn(async move {
            let _ = events.send(ConnectionEvent::Restarted(session_id, restarted.await)).await;
        });
    }

    /// Takes note of what happened to a connection.
    pub(super) fn on_event(&mut self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Answered(session_id, Ok((peer, sdp))) => {
                let answer = WorkerReport::Answer { session_id, sdp: Sdp(sdp) };
                self.opened(session_id, peer, answer);
            }
            ConnectionEvent::Offered(session_id, Ok((peer, sdp))) => {
                let offer = WorkerReport::Offer { session_id, sdp: Sdp(sdp) };
                self.opened(session_id, peer, offer);
            }
            ConnectionEvent::Accepted(_, Ok(())) => {}
            ConnectionEvent::Answered(session_id, Err(error))
            | ConnectionEvent::Offered(session_id, Err(error))
            | ConnectionEvent::Accepted(session_id, Err(error)) => {
                tracing::info!(%session_id, %error, "offer and answer do not come together");
                let (reason, detail) = match &error {
                    PeerError::InvalidOffer(invalid) => (invalid.reason(), error.to_string()),
                    PeerError::Refused(_) => {
                        (SessionEndReason::UnsupportedOffer, error.to_string())
                    }
                    // What broke in the camera is for its own log.
                    PeerError::Engine(_) => return self.end(session_id, SessionEndReason::Failed),
                };
                self.end_with(session_id, reason, Some(detail));
            }
            ConnectionEvent::Restarted(session_id, Ok(sdp)) => {
                let viewer = self.by_session.get(&session_id);
                let layer = viewer.and_then(Viewer::layer).unwrap_or_default();
                self.send_report(WorkerReport::Answer { session_id, sdp: Sdp(sdp) });
                self.send_report(WorkerReport::KeyFrameWanted { layer });
            }
            ConnectionEvent::Restarted(session_id, Err(error)) => {
                tracing::info!(%session_id, %error, "ICE cannot be restarted");
                self.end(session_id, SessionEndReason::Failed);
            }
            ConnectionEvent::Measured(session_id, sample) => {
                if let Some(viewer) = self.by_session.get_mut(&session_id) {
                    let statistics = viewer.meter.statistics(sample, monotonic_now());
                    self.send_report(WorkerReport::Measured { session_id, statistics });
                }
            }
            ConnectionEvent::Peer(session_id, PeerEvent::Connected) => {
                if let Some(viewer) = self.by_session.get_mut(&session_id) {
                    viewer.connected = true;
                }
                self.send_report(WorkerReport::Streaming { session_id });
            }
            ConnectionEvent::Peer(session_id, PeerEvent::KeyFrameWanted) => {
                let viewer = self.by_session.get(&session_id);
                let layer = viewer.and_then(Viewer::layer).unwrap_or_default();
                self.send_report(WorkerReport::KeyFrameWanted { layer });
            }
            ConnectionEvent::Peer(session_id, PeerEvent::Candidate(section, candidate)) => {
                self.found_candidate(session_id, section, candidate);
            }
            ConnectionEvent::Peer(session_id, PeerEvent::NotAuthentic) => {
                tracing::warn!(%session_id, "the other end is not who its description names");
                self.end(session_id, SessionEndReason::NotAuthentic);
            }
            ConnectionEvent::Peer(session_id, PeerEvent::Ended) => {
                self.end(session_id, SessionEndReason::ViewerGone);
            }
        }
    }

    fn opened(&mut self, session_id: SessionId, mut peer: Peer, description: WorkerReport) {
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
        for frame in self.recent.for_joiner(monotonic_now()) {
            started |= peer.send(Layer::Main, frame);
        }
        viewer.connection = Connection::Open(Box::new(peer));
        self.send_report(description);
        if !started {
            self.send_report(WorkerReport::KeyFrameWanted { layer: Layer::Main });
        }
    }

    fn found_candidate(&self, session_id: SessionId, section: u32, candidate: String) {
        let connection = self.by_session.get(&session_id).map(|viewer| &viewer.connection);
        let sdp_mid = match connection {
            Some(Connection::Open(peer)) => peer.mid_of(section).map(str::to_owned),
            // Everything is bundled; which section names it makes no difference.
            Some(Connection::Negotiating(_)) => None,
            None => return,
        };
        self.send_report(WorkerReport::Candidate { session_id, candidate, sdp_mid });
    }

    fn measure(&self) {
        for (session_id, viewer) in &self.by_session {
            let Connection::Open(peer) = &viewer.connection else { continue };
            if !viewer.connected {
                continue;
            }
            let (session_id, events, sample) = (*session_id, self.events.clone(), peer.measure());
            self.tracker.spawn(async move {
                if let Some(sample) = sample.await {
                    let _ = events.try_send(ConnectionEvent::Measured(session_id, sample));
                }
            });
        }
    }

    fn end(&mut self, session_id: SessionId, reason: SessionEndReason) {
        self.end_with(session_id, reason, None);
    }

    fn end_with(
        &mut self,
        session_id: SessionId,
        reason: SessionEndReason,
        detail: Option<String>,
    ) {
        if self.by_session.contains_key(&session_id) {
            self.close(session_id);
            self.send_report(WorkerReport::Ended { session_id, reason, detail });
        }
    }

    fn close(&mut self, session_id: SessionId) {
        let viewer = self.by_session.remove(&session_id);
        if let Some(Viewer { connection: Connection::Open(peer), .. }) = viewer {
            self.tracker.spawn(peer.close());
        }
    }

    /// Ends who is silent, and does what is due from time to time.
    pub(super) fn on_tick(&mut self, now: MonotonicNanos) {
        let gone: Vec<SessionId> = self
            .by_session
            .iter()
            .filter(|(_, viewer)| viewer.is_gone(now))
            .map(|(session_id, _)| *session_id)
            .collect();
        for session_id in gone {
            self.end(session_id, SessionEndReason::ViewerGone);
        }
        self.adapt(now);
        self.spares.prepare();
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS_PER_MEASUREMENT) {
            self.measure();
        }
        if self.ticks.is_multiple_of(TICKS_PER_REPORT) {
            self.statistics.viewers = u32::try_from(self.by_session.len()).unwrap_or(u32::MAX);
            self.send_report(WorkerReport::Statistics(self.statistics));
        }
    }
}

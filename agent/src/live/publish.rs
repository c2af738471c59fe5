//! Publishing to an SFU: one connection out, for any number of viewers there.
//!
//! The worker holds the connection and makes the offer; the agent, which has the token, speaks
//! HTTP. When a publication ends, for whatever reason, another one begins after a pause.

use std::{fmt::Write as _, time::Duration};

use nightjar_core::backoff::Backoff;
use nightjar_shared::{
    event::SfuHealth,
    ids::SessionId,
    session::SessionEndReason,
    signal::{IceServer, Signal},
};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{
    sessions::Effect,
    settings::LiveSettings,
    wire::{Sdp, WorkerOrder, WorkerReport},
};
use crate::{
    cloud::{Resource, WhipClient, WhipError},
    config::SfuConfig,
    machine::chance,
};

/// What goes between publisher and worker. When the reports' queue is full the worker's are
/// dropped, and the publication with them.
const QUEUE: usize = 128;

/// The pause between two tries; it grows.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long an offer may take. A worker that has just started warms its media engine up first.
const OFFER_LIMIT: Duration = Duration::from_mins(1);

/// Candidates that come within this time go to the SFU together.
const TRICKLE_PAUSE: Duration = Duration::from_millis(50);
const TRICKLE_LIMIT: Duration = Duration::from_secs(5);

/// How long the agent, when it stops, waits for the SFU.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why nothing is published at present.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Whip(#[from] WhipError),
    #[error("the live worker makes no offer")]
    NoOffer,
    #[error("the connection to the SFU ended ({0})")]
    Ended(SessionEndReason),
    #[error("the agent is stopping")]
    Stopping,
}

/// The live task's end of a publication.
pub(super) struct SfuPublication {
    orders: mpsc::Receiver<WorkerOrder>,
    reports: mpsc::Sender<WorkerReport>,
    state: watch::Receiver<Option<SfuHealth>>,
    session: Option<SessionId>,
}

/// Keeps one publication alive, as long as the camera is not private.
pub(super) struct SfuPublisher {
    config: SfuConfig,
    orders: mpsc::Sender<WorkerOrder>,
    reports: mpsc::Receiver<WorkerReport>,
    settings: watch::Receiver<LiveSettings>,
    state: watch::Sender<Option<SfuHealth>>,
    backoff: Backoff,
    /// Whether the next offer carries all candidates: the last one did not get through without.
    complete: bool,
    /// The servers that the SFU named last.
    ice_servers: Vec<IceServer>,
}

/// Makes both ends of a publication.
pub(super) fn prepare(
    config: &SfuConfig,
    settings: watch::Receiver<LiveSettings>,
    state: watch::Sender<Option<SfuHealth>>,
) -> (SfuPublication, SfuPublisher) {
    let (orders, order_receiver) = mpsc::channel(QUEUE);
    let (report_sender, reports) = mpsc::channel(QUEUE);
    let publication = SfuPublication {
        orders: order_receiver,
        reports: report_sender,
        state: state.subscribe(),
        session: None,
    };
    let publisher = SfuPublisher {
        config: config.clone(),
        orders,
        reports,
        settings,
        state,
        backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
        complete: false,
        ice_servers: Vec::new(),
    };
    (publication, publisher)
}

impl SfuPublication {
    /// Waits for the publisher's next order to the worker. Safe to cancel.
    pub(super) async fn next_order(&mut self) -> WorkerOrder {
        let Some(order) = self.orders.recv().await else { return std::future::pending().await };
        match &order {
            WorkerOrder::Publish { session_id, .. } => self.session = Some(*session_id),
            WorkerOrder::Close { .. } => self.session = None,
            _ => {}
        }
        order
    }

    /// Returns whether the worker needs the picture for it.
    pub(super) fn is_open(&self) -> bool {
        self.session.is_some()
    }

    /// Takes a report that is about the publication; gives others back.
    pub(super) fn take_report(&self, report: WorkerReport) -> Option<WorkerReport> {
        match subject(&report) {
            Some(session_id) if Some(session_id) == self.session => {
                if self.reports.try_send(report).is_err() {
                    tracing::warn!("a report to the publisher is dropped: the queue is full");
                }
                None
            }
            _ => Some(report),
        }
    }

    /// Ends the session, since there is no worker any more.
    pub(super) fn worker_lost(&mut self) {
        if let Some(session_id) = self.session.take() {
            let reason = SessionEndReason::WorkerRestarted;
            // When it is full, it holds the end of the session before.
            let _ = self.reports.try_send(WorkerReport::Ended { session_id, reason, detail: None });
        }
    }

    /// Sends a viewer to the SFU, or tells it that there is nothing at present.
    pub(super) fn redirect(&self, signal: Signal) -> Vec<Effect> {
        let session_id = signal.session_id;
        let Some(to) = signal.reply_to else { return Vec::new() };
        let signal = match &*self.state.borrow() {
            Some(sfu) if sfu.publishing => Signal::redirect(session_id, &sfu.whep_url),
            _ => Signal::bye(session_id, SessionEndReason::NotPublished),
        };
        vec![Effect::Reply { to, signal: Box::new(signal) }]
    }
}

/// Returns the session that a report is about.
fn subject(report: &WorkerReport) -> Option<SessionId> {
    match report {
        WorkerReport::Answer { session_id, .. }
        | WorkerReport::Offer { session_id, .. }
        | WorkerReport::Candidate { session_id, .. }
        | WorkerReport::Streaming { session_id }
        | WorkerReport::Measured { session_id, .. }
        | WorkerReport::Ended { session_id, .. } => Some(*session_id),
        WorkerReport::Ready
        | WorkerReport::KeyFrameWanted { .. }
        | WorkerReport::Wishes(_)
        | WorkerReport::Statistics(_) => None,
    }
}

impl SfuPublisher {
    /// Publishes, again and again, until cancelled.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        self.set_state(false, None);
        let SfuConfig { whip_url, token_file, .. } = &self.config;
        let whip = match WhipClient::new(whip_url, token_file.clone()) {
            Ok(whip) => whip,
            Err(error) => {
                tracing::error!(%error, "the picture cannot be published");
                return self.set_state(false, Some(error.to_string()));
            }
        };
        while let Some(true) = cancel.run_until_cancelled(self.is_wanted()).await {
            let result = self.publish(&whip, &cancel).await;
            let problem = result.err().map(|error| error.to_string());
            self.set_state(false, problem.clone());
            if cancel.is_cancelled() {
                return;
            }
            let Some(problem) = problem else { continue };
            let pause = self.backoff.next_delay(chance());
            tracing::warn!(problem, ?pause, "the picture is not published");
            if cancel.run_until_cancelled(time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Waits while the camera is private; returns false when the agent stops.
    async fn is_wanted(&mut self) -> bool {
        self.settings.wait_for(|settings| !settings.private).await.is_ok()
    }

    fn set_state(&self, publishing: bool, problem: Option<String>) {
        let whep_url = self.config.whep_url.clone();
        let health = Some(SfuHealth { publishing, whep_url, problem });
        self.state.send_if_modified(|known| std::mem::replace(known, health.clone()) != health);
    }

    /// Publishes until something ends it. It is no error when that was wanted.
    async fn publish(
        &mut self,
        whip: &WhipClient,
        cancel: &CancellationToken,
    ) -> Result<(), PublishError> {
        let session_id = SessionId::generate();
        let mut settings = self.settings.clone();
        let mut resource = None;
        let result = tokio::select! {
            () = cancel.cancelled() => Ok(()),
            _ = settings.wait_for(|settings| settings.private) => Ok(()),
            result = self.attempt(whip, session_id, &mut resource) => result,
        };
        let _ = self.orders.send(WorkerOrder::Close { session_id }).await;
        if let Some(resource) = resource {
            match time::timeout(FAREWELL, whip.end(&resource)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the SFU could not be told of the end"),
                Err(_) => tracing::debug!("the SFU did not answer in time when told of the end"),
            }
        }
        result
    }

    /// Makes one connection and stays with it until it ends.
    async fn attempt(
        &mut self,
        whip: &WhipClient,
        session_id: SessionId,
        resource: &mut Option<Resource>,
    ) -> Result<(), PublishError> {
        let ice_servers = self.ice_servers.clone();
        let publish = WorkerOrder::Publish { session_id, ice_servers, complete: self.complete };
        self.order(publish).await?;
        let offer = time::timeout(OFFER_LIMIT, self.offer(session_id))
            .await
            .unwrap_or(Err(PublishError::NoOffer))?;
        let taken = resource.insert(whip.publish(offer.0.clone()).await?);
        self.ice_servers.clone_from(&taken.ice_servers);
        let sdp = Sdp(taken.answer.clone());
        let ice_servers = taken.ice_servers.clone();
        self.order(WorkerOrder::Accept { session_id, sdp, ice_servers }).await?;
        let candidates = self.trickle(whip, session_id, &offer, taken).await?;
        self.hold(session_id, candidates).await
    }

    async fn order(&self, order: WorkerOrder) -> Result<(), PublishError> {
        self.orders.send(order).await.map_err(|_| PublishError::Stopping)
    }

    /// Waits for the worker's offer.
    async fn offer(&mut self, session_id: SessionId) -> Result<Sdp, PublishError> {
        loop {
            if let WorkerReport::Offer { sdp, .. } = self.report_of(session_id).await? {
                return Ok(sdp);
            }
        }
    }

    /// Waits for the next report of a session; its end is an error.
    async fn report_of(&mut self, session_id: SessionId) -> Result<WorkerReport, PublishError> {
        loop {
            let report = self.reports.recv().await.ok_or(PublishError::Stopping)?;
            // One of a session before may still be on its way.
            if subject(&report) != Some(session_id) {
                continue;
            }
            match report {
                WorkerReport::Ended { reason, .. } => return Err(PublishError::Ended(reason)),
                report => return Ok(report),
            }
        }
    }

    /// Sends the SFU the camera's candidates as they are found, until there are no more. Returns
    /// whether the connection stands by then.
    async fn trickle(
        &mut self,
        whip: &WhipClient,
        session_id: SessionId,
        offer: &Sdp,
        resource: &Resource,
    ) -> Result<bool, PublishError> {
        let mut candidates = Vec::new();
        let until = Instant::now() + TRICKLE_LIMIT;
        let mut connected = false;
        while !self.complete && !connected {
            let pause = if candidates.is_empty() { TRICKLE_LIMIT } else { TRICKLE_PAUSE };
            let at = until.min(Instant::now() + pause);
            match time::timeout_at(at, self.report_of(session_id)).await {
                Ok(Ok(WorkerReport::Candidate { candidate, .. })) => candidates.push(candidate),
                Ok(Ok(WorkerReport::Streaming { .. })) => connected = true,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) if candidates.is_empty() => break,
                Err(_) => {
                    let fragment = fragment(&offer.0, &candidates);
                    candidates.clear();
                    let told = time::timeout(TRICKLE_LIMIT, whip.trickle(resource, fragment)).await;
                    if !matches!(told, Ok(Ok(()))) {
                        // Its own candidates may do. If not, the next offer carries all of ours.
                        tracing::debug!("the SFU does not take candidates");
                        break;
                    }
                }
            }
        }
        Ok(connected)
    }

    /// Stays with a publication until it ends.
    async fn hold(
        &mut self,
        session_id: SessionId,
        mut connected: bool,
    ) -> Result<(), PublishError> {
        loop {
            if connected {
                self.backoff.reset();
                self.set_state(true, None);
                tracing::info!(%session_id, "the picture is published");
            }
            connected = match self.report_of(session_id).await {
                Ok(report) => matches!(report, WorkerReport::Streaming { .. }),
                Err(error) => {
                    let was_published =
                        self.state.borrow().as_ref().is_some_and(|state| state.publishing);
                    // What did not connect is tried the other way.
                    self.complete ^= !was_published;
                    return Err(error);
                }
            };
        }
    }
}

/// Writes candidates as RFC 8840 wants them, for the one section that the offer has.
fn fragment(offer: &str, candidates: &[String]) -> String {
    let mut text = String::new();
    let mut add = |line: &str| _ = write!(text, "{line}\r\n");
    let find = |start: &str| offer.lines().find(|line| line.starts_with(start));
    for start in ["a=group:", "m=", "a=mid:", "a=ice-ufrag:", "a=ice-pwd:"] {
        if let Some(line) = find(start) {
            add(line);
        }
    }
    for candidate in candidates {
        add(&format!("a={candidate}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\na=group:BUNDLE video0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n\
        a=ice-ufrag:user\r\na=ice-pwd:password\r\na=mid:video0\r\n";

    #[test]
    fn a_fragment_names_the_section_and_the_ice_session_that_its_candidates_are_of() {
        let candidate = "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned();
        assert_eq!(
            fragment(OFFER, &[candidate]),
            "a=group:BUNDLE video0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:video0\r\n\
             a=ice-ufrag:user\r\na=ice-pwd:password\r\n\
             a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
        );
    }
}

//! Publishing to an SFU: one connection out, for any number of viewers there.
//!
//! The worker holds the connection and makes the offer; the agent, which has the token, speaks
//! HTTP. Whatever ends a publication, it is begun anew after a pause.

use std::{fmt::Write as _, time::Duration};

use nightjar_core::backoff::Backoff;
use nightjar_shared::{
    event::SfuHealth,
    ids::SessionId,
    signal::{IceServer, Signal},
};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{
    Settings,
    session::Effect,
    wire::{Control, EndReason, Report, Sdp},
};
use crate::{
    chance::chance,
    cloud::{Resource, WhipClient, WhipError},
    config::SfuConfig,
};

/// What goes between publisher and worker. When the reports' queue is full the worker's are
/// dropped, and the publication with them.
const QUEUE: usize = 128;

/// Between two tries, growing.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A worker that has just started makes its media engine warm first.
const OFFER_LIMIT: Duration = Duration::from_mins(1);

/// Candidates that come together are told together.
const TRICKLE_PAUSE: Duration = Duration::from_millis(50);
const TRICKLE_LIMIT: Duration = Duration::from_secs(5);

/// How long the agent's end waits for the SFU.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why nothing is published at present.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Whip(#[from] WhipError),
    #[error("the live worker makes no offer")]
    NoOffer,
    #[error("the connection to the SFU ended ({})", .0.as_str())]
    Ended(EndReason),
    #[error("the agent is stopping")]
    Stopping,
}

/// The live task's end.
pub(super) struct Publication {
    orders: mpsc::Receiver<Control>,
    reports: mpsc::Sender<Report>,
    state: watch::Receiver<Option<SfuHealth>>,
    session: Option<SessionId>,
}

/// The publisher's.
pub(super) struct Publisher {
    config: SfuConfig,
    orders: mpsc::Sender<Control>,
    reports: mpsc::Receiver<Report>,
    settings: watch::Receiver<Settings>,
    state: watch::Sender<Option<SfuHealth>>,
    backoff: Backoff,
    /// Whether the next offer carries all candidates: the last one did not get through without.
    complete: bool,
    /// Those that the SFU named last.
    ice_servers: Vec<IceServer>,
}

pub(super) fn prepare(
    config: &SfuConfig,
    settings: watch::Receiver<Settings>,
    state: watch::Sender<Option<SfuHealth>>,
) -> (Publication, Publisher) {
    let (orders, order_receiver) = mpsc::channel(QUEUE);
    let (report_sender, reports) = mpsc::channel(QUEUE);
    let publication = Publication {
        orders: order_receiver,
        reports: report_sender,
        state: state.subscribe(),
        session: None,
    };
    let publisher = Publisher {
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

impl Publication {
    /// What the publisher wants of the worker next. Safe to cancel.
    pub(super) async fn next_order(&mut self) -> Control {
        let Some(order) = self.orders.recv().await else { return std::future::pending().await };
        match &order {
            Control::Publish { session_id, .. } => self.session = Some(*session_id),
            Control::Close { .. } => self.session = None,
            _ => {}
        }
        order
    }

    /// Whether the worker needs the picture for it.
    pub(super) fn is_open(&self) -> bool {
        self.session.is_some()
    }

    /// Takes a report that is about the publication; gives others back.
    pub(super) fn hear(&self, report: Report) -> Option<Report> {
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

    /// There is no worker, or none any more.
    pub(super) fn worker_lost(&mut self) {
        if let Some(session_id) = self.session.take() {
            let reason = EndReason::WorkerRestarted;
            // When it is full, it holds the end of the session before.
            let _ = self.reports.try_send(Report::Ended { session_id, reason });
        }
    }

    /// Sends a viewer to the SFU, or tells it that there is nothing at present.
    pub(super) fn redirect(&self, signal: Signal) -> Vec<Effect> {
        let session_id = signal.session_id;
        let Some(to) = signal.reply_to else { return Vec::new() };
        let signal = match &*self.state.borrow() {
            Some(sfu) if sfu.publishing => Signal::redirect(session_id, &sfu.whep_url),
            _ => Signal::bye(session_id, EndReason::NotPublished.as_str()),
        };
        vec![Effect::Reply { to, signal: Box::new(signal) }]
    }
}

fn subject(report: &Report) -> Option<SessionId> {
    match report {
        Report::Answer { session_id, .. }
        | Report::Offer { session_id, .. }
        | Report::Candidate { session_id, .. }
        | Report::Streaming { session_id }
        | Report::Measured { session_id, .. }
        | Report::Ended { session_id, .. } => Some(*session_id),
        Report::Ready
        | Report::KeyFrameWanted { .. }
        | Report::Wishes(_)
        | Report::Statistics(_) => None,
    }
}

impl Publisher {
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        self.tell(false, None);
        let SfuConfig { whip_url, token_file, .. } = &self.config;
        let whip = match WhipClient::new(whip_url, token_file.clone()) {
            Ok(whip) => whip,
            Err(error) => {
                tracing::error!(%error, "the picture cannot be published");
                return self.tell(false, Some(error.to_string()));
            }
        };
        while let Some(true) = cancel.run_until_cancelled(self.is_wanted()).await {
            let result = self.publish(&whip, &cancel).await;
            let problem = result.err().map(|error| error.to_string());
            self.tell(false, problem.clone());
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

    /// Waits while the camera is private; false when the agent's settings are gone.
    async fn is_wanted(&mut self) -> bool {
        self.settings.wait_for(|settings| !settings.private).await.is_ok()
    }

    fn tell(&self, publishing: bool, problem: Option<String>) {
        let whep_url = self.config.whep_url.clone();
        let health = Some(SfuHealth { publishing, whep_url, problem });
        self.state.send_if_modified(|known| std::mem::replace(known, health.clone()) != health);
    }

    /// Publishes until something ends it. Not an error when that was wanted.
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
        let _ = self.orders.send(Control::Close { session_id }).await;
        if let Some(resource) = resource {
            match time::timeout(FAREWELL, whip.end(&resource)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the SFU is not told of the end"),
                Err(_) => tracing::debug!("the SFU does not hear of the end"),
            }
        }
        result
    }

    /// Goes on until the connection ends.
    async fn attempt(
        &mut self,
        whip: &WhipClient,
        session_id: SessionId,
        resource: &mut Option<Resource>,
    ) -> Result<(), PublishError> {
        let ice_servers = self.ice_servers.clone();
        let publish = Control::Publish { session_id, ice_servers, complete: self.complete };
        self.order(publish).await?;
        let offer = time::timeout(OFFER_LIMIT, self.offer(session_id))
            .await
            .unwrap_or(Err(PublishError::NoOffer))?;
        let taken = resource.insert(whip.publish(offer.0.clone()).await?);
        self.ice_servers.clone_from(&taken.ice_servers);
        let sdp = Sdp(taken.answer.clone());
        let ice_servers = taken.ice_servers.clone();
        self.order(Control::Accept { session_id, sdp, ice_servers }).await?;
        let candidates = self.trickle(whip, session_id, &offer, taken).await?;
        self.hold(session_id, candidates).await
    }

    async fn order(&self, order: Control) -> Result<(), PublishError> {
        self.orders.send(order).await.map_err(|_| PublishError::Stopping)
    }

    /// The worker's offer.
    async fn offer(&mut self, session_id: SessionId) -> Result<Sdp, PublishError> {
        loop {
            if let Report::Offer { sdp, .. } = self.report_of(session_id).await? {
                return Ok(sdp);
            }
        }
    }

    /// The next report of a session that goes on.
    async fn report_of(&mut self, session_id: SessionId) -> Result<Report, PublishError> {
        loop {
            let report = self.reports.recv().await.ok_or(PublishError::Stopping)?;
            // One of a session before may still be on its way.
            if subject(&report) != Some(session_id) {
                continue;
            }
            match report {
                Report::Ended { reason, .. } => return Err(PublishError::Ended(reason)),
                report => return Ok(report),
            }
        }
    }

    /// Tells the SFU of the camera's candidates as they are found, until there are no more.
    /// Whether the connection stands by then.
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
                Ok(Ok(Report::Candidate { candidate, .. })) => candidates.push(candidate),
                Ok(Ok(Report::Streaming { .. })) => connected = true,
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
                self.tell(true, None);
                tracing::info!(%session_id, "the picture is published");
            }
            connected = match self.report_of(session_id).await {
                Ok(report) => matches!(report, Report::Streaming { .. }),
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

/// Candidates as RFC 8840 writes them, for the one section that the offer has.
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

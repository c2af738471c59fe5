//! The sessions of one camera as a state machine: signals and reports in, effects out.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

use nightjar_core::{monotonic::MonotonicNanos, picture::Layer};
use nightjar_shared::{
    ids::SessionId,
    sdp,
    session::SessionEndReason,
    signal::{Signal, SignalKind},
};

use super::wire::{Sdp, Wishes, WorkerOrder, WorkerReport};

/// How long an offer is good for that does not say so.
const DEFAULT_EXPIRY: Duration = Duration::from_secs(10);

/// A viewer that sends more candidates has no use for them.
const MAX_CANDIDATES: u32 = 64;

/// What the task is to do.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Sends a signal to the replica `to`.
    Reply { to: String, signal: Box<Signal> },
    /// Sends the worker an order.
    Order(WorkerOrder),
    /// Asks the encoder of a layer for a key frame.
    ForceKeyFrame(Layer),
    /// Asks for one for a viewer who joins, unless there is a young one.
    ProvideKeyFrame,
    /// Fits the encoders to what the viewers need.
    FitEncoders(Wishes),
}

/// How far a session has come. A session that ended is forgotten.
#[derive(Debug, PartialEq)]
enum Phase {
    /// The offer waits for a worker.
    Waiting(WorkerOrder),
    /// The worker has the offer.
    Offered,
    Answered,
    Streaming,
}

/// One viewer watching this camera.
#[derive(Debug)]
struct LiveSession {
    reply_to: String,
    /// Whether the viewer hears of candidates after the answer.
    trickle: bool,
    phase: Phase,
    /// When an answer would come too late.
    expires_at: MonotonicNanos,
    candidates: u32,
}

/// All sessions of this camera.
#[derive(Debug)]
pub struct Sessions {
    by_id: HashMap<SessionId, LiveSession>,
    max_viewers: u32,
    private: bool,
    has_worker: bool,
}

impl Sessions {
    pub fn new(max_viewers: u32) -> Self {
        Self { by_id: HashMap::new(), max_viewers, private: false, has_worker: false }
    }

    /// Returns how many watch, or are about to.
    pub fn viewers(&self) -> u32 {
        u32::try_from(self.by_id.len()).unwrap_or(u32::MAX)
    }

    /// Sets how many may watch. Those who watch already stay.
    pub fn set_max_viewers(&mut self, max_viewers: u32) {
        self.max_viewers = max_viewers;
    }

    /// Switches privacy mode, which ends all sessions.
    pub fn set_private(&mut self, private: bool) -> Vec<Effect> {
        self.private = private;
        if private { self.end_all(SessionEndReason::PrivacyMode) } else { Vec::new() }
    }

    /// Ends all sessions, since the agent stops.
    pub fn shut_down(&mut self) -> Vec<Effect> {
        self.end_all(SessionEndReason::ShuttingDown)
    }

    /// Takes what a viewer says.
    pub fn on_signal(&mut self, signal: Signal, now: MonotonicNanos) -> Vec<Effect> {
        match signal.kind {
            SignalKind::Offer => self.on_offer(signal, now),
            SignalKind::Candidate => self.on_candidate(signal),
            SignalKind::Bye => match self.by_id.remove(&signal.session_id) {
                Some(_) => vec![close(signal.session_id)],
                None => Vec::new(),
            },
            SignalKind::Restart => self.on_restart(signal),
            SignalKind::Answer | SignalKind::Report | SignalKind::Unknown => Vec::new(),
        }
    }

    /// Refuses an offer whose viewer may not watch.
    pub fn refuse(signal: Signal, reason: SessionEndReason) -> Vec<Effect> {
        let reply_to = signal.reply_to.into_iter();
        reply_to.map(|to| bye(signal.session_id, to, reason)).collect()
    }

    fn on_offer(&mut self, signal: Signal, now: MonotonicNanos) -> Vec<Effect> {
        let session_id = signal.session_id;
        // A message that MQTT delivers twice is answered once.
        if self.by_id.contains_key(&session_id) {
            return Vec::new();
        }
        let Some(reply_to) = signal.reply_to else { return Vec::new() };
        let Some(sdp) = signal.sdp else {
            return vec![bye(session_id, reply_to, SessionEndReason::InvalidOffer)];
        };
        // What is too long for the worker's reader would break the stream to it, for everybody.
        if sdp.len() > sdp::MAX_LENGTH {
            return vec![bye(session_id, reply_to, SessionEndReason::OfferTooLarge)];
        }
        if self.private {
            return vec![bye(session_id, reply_to, SessionEndReason::PrivacyMode)];
        }
        if self.viewers() >= self.max_viewers {
            return vec![bye(session_id, reply_to, SessionEndReason::Busy)];
        }
        let validity = match signal.expires_in_ms {
            0 => DEFAULT_EXPIRY,
            millis => Duration::from_millis(millis),
        };
        let (ice_servers, trickle) = (signal.ice_servers, signal.trickle);
        let offer = WorkerOrder::Offer { session_id, sdp: Sdp(sdp), ice_servers, trickle };
        let (phase, effects) = if self.has_worker {
            // The key frame is made while the worker negotiates.
            (Phase::Offered, vec![Effect::Order(offer), Effect::ProvideKeyFrame])
        } else {
            (Phase::Waiting(offer), Vec::new())
        };
        let expires_at = now.plus(validity);
        let session = LiveSession { reply_to, trickle, phase, expires_at, candidates: 0 };
        self.by_id.insert(session_id, session);
        effects
    }

    /// Takes the offer of a viewer whose network has changed to restart ICE. Its replica may be
    /// another one by now.
    fn on_restart(&mut self, signal: Signal) -> Vec<Effect> {
        let session_id = signal.session_id;
        let fragment = signal.sdp.filter(|fragment| fragment.len() <= sdp::MAX_LENGTH);
        let (Some(fragment), Some(reply_to)) = (fragment, signal.reply_to) else {
            return Vec::new();
        };
        let Some(session) = self.by_id.get_mut(&session_id) else {
            return vec![bye(session_id, reply_to, SessionEndReason::ViewerGone)];
        };
        session.reply_to = reply_to;
        session.candidates = 0;
        match session.phase {
            Phase::Waiting(_) | Phase::Offered => Vec::new(),
            Phase::Answered | Phase::Streaming => {
                let fragment = Sdp(fragment);
                vec![Effect::Order(WorkerOrder::Restart { session_id, fragment })]
            }
        }
    }

    fn on_candidate(&mut self, signal: Signal) -> Vec<Effect> {
        let Some(session) = self.by_id.get_mut(&signal.session_id) else { return Vec::new() };
        let is_one = |text: &String| (1..=sdp::MAX_CANDIDATE_LENGTH).contains(&text.len());
        let is_name = |mid: &String| mid.len() <= sdp::MAX_NAME_LENGTH;
        let candidate = signal.candidate.filter(is_one);
        let Some(candidate) = candidate.filter(|_| signal.sdp_mid.as_ref().is_none_or(is_name))
        else {
            return Vec::new();
        };
        session.candidates += 1;
        if session.candidates > MAX_CANDIDATES || matches!(session.phase, Phase::Waiting(_)) {
            return Vec::new();
        }
        vec![Effect::Order(WorkerOrder::Candidate {
            session_id: signal.session_id,
            candidate,
            sdp_mid: signal.sdp_mid,
        })]
    }

    /// Takes what the worker reports.
    pub fn on_report(&mut self, report: WorkerReport) -> Vec<Effect> {
        match report {
            WorkerReport::Answer { session_id, sdp } => {
                let Some(session) = self.by_id.get_mut(&session_id) else {
                    // Ended or expired in the meantime.
                    return vec![close(session_id)];
                };
                session.phase = Phase::Answered;
                let signal = Signal::answer(session_id, sdp.0);
                vec![Effect::Reply { to: session.reply_to.clone(), signal: Box::new(signal) }]
            }
            WorkerReport::Streaming { session_id } => {
                if let Some(session) = self.by_id.get_mut(&session_id) {
                    session.phase = Phase::Streaming;
                }
                Vec::new()
            }
            WorkerReport::Candidate { session_id, candidate, sdp_mid } => {
                let session = self.by_id.get(&session_id).filter(|session| session.trickle);
                let signal = Signal {
                    candidate: Some(candidate),
                    sdp_mid,
                    ..Signal::new(session_id, SignalKind::Candidate)
                };
                reply(session, signal)
            }
            WorkerReport::Measured { session_id, statistics } => {
                let signal = Signal {
                    statistics: Some(statistics),
                    ..Signal::new(session_id, SignalKind::Report)
                };
                reply(self.by_id.get(&session_id), signal)
            }
            WorkerReport::Ended { session_id, reason, detail } => {
                match self.by_id.remove(&session_id) {
                    Some(session) => vec![farewell(session_id, session.reply_to, reason, detail)],
                    None => Vec::new(),
                }
            }
            WorkerReport::KeyFrameWanted { layer } => vec![Effect::ForceKeyFrame(layer)],
            WorkerReport::Wishes(wishes) => vec![Effect::FitEncoders(wishes)],
            WorkerReport::Ready | WorkerReport::Statistics(_) | WorkerReport::Offer { .. } => {
                Vec::new()
            }
        }
    }

    /// Gives a worker that takes orders now the offers that waited for it.
    pub fn worker_started(&mut self) -> Vec<Effect> {
        self.has_worker = true;
        let mut effects = Vec::new();
        for session in self.by_id.values_mut() {
            if let Phase::Waiting(offer) = &session.phase {
                effects.extend([Effect::Order(offer.clone()), Effect::ProvideKeyFrame]);
                session.phase = Phase::Offered;
            }
        }
        effects
    }

    /// Ends the sessions of a worker that is gone. An offer that it had is not tried again: it may
    /// be what killed it.
    pub fn worker_lost(&mut self) -> Vec<Effect> {
        self.has_worker = false;
        let lost = |session: &LiveSession| !matches!(session.phase, Phase::Waiting(_));
        self.by_id
            .extract_if(|_, session| lost(session))
            .map(|(id, session)| bye(id, session.reply_to, SessionEndReason::WorkerRestarted))
            .chain([Effect::FitEncoders(Wishes::default())])
            .collect()
    }

    /// Forgets the offers whose answer would come too late.
    pub fn expire(&mut self, now: MonotonicNanos) -> Vec<Effect> {
        let expired = |session: &LiveSession| {
            matches!(session.phase, Phase::Waiting(_) | Phase::Offered) && session.expires_at <= now
        };
        self.by_id.extract_if(|_, session| expired(session)).map(|(id, _)| close(id)).collect()
    }

    fn end_all(&mut self, reason: SessionEndReason) -> Vec<Effect> {
        self.by_id
            .drain()
            .flat_map(|(id, session)| [close(id), bye(id, session.reply_to, reason)])
            .collect()
    }
}

/// Sends a signal to where a session's viewer is; nothing for one that has ended.
fn reply(session: Option<&LiveSession>, signal: Signal) -> Vec<Effect> {
    let to = session.map(|session| session.reply_to.clone());
    to.map(|to| Effect::Reply { to, signal: Box::new(signal) }).into_iter().collect()
}

fn close(session_id: SessionId) -> Effect {
    Effect::Order(WorkerOrder::Close { session_id })
}

fn bye(session_id: SessionId, to: String, reason: SessionEndReason) -> Effect {
    farewell(session_id, to, reason, None)
}

/// Ends a session with a word, and a sentence behind it where there is one.
fn farewell(
    session_id: SessionId,
    to: String,
    reason: SessionEndReason,
    detail: Option<String>,
) -> Effect {
    let text = match detail {
        Some(detail) => format!("{reason}: {detail}"),
        None => String::from(reason),
    };
    Effect::Reply { to, signal: Box::new(Signal::bye(session_id, text)) }
}

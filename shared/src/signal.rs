//! WebRTC signalling between a viewer's session at the relay and a camera.

use serde::{Deserialize, Serialize};

use crate::{
    first_protocol,
    ids::SessionId,
    session::SessionEndReason,
    word::{leading, words},
};

/// One step of a session (`down/signal`, `up/signal/{replica}`).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    pub session_id: SessionId,
    pub kind: SignalKind,
    /// The session description of an offer or answer; of a restart the fragment (RFC 8840) with
    /// the viewer's new ICE user and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp: Option<String>,
    /// An ICE candidate, as in `a=candidate:` without the `a=`; empty at the end of candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
    /// Why a `bye` was said: a [`SessionEndReason`], maybe with a sentence for people after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the camera's picture is to be had instead: the WHEP URL of an SFU. Set on a `bye`
    /// for the reason `redirected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The replica that wants the answers; set on an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// STUN and TURN servers the camera may use for this session; set on an offer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ice_servers: Vec<IceServer>,
    /// Whether the viewer can hear of the camera's candidates after the answer, so that the answer
    /// need not wait for them; set on an offer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub trickle: bool,
    /// What the camera measured of a session that is connected; set on a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<SessionStatistics>,
    #[serde(default)]
    pub expires_in_ms: u64,
}

impl Signal {
    pub fn new(session_id: SessionId, kind: SignalKind) -> Self {
        Self {
            protocol: crate::PROTOCOL_VERSION,
            session_id,
            kind,
            sdp: None,
            candidate: None,
            sdp_mid: None,
            reason: None,
            location: None,
            reply_to: None,
            ice_servers: Vec::new(),
            trickle: false,
            statistics: None,
            expires_in_ms: 0,
        }
    }

    pub fn answer(session_id: SessionId, sdp: String) -> Self {
        Self { sdp: Some(sdp), ..Self::new(session_id, SignalKind::Answer) }
    }

    pub fn bye(session_id: SessionId, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::new(session_id, SignalKind::Bye) }
    }

    /// Reads why a `bye` was said; nothing when it was for a reason that only a newer peer knows.
    pub fn end_reason(&self) -> Option<SessionEndReason> {
        leading(self.reason.as_deref()?)
    }

    /// Sends a viewer elsewhere.
    pub fn redirect(session_id: SessionId, location: impl Into<String>) -> Self {
        Self {
            location: Some(location.into()),
            ..Self::bye(session_id, SessionEndReason::Redirected)
        }
    }
}

/// Session descriptions name addresses and fingerprints: they stay out of logs.
impl std::fmt::Debug for Signal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Signal")
            .field("session_id", &self.session_id)
            .field("kind", &self.kind)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

words! {
    SignalKind {
        Offer = "offer",
        Answer = "answer",
        Candidate = "candidate",
        Bye = "bye",
        /// The viewer's network has changed: both sides restart ICE. Its reply is an answer.
        Restart = "restart",
        /// How a session fares, which its camera tells every few seconds.
        Report = "report",
    } or Unknown
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

words! {
    /// Which of the camera's two encodings a viewer gets.
    VideoLayer {
        Main = "main",
        Low = "low",
    }
}

words! {
    /// How an end of a connection was found (RFC 8445).
    CandidateKind {
        Host = "host",
        /// As a STUN server saw it.
        ServerReflexive = "srflx",
        /// As the peer saw it.
        PeerReflexive = "prflx",
        /// At a TURN server.
        Relay = "relay",
    }
}

/// How one viewer's connection fares, as its camera sees it. What is not known yet is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionStatistics {
    /// A [`CandidateKind`]: the camera's end of the pair that carries the media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_candidate: Option<String>,
    /// The viewer's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_candidate: Option<String>,
    /// There and back, from the viewer's receiver reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<u32>,
    /// Of the packets since the report before, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f32>,
    pub bitrate_bps: u64,
    /// Frames that were sent, not shown.
    pub fps: f32,
    /// A [`VideoLayer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// From a picture's capture to its arrival at the viewer, as far as the camera can tell: how old
    /// it was when it left, and half of the round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
}

/// A STUN or TURN server, as `RTCIceServer` of the WebRTC API names its parts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IceServer {
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

//! One connection of the worker, as far as it has come.

use std::{collections::HashMap, time::Duration};

use nightjar_core::{monotonic::MonotonicNanos, picture::Layer};
use nightjar_shared::ids::SessionId;

use crate::{
    clock::monotonic_now,
    webrtc::{measure::Meter, peer::Peer},
};

/// How long a viewer may be silent that reports every packet, as browsers do many times a second.
/// One that was heard once, and then not for this long, is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// How long others may be silent, an SFU among them: they may report as seldom as RTCP says, every
/// five seconds, give or take half.
const RARE_SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// How long connecting may take, perhaps through a relay.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// A viewer, or an SFU, and its connection.
pub(super) struct Viewer {
    offered_at: MonotonicNanos,
    pub(super) connection: Connection,
    /// Whether it was connected once.
    pub(super) connected: bool,
    pub(super) meter: Meter,
}

/// How far a connection is.
pub(super) enum Connection {
    /// The answer, or the camera's own offer, is being made; the candidates that came meanwhile.
    Negotiating(Vec<(String, Option<String>)>),
    Open(Box<Peer>),
}

/// Lists the peers that have their descriptions.
pub(super) fn open(viewers: &mut HashMap<SessionId, Viewer>) -> impl Iterator<Item = &mut Peer> {
    viewers.values_mut().filter_map(|viewer| match &mut viewer.connection {
        Connection::Open(peer) => Some(peer.as_mut()),
        Connection::Negotiating(_) => None,
    })
}

impl Viewer {
    pub(super) fn new() -> Self {
        Self {
            offered_at: monotonic_now(),
            connection: Connection::Negotiating(Vec::new()),
            connected: false,
            meter: Meter::default(),
        }
    }

    /// Returns the layer that is sent now.
    pub(super) fn layer(&self) -> Option<Layer> {
        match &self.connection {
            Connection::Open(peer) => Some(peer.layer()),
            Connection::Negotiating(_) => None,
        }
    }

    /// Returns whether it has been silent for too long.
    pub(super) fn is_gone(&self, now: MonotonicNanos) -> bool {
        match &self.connection {
            Connection::Negotiating(_) => false,
            Connection::Open(peer) => match (peer.last_heard(), peer.gives_feedback()) {
                (Some(heard), true) => now.since(heard) >= SILENCE_LIMIT,
                (Some(heard), false) => now.since(heard) >= RARE_SILENCE_LIMIT,
                (None, _) => now.since(self.offered_at) >= CONNECT_LIMIT,
            },
        }
    }
}

//! Which publication an acknowledgement of the broker belongs to.
//!
//! The MQTT client names the packet identifier of a publication only once it has sent it. It sends
//! them in the order in which it got them, so a queue of those handed over and a map of those sent
//! are enough.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use crate::{lock::lock, store::MessageId};

/// What a publication is, as far as its acknowledgement matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::uplink) enum PacketKind {
    /// Leaves the outbox when acknowledged.
    Outbox(MessageId),
    /// The last word before the connection is closed.
    Farewell,
    /// Needs no acknowledgement.
    Other,
}

/// The publications of one connection, shared by its publisher and its receiver.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<Publications>>);

#[derive(Debug, Default)]
struct Publications {
    handed_over: VecDeque<PacketKind>,
    sent: HashMap<u16, PacketKind>,
}

impl InFlight {
    /// Notes a publication. Calls come in the order in which the client gets the publications.
    pub(super) fn handed_over(&self, kind: PacketKind) {
        lock(&self.0).handed_over.push_back(kind);
    }

    /// Gives the oldest publication that was handed over its packet identifier.
    pub(super) fn sent(&self, packet_id: u16) {
        let mut publications = lock(&self.0);
        if let Some(kind) = publications.handed_over.pop_front() {
            publications.sent.insert(packet_id, kind);
        }
    }

    /// Forgets an acknowledged publication and returns what it was.
    pub(super) fn acknowledged(&self, packet_id: u16) -> Option<PacketKind> {
        lock(&self.0).sent.remove(&packet_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_find_their_publication_in_any_order() {
        let in_flight = InFlight::default();
        let message = PacketKind::Outbox(MessageId::default());
        in_flight.handed_over(message);
        in_flight.handed_over(PacketKind::Other);
        in_flight.sent(1);
        in_flight.sent(2);
        assert_eq!(in_flight.acknowledged(2), Some(PacketKind::Other));
        assert_eq!(in_flight.acknowledged(1), Some(message));
        assert_eq!(in_flight.acknowledged(1), None);
    }
}

//! Which publication an acknowledgement of the broker belongs to.
//!
//! The MQTT client tells the packet identifier of a publication only once it is sent. It sends
//! them in the order in which they were handed over, so a queue of those handed over and a map of
//! those sent are enough.

use std::collections::{HashMap, VecDeque};

use crate::store::MessageId;

/// What was published, as far as its acknowledgement matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publication {
    /// Leaves the outbox when acknowledged.
    Outbox(MessageId),
    /// The last word before the connection is closed.
    Farewell,
    /// Nobody waits for the acknowledgement.
    Other,
}

#[derive(Debug, Default)]
pub(super) struct InFlight {
    handed_over: VecDeque<Publication>,
    sent: HashMap<u16, Publication>,
}

impl InFlight {
    /// To be called in the order in which the client gets the publications.
    pub(super) fn handed_over(&mut self, publication: Publication) {
        self.handed_over.push_back(publication);
    }

    pub(super) fn sent(&mut self, packet_id: u16) {
        if let Some(publication) = self.handed_over.pop_front() {
            self.sent.insert(packet_id, publication);
        }
    }

    pub(super) fn acknowledged(&mut self, packet_id: u16) -> Option<Publication> {
        self.sent.remove(&packet_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_find_their_publication_in_any_order() {
        let mut in_flight = InFlight::default();
        let message = Publication::Outbox(MessageId::default());
        in_flight.handed_over(message);
        in_flight.handed_over(Publication::Other);
        in_flight.sent(1);
        in_flight.sent(2);
        assert_eq!(in_flight.acknowledged(2), Some(Publication::Other));
        assert_eq!(in_flight.acknowledged(1), Some(message));
        assert_eq!(in_flight.acknowledged(1), None);
    }
}

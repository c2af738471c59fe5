//! What the watch over the camera tells others: the seam between `motion` and `record`, which do not know
//! each other.

use nightjar_core::monotonic::MonotonicNanos;
use nightjar_shared::{
    event::{EventEndReason, TamperKind},
    ids::EventId,
};

/// Somebody tampers with the camera, or it is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TamperChange {
    pub event_id: EventId,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What {
    /// `began_at`: when the picture became another, some seconds before that is believed.
    Started {
        kind: TamperKind,
        began_at: MonotonicNanos,
    },
    Ended {
        reason: EventEndReason,
        at: MonotonicNanos,
    },
}

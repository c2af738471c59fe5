//! What the motion gate tells others: the seam between `motion` and `record`, which do not know
//! each other.

use std::time::Duration;

use nightjar_core::monotonic::MonotonicNanos;
use nightjar_shared::{
    event::{BoundingBox, EventEndReason, EventState},
    ids::EventId,
};

/// Something began or ceased to move.
#[derive(Debug, Clone, PartialEq)]
pub struct MotionChange {
    pub event_id: EventId,
    pub state: EventState,
    /// Capture time of the frame that decided it.
    pub at: MonotonicNanos,
    /// Where it moved, at the start; empty at the end.
    pub boxes: Vec<BoundingBox>,
    /// Names of the zones that were touched.
    pub zones: Vec<String>,
    /// Why it ended.
    pub reason: Option<EventEndReason>,
    /// The largest share of the picture that moved at once; at the end.
    pub peak_area: f32,
    /// From the first to the last movement; at the end.
    pub duration: Duration,
}

//! Packets that a receiver told of.

use crate::monotonic::MonotonicNanos;

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketFate {
    pub sent_at: MonotonicNanos,
    /// By the receiver's clock, which began anywhere; `None` when it is lost.
    pub received_at: Option<MonotonicNanos>,
    pub bytes: u32,
}

impl PacketFate {
    /// Nanoseconds on the way, plus an unknown constant: the two clocks' difference.
    pub(super) fn delay(&self) -> Option<i64> {
        let received = i64::try_from(self.received_at?.0).ok()?;
        received.checked_sub(i64::try_from(self.sent_at.0).ok()?)
    }
}

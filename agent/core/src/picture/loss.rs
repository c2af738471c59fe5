//! What becomes of a stream of which packets were lost. A pure core.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// A loss is worth a word for so long.
const TOLD_FOR: Duration = Duration::from_mins(1);

/// Holds pictures back that refer to some that never came.
#[derive(Debug, Default)]
pub struct LossGate {
    /// Up to the next key frame.
    holds_back: bool,
    lost: u64,
    lost_at: Option<MonotonicNanos>,
    logged_at: Option<MonotonicNanos>,
}

impl LossGate {
    /// Notes that so many packets are missing before the end of the next frame. Gives how many there are by
    /// now, where that is to be logged.
    pub fn lose(&mut self, packets: u16, now: MonotonicNanos) -> Option<u64> {
        if packets == 0 {
            return None;
        }
        self.holds_back = true;
        self.lost = self.lost.saturating_add(packets.into());
        self.lost_at = Some(now);
        if self.logged_at.is_some_and(|logged| now.since(logged) < TOLD_FOR) {
            return None;
        }
        self.logged_at = Some(now);
        Some(self.lost)
    }

    /// Whether the next frame may go on; `whole` says that it is a key frame, and all of it.
    pub fn lets_through(&mut self, whole: bool) -> bool {
        self.holds_back &= !whole;
        !self.holds_back
    }

    /// How many packets were lost so far; nothing where it is long ago.
    pub fn lost(&self, now: MonotonicNanos) -> Option<u64> {
        self.lost_at.is_some_and(|at| now.since(at) < TOLD_FOR).then_some(self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MonotonicNanos {
        MonotonicNanos(seconds * 1_000_000_000)
    }

    #[test]
    fn after_a_loss_nothing_goes_on_up_to_the_next_whole_key_frame() {
        let mut gate = LossGate::default();
        assert_eq!(gate.lose(0, at(1)), None);
        assert!(gate.lets_through(false) && gate.lets_through(true));
        gate.lose(3, at(2));
        assert!(!gate.lets_through(false) && !gate.lets_through(false));
        assert!(gate.lets_through(true) && gate.lets_through(false));
    }

    #[test]
    fn losses_are_counted_told_for_a_minute_and_logged_once_in_it() {
        let mut gate = LossGate::default();
        assert_eq!(gate.lost(at(1)), None);
        assert_eq!(gate.lose(2, at(100)), Some(2));
        assert_eq!(gate.lose(1, at(101)), None);
        assert_eq!(gate.lost(at(160)), Some(3));
        assert_eq!(gate.lost(at(161)), None);
        assert_eq!(gate.lose(1, at(170)), Some(4));
    }
}

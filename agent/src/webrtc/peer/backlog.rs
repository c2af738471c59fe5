//! How far the network is behind a peer's pictures.
//!
//! `appsrc` tells a time itself. It counts from zero for as long as nothing has left it, and across
//! gaps after that: to a key frame of more than a few packets each joiner looked hours behind.

use std::{collections::VecDeque, time::Duration};

use nightjar_core::monotonic::MonotonicNanos;

/// The frames that were handed to the network and have not left.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// When each was captured, and how many packets there were up to its last one.
    waiting: VecDeque<(MonotonicNanos, u64)>,
    packets: u64,
}

impl Backlog {
    /// Returns how much older than `newest` the oldest frame is that has not left, with so many
    /// packets still `queued`.
    pub(super) fn before(&mut self, newest: MonotonicNanos, queued: u64) -> Duration {
        let left = self.packets.saturating_sub(queued);
        while self.waiting.front().is_some_and(|(_, last)| *last <= left) {
            self.waiting.pop_front();
        }
        self.waiting.front().map_or(Duration::ZERO, |(oldest, _)| newest.since(*oldest))
    }

    /// Notes a frame of so many packets.
    pub(super) fn push(&mut self, captured_at: MonotonicNanos, packets: usize) {
        self.packets += u64::try_from(packets).unwrap_or(u64::MAX);
        self.waiting.push_back((captured_at, self.packets));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> MonotonicNanos {
        MonotonicNanos(millis * 1_000_000)
    }

    fn behind(backlog: &mut Backlog, newest: u64, queued: u64) -> u128 {
        backlog.before(ms(newest), queued).as_millis()
    }

    #[test]
    fn a_first_key_frame_of_many_packets_is_no_backlog() {
        let mut backlog = Backlog::default();
        assert_eq!(behind(&mut backlog, 9_000_000, 0), 0);
        backlog.push(ms(9_000_000), 65);
        assert_eq!(behind(&mut backlog, 9_000_033, 65), 33, "nothing has left yet");
        backlog.push(ms(9_000_033), 2);
        assert_eq!(behind(&mut backlog, 9_000_066, 3), 66, "a part of the key frame waits");
        assert_eq!(behind(&mut backlog, 9_000_066, 2), 33);
        assert_eq!(behind(&mut backlog, 9_000_066, 0), 0);
    }

    #[test]
    fn a_gap_is_no_backlog_either() {
        let mut backlog = Backlog::default();
        backlog.push(ms(1_000), 40);
        assert_eq!(behind(&mut backlog, 60_000, 0), 0);
        backlog.push(ms(60_000), 40);
        assert_eq!(behind(&mut backlog, 60_040, 40), 40);
    }

    #[test]
    fn what_waits_for_the_network_is_one() {
        let mut backlog = Backlog::default();
        for frame in 0..40 {
            backlog.push(ms(1_000 + frame * 40), 2);
        }
        assert_eq!(behind(&mut backlog, 2_600, 70), 1_400);
        assert_eq!(backlog.waiting.len(), 35, "what has left is forgotten");
    }
}

//! When the encoder is asked for a key frame.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// Requests closer together are answered with one key frame.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(300);

/// Fragments of recordings begin at key frames and last at most this long, whatever the real
/// frame rate of a camera in the dark.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

/// Asked at every raw picture whether it is to become a key frame.
#[derive(Debug, Default)]
pub struct KeyFrameGate {
    requested: bool,
    /// The newest key frame, encoded or asked for.
    last: Option<MonotonicNanos>,
    last_picture: Option<MonotonicNanos>,
}

impl KeyFrameGate {
    /// Somebody needs a key frame.
    pub fn request(&mut self) {
        self.requested = true;
    }

    /// The encoder made a key frame from the picture captured then.
    pub fn encoded(&mut self, captured_at: MonotonicNanos) {
        self.last = self.last.max(Some(captured_at));
    }

    /// Whether the picture captured then must become a key frame.
    pub fn decide(&mut self, captured_at: MonotonicNanos) -> bool {
        let interval = self.last_picture.map_or(Duration::ZERO, |last| captured_at.since(last));
        self.last_picture = Some(captured_at);
        // The encoder begins with a key frame unasked.
        let Some(last) = self.last else { return false };
        let age = captured_at.since(last);
        // Half an interval early is nearer to the limit than half an interval late.
        let overdue = age + interval / 2 >= LONGEST_INTERVAL;
        let due = overdue || (self.requested && age >= SHORTEST_INTERVAL);
        if due {
            self.requested = false;
            self.last = Some(captured_at);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> MonotonicNanos {
        MonotonicNanos(millis * 1_000_000)
    }

    fn gate_after_key_frame_at_zero() -> KeyFrameGate {
        let mut gate = KeyFrameGate::default();
        assert!(!gate.decide(ms(0)), "the first picture is one anyway");
        gate.encoded(ms(0));
        gate
    }

    /// The times, in ms, at which pictures 40 ms apart become key frames.
    fn key_frames(gate: &mut KeyFrameGate, until: u64) -> Vec<u64> {
        (40..until).step_by(40).filter(|at| gate.decide(ms(*at))).collect()
    }

    #[test]
    fn there_is_one_every_second_without_requests() {
        assert_eq!(key_frames(&mut gate_after_key_frame_at_zero(), 2_500), [1_000, 2_000]);
    }

    #[test]
    fn a_request_soon_after_a_key_frame_waits_and_is_not_lost() {
        let mut gate = gate_after_key_frame_at_zero();
        gate.request();
        assert_eq!(key_frames(&mut gate, 900), [320]);
    }

    #[test]
    fn many_requests_are_answered_with_one_key_frame() {
        let mut gate = gate_after_key_frame_at_zero();
        assert!(key_frames(&mut gate, 400).is_empty());
        for _ in 0..10 {
            gate.request();
        }
        assert!(gate.decide(ms(440)));
        assert!(!gate.decide(ms(480)));
    }

    #[test]
    fn slow_pictures_do_not_stretch_the_interval() {
        let mut gate = gate_after_key_frame_at_zero();
        let keys: Vec<u64> = (400..=4_000).step_by(400).filter(|at| gate.decide(ms(*at))).collect();
        assert_eq!(keys, [800, 1_600, 2_400, 3_200, 4_000]);
    }
}

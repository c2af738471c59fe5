//! When the packets of a frame leave. A key frame has dozens, and what is sent at once must fit at once
//! into the shortest queue on the path: a Wi-Fi station's or a cheap router's holds few.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// Packets that leave together: most frames between key frames are one such group, and wait for
/// nothing. Enough for [`super::congestion`] to measure the path by each of them.
pub const GROUP: usize = 12;

/// What waits has left after this long: half the time to the next frame at 30 frames a second, so
/// that no frame waits for the one before it.
const SPREAD: Duration = Duration::from_millis(16);

/// The same as long as nothing is known of the path: a joiner's first picture comes as much later.
const FIRST_SPREAD: Duration = Duration::from_millis(6);

/// Faster than what the path is thought to carry, which grows by itself only slowly. WebRTC's own
/// sender takes the same factor (`kDefaultPaceMultiplier`).
const HEADROOM: f64 = 2.5;

/// Holds groups of packets back, so that those of a large frame do not leave at once.
#[derive(Debug, Default)]
pub struct Pacer {
    /// The next group may leave from then on.
    free_at: MonotonicNanos,
    /// When what waits is to have left; `None` as long as nothing does.
    drained_at: Option<MonotonicNanos>,
}

impl Pacer {
    /// Returns how long a group of so many bytes waits, with so many behind it, on a path that is thought to
    /// carry `estimate_kbps`.
    pub fn hold(
        &mut self,
        bytes: usize,
        waiting_bytes: u64,
        estimate_kbps: Option<u32>,
        now: MonotonicNanos,
    ) -> Duration {
        let leaves_at = self.free_at.max(now);
        if waiting_bytes == 0 {
            self.drained_at = None;
            self.free_at = leaves_at;
            return leaves_at.since(now);
        }
        let spread = if estimate_kbps.is_some() { SPREAD } else { FIRST_SPREAD };
        let drained_at = *self.drained_at.get_or_insert(leaves_at.plus(spread));
        #[expect(clippy::cast_precision_loss, reason = "bytes of a few frames")]
        let (bytes, waiting) = (bytes as f64, waiting_bytes as f64);
        let share = drained_at.since(leaves_at).mul_f64(bytes / (bytes + waiting));
        let carried = estimate_kbps.filter(|kbps| *kbps > 0).map(|kbps| {
            // Bits by kbit/s are milliseconds.
            Duration::from_secs_f64(bytes * 8.0 / f64::from(kbps) / 1_000.0 / HEADROOM)
        });
        self.free_at = leaves_at.plus(carried.map_or(share, |carried| carried.min(share)));
        leaves_at.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 14_400;

    /// When each of so many groups leaves that were there at once, in milliseconds.
    fn leave(pacer: &mut Pacer, groups: u64, estimate_kbps: Option<u32>, from_ms: u64) -> Vec<u64> {
        let mut now = MonotonicNanos(from_ms * 1_000_000);
        (1..=groups)
            .map(|number| {
                let waiting = (groups - number) * BYTES as u64;
                now = now.plus(pacer.hold(BYTES, waiting, estimate_kbps, now));
                now.0 / 1_000_000 - from_ms
            })
            .collect()
    }

    #[test]
    fn one_group_leaves_at_once() {
        let mut pacer = Pacer::default();
        assert_eq!(leave(&mut pacer, 1, None, 1_000), [0]);
        assert_eq!(leave(&mut pacer, 1, Some(300), 1_033), [0]);
    }

    #[test]
    fn a_key_frame_is_spread_over_half_a_frames_time_and_delays_no_other() {
        let mut pacer = Pacer::default();
        assert_eq!(leave(&mut pacer, 4, Some(3_000), 1_000), [0, 4, 8, 12]);
        assert_eq!(leave(&mut pacer, 1, Some(3_000), 1_033), [0]);
        assert_eq!(leave(&mut pacer, 8, Some(500), 1_066), [0, 2, 4, 6, 8, 10, 12, 14]);
    }

    #[test]
    fn the_first_picture_waits_less() {
        assert_eq!(leave(&mut Pacer::default(), 4, None, 1_000), [0, 1, 3, 4]);
    }

    #[test]
    fn a_path_that_carries_more_gets_it_sooner() {
        // 115,200 bits in a millisecond are 115 Mbit/s, with headroom.
        let mut pacer = Pacer::default();
        assert_eq!(leave(&mut pacer, 4, Some(46_080), 1_000), [0, 1, 2, 3]);
    }

    #[test]
    fn frames_that_come_meanwhile_leave_with_it() {
        let mut pacer = Pacer::default();
        let start = MonotonicNanos(1_000_000_000);
        let mut now = start;
        // There are always two more.
        for _ in 0..40 {
            now = now.plus(pacer.hold(BYTES, 2 * BYTES as u64, None, now));
        }
        assert!(now.since(start) <= SPREAD, "{:?}", now.since(start));
    }
}

//! When the frames of a source were captured that counts time by a clock of its own. A pure core.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// A frame that seems to have been on its way for longer was not: the source's clock has changed.
const LATENESS_MAX: Duration = Duration::from_secs(1);

/// The source's clock may be slower than ours by this share: 1 of 100. Quartz is better, cameras that
/// count pictures instead of time are worse.
const SLOWER: u32 = 100;

/// The least time from one frame to the next.
const STEP: Duration = Duration::from_micros(1);

/// A source whose clock goes on by less from frame to frame has one that stands still: no camera gives a
/// thousand pictures a second.
const TOLD_STEP_MIN: Duration = Duration::from_millis(1);

/// Places frames on `CLOCK_MONOTONIC`: never after their arrival, never before the frame before, and
/// as evenly as the source counts.
#[derive(Debug, Default)]
pub struct ArrivalClock {
    anchor: Option<Anchor>,
    last: MonotonicNanos,
}

/// The frame that was on its way for the shortest time.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    told: Duration,
    at: MonotonicNanos,
}

impl ArrivalClock {
    /// Places the next frame, which the source says was captured at `told`; a source that says
    /// nothing captured it just now.
    pub fn place(&mut self, told: Option<Duration>, now: MonotonicNanos) -> MonotonicNanos {
        let placed = told.map_or(now, |told| self.by_source(told, now));
        self.last = placed.min(now).max(self.last.plus(STEP));
        self.last
    }

    fn by_source(&mut self, told: Duration, now: MonotonicNanos) -> MonotonicNanos {
        let fresh = Anchor { told, at: now };
        let Some(anchor) = self.anchor else {
            self.anchor = Some(fresh);
            return now;
        };
        if told.abs_diff(anchor.told) < TOLD_STEP_MIN {
            self.anchor = Some(fresh);
            return now;
        }
        let expected = match told.checked_sub(anchor.told) {
            Some(later) => anchor.at.plus(later + later / SLOWER),
            None => anchor.at.minus(anchor.told.saturating_sub(told)),
        };
        let lateness = now.since(expected);
        if expected >= now || lateness > LATENESS_MAX {
            self.anchor = Some(fresh);
            return now;
        }
        // What is left of the lateness after the allowance is carried on.
        self.anchor = Some(Anchor { told, at: expected });
        expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;

    fn ms(millis: u64) -> MonotonicNanos {
        MonotonicNanos(millis * 1_000_000)
    }

    fn told(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn frames_that_the_network_delays_keep_the_distances_of_their_capture() {
        let mut clock = ArrivalClock::default();
        let mut random = Seeded::new(3);
        let mut last = None;
        for number in 0..500_u64 {
            let delay = if number == 0 { 0 } else { random.below(80) };
            let placed = clock.place(Some(told(number * 40)), ms(10_000 + number * 40 + delay));
            if let Some(last) = last.replace(placed) {
                let step = placed.since(last);
                let even = Duration::from_millis(40).abs_diff(step);
                assert!(even <= Duration::from_millis(25), "{number}: {step:?}");
            }
        }
    }

    #[test]
    fn no_frame_is_placed_after_its_arrival_or_before_its_predecessor() {
        for lie in [(1, 1), (2, 1), (1, 2), (0, 1), (1_000, 1)] {
            let mut clock = ArrivalClock::default();
            let mut last = MonotonicNanos::default();
            for number in 0..1_000_u64 {
                let now = ms(5_000 + number * 40);
                let placed = clock.place(Some(told(number * 40 * lie.0 / lie.1)), now);
                assert!(placed <= now && placed > last, "{lie:?}: {number}");
                let late = now.since(placed);
                assert!(late <= LATENESS_MAX, "{lie:?}: {number} is {late:?} late");
                last = placed;
            }
        }
    }

    #[test]
    fn frames_of_a_clock_that_stands_still_are_placed_when_they_come() {
        for step in [Duration::ZERO, Duration::from_micros(11)] {
            let mut clock = ArrivalClock::default();
            for number in 0..200_u32 {
                let now = ms(5_000 + u64::from(number) * 40);
                assert_eq!(clock.place(Some(step * number), now), now, "{step:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_jumps_is_followed_at_once() {
        let mut clock = ArrivalClock::default();
        clock.place(Some(told(0)), ms(1_000));
        assert_eq!(clock.place(Some(told(3_600_000)), ms(1_040)), ms(1_040), "an hour ahead");
        assert_eq!(clock.place(Some(told(40)), ms(1_080)), ms(1_080), "and back");
        assert_eq!(clock.place(None, ms(1_120)), ms(1_120), "no time at all");
    }
}

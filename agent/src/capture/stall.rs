//! Decides when a capture pipeline is to be restarted. A camera may stall without an error: only
//! the absence of frames tells.

use std::time::Duration;

use nightjar_core::monotonic::MonotonicNanos;

/// A pipeline without a frame for this long is restarted.
pub const STALL_LIMIT: Duration = Duration::from_secs(5);

/// Frames for this long mean that the source works again: the back-off starts over.
const PROVEN_AFTER: Duration = Duration::from_secs(10);

const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Watches one source over all restarts of its pipeline.
#[derive(Debug)]
pub struct Watchdog {
    started_at: MonotonicNanos,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Healthy,
    /// No frame for [`STALL_LIMIT`]: restart the pipeline.
    Stalled,
}

impl Watchdog {
    pub fn new(now: MonotonicNanos) -> Self {
        Self { started_at: now, pause: SHORTEST_PAUSE }
    }

    /// A pipeline was started.
    pub fn started(&mut self, now: MonotonicNanos) {
        self.started_at = now;
    }

    /// `last_frame_at` is the arrival of the newest frame, of this pipeline or an earlier one.
    pub fn check(&mut self, last_frame_at: Option<MonotonicNanos>, now: MonotonicNanos) -> Verdict {
        let sign_of_life = last_frame_at.unwrap_or(self.started_at).max(self.started_at);
        if now.since(sign_of_life) >= STALL_LIMIT {
            return Verdict::Stalled;
        }
        if sign_of_life.since(self.started_at) >= PROVEN_AFTER {
            self.pause = SHORTEST_PAUSE;
        }
        Verdict::Healthy
    }

    /// How long to wait before the next start; doubles from failure to failure.
    pub fn pause_before_restart(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> MonotonicNanos {
        MonotonicNanos(seconds * 1_000_000_000)
    }

    #[test]
    fn five_seconds_without_a_frame_are_a_stall() {
        let mut watchdog = Watchdog::new(at(100));
        assert_eq!(watchdog.check(None, at(104)), Verdict::Healthy);
        assert_eq!(watchdog.check(None, at(105)), Verdict::Stalled);
        assert_eq!(watchdog.check(Some(at(104)), at(108)), Verdict::Healthy);
        assert_eq!(watchdog.check(Some(at(104)), at(109)), Verdict::Stalled);
    }

    #[test]
    fn a_restarted_pipeline_gets_the_same_time_for_its_first_frame() {
        let mut watchdog = Watchdog::new(at(0));
        watchdog.started(at(200));
        assert_eq!(watchdog.check(Some(at(100)), at(204)), Verdict::Healthy);
        assert_eq!(watchdog.check(Some(at(100)), at(205)), Verdict::Stalled);
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_start_over_once_frames_have_flowed() {
        let mut watchdog = Watchdog::new(at(0));
        let pauses: Vec<u128> =
            (0..6).map(|_| watchdog.pause_before_restart().as_millis()).collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        watchdog.started(at(50));
        assert_eq!(watchdog.check(Some(at(55)), at(55)), Verdict::Healthy);
        assert_eq!(watchdog.pause_before_restart(), LONGEST_PAUSE, "five seconds prove nothing");
        assert_eq!(watchdog.check(Some(at(60)), at(60)), Verdict::Healthy);
        assert_eq!(watchdog.pause_before_restart(), SHORTEST_PAUSE);
    }
}

//! Decides when a capture pipeline is to be restarted. A camera may stall without an error: only
//! the absence of frames shows it.

use std::time::Duration;

use nightjar_core::monotonic::MonotonicNanos;

/// A pipeline without a frame for this long is restarted, unless its source says that its pictures
/// are further apart.
const STALL_LIMIT: Duration = Duration::from_secs(5);

/// Of that time, the part after which its silence is told: people hear of it within 5 s.
const TOLD_AFTER: (u32, u32) = (3, 5);

/// Pictures that may be missing from a slow source.
const PICTURES_MISSED: u32 = 4;

/// Frames for this long mean that the source works again: the back-off starts over.
const PROVEN_AFTER: Duration = Duration::from_secs(10);

const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Watches one source over all restarts of its pipeline.
#[derive(Debug)]
pub struct StallDetector {
    started_at: MonotonicNanos,
    limit: Duration,
    pause: Duration,
}

impl StallDetector {
    pub fn new(now: MonotonicNanos) -> Self {
        Self { started_at: now, limit: STALL_LIMIT, pause: SHORTEST_PAUSE }
    }

    /// Notes that a pipeline was started whose source gives a picture each `interval`.
    pub fn started(&mut self, interval: Duration, now: MonotonicNanos) {
        self.started_at = now;
        self.limit = interval.saturating_mul(PICTURES_MISSED).max(STALL_LIMIT);
    }

    /// Returns whether there was no frame for so long that it is worth a word.
    pub fn is_silent(&self, last_frame_at: Option<MonotonicNanos>, now: MonotonicNanos) -> bool {
        now.since(self.sign_of_life(last_frame_at)) >= self.limit * TOLD_AFTER.0 / TOLD_AFTER.1
    }

    fn sign_of_life(&self, last_frame_at: Option<MonotonicNanos>) -> MonotonicNanos {
        last_frame_at.unwrap_or(self.started_at).max(self.started_at)
    }

    /// Returns whether there was no frame for longer than the limit. `last_frame_at` is the arrival of the
    /// newest frame, of this pipeline or an earlier one.
    pub fn is_stalled(
        &mut self,
        last_frame_at: Option<MonotonicNanos>,
        now: MonotonicNanos,
    ) -> bool {
        let sign_of_life = self.sign_of_life(last_frame_at);
        if now.since(sign_of_life) >= self.limit {
            return true;
        }
        if sign_of_life.since(self.started_at) >= PROVEN_AFTER {
            self.pause = SHORTEST_PAUSE;
        }
        false
    }

    /// Returns how long to wait before the next start; it doubles from failure to failure.
    pub fn pause_before_restart(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(40);

    fn at(seconds: u64) -> MonotonicNanos {
        MonotonicNanos(seconds * 1_000_000_000)
    }

    #[test]
    fn five_seconds_without_a_frame_are_a_stall() {
        let mut stall = StallDetector::new(at(100));
        assert!(!stall.is_stalled(None, at(104)));
        assert!(stall.is_stalled(None, at(105)));
        assert!(!stall.is_stalled(Some(at(104)), at(108)));
        assert!(stall.is_stalled(Some(at(104)), at(109)));
    }

    #[test]
    fn silence_is_told_before_it_is_a_stall() {
        let mut stall = StallDetector::new(at(100));
        assert!(!stall.is_silent(None, at(102)));
        assert!(stall.is_silent(None, at(103)));
        stall.started(PACE, at(200));
        assert!(!stall.is_silent(Some(at(150)), at(202)));
        assert!(!stall.is_silent(Some(at(210)), at(212)));
        assert!(
            stall.is_silent(Some(at(210)), at(213)) && !stall.is_stalled(Some(at(210)), at(213))
        );
        stall.started(Duration::from_secs(10), at(300));
        assert!(!stall.is_silent(None, at(323)), "pictures are 10 s apart");
    }

    #[test]
    fn a_restarted_pipeline_gets_the_same_time_for_its_first_frame() {
        let mut stall = StallDetector::new(at(0));
        stall.started(PACE, at(200));
        assert!(!stall.is_stalled(Some(at(100)), at(204)));
        assert!(stall.is_stalled(Some(at(100)), at(205)));
    }

    #[test]
    fn a_source_that_says_it_is_slow_is_given_the_time_it_takes() {
        let mut stall = StallDetector::new(at(0));
        stall.started(Duration::from_secs(10), at(100));
        assert!(!stall.is_stalled(Some(at(105)), at(144)));
        assert!(stall.is_stalled(Some(at(105)), at(145)));
        stall.started(PACE, at(200));
        assert!(stall.is_stalled(None, at(205)));
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_start_over_once_frames_have_flowed() {
        let mut stall = StallDetector::new(at(0));
        let pauses: Vec<u128> = (0..6).map(|_| stall.pause_before_restart().as_millis()).collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        stall.started(PACE, at(50));
        assert!(!stall.is_stalled(Some(at(55)), at(55)));
        assert_eq!(stall.pause_before_restart(), LONGEST_PAUSE, "five seconds prove nothing");
        assert!(!stall.is_stalled(Some(at(60)), at(60)));
        assert_eq!(stall.pause_before_restart(), SHORTEST_PAUSE);
    }
}

//! What was encoded since the newest key frame, for who joins between two of them. A pure core.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// More frames are not kept: at 60 a second, and a key frame each second, there are no more.
const FRAMES_MAX: usize = 64;

/// The newest key frame and all that followed it, as long as that key frame is young.
#[derive(Debug)]
pub struct RecentFrames<T> {
    frames: Vec<T>,
    key_frame_at: MonotonicNanos,
    /// What was captured before is not kept.
    begin: MonotonicNanos,
    longest: Duration,
}

impl<T> RecentFrames<T> {
    /// Makes an empty one, which keeps a key frame for `longest`.
    pub fn new(longest: Duration) -> Self {
        Self {
            frames: Vec::new(),
            key_frame_at: MonotonicNanos::default(),
            begin: MonotonicNanos::default(),
            longest,
        }
    }

    /// Takes the next frame, in the order of encoding.
    pub fn push(&mut self, frame: T, key_frame: bool, captured_at: MonotonicNanos) {
        if key_frame {
            self.frames.clear();
            self.key_frame_at = captured_at;
            if captured_at >= self.begin {
                self.frames.push(frame);
            }
            return;
        }
        // Without what it refers to, a frame is of no use.
        if self.frames.is_empty() {
            return;
        }
        let old = captured_at.since(self.key_frame_at) > self.longest;
        if old || self.frames.len() >= FRAMES_MAX {
            self.frames.clear();
        } else {
            self.frames.push(frame);
        }
    }

    /// Forgets all frames: what comes next does not follow them.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// Forgets all frames, and takes none that was captured before `now`.
    pub fn begin_at(&mut self, now: MonotonicNanos) {
        self.frames.clear();
        self.begin = now;
    }

    /// Lists the frames that one who joins now can begin with; none where the key frame is too old.
    pub fn for_joiner(&self, now: MonotonicNanos) -> &[T] {
        if now.since(self.key_frame_at) > self.longest { &[] } else { &self.frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> MonotonicNanos {
        MonotonicNanos(millis * 1_000_000)
    }

    /// A key frame at 1,000 ms, and a frame each 40 ms after it.
    fn with_frames(until: u64) -> RecentFrames<u64> {
        let mut recent = RecentFrames::new(Duration::from_millis(300));
        for at in (960..=until).step_by(40) {
            recent.push(at, at == 1_000, ms(at));
        }
        recent
    }

    #[test]
    fn who_joins_begins_with_the_key_frame_and_has_all_that_followed() {
        assert_eq!(with_frames(1_120).for_joiner(ms(1_130)), [1_000, 1_040, 1_080, 1_120]);
        let mut recent = with_frames(1_120);
        recent.push(1_160, true, ms(1_160));
        assert_eq!(recent.for_joiner(ms(1_170)), [1_160], "the newest key frame");
    }

    #[test]
    fn an_old_key_frame_is_none_also_where_nothing_came_after_it() {
        assert!(with_frames(1_120).for_joiner(ms(1_301)).is_empty());
        assert!(with_frames(1_400).for_joiner(ms(1_290)).is_empty());
    }

    #[test]
    fn what_was_before_a_change_is_shown_to_nobody() {
        let mut recent = with_frames(1_120);
        recent.begin_at(ms(1_130));
        recent.push(1_130, true, ms(1_120));
        recent.push(1_160, false, ms(1_160));
        assert!(recent.for_joiner(ms(1_170)).is_empty(), "captured before");
        recent.push(1_200, true, ms(1_200));
        assert_eq!(recent.for_joiner(ms(1_210)), [1_200]);
        recent.clear();
        recent.push(1_240, false, ms(1_240));
        assert!(recent.for_joiner(ms(1_250)).is_empty(), "it refers to what is gone");
    }

    #[test]
    fn a_source_that_gives_no_times_fills_no_memory() {
        let mut recent = RecentFrames::new(Duration::from_secs(1));
        recent.push(0, true, ms(0));
        for frame in 1..10_000 {
            recent.push(frame, false, ms(0));
            assert!(recent.for_joiner(ms(0)).len() <= FRAMES_MAX);
        }
    }
}

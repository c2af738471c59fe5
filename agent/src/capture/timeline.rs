//! Places the pictures of a recording on one line of time that never goes back.

use std::time::Duration;

/// Pictures that do not say how fast they follow each other are played at this pace.
const DEFAULT_PACE: Duration = Duration::from_millis(40);

/// Nobody means a slower one.
const SLOWEST_PACE: Duration = Duration::from_mins(1);

/// A time that jumps back by more than this starts a new count, as where two recordings were joined;
/// by less, pictures are out of order.
const DISORDER: Duration = Duration::from_secs(1);

/// What becomes of a stretch that the recording itself leaves without pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gaps {
    /// Lasts as long as the recording says.
    Kept,
    /// Lasts no longer than this, or than twice the pace of slow pictures.
    Shortened(Duration),
}

/// Times of one pass after the other.
#[derive(Debug)]
pub(crate) struct Timeline {
    gaps: Gaps,
    pace: Duration,
    /// A time as the recording says it, and where that was placed.
    anchor: Option<(Duration, Duration)>,
    last: Option<Duration>,
    shortened: Option<Duration>,
}

impl Timeline {
    pub(crate) fn new(gaps: Gaps) -> Self {
        Self { gaps, pace: DEFAULT_PACE, anchor: None, last: None, shortened: None }
    }

    /// Sets how many pictures a second follow each other from now on, as a fraction; 0 says nothing.
    pub(crate) fn set_pace(&mut self, (pictures, seconds): (u32, u32)) {
        self.pace = match (pictures, seconds) {
            (0, _) | (_, 0) => DEFAULT_PACE,
            (pictures, seconds) => {
                (Duration::from_secs(u64::from(seconds)) / pictures).min(SLOWEST_PACE)
            }
        };
    }

    /// Places the next picture. One without a time follows the last one at the pace.
    pub(crate) fn place(&mut self, told: Option<Duration>) -> Duration {
        let Some(last) = self.last else {
            self.anchor = told.map(|told| (told, Duration::ZERO));
            return *self.last.insert(Duration::ZERO);
        };
        let follows = last + self.pace;
        let placed = match (told, self.anchor) {
            (None, _) => follows,
            (Some(told), None) => self.count_from(told, follows),
            (Some(told), Some((anchor, at))) => {
                let (says, is_at) = (told + at, anchor + last);
                let wait = says.saturating_sub(is_at);
                if !wait.is_zero() {
                    self.after(last, wait, told)
                } else if is_at.saturating_sub(says) > DISORDER {
                    self.count_from(told, follows)
                } else {
                    follows
                }
            }
        };
        *self.last.insert(placed)
    }

    fn after(&mut self, last: Duration, wait: Duration, told: Duration) -> Duration {
        let Gaps::Shortened(limit) = self.gaps else { return last + wait };
        let limit = limit.max(self.pace * 2);
        if wait <= limit {
            return last + wait;
        }
        self.shortened = Some(wait);
        self.count_from(told, last + limit)
    }

    fn count_from(&mut self, told: Duration, placed: Duration) -> Duration {
        self.anchor = Some((told, placed));
        placed
    }

    /// Gives, once, the length of a gap that the last picture ended and that was shortened.
    pub(crate) fn take_shortened(&mut self) -> Option<Duration> {
        self.shortened.take()
    }

    /// Lets the next picture follow the last one, whatever its time.
    pub(crate) fn end_pass(&mut self) {
        self.anchor = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn placed(timeline: &mut Timeline, told: &[Option<u64>]) -> Vec<u128> {
        told.iter().map(|told| timeline.place(told.map(ms)).as_millis()).collect()
    }

    fn timed(timeline: &mut Timeline, told: &[u64]) -> Vec<u128> {
        let told: Vec<Option<u64>> = told.iter().copied().map(Some).collect();
        placed(timeline, &told)
    }

    #[test]
    fn a_second_pass_goes_on_where_the_first_ended() {
        let mut timeline = Timeline::new(Gaps::Kept);
        timeline.set_pace((10, 1));
        assert_eq!(timed(&mut timeline, &[40, 140, 240]), [0, 100, 200]);
        timeline.end_pass();
        assert_eq!(timed(&mut timeline, &[40, 140, 240]), [300, 400, 500]);
    }

    #[test]
    fn missing_and_backward_time_stamps_never_turn_time_back() {
        let mut timeline = Timeline::new(Gaps::Kept);
        assert_eq!(placed(&mut timeline, &[Some(0), None, Some(10), Some(500)]), [0, 40, 80, 500]);
    }

    #[test]
    fn pictures_without_times_follow_each_other_at_the_pace_that_is_said() {
        let mut timeline = Timeline::new(Gaps::Kept);
        assert_eq!(placed(&mut timeline, &[None, None, None]), [0, 40, 80]);
        timeline.set_pace((15, 1));
        assert_eq!(placed(&mut timeline, &[None, None]), [146, 213]);
        timeline.set_pace((0, 1));
        assert_eq!(placed(&mut timeline, &[None]), [253]);
    }

    #[test]
    fn a_gap_is_shortened_told_once_and_what_follows_keeps_its_distances() {
        let mut timeline = Timeline::new(Gaps::Shortened(ms(2_000)));
        assert_eq!(timed(&mut timeline, &[0, 40, 1_040]), [0, 40, 1_040]);
        assert_eq!(timeline.take_shortened(), None);
        assert_eq!(timed(&mut timeline, &[31_040]), [3_040]);
        assert_eq!(timeline.take_shortened(), Some(ms(30_000)));
        assert_eq!(timeline.take_shortened(), None);
        assert_eq!(timed(&mut timeline, &[31_080, 31_200]), [3_080, 3_200]);
        let mut kept = Timeline::new(Gaps::Kept);
        assert_eq!(timed(&mut kept, &[0, 30_000]), [0, 30_000]);
    }

    #[test]
    fn a_slow_pace_that_is_said_is_no_gap() {
        let mut timeline = Timeline::new(Gaps::Shortened(ms(2_000)));
        timeline.set_pace((1, 10));
        assert_eq!(timed(&mut timeline, &[0, 10_000, 20_000]), [0, 10_000, 20_000]);
        assert_eq!(timeline.take_shortened(), None);
        assert_eq!(timed(&mut timeline, &[90_000]), [40_000]);
    }

    #[test]
    fn times_that_start_over_in_the_middle_go_on() {
        let mut timeline = Timeline::new(Gaps::Shortened(ms(2_000)));
        assert_eq!(timed(&mut timeline, &[100_000, 100_500]), [0, 500]);
        assert_eq!(timed(&mut timeline, &[0, 500, 1_000]), [540, 1_040, 1_540]);
    }
}

//! Notices a wall clock that leapt ahead: of a machine without a battery, or by a wrong answer from the network.
//! What is deleted by its age waits then, since it may be years younger than it seems.

use std::time::Duration;

use nightjar_shared::time::UnixMillis;

/// Clocks are set right by seconds or minutes, and by an hour where somebody forgot summer time.
const LEAP_MIN: Duration = Duration::from_hours(12);
/// A relay that was off for so long may have been: what comes after it waits all the same.
const OFF_MAX: Duration = Duration::from_hours(7 * 24);
/// For an operator, or the network, to set the clock right.
const HELD_FOR: Duration = Duration::from_hours(24);

/// What was seen of the wall clock, beside one that only counts.
#[derive(Debug, Clone, Copy)]
pub struct Leaps {
    /// The wall clock, when the other one stood at the second.
    seen: (UnixMillis, Duration),
    held: Option<Held>,
    is_told: bool,
}

/// Why nothing is deleted by its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What the clock said before it leapt, as far as the time since is known.
    pub before: UnixMillis,
    /// When it was noticed, by the clock that only counts.
    since: Duration,
}

impl Held {
    fn is_over(&self, wall: UnixMillis, counted: Duration) -> bool {
        let passed = counted.saturating_sub(self.since);
        passed >= HELD_FOR || wall.since(self.before.plus(passed)) < LEAP_MIN
    }
}

impl Leaps {
    /// Begins with what the wall clock said before this process, if that is known.
    pub fn begin(before: Option<UnixMillis>, wall: UnixMillis, counted: Duration) -> Self {
        let held = before
            .filter(|before| wall.since(*before) > OFF_MAX)
            .map(|before| Held { before, since: counted });
        Self { seen: (wall, counted), held, is_told: false }
    }

    /// Looks at both clocks, and says whether what is deleted by its age has to wait.
    pub fn look(&mut self, wall: UnixMillis, counted: Duration) -> Option<Held> {
        let (last, at) = std::mem::replace(&mut self.seen, (wall, counted));
        let expected = last.plus(counted.saturating_sub(at));
        if wall.since(expected) > LEAP_MIN && self.held.is_none() {
            self.held = Some(Held { before: expected, since: counted });
            self.is_told = false;
        }
        self.held = self.held.filter(|held| !held.is_over(wall, counted));
        self.held
    }

    /// Returns, once for each leap, why what is deleted by its age waits.
    pub fn untold(&mut self) -> Option<Held> {
        self.held.filter(|_| !std::mem::replace(&mut self.is_told, true))
    }

    /// Returns what the wall clock said last that may be believed.
    pub fn believed(&self) -> UnixMillis {
        self.held.map_or(self.seen.0, |held| held.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(365 * 24);

    fn at(hours: u32) -> (UnixMillis, Duration) {
        (NOW.plus(HOUR * hours), HOUR * hours)
    }

    #[test]
    fn a_clock_that_goes_as_time_does_is_believed() {
        let mut leaps = Leaps::begin(Some(NOW.minus(HOUR)), NOW, Duration::ZERO);
        for hours in 0..10_000 {
            let (wall, counted) = at(hours);
            assert_eq!(leaps.look(wall, counted), None);
        }
        // Suspended for a week: a machine that slept does not count meanwhile.
        let (wall, counted) = at(10_001);
        assert_eq!(leaps.look(wall.plus(HOUR * 11), counted), None);
    }

    #[test]
    fn after_a_leap_deletions_wait_for_a_day_or_until_the_clock_is_set_right() {
        let mut leaps = Leaps::begin(None, NOW, Duration::ZERO);
        let (wall, counted) = at(1);
        let held = leaps.look(wall.plus(YEAR), counted).unwrap();
        assert_eq!(held.before, wall);
        assert_eq!((leaps.untold(), leaps.untold()), (Some(held), None));
        assert_eq!(leaps.believed(), wall);
        let mut set_right = leaps;
        let (wall, counted) = at(2);
        assert_eq!(set_right.look(wall, counted), None);
        assert_eq!(set_right.believed(), wall);
        for hours in 2..25 {
            let (wall, counted) = at(hours);
            assert!(leaps.look(wall.plus(YEAR), counted).is_some(), "{hours}");
        }
        let (wall, counted) = at(25);
        assert_eq!(leaps.look(wall.plus(YEAR), counted), None);
        assert_eq!(leaps.believed(), wall.plus(YEAR));
    }

    #[test]
    fn a_relay_that_was_off_for_long_waits_too_and_one_that_was_not_does_not() {
        let begin = |off| Leaps::begin(Some(NOW.minus(off)), NOW, Duration::ZERO).held;
        assert_eq!(begin(HOUR), None);
        assert_eq!(begin(OFF_MAX), None);
        assert!(begin(OFF_MAX + HOUR).is_some());
        assert_eq!(Leaps::begin(None, NOW, Duration::ZERO).held, None);
        // Back: what was written ahead of now says nothing of the time before.
        assert_eq!(Leaps::begin(Some(NOW.plus(YEAR)), NOW, Duration::ZERO).held, None);
    }
}

//! Day or night, by what the camera itself sees: when the infrared filter leaves its place and the lamp
//! burns. The lamp makes its own picture bright, so that brightness alone never ends a night: the camera
//! looks without it first. Pure.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// Darker than this it is dark. A picture's levels, 0 for black and 1 for white.
const DARK: f32 = 0.12;
/// With the sensor's gain at its end, this is dark, too: what is seen is noise.
const DARK_AT_FULL_GAIN: f32 = 0.30;
const FULL_GAIN: f32 = 0.85;
/// Brighter than this, with gain in hand, it may be day. Far from dark: the filter takes a good part of
/// the light when it is back.
const BRIGHT: f32 = 0.35;
const GAIN_IN_HAND: f32 = 0.5;
/// By how much a picture is brighter, or its gain less, where dawn comes and not noise.
const CLEARLY_MORE: f32 = 0.15;
/// Headlights and a hand before the lens pass sooner.
const DARK_FOR: Duration = Duration::from_secs(10);
const BRIGHT_FOR: Duration = Duration::from_secs(15);
/// After a switch the exposure finds its new place.
const SETTLES: Duration = Duration::from_secs(3);
/// How long is looked without the lamp.
const LOOKS: Duration = Duration::from_secs(6);
/// A day that was shorter was none: what seemed bright was bright with the filter away, or by its own
/// lamp.
const SHORTEST_DAY: Duration = Duration::from_mins(10);
/// After a look or a day that was none, the next waits for so long, and twice as long each time.
const FIRST_WAIT: Duration = Duration::from_mins(5);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What the camera sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Light {
    /// Mean level of the picture, 0.0 to 1.0, without what masks cover.
    pub brightness: f32,
    /// Share of the sensor's gain that is in use, where the driver tells.
    pub gain: Option<f32>,
}

impl Light {
    fn is_dark(self) -> bool {
        let gain_is_full = self.gain.is_some_and(|gain| gain >= FULL_GAIN);
        self.brightness < if gain_is_full { DARK_AT_FULL_GAIN } else { DARK }
    }

    fn is_bright(self) -> bool {
        self.brightness >= BRIGHT && self.gain.is_none_or(|gain| gain <= GAIN_IN_HAND)
    }

    /// Whether there is clearly more light than there was.
    fn outshines(self, before: Self) -> bool {
        let gains = self.gain.zip(before.gain);
        self.brightness >= before.brightness + CLEARLY_MORE
            || gains.is_some_and(|(now, before)| now + CLEARLY_MORE <= before)
    }
}

/// What is to be switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Infrared {
    /// The filter is before the sensor: colours are right.
    pub filter: bool,
    pub lamp: bool,
}

impl Infrared {
    pub const DAY: Self = Self { filter: true, lamp: false };
    pub const NIGHT: Self = Self { filter: false, lamp: true };
    /// Nothing burns while nobody is to be filmed.
    pub const PRIVATE: Self = Self { filter: true, lamp: false };
    const LOOK: Self = Self { filter: false, lamp: false };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Day,
    Night,
    /// The lamp is off for a moment, to see whether it is needed.
    Look,
}

/// Decides from one picture to the next.
#[derive(Debug)]
pub struct DayNight {
    has_lamp: bool,
    state: State,
    /// When it began, from the first picture on.
    since: Option<MonotonicNanos>,
    /// Since when what is seen speaks against the state.
    contrary_since: Option<MonotonicNanos>,
    /// Whether all that was seen during a look was bright.
    looks_bright: bool,
    /// What was seen when the night began, or the last look had failed.
    at_night: Option<Light>,
    wait: Duration,
    not_before: MonotonicNanos,
}

impl DayNight {
    /// Begins by day.
    pub fn new(has_lamp: bool) -> Self {
        Self {
            has_lamp,
            state: State::Day,
            since: None,
            contrary_since: None,
            looks_bright: true,
            at_night: None,
            wait: FIRST_WAIT,
            not_before: MonotonicNanos(0),
        }
    }

    pub fn is_night(&self) -> bool {
        self.state != State::Day
    }

    pub fn infrared(&self) -> Infrared {
        match self.state {
            State::Day => Infrared::DAY,
            State::Night => Infrared::NIGHT,
            State::Look => Infrared::LOOK,
        }
    }

    /// Takes in what is seen now; says what is to be switched.
    pub fn observe(&mut self, light: Light, now: MonotonicNanos) -> Infrared {
        let since = *self.since.get_or_insert(now);
        if now < since {
            self.enter(self.state, now);
        }
        let lasted = now.since(since);
        match self.state {
            State::Day if lasted >= SETTLES => {
                if self.persists(light.is_dark(), DARK_FOR, now) {
                    self.wait_longer(lasted < SHORTEST_DAY, now);
                    self.enter(State::Night, now);
                }
            }
            State::Night if lasted >= SETTLES => {
                let at_night = *self.at_night.get_or_insert(light);
                let bright = self.persists(light.is_bright(), BRIGHT_FOR, now);
                let dawns = light.outshines(at_night) && lasted >= FIRST_WAIT;
                if bright && (dawns || now >= self.not_before) {
                    self.enter(if self.has_lamp { State::Look } else { State::Day }, now);
                }
            }
            State::Look if lasted >= SETTLES => {
                self.looks_bright &= light.is_bright();
                if !self.looks_bright {
                    self.wait_longer(true, now);
                    self.enter(State::Night, now);
                } else if lasted >= LOOKS {
                    self.enter(State::Day, now);
                }
            }
            State::Day | State::Night | State::Look => {}
        }
        self.infrared()
    }

    fn enter(&mut self, state: State, now: MonotonicNanos) {
        (self.state, self.since) = (state, Some(now));
        (self.contrary_since, self.looks_bright, self.at_night) = (None, true, None);
    }

    /// Whether something has been seen for long enough without a break.
    fn persists(&mut self, is_seen: bool, long_enough: Duration, now: MonotonicNanos) -> bool {
        if !is_seen {
            self.contrary_since = None;
            return false;
        }
        now.since(*self.contrary_since.get_or_insert(now)) >= long_enough
    }

    fn wait_longer(&mut self, was_none: bool, now: MonotonicNanos) {
        if was_none {
            self.not_before = now.plus(self.wait);
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        } else {
            (self.wait, self.not_before) = (FIRST_WAIT, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;

    /// A place with a camera: what it sees of the daylight, and of its own lamp.
    struct Place {
        /// Light of sun and street, 0 to 1 and beyond: the picture is white at 1.
        outside: f32,
        /// What the lamp adds while the filter is away.
        own: f32,
        /// The driver tells the gain, and uses it: the picture is kept at middle grey.
        tells_gain: bool,
    }

    /// How much more the sensor makes of what there is.
    const GAIN_MOST: f32 = 16.0;

    impl Place {
        fn light(&self, infrared: Infrared) -> Light {
            let passed = if infrared.filter { 0.6 } else { 1.0 };
            let own = if infrared.lamp && !infrared.filter { self.own } else { 0.0 };
            let seen = self.outside * passed + own;
            if !self.tells_gain {
                return Light { brightness: seen.min(1.0), gain: None };
            }
            let gain = (0.45 / seen.max(0.001)).clamp(1.0, GAIN_MOST);
            let share = (gain - 1.0) / (GAIN_MOST - 1.0);
            Light { brightness: (seen * gain).min(1.0), gain: Some(share) }
        }
    }

    /// Runs for so many seconds; gives how often day and night changed, and how often the lamp was switched.
    fn run(rule: &mut DayNight, place: &Place, from_s: u64, seconds: u64) -> (u32, u32) {
        let (mut changes, mut lamp) = (0, 0);
        for second in from_s..from_s + seconds {
            let before = (rule.is_night(), rule.infrared().lamp);
            let light = place.light(rule.infrared());
            rule.observe(light, MonotonicNanos(second * 1_000_000_000));
            changes += u32::from(rule.is_night() != before.0);
            lamp += u32::from(rule.infrared().lamp != before.1);
        }
        (changes, lamp)
    }

    const HOUR: u64 = 3_600;

    #[test]
    fn a_night_under_its_own_lamp_is_one_night() {
        for tells_gain in [false, true] {
            for own in [0.05, 0.3, 0.6, 0.95] {
                let place = Place { outside: 0.01, own, tells_gain };
                let mut rule = DayNight::new(true);
                let (changes, lamp) = run(&mut rule, &place, 0, 12 * HOUR);
                assert_eq!(changes, 1, "own {own}, gain {tells_gain}");
                // It looks after 5 minutes, then after 10, 20, 40, and once an hour.
                assert!(lamp <= 1 + 2 * 15, "own {own}, gain {tells_gain}: {lamp}");
            }
        }
    }

    #[test]
    fn dusk_and_dawn_are_one_change_each_however_slow_they_are() {
        for tells_gain in [false, true] {
            for has_lamp in [false, true] {
                let mut rule = DayNight::new(has_lamp);
                let (mut changes, mut at) = (0, 0);
                // From noon to midnight and back, in steps of a minute; the logarithm of the light falls.
                for minute in 0..12 * 60_u16 {
                    let from_noon = f32::from(minute.min(720 - minute)) / 360.0;
                    let outside = 0.8 * (-9.0 * from_noon).exp();
                    let own = if has_lamp { 0.5 } else { 0.0 };
                    let place = Place { outside, own, tells_gain };
                    changes += run(&mut rule, &place, at, 60).0;
                    at += 60;
                }
                assert_eq!(changes, 2, "gain {tells_gain}, lamp {has_lamp}");
                assert!(!rule.is_night());
            }
        }
    }

    #[test]
    fn infrared_of_others_that_the_filter_takes_away_does_not_make_it_flap() {
        // Bright with the filter away, dark with it.
        let mut rule = DayNight::new(false);
        let mut changes = 0;
        for second in 0..12 * HOUR {
            let before = rule.is_night();
            let brightness = if rule.infrared().filter { 0.02 } else { 0.5 };
            rule.observe(Light { brightness, gain: None }, MonotonicNanos(second * 1_000_000_000));
            changes += u32::from(rule.is_night() != before);
        }
        assert!(changes <= 1 + 2 * 16, "{changes} changes in twelve hours");
    }

    #[test]
    fn headlights_and_a_hand_before_the_lens_are_no_day_and_no_night() {
        let mut rule = DayNight::new(true);
        let at = |second: u64| MonotonicNanos(second * 1_000_000_000);
        for second in 0..600 {
            let brightness = if second % 60 < 8 { 0.0 } else { 0.5 };
            rule.observe(Light { brightness, gain: None }, at(second));
            assert!(!rule.is_night(), "a hand, after {second} s");
        }
        for second in 600..700 {
            rule.observe(Light { brightness: 0.02, gain: None }, at(second));
        }
        assert!(rule.is_night());
        for second in 700..2_000 {
            let brightness = if second % 60 < 12 { 0.9 } else { 0.2 };
            assert!(rule.observe(Light { brightness, gain: None }, at(second)).lamp, "{second} s");
        }
    }

    #[test]
    fn whatever_the_light_does_it_changes_a_few_times_an_hour_and_time_may_run_backwards() {
        for seed in 0..50 {
            let mut chance = Seeded::new(seed);
            for (has_lamp, tells_gain) in [(true, false), (false, false), (true, true)] {
                let mut rule = DayNight::new(has_lamp);
                let (mut changes, mut outside) = (0, 0.5);
                for second in 0..12 * HOUR {
                    // An adversary with a lamp of his own.
                    if chance.below(30) == 0 {
                        outside = [0.0, 0.01, 0.1, 0.4, 0.9][chance.index(5)];
                    }
                    let own = if has_lamp { 0.5 } else { 0.0 };
                    let place = Place { outside, own, tells_gain };
                    changes += run(&mut rule, &place, second, 1).0;
                }
                assert!(changes <= 12 * 24, "seed {seed}: {changes} changes");
                rule.observe(Light { brightness: 0.5, gain: None }, MonotonicNanos(0));
            }
        }
    }
}

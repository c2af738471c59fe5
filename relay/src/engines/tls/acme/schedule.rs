//! When the next attempt at a certificate is due: before the end of the one there is, and after a failure with
//! growing waits.

use std::time::Duration;

use nightjar_shared::time::UnixMillis;

use super::{super::pair::PublicCertificate, renewal::Window};

/// Failures within an hour stay below what Let's Encrypt takes of a name (five).
const WAIT_FIRST: Duration = Duration::from_mins(4);
const WAIT_MAX: Duration = Duration::from_hours(6);
/// A server that says a year does not know better.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(48);
/// A certificate is renewed when so much of its life is left; Let's Encrypt asks for a third.
const LEFT: u32 = 3;
/// And so much of its life earlier, by chance: not all relays that began together come together.
const SPREAD: u32 = 30;
/// A server may wish for a later day, as long as so much of the life is left then.
const LEFT_AT_LEAST: u32 = 6;
/// And for an earlier one, but not for one order after the other.
const HAD_FOR_MIN: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, Default)]
pub(super) struct Schedule {
    next_at: UnixMillis,
    failures: usize,
    /// When the certificate was had, where that was since the start.
    had_at: UnixMillis,
    latest_at: UnixMillis,
}

impl Schedule {
    /// Says whether an attempt is due. One that was put off for longer than anything ever is was put off by a
    /// clock that was ahead, and has been set right since.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        now >= self.next_at || self.failures > 0 && self.next_at.since(now) > RETRY_AFTER_MAX
    }

    pub(super) fn next_at(&self) -> UnixMillis {
        self.next_at
    }

    /// Counts those since the last success.
    pub(super) fn failures(&self) -> usize {
        self.failures
    }

    /// Makes the schedule of a certificate that was had before: it may be due.
    pub(super) fn of(certificate: &PublicCertificate) -> Self {
        let (from, until) = (certificate.not_before, certificate.not_after);
        Self {
            next_at: renew_at(from, until, chance()),
            latest_at: latest_at(from, until),
            ..Self::default()
        }
    }

    /// Renews at a time that suits the server: any moment of its window, or now where that has passed.
    pub(super) fn follow(&mut self, window: Window, now: UnixMillis) {
        self.follow_about(window, now, chance());
    }

    fn follow_about(&mut self, window: Window, now: UnixMillis, chance: f64) {
        let wished = window.start.plus(window.end.since(window.start).mul_f64(chance));
        self.next_at = wished.min(self.latest_at).max(self.had_at.plus(HAD_FOR_MIN)).max(now);
    }

    /// Notes that a certificate was had just now.
    pub(super) fn renewed(&mut self, certificate: &PublicCertificate, now: UnixMillis) {
        self.renew(certificate.not_before, certificate.not_after, now, chance());
    }

    pub(super) fn wait(&mut self, now: UnixMillis, retry_after: Option<Duration>) {
        self.wait_about(now, retry_after, chance());
    }

    /// `chance` is between 0 and 1.
    fn renew(&mut self, from: UnixMillis, until: UnixMillis, now: UnixMillis, chance: f64) {
        let renew_at = renew_at(from, until, chance);
        (self.had_at, self.latest_at) = (now, latest_at(from, until));
        if renew_at > now {
            (self.next_at, self.failures) = (renew_at, 0);
        } else {
            // Had just now and due already: one of the clocks is wrong, and asking for ever does not help.
            self.wait_about(now, None, chance);
        }
    }

    fn wait_about(&mut self, now: UnixMillis, retry_after: Option<Duration>, chance: f64) {
        let doublings = u32::try_from(self.failures).unwrap_or(u32::MAX).min(16);
        let wait = WAIT_FIRST.saturating_mul(1 << doublings).min(WAIT_MAX);
        // A quarter less to a quarter more.
        let wait = wait.mul_f64(0.75 + chance / 2.0);
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        self.next_at = now.plus(wait.max(asked));
        self.failures = self.failures.saturating_add(1);
    }
}

fn renew_at(from: UnixMillis, until: UnixMillis, chance: f64) -> UnixMillis {
    let life = until.since(from);
    until.minus(life / LEFT + (life / SPREAD).mul_f64(chance))
}

fn latest_at(from: UnixMillis, until: UnixMillis) -> UnixMillis {
    until.minus(until.since(from) / LEFT_AT_LEAST)
}

/// Draws a number from 0 to 1; one half where the system gives no randomness.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_certificate_is_renewed_when_a_third_of_its_life_is_left_or_a_little_earlier() {
        for (chance, days) in [(0.0, 60), (1.0, 57)] {
            let mut schedule = Schedule::default();
            schedule.renew(NOW, NOW.plus(DAY * 90), NOW, chance);
            assert!(!schedule.is_due(NOW.plus(DAY * days).minus(Duration::from_secs(1))));
            assert!(schedule.is_due(NOW.plus(DAY * days)));
        }
    }

    #[test]
    fn without_one_it_is_due_at_once_and_failures_wait_longer_and_longer() {
        let mut schedule = Schedule::default();
        assert!(schedule.is_due(NOW));
        let mut waits = Vec::new();
        for _ in 0..40 {
            schedule.wait_about(NOW, None, 0.5);
            waits.push(schedule.next_at().since(NOW));
        }
        assert_eq!(waits[0], WAIT_FIRST);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits[39], WAIT_MAX);
        let in_an_hour = waits.iter().scan(Duration::ZERO, |sum, wait| {
            *sum += *wait;
            Some(*sum)
        });
        assert!(in_an_hour.take_while(|sum| *sum < Duration::from_hours(1)).count() < 5);
    }

    #[test]
    fn what_the_server_asks_for_counts_and_a_year_does_not() {
        let mut schedule = Schedule::default();
        schedule.wait_about(NOW, Some(Duration::from_hours(3)), 0.0);
        assert_eq!(schedule.next_at(), NOW.plus(Duration::from_hours(3)));
        schedule.wait_about(NOW, Some(DAY * 365), 0.0);
        assert_eq!(schedule.next_at(), NOW.plus(RETRY_AFTER_MAX));
    }

    #[test]
    fn a_clock_that_was_ahead_at_a_failure_holds_nothing_up() {
        let mut schedule = Schedule::default();
        schedule.wait_about(NOW.plus(DAY * 3_650), Some(RETRY_AFTER_MAX), 1.0);
        assert!(schedule.is_due(NOW));
        schedule.wait_about(NOW, Some(RETRY_AFTER_MAX), 1.0);
        assert!(!schedule.is_due(NOW));
    }

    #[test]
    fn a_new_certificate_that_is_due_already_is_not_asked_for_again_at_once() {
        let mut schedule = Schedule::default();
        schedule.renew(NOW.minus(DAY * 80), NOW.plus(DAY * 10), NOW, 0.0);
        assert!(!schedule.is_due(NOW.plus(Duration::from_mins(2))));
        assert_eq!(schedule.failures(), 1);
    }

    #[test]
    fn the_server_s_wish_is_followed_within_bounds() {
        let days = |days: u32| NOW.plus(DAY * days);
        let mut schedule = Schedule::default();
        schedule.renew(NOW, days(90), NOW, 0.0);
        let mut wish = |start, end, now, chance| {
            schedule.follow_about(Window { start, end }, now, chance);
            schedule.next_at()
        };
        assert_eq!(wish(days(40), days(50), days(1), 0.5), days(45));
        assert_eq!(
            wish(days(70), days(72), days(1), 0.0),
            days(70),
            "later than a third before its end"
        );
        assert_eq!(
            wish(days(200), days(300), days(1), 0.5),
            days(75),
            "a sixth of its life is left"
        );
        assert_eq!(wish(NOW.minus(DAY), NOW, days(1), 0.5), days(1), "it is going to be revoked");
        assert_eq!(
            wish(NOW.minus(DAY), NOW, NOW, 0.5),
            NOW.plus(HAD_FOR_MIN),
            "it was had just now"
        );
    }
}

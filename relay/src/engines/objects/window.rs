//! For how long an address by which an object is read is good. Pure.

use std::time::Duration;

use nightjar_shared::time::UnixMillis;

use super::PLAYBACK_EXPIRY_MAX;

/// For so long the address of an object stays the same, so that browsers find it in their caches.
/// Half of what an address may last: it is good for the other half at least.
const STEP: Duration = Duration::from_secs(150);

/// When addresses are signed, and for how long. Those that are given out in the same step, for as
/// long, are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadWindow {
    pub(super) signed_at: UnixMillis,
    /// Whole seconds, as signatures have them.
    pub(super) expires_in: Duration,
}

impl ReadWindow {
    /// Makes the window of addresses that are given out at `now`, by the store's clock, and end
    /// within `lifetime` and [`PLAYBACK_EXPIRY_MAX`].
    pub fn new(now: UnixMillis, lifetime: Duration) -> Self {
        let step_ms = i64::try_from(STEP.as_millis()).unwrap_or(1);
        let signed_at = UnixMillis(now.0.div_euclid(step_ms).saturating_mul(step_ms));
        let end = now.plus(lifetime).min(signed_at.plus(PLAYBACK_EXPIRY_MAX));
        Self { signed_at, expires_in: Duration::from_secs(end.since(signed_at).as_secs()) }
    }

    /// Makes the window of addresses that nobody asks for again, like those of a playlist: good for
    /// as long as addresses may be, and equal to no others.
    pub fn whole(now: UnixMillis, lifetime: Duration) -> Self {
        // The beginning of this second: signatures have whole ones.
        let signed_at = UnixMillis(now.0.div_euclid(1_000).saturating_mul(1_000));
        let end = now.plus(lifetime.min(PLAYBACK_EXPIRY_MAX));
        Self { signed_at, expires_in: Duration::from_secs(end.since(signed_at).as_secs()) }
    }

    /// Returns for how long the addresses are still good at `now`.
    pub fn left(&self, now: UnixMillis) -> Duration {
        self.signed_at.plus(self.expires_in).since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE_MINUTES: Duration = Duration::from_mins(5);

    #[test]
    fn an_address_stays_the_same_for_a_step_and_lasts_between_one_and_two() {
        let start = 1_796_040_000_000;
        for after_ms in (0..600_000).step_by(7_919) {
            let now = UnixMillis(start + after_ms);
            let window = ReadWindow::new(now, FIVE_MINUTES);
            let first = UnixMillis(now.0 - now.0.rem_euclid(150_000));
            assert_eq!(window, ReadWindow::new(first, FIVE_MINUTES));
            let left = window.left(now);
            assert!(left > STEP && left <= FIVE_MINUTES, "{left:?}");
        }
    }

    #[test]
    fn no_address_outlives_what_it_is_given_out_for() {
        for (now_ms, lifetime_s) in [(1_796_040_149_999, 1), (1_796_040_000_000, 20), (7, 0)] {
            let (now, lifetime) = (UnixMillis(now_ms), Duration::from_secs(lifetime_s));
            let left = ReadWindow::new(now, lifetime).left(now);
            assert!(left <= lifetime, "{left:?} of {lifetime:?}");
        }
        let now = UnixMillis(1_796_040_149_999);
        for window in [ReadWindow::new, ReadWindow::whole] {
            let left = window(now, Duration::from_hours(1)).left(now);
            assert!(left <= FIVE_MINUTES, "{left:?}");
            assert!(window(now, Duration::from_secs(9)).left(now) <= Duration::from_secs(9));
        }
    }

    #[test]
    fn what_is_asked_for_once_is_good_for_all_of_the_time() {
        let now = UnixMillis(1_796_040_149_999);
        let left = ReadWindow::whole(now, FIVE_MINUTES).left(now);
        assert!(left > Duration::from_secs(299), "{left:?}");
    }
}

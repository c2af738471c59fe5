//! How long to wait before the next try: growing, and random, so that a fleet that lost its
//! relay does not come back as one.

use std::time::Duration;

/// Full jitter: a delay is drawn evenly between the floor and a ceiling that doubles with each
/// try.
#[derive(Debug, Clone)]
pub struct Backoff {
    floor: Duration,
    ceiling: Duration,
    tries: u32,
}

impl Backoff {
    pub fn new(floor: Duration, ceiling: Duration) -> Self {
        Self { floor, ceiling, tries: 0 }
    }

    /// The delay before the next try. `chance` is random, 0.0 to 1.0.
    pub fn next_delay(&mut self, chance: f64) -> Duration {
        self.tries = self.tries.saturating_add(1);
        let doubled = self.floor.saturating_mul(2_u32.saturating_pow(self.tries.min(20)));
        let spread = doubled.min(self.ceiling).saturating_sub(self.floor);
        self.floor + spread.mul_f64(chance.clamp(0.0, 1.0))
    }

    /// After a success that lasted.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_ceiling_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        let longest: Vec<_> = (0..8).map(|_| backoff.next_delay(1.0).as_millis()).collect();
        assert_eq!(longest, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(backoff.next_delay(0.0), Duration::from_millis(500));
        backoff.reset();
        assert_eq!(backoff.next_delay(1.0), Duration::from_secs(1));
    }

    #[test]
    fn a_year_of_tries_does_not_overflow() {
        let mut backoff = Backoff {
            tries: u32::MAX,
            ..Backoff::new(Duration::from_secs(1), Duration::from_mins(5))
        };
        assert_eq!(backoff.next_delay(1.0), Duration::from_mins(5));
    }
}

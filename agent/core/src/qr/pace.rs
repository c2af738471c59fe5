//! When an unpaired camera looks for a QR code.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// Some two looks a second: who holds a code in front of a lens waits for three seconds gladly.
const SHORTEST: Duration = Duration::from_millis(400);
/// A look is followed by a pause of so many times what it took, so that looking takes less than a tenth
/// of one processor on whatever board.
const PAUSE: u32 = 11;

/// Says when the next look is due.
#[derive(Debug, Default)]
pub struct Pace {
    due: MonotonicNanos,
}

impl Pace {
    /// Returns how long to wait.
    pub fn wait(&self, now: MonotonicNanos) -> Duration {
        self.due.since(now)
    }

    /// Notes a look.
    pub fn looked(&mut self, began: MonotonicNanos, ended: MonotonicNanos) {
        let took = ended.since(began);
        self.due = began.plus(SHORTEST).max(ended.plus(took.saturating_mul(PAUSE)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_board_looks_less_often_and_never_for_more_than_a_tenth_of_the_time() {
        let at = |ms: u64| MonotonicNanos(ms * 1_000_000);
        let mut pace = Pace::default();
        assert_eq!(pace.wait(at(5)), Duration::ZERO);
        pace.looked(at(1_000), at(1_010));
        assert_eq!(pace.wait(at(1_010)), Duration::from_millis(390));
        pace.looked(at(2_000), at(2_200));
        assert_eq!(pace.wait(at(2_200)), Duration::from_millis(2_200));
    }
}

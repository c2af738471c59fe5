//! Whether a source gives as many pictures as it says. A pure core.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// Pictures are counted for so long.
const COUNTED_FOR: Duration = Duration::from_secs(10);

/// Cameras slow down in the dark, to half at times; what is further off was never true.
const OFF: f64 = 1.8;

/// Counts the pictures of one source, and speaks once.
#[derive(Debug, Default)]
pub struct PaceCheck {
    began: Option<MonotonicNanos>,
    pictures: u32,
    done: bool,
}

impl PaceCheck {
    /// Counts a picture. Gives the true pace when it is clear that `told` is far from it.
    pub fn see(&mut self, told: f64, at: MonotonicNanos) -> Option<f64> {
        if self.done {
            return None;
        }
        let began = *self.began.get_or_insert(at);
        let passed = at.since(began);
        if passed < COUNTED_FOR {
            self.pictures += 1;
            return None;
        }
        self.done = true;
        let pace = f64::from(self.pictures) / passed.as_secs_f64();
        (told > pace * OFF || pace > told * OFF).then_some(pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(told: f64, interval_ms: u64) -> Vec<f64> {
        let mut check = PaceCheck::default();
        let times = (0..1_000).map(|number| MonotonicNanos(number * interval_ms * 1_000_000));
        times.filter_map(|at| check.see(told, at)).collect()
    }

    #[test]
    fn a_pace_that_is_far_from_true_is_told_once_and_one_that_is_about_true_never() {
        assert!(measured(25.0, 40).is_empty());
        assert!(measured(30.0, 40).is_empty());
        assert!(measured(25.0, 70).is_empty(), "in the dark");
        let [slow] = measured(30.0, 200)[..] else { panic!("once") };
        assert!((4.5..5.5).contains(&slow), "{slow}");
        let [fast] = measured(5.0, 40)[..] else { panic!("once") };
        assert!((24.0..26.0).contains(&fast), "{fast}");
    }
}

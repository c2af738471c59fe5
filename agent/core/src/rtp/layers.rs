//! Which of the two layers each viewer gets, and how many bits the main one has. A pure core.
//!
//! The main layer follows the best-served group: the viewers whose paths carry about as much as
//! the best one's. Who is outside gets the low layer, instead of lowering everybody's picture.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{monotonic::MonotonicNanos, picture::Layer};

/// Whose path carries at least this share of the best one's belongs to the group.
const GROUP: f64 = 0.6;

/// Of an estimate, what pictures may take: the rest is for retransmissions and key frames.
const USABLE: f64 = 0.85;

/// A viewer on the low layer must be able to carry this much more than the main one needs.
const HEADROOM: f64 = 1.3;

/// The main layer's bitrate changes when the difference is at least this share.
const WORTH_IT: f64 = 0.1;

/// After a change to the low layer a viewer stays there for so long, and after each further one
/// for twice as long: a path that only looks wide would make the picture jump.
const SHORTEST_STAY: Duration = Duration::from_secs(5);
const LONGEST_STAY: Duration = Duration::from_mins(1);

/// A path that carried the main layer for this long is trusted as before.
const PROVEN_AFTER: Duration = Duration::from_secs(30);

/// Within what the main layer's bitrate may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    pub least_kbps: u32,
    pub most_kbps: u32,
}

impl Default for Bounds {
    /// None.
    fn default() -> Self {
        Self { least_kbps: 0, most_kbps: 100_000 }
    }
}

/// The main layer's bitrate for paths that carry so much, each in kbit/s.
pub fn main_kbps(estimates: impl Iterator<Item = u32> + Clone, bounds: Bounds) -> u32 {
    let enough = f64::from(bounds.most_kbps) / USABLE;
    // What a path carries beyond the most that is ever sent makes nobody better served.
    let carried = estimates.map(|kbps| f64::from(kbps).min(enough));
    let Some(best) = carried.clone().max_by(f64::total_cmp) else { return bounds.most_kbps };
    let in_group = carried.filter(|kbps| *kbps >= best * GROUP);
    let Some(least) = in_group.min_by(f64::total_cmp) else { return bounds.most_kbps };
    whole(least * USABLE).clamp(bounds.least_kbps.min(bounds.most_kbps), bounds.most_kbps)
}

/// Whether an encoder that makes `current` is to be told of `wanted`.
pub fn is_worth_it(current: u32, wanted: u32) -> bool {
    f64::from(current.abs_diff(wanted)) >= f64::from(current) * WORTH_IT
}

/// One viewer's layer, with the patience that keeps it from jumping.
#[derive(Debug)]
pub struct LayerChoice {
    layer: Layer,
    since: MonotonicNanos,
    stay: Duration,
}

impl LayerChoice {
    pub fn new(now: MonotonicNanos) -> Self {
        Self { layer: Layer::Main, since: now, stay: SHORTEST_STAY }
    }

    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// When it was decided on.
    pub fn since(&self) -> MonotonicNanos {
        self.since
    }

    /// Which layer a path that carries `estimate_kbps` is to get now.
    pub fn decide(&mut self, estimate_kbps: u32, main_kbps: u32, now: MonotonicNanos) -> Layer {
        let (estimate, main) = (f64::from(estimate_kbps), f64::from(main_kbps));
        let stayed = now.since(self.since);
        match self.layer {
            Layer::Main if estimate * USABLE < main * (1.0 - WORTH_IT) => {
                if stayed >= PROVEN_AFTER {
                    self.stay = SHORTEST_STAY;
                }
                self.change(Layer::Low, now);
            }
            Layer::Low if estimate >= main * HEADROOM && stayed >= self.stay => {
                self.stay = (self.stay * 2).min(LONGEST_STAY);
                self.change(Layer::Main, now);
            }
            Layer::Main | Layer::Low => {}
        }
        self.layer
    }

    fn change(&mut self, layer: Layer, now: MonotonicNanos) {
        self.layer = layer;
        self.since = now;
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
fn whole(kbps: f64) -> u32 {
    kbps as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { least_kbps: 500, most_kbps: 2_000 };

    fn at(second: u64) -> MonotonicNanos {
        MonotonicNanos(second * 1_000_000_000)
    }

    fn main_for(estimates: &[u32]) -> u32 {
        main_kbps(estimates.iter().copied(), BOUNDS)
    }

    #[test]
    fn without_viewers_or_with_good_paths_nothing_is_saved() {
        assert_eq!(main_for(&[]), 2_000);
        assert_eq!(main_for(&[50_000, 9_000, 2_500]), 2_000);
    }

    #[test]
    fn one_bad_path_lowers_nobody_elses_picture() {
        assert_eq!(main_for(&[50_000, 340]), 2_000);
        assert_eq!(main_for(&[50_000, 1_000]), 2_000);
    }

    #[test]
    fn the_main_layer_follows_the_weakest_of_the_best_served_group() {
        assert_eq!(main_for(&[1_000]), 850);
        assert_eq!(main_for(&[1_000, 800, 300]), 680);
        assert_eq!(main_for(&[50_000, 2_000]), 1_700);
    }

    #[test]
    fn the_bounds_hold() {
        assert_eq!(main_for(&[100]), 500);
        let upside_down = Bounds { least_kbps: 900, most_kbps: 400 };
        assert_eq!(main_kbps([100].into_iter(), upside_down), 400);
    }

    #[test]
    fn small_changes_are_not_worth_it() {
        assert!(!is_worth_it(2_000, 1_900));
        assert!(is_worth_it(2_000, 1_700) && is_worth_it(500, 560));
    }

    #[test]
    fn a_narrow_path_gets_the_low_layer_at_once_and_the_main_one_after_a_stay() {
        let mut choice = LayerChoice::new(at(0));
        assert_eq!(choice.decide(5_000, 2_000, at(1)), Layer::Main);
        assert_eq!(choice.decide(340, 2_000, at(2)), Layer::Low);
        assert_eq!(choice.decide(5_000, 2_000, at(3)), Layer::Low, "too soon");
        assert_eq!(choice.decide(2_200, 2_000, at(9)), Layer::Low, "too little to spare");
        assert_eq!(choice.decide(2_700, 2_000, at(9)), Layer::Main);
    }

    #[test]
    fn each_change_in_vain_makes_the_next_one_wait_longer() {
        let mut choice = LayerChoice::new(at(0));
        let mut waited = Vec::new();
        let mut second = 1;
        for _ in 0..6 {
            assert_eq!(choice.decide(300, 2_000, at(second)), Layer::Low);
            let begin = second;
            while choice.decide(9_000, 2_000, at(second)) == Layer::Low {
                second += 1;
            }
            waited.push(second - begin);
            second += 2;
        }
        assert_eq!(waited, [5, 10, 20, 40, 60, 60]);
        assert_eq!(choice.decide(300, 2_000, at(second + 30)), Layer::Low);
        assert_eq!(choice.decide(9_000, 2_000, at(second + 35)), Layer::Main, "it was proven");
    }

    #[test]
    fn a_path_between_two_thresholds_keeps_its_layer() {
        let mut choice = LayerChoice::new(at(0));
        for second in 0..100 {
            assert_eq!(choice.decide(2_200, 2_000, at(second)), Layer::Main);
        }
        choice.decide(1_000, 2_000, at(100));
        for second in 101..300 {
            assert_eq!(choice.decide(2_200, 2_000, at(second)), Layer::Low);
        }
    }
}

//! The randomness of delays.

/// A random number, 0.0 to 1.0. Without randomness, half: backing off must not fail.
pub(crate) fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

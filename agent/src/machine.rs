//! What the agent takes from the machine besides time: threads for work that blocks, and chance.
//!
//! A simulation of cameras has one thread, and everything that happens on it comes from a seed: there
//! work that blocks is done by the task that asks for it, and chance is drawn from the seed.

use std::cell::Cell;

use tokio::task::{JoinError, spawn_blocking, yield_now};

thread_local! {
    /// None where nothing is simulated. The state of a xorshift generator, never zero.
    static SIMULATED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Has all tasks of this thread do themselves what blocks, and draw chance from `seed`.
pub fn simulate(seed: u64) {
    SIMULATED.set(Some(seed | 1));
}

/// Does work that blocks. Fails when it panics, and when the runtime stops before it begins.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if SIMULATED.get().is_some() {
        // Other tasks go on meanwhile, as they do while a thread works.
        yield_now().await;
        return Ok(work());
    }
    spawn_blocking(work).await
}

/// Draws a random number, 0.0 to 1.0. Without randomness, half: backing off must not fail.
pub(crate) fn chance() -> f64 {
    let random = match SIMULATED.get() {
        Some(state) => Some(draw(state)),
        None => getrandom::u32().ok(),
    };
    random.map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

fn draw(mut state: u64) -> u32 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    SIMULATED.set(Some(state));
    u32::try_from(state >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_chances_again_on_its_thread() {
        let drawn = |seed| {
            std::thread::spawn(move || {
                simulate(seed);
                [(); 3].map(|()| chance().to_bits())
            })
            .join()
            .unwrap()
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert_eq!(SIMULATED.get(), None, "other threads are not simulated");
    }
}

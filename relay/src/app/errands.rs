//! What is done after an answer, so that how long it takes tells the caller nothing.

use std::{future::Future, sync::Arc};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::error::{Error, ProblemCode, Result};

/// Errands at a time, waiting ones included. Whoever brings one more is told to come back.
const ERRANDS_MAX: usize = 64;
/// Of these, so many are run at once: others are served meanwhile.
const AT_ONCE: usize = 2;

/// The errands that are under way.
pub struct Errands {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Errands {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(ERRANDS_MAX)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Errands {
    /// Takes an errand, which `tracker` joins at the end.
    pub fn take(
        &self,
        tracker: &TaskTracker,
        errand: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(Error::unavailable(ProblemCode::Busy, "Too many at once; try again."));
        };
        let turns = self.turns.clone();
        let turn = async move {
            let _place = place;
            if let Ok(_turn) = turns.acquire_owned().await {
                errand.await;
            }
        };
        tracker.spawn(turn.in_current_span());
        Ok(())
    }
}

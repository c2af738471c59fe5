//! What metrics say that must be looked for, as it was found last: many may ask at once, and each look
//! asks the database.

use std::{
    sync::{Mutex as PlainMutex, PoisonError},
    time::Duration,
};

use nightjar_shared::time::UnixMillis;
use tokio::sync::Mutex;

/// Scrapers come every 15 s or more.
const KEPT: Duration = Duration::from_secs(5);

/// The last text. Who asks while another looks gets what that one finds.
#[derive(Default)]
pub struct LastScrape {
    text: Mutex<Option<(UnixMillis, String)>>,
    clips: PlainMutex<Option<(UnixMillis, Clips)>>,
}

/// Clips, and their bytes.
type Clips = (u64, u64);

impl LastScrape {
    pub(crate) async fn get(&self, now: UnixMillis, look: impl Future<Output = String>) -> String {
        let mut last = self.text.lock().await;
        // A clock that was set back looks anew.
        let fresh = last.as_ref().filter(|(at, _)| *at <= now && now.since(*at) < KEPT);
        if let Some((_, found)) = fresh {
            return found.clone();
        }
        let found = look.await;
        *last = Some((now, found.clone()));
        found
    }

    /// Returns what all clips are in sum, if it was found within `age`.
    pub(crate) fn clips(&self, now: UnixMillis, age: Duration) -> Option<Clips> {
        let known = *self.clips.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|(at, _)| *at <= now && now.since(*at) < age).map(|(_, clips)| clips)
    }

    pub(crate) fn note_clips(&self, now: UnixMillis, clips: Clips) {
        *self.clips.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, clips));
    }
}

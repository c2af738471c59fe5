//! Whether the parts are ready, as it was found within the last second: strangers may ask, and each
//! look writes a file and asks the database.

use std::time::Duration;

use nightjar_shared::time::UnixMillis;
use tokio::sync::Mutex;

const KEPT: Duration = Duration::from_secs(1);

/// Which parts can do their work.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    pub database: bool,
    pub broker: bool,
    pub store: bool,
}

/// The last answer. Who asks while another looks gets what that one finds.
#[derive(Default)]
pub struct LastReadiness(Mutex<Option<(UnixMillis, Readiness)>>);

impl LastReadiness {
    pub(crate) async fn get(
        &self,
        now: UnixMillis,
        look: impl Future<Output = Readiness>,
    ) -> Readiness {
        let mut last = self.0.lock().await;
        // A clock that was set back looks anew.
        let fresh = last.filter(|(at, _)| *at <= now && now.since(*at) < KEPT);
        if let Some((_, found)) = fresh {
            return found;
        }
        let found = look.await;
        *last = Some((now, found));
        found
    }
}

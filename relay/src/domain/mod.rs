//! The domain decides: who may do what, and what becomes of it. It knows no HTTP and no MQTT.

pub mod cameras;
pub mod commands;
pub mod events;
pub mod live;

use nightjar_shared::time::UnixMillis;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{clock::Clock, config::Config, engines::db::Db};

/// All that the domain works with: the configuration, the engines, and the little that is kept
/// in memory. Shared as `Arc<App>`.
pub struct App {
    /// With the ports that were really bound in its public URLs.
    pub config: Config,
    pub clock: Clock,
    pub db: Db,
    /// This process's name below `up/signal/`.
    pub replica: String,
    pub tracker: TaskTracker,
    pub cancel: CancellationToken,
}

impl App {
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }
}

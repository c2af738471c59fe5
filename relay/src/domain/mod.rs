//! The domain decides: who may do what, and what becomes of it. It knows no HTTP and no MQTT.

mod abandoned;
pub mod access;
pub mod accounts;
pub mod cameras;
pub mod clips;
pub mod commands;
pub mod devices;
pub mod events;
pub mod jobs;
pub mod limits;
pub mod live;
mod page;
pub mod pairings;
pub mod passwords;
pub mod playback;
mod presence;
mod secrets;
pub mod shares;
pub mod sites;
mod text;
pub mod timeline;
mod updates;
pub mod uploads;

use std::future::Future;

use nightjar_shared::{
    ids::{AccountId, SiteId},
    time::UnixMillis,
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::page::{List, PageRequest};
use crate::{
    clock::Clock,
    config::Config,
    engines::{
        broker::Broker,
        db::{Db, Executor, audit},
        metrics::Metrics,
        objects::Objects,
        realtime::Realtime,
        tls::Certificates,
        turn::Turn,
    },
    error::Result,
};

/// All that the domain works with: the configuration, the engines, and the little that is kept
/// in memory. Shared as `Arc<App>`.
pub struct App {
    /// With the ports that were really bound in its public URLs.
    pub config: Config,
    pub clock: Clock,
    /// When this process began.
    pub started_at: UnixMillis,
    pub db: Db,
    pub broker: Broker,
    pub objects: Objects,
    pub realtime: Realtime,
    pub metrics: Metrics,
    pub certificates: Certificates,
    pub passwords: passwords::Hasher,
    pub limits: limits::Limits,
    pub turn: Turn,
    /// Live sessions whose viewers wait here for something.
    pub exchanges: live::Exchanges,
    /// Objects wait for their deletion: it need not wait for its hour.
    pub deletions_due: Notify,
    /// This process's name below `up/signal/`.
    pub replica: String,
    pub tracker: TaskTracker,
    pub cancel: CancellationToken,
    /// Cancelled when a task that the relay cannot do without has ended early.
    pub failed: CancellationToken,
}

impl App {
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Starts a task that the relay cannot do without. Should it end before it is told to, or
    /// panic, the relay stops, and whoever supervises it starts it again.
    pub fn spawn_essential(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let ending = Ending { name, cancel: self.cancel.clone(), failed: self.failed.clone() };
        self.tracker.spawn(async move {
            let _ending = ending;
            task.await;
        });
    }
}

struct Ending {
    name: &'static str,
    cancel: CancellationToken,
    failed: CancellationToken,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.cancel.is_cancelled() {
            tracing::error!(task = self.name, "a task ended early");
            self.failed.cancel();
        }
    }
}

/// Which parts can do their work.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    pub database: bool,
    pub broker: bool,
    pub store: bool,
}

pub async fn readiness(app: &App) -> Readiness {
    let database = app.db.ping().await.inspect_err(|error| {
        tracing::warn!(%error, "the database is not ready");
    });
    let store = app.objects.check().await.inspect_err(|error| {
        tracing::warn!(%error, "the object store is not ready");
    });
    // The embedded broker listens before the relay serves anybody; when it ends, so do the tasks
    // that serve it.
    let broker = !app.failed.is_cancelled();
    Readiness { database: database.is_ok(), broker, store: store.is_ok() }
}

/// Writes down who did what.
async fn record(
    db: &impl Executor,
    now: UnixMillis,
    account_id: Option<AccountId>,
    site_id: Option<SiteId>,
    action: &'static str,
    subject: impl std::fmt::Display,
) -> Result<()> {
    let entry = audit::Entry { account_id, site_id, action, subject: Some(subject.to_string()) };
    Ok(audit::insert(db, entry, now).await?)
}

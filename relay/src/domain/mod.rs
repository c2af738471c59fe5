//! The domain decides: who may do what, and what becomes of it. It answers in refusals that carry an
//! HTTP status, and names the topics that messages leave by; it reads no request and writes no
//! response.

mod abandoned;
pub mod access;
pub mod accounts;
mod arrived;
pub mod attempts;
pub mod cameras;
pub mod clips;
pub mod commands;
pub mod devices;
mod email;
pub mod events;
pub mod jobs;
pub mod known_devices;
pub mod live;
mod objects;
mod page;
pub mod pairings;
pub mod playback;
mod presence;
mod protocol;
mod secrets;
pub mod shares;
pub mod sites;
mod text;
pub mod timeline;
mod updates;
pub mod uploads;

use nightjar_shared::{
    ids::{AccountId, SiteId},
    time::UnixMillis,
};

pub use self::page::{List, PageRequest, Selection};
use crate::{
    app::App,
    engines::db::{Executor, audit},
    error::Result,
};

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

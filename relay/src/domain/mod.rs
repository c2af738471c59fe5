//! The domain decides: who may do what, and what becomes of it. It answers in refusals that carry an
//! HTTP status, and names the topics that messages leave by; it reads no request and writes no
//! response.

mod abandoned;
pub mod access;
pub mod accounts;
pub mod admin;
mod administrators;
pub mod announcements;
pub mod answers;
pub mod api_keys;
mod arrived;
pub mod attempts;
pub mod audit;
pub mod backups;
pub mod camera_moves;
pub mod cameras;
pub mod certificates;
pub mod clips;
pub mod commands;
pub mod deliveries;
pub mod devices;
mod dispatch;
mod email;
pub mod events;
pub mod factors;
mod forgetting;
pub mod health;
pub mod imports;
pub mod invitations;
pub mod jobs;
pub mod keys;
pub mod known_devices;
pub mod live;
pub mod mails;
pub mod marks;
pub mod members;
pub mod metrics;
pub mod notifications;
mod objects;
pub mod opened_events;
pub mod orphans;
mod page;
pub mod pairings;
pub mod playback;
mod presence;
mod protocol;
pub mod push;
mod quotas;
pub mod releases;
pub mod retention;
pub mod scope;
mod secrets;
mod selection;
pub mod shares;
pub mod signed_in;
pub mod site_views;
pub mod sites;
mod text;
pub mod timeline;
mod updates;
pub mod uploads;
pub mod views;
pub mod webhooks;

pub use self::{
    page::{List, PageRequest},
    selection::Selection,
};
use crate::{
    app::{App, readiness::Readiness},
    error::{ProblemCode, Result},
};

/// Finds which parts can do their work, as it was within the last second.
pub async fn readiness(app: &App) -> Readiness {
    app.readiness.get(app.now(), look_for_readiness(app)).await
}

async fn look_for_readiness(app: &App) -> Readiness {
    app.metrics
        .counter("nightjar_readiness_looks_total", "How often the parts were looked at.", &[])
        .increment();
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

/// Does what must be done on a full disk, too: what ends a right or makes room. What it is tried with
/// again is the space that was kept for it.
async fn even_when_full<T, F>(app: &App, mut act: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    match act().await {
        Err(error) if error.code() == ProblemCode::NoSpace && app.db.give_up_ballast() => {
            act().await
        }
        outcome => outcome,
    }
}

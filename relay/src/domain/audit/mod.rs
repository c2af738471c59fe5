//! Who did what: one trail, that is only ever added to.

mod chain;
mod entry;
mod tally;
mod trail;
mod verify;

pub(super) use self::tally::{settle, tally};
pub use self::{
    chain::{Anchor, anchor, extend},
    entry::{Actor, Doer, Entry},
    trail::{AuditEntry, AuditSelection, RelayTrail, in_relay, of_account, of_relay, of_site},
    verify::{Broken, Verified, verify},
};

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, AuditEntryId, SiteId},
    time::UnixMillis,
};

use super::secrets;
use crate::{
    app::App,
    engines::db::{
        Executor, Transaction,
        audit::{self, NewEntry, Private},
    },
    error::Result,
};

/// Writes down who did what. In the transaction of what was done, so that neither is without the
/// other; what changes nothing is written without waiting for the disk.
pub async fn record(db: &impl Executor, now: UnixMillis, entry: Entry) -> Result<()> {
    let details = entry.details_text();
    let private = if details.is_some() || entry.address.is_some() {
        let salt = secrets::short_token()?;
        let address = entry.address.map(|address| address.to_string());
        let digest = private_digest(&salt, address.as_deref(), details.as_deref());
        Some(Private { address, details, salt, digest })
    } else {
        None
    };
    let new = NewEntry {
        entry_id: AuditEntryId::generate(),
        at: now,
        action: entry.action,
        actor: entry.actor.kind(),
        account_id: entry.actor.account_id(),
        actor_id: entry.actor.other_id(),
        site_id: entry.site_id,
        camera_id: entry.camera_id,
        subject: entry.subject,
        private,
    };
    Ok(audit::insert(db, new).await?)
}

/// Writes down that somebody saw something: once in ten minutes, since players ask again and again.
/// Nobody waits for the disk. Who looks at more than a person can is counted from then on.
pub(super) async fn seen(app: &App, entry: Entry) -> Result<()> {
    let network = entry.address.and_then(|address| app.address_key(address));
    let key = format!("{} {}", entry.group(), network.unwrap_or_default());
    let now = app.now();
    if !app.seen.is_first(key, now) {
        return Ok(());
    }
    if app.limits.sights.take(&entry.actor.id(), now).is_err() {
        return tally(app, entry.of_many()).await;
    }
    record(&app.db.unsynced(), now, entry).await
}

/// Writes down that an account was deleted, and forgets from where it did what, and the details: what
/// stays says that somebody did something, by an id that nobody has any more.
pub async fn forget_account(
    transaction: &Transaction,
    now: UnixMillis,
    account_id: AccountId,
    doer: impl Into<Doer>,
) -> Result<()> {
    audit::forget_account(transaction, account_id).await?;
    // Not even from where: that would be the first address of a deleted account that is kept.
    let entry = Entry::new(Action::AccountDeleted, doer).address(None).subject(account_id);
    record(transaction, now, entry).await
}

/// The same of a site, with all that was done there.
pub async fn forget_site(
    transaction: &Transaction,
    now: UnixMillis,
    site_id: SiteId,
    doer: impl Into<Doer>,
) -> Result<()> {
    audit::forget_site(transaction, site_id).await?;
    let entry = Entry::new(Action::SiteDeleted, doer).address(None).subject(site_id);
    record(transaction, now, entry).await
}

/// Deletes what is older than entries are kept.
pub(super) async fn forget_old(app: &App) -> Result<()> {
    let now = app.now();
    let deleted = chain::cut(&app.db, now.minus(app.settings.get().audit.kept_for()), now).await?;
    if deleted > 0 {
        tracing::info!(deleted, "old entries of the trail are deleted");
    }
    Ok(())
}

/// Digests what may be forgotten, with a salt that is forgotten with it: who guesses an address
/// cannot find it again by its digest.
fn private_digest(salt: &str, address: Option<&str>, details: Option<&str>) -> String {
    secrets::hash(&serde_json::json!([salt, address, details]).to_string())
}

//! Who did what.

pub mod chain;
pub mod tallies;
mod trail;

use nightjar_shared::{
    audit::{Action, ActorKind},
    ids::{AccountId, AuditEntryId, CameraId, SiteId},
    time::UnixMillis,
};

pub use self::trail::{EntryRow, Wanted, of_account, of_relay, of_site};
use super::{DbError, Executor};

/// An entry that is about to be written.
#[derive(Debug, Clone)]
pub struct NewEntry {
    pub entry_id: AuditEntryId,
    pub at: UnixMillis,
    pub action: Action,
    pub actor: ActorKind,
    pub account_id: Option<AccountId>,
    /// The camera, link or key that did it.
    pub actor_id: Option<String>,
    pub site_id: Option<SiteId>,
    pub camera_id: Option<CameraId>,
    /// The id of what it was done to.
    pub subject: Option<String>,
    pub private: Option<Private>,
}

/// What can be forgotten of an entry, and what the chain holds of it.
#[derive(Debug, Clone)]
pub struct Private {
    pub address: Option<String>,
    /// JSON.
    pub details: Option<String>,
    pub salt: String,
    pub digest: String,
}

pub async fn insert(db: &impl Executor, entry: NewEntry) -> Result<(), DbError> {
    let private = entry.private.as_ref();
    db.execute(
        "insert into audit_entries (entry_id, at, action, actor, account_id, actor_id, site_id,
             camera_id, subject, address, details, salt, private_digest)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        vec![
            entry.entry_id.into(),
            entry.at.into(),
            entry.action.into(),
            entry.actor.into(),
            entry.account_id.into(),
            entry.actor_id.into(),
            entry.site_id.into(),
            entry.camera_id.into(),
            entry.subject.into(),
            private.and_then(|private| private.address.clone()).into(),
            private.and_then(|private| private.details.clone()).into(),
            private.map(|private| private.salt.clone()).into(),
            private.map(|private| private.digest.clone()).into(),
        ],
    )
    .await
    .map(drop)
}

/// Forgets from where an account did what, and the details of it, also of what was done to it. Gives how
/// many entries have less now.
pub async fn forget_account(db: &impl Executor, account_id: AccountId) -> Result<u64, DbError> {
    db.execute(
        "update audit_entries set address = null, details = null, salt = null
         where (account_id = $1 or subject = $1) and salt is not null",
        vec![account_id.into()],
    )
    .await
}

/// The same of all that was done at a site.
pub async fn forget_site(db: &impl Executor, site_id: SiteId) -> Result<u64, DbError> {
    db.execute(
        "update audit_entries set address = null, details = null, salt = null
         where site_id = $1 and salt is not null",
        vec![site_id.into()],
    )
    .await
}

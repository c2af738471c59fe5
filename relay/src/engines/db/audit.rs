//! Who did what.

use nightjar_shared::{
    ids::{AccountId, SiteId},
    time::UnixMillis,
};

use super::{DbError, Executor};

pub struct Entry {
    pub account_id: Option<AccountId>,
    pub site_id: Option<SiteId>,
    pub action: &'static str,
    /// The id of what it was done to.
    pub subject: Option<String>,
}

pub async fn insert(db: &impl Executor, entry: Entry, now: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "insert into audit (at, account_id, site_id, action, subject)
         values ($1, $2, $3, $4, $5)",
        vec![
            now.into(),
            entry.account_id.into(),
            entry.site_id.into(),
            entry.action.into(),
            entry.subject.into(),
        ],
    )
    .await
    .map(drop)
}

/// Forgets what was done before a time.
pub async fn delete_before(db: &impl Executor, before: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from audit where at < $1", vec![before.into()]).await
}

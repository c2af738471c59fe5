//! Links that work once.

use nightjar_shared::{account::LinkPurpose, ids::AccountId, time::UnixMillis};

use super::{DbError, Executor, from_row};

/// What a link is for.
#[derive(Debug, Clone)]
pub struct LinkRow {
    pub account_id: AccountId,
    pub purpose: LinkPurpose,
    pub email: Option<String>,
}

from_row!(LinkRow { account_id, purpose, email });

pub async fn insert(
    db: &impl Executor,
    token_hash: String,
    link: LinkRow,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into one_time_links (token_hash, account_id, purpose, email, expires_at)
         values ($1, $2, $3, $4, $5)",
        vec![
            token_hash.into(),
            link.account_id.into(),
            link.purpose.into(),
            link.email.into(),
            expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Finds a link that is still good, without spending it.
pub async fn find(
    db: &impl Executor,
    token_hash: &str,
    purpose: LinkPurpose,
    now: UnixMillis,
) -> Result<Option<LinkRow>, DbError> {
    db.one(
        "select account_id, purpose, email from one_time_links
         where token_hash = $1 and purpose = $2 and expires_at > $3",
        vec![token_hash.into(), purpose.into(), now.into()],
    )
    .await
}

/// Spends a link: of two callers, one gets it.
pub async fn take(
    db: &impl Executor,
    token_hash: &str,
    purpose: LinkPurpose,
    now: UnixMillis,
) -> Result<Option<LinkRow>, DbError> {
    db.one(
        "delete from one_time_links
         where token_hash = $1 and purpose = $2 and expires_at > $3
         returning account_id, purpose, email",
        vec![token_hash.into(), purpose.into(), now.into()],
    )
    .await
}

/// Spends all links of an account that are for the same.
pub async fn delete_of_account(
    db: &impl Executor,
    account_id: AccountId,
    purpose: LinkPurpose,
) -> Result<(), DbError> {
    db.execute(
        "delete from one_time_links where account_id = $1 and purpose = $2",
        vec![account_id.into(), purpose.into()],
    )
    .await
    .map(drop)
}

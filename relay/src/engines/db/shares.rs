//! Links by which clips are watched without an account.

use nightjar_shared::{
    ids::{AccountId, ClipId, ShareId},
    time::UnixMillis,
};

use super::{DbError, Executor, from_row};

#[derive(Debug, Clone)]
pub struct ShareRow {
    pub share_id: ShareId,
    pub clip_id: ClipId,
    pub created_by: AccountId,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
}

from_row!(ShareRow { share_id, clip_id, created_by, created_at, expires_at });

pub async fn insert(
    db: &impl Executor,
    share: &ShareRow,
    token_hash: String,
) -> Result<(), DbError> {
    db.execute(
        "insert into shares (share_id, clip_id, created_by, token_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6)",
        vec![
            share.share_id.into(),
            share.clip_id.into(),
            share.created_by.into(),
            token_hash.into(),
            share.created_at.into(),
            share.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Lists the open shares of a clip, newest first.
pub async fn of_clip(
    db: &impl Executor,
    clip_id: ClipId,
    now: UnixMillis,
) -> Result<Vec<ShareRow>, DbError> {
    db.all(
        "select share_id, clip_id, created_by, created_at, expires_at
         from shares where clip_id = $1 and expires_at > $2
         order by created_at desc, share_id desc",
        vec![clip_id.into(), now.into()],
    )
    .await
}

pub async fn by_id(db: &impl Executor, share_id: ShareId) -> Result<Option<ShareRow>, DbError> {
    db.one(
        "select share_id, clip_id, created_by, created_at, expires_at
         from shares where share_id = $1",
        vec![share_id.into()],
    )
    .await
}

/// Finds the open share whose link has this token.
pub async fn by_token(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<Option<ShareRow>, DbError> {
    db.one(
        "select share_id, clip_id, created_by, created_at, expires_at
         from shares where token_hash = $1 and expires_at > $2",
        vec![token_hash.into(), now.into()],
    )
    .await
}

pub async fn delete(db: &impl Executor, share_id: ShareId) -> Result<(), DbError> {
    db.execute("delete from shares where share_id = $1", vec![share_id.into()]).await.map(drop)
}

pub async fn delete_expired(db: &impl Executor, now: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from shares where expires_at <= $1", vec![now.into()]).await
}

//! What a camera proves itself with: challenges and device tokens.

use nightjar_shared::{ids::CameraId, time::UnixMillis};

use super::{DbError, Executor};

pub async fn insert_nonce(
    db: &impl Executor,
    nonce_hash: String,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into nonces (nonce_hash, expires_at) values ($1, $2)",
        vec![nonce_hash.into(), expires_at.into()],
    )
    .await
    .map(drop)
}

/// Says whether the nonce was good; it works once.
pub async fn take_nonce(
    db: &impl Executor,
    nonce_hash: &str,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let taken = db
        .execute(
            "delete from nonces where nonce_hash = $1 and expires_at > $2",
            vec![nonce_hash.into(), now.into()],
        )
        .await?;
    Ok(taken == 1)
}

pub async fn insert_token(
    db: &impl Executor,
    token_hash: String,
    camera_id: CameraId,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into device_tokens (token_hash, camera_id, expires_at) values ($1, $2, $3)",
        vec![token_hash.into(), camera_id.into(), expires_at.into()],
    )
    .await
    .map(drop)
}

pub async fn by_token(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<Option<(CameraId, UnixMillis)>, DbError> {
    let row = db
        .query_one(
            "select camera_id, expires_at from device_tokens
             where token_hash = $1 and expires_at > $2",
            vec![token_hash.into(), now.into()],
        )
        .await?;
    row.map(|row| Ok((row.get("camera_id")?, row.get("expires_at")?))).transpose()
}

/// Ends all but the newest tokens of a camera, so that a camera that asks too often does not
/// fill the table.
pub async fn delete_old_tokens(
    db: &impl Executor,
    camera_id: CameraId,
    keep: u32,
) -> Result<(), DbError> {
    db.execute(
        "delete from device_tokens where camera_id = $1 and token_hash not in
             (select token_hash from device_tokens where camera_id = $1
              order by expires_at desc limit $2)",
        vec![camera_id.into(), keep.into()],
    )
    .await
    .map(drop)
}

pub async fn delete_expired(db: &impl Executor, now: UnixMillis) -> Result<u64, DbError> {
    let nonces = db.execute("delete from nonces where expires_at <= $1", vec![now.into()]).await?;
    let tokens =
        db.execute("delete from device_tokens where expires_at <= $1", vec![now.into()]).await?;
    Ok(nonces + tokens)
}

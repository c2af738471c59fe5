//! Keys by which programs act for an account.

use nightjar_shared::{
    ids::{AccountId, ApiKeyId, SiteId},
    role::Right,
    time::UnixMillis,
};

use super::{DbError, Executor, Value, columns, from_row};

#[derive(Debug, Clone)]
pub struct ApiKeyRow {
    pub key_id: ApiKeyId,
    pub account_id: AccountId,
    pub site_id: Option<SiteId>,
    pub name: String,
    pub rights: Vec<Right>,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
    pub used_at: Option<UnixMillis>,
}

from_row!(ApiKeyRow { key_id, account_id, site_id, name, rights, created_at, expires_at, used_at });

macro_rules! key_columns {
    () => {
        columns!(
            "k.": key_id,
            account_id,
            site_id,
            name,
            rights,
            created_at,
            expires_at,
            used_at
        )
    };
}

pub async fn insert(
    db: &impl Executor,
    key: &ApiKeyRow,
    token_hash: String,
) -> Result<(), DbError> {
    db.execute(
        "insert into api_keys (key_id, account_id, site_id, name, token_hash, rights, created_at,
             expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        vec![
            key.key_id.into(),
            key.account_id.into(),
            key.site_id.into(),
            key.name.as_str().into(),
            token_hash.into(),
            Value::json(&key.rights)?,
            key.created_at.into(),
            key.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Finds what a key is called.
pub async fn name_of(db: &impl Executor, key_id: ApiKeyId) -> Result<Option<String>, DbError> {
    let row =
        db.query_one("select name from api_keys where key_id = $1", vec![key_id.into()]).await?;
    row.map(|row| row.get("name")).transpose()
}

/// Finds the key of this token, if it is good now.
pub async fn by_token(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<Option<ApiKeyRow>, DbError> {
    db.one(
        concat!(
            "select ",
            key_columns!(),
            " from api_keys k join accounts a on a.account_id = k.account_id
             where k.token_hash = $1 and k.expires_at > $2 and a.disabled_at is null"
        ),
        vec![token_hash.into(), now.into()],
    )
    .await
}

/// Finds a key by its id, if it is good now.
pub async fn by_id(
    db: &impl Executor,
    key_id: ApiKeyId,
    now: UnixMillis,
) -> Result<Option<ApiKeyRow>, DbError> {
    db.one(
        concat!(
            "select ",
            key_columns!(),
            " from api_keys k join accounts a on a.account_id = k.account_id
             where k.key_id = $1 and k.expires_at > $2 and a.disabled_at is null"
        ),
        vec![key_id.into(), now.into()],
    )
    .await
}

/// Lists an account's keys, newest first; those that expired are gone with the next sweep.
pub async fn of_account(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<Vec<ApiKeyRow>, DbError> {
    db.all(
        concat!(
            "select ",
            key_columns!(),
            " from api_keys k where k.account_id = $1 order by k.key_id desc"
        ),
        vec![account_id.into()],
    )
    .await
}

pub async fn count_of_account(db: &impl Executor, account_id: AccountId) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from api_keys where account_id = $1",
            vec![account_id.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Writes down that a key was used, unless that was written down since `before`.
pub async fn note_use(
    db: &impl Executor,
    key_id: ApiKeyId,
    now: UnixMillis,
    before: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update api_keys set used_at = $2
         where key_id = $1 and (used_at is null or used_at <= $3)",
        vec![key_id.into(), now.into(), before.into()],
    )
    .await
    .map(drop)
}

pub async fn delete(
    db: &impl Executor,
    account_id: AccountId,
    key_id: ApiKeyId,
) -> Result<bool, DbError> {
    let deleted = db
        .execute(
            "delete from api_keys where account_id = $1 and key_id = $2",
            vec![account_id.into(), key_id.into()],
        )
        .await?;
    Ok(deleted == 1)
}

/// Ends all keys of an account.
pub async fn delete_of_account(db: &impl Executor, account_id: AccountId) -> Result<(), DbError> {
    db.execute("delete from api_keys where account_id = $1", vec![account_id.into()])
        .await
        .map(drop)
}

pub async fn delete_expired(db: &impl Executor, now: UnixMillis) -> Result<(), DbError> {
    db.execute("delete from api_keys where expires_at <= $1", vec![now.into()]).await.map(drop)
}

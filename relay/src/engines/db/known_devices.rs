//! Browsers and programs that have signed in to an account before.

use nightjar_shared::{ids::AccountId, time::UnixMillis};

use super::{DbError, Executor};

/// Says whether the holder of this token has signed in to the account with this address.
pub async fn knows(
    db: &impl Executor,
    token_hash: &str,
    email: &str,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select d.account_id from known_devices d
             join accounts a on a.account_id = d.account_id
             where d.token_hash = $1 and a.email = $2 and d.expires_at > $3",
            vec![token_hash.into(), email.into(), now.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Gives a device another token, for all accounts that know it.
pub async fn rename(
    db: &impl Executor,
    old_hash: &str,
    new_hash: &str,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update known_devices set token_hash = $2 where token_hash = $1 and expires_at > $3",
        vec![old_hash.into(), new_hash.into(), now.into()],
    )
    .await
    .map(drop)
}

pub async fn insert(
    db: &impl Executor,
    token_hash: &str,
    account_id: AccountId,
    now: UnixMillis,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into known_devices (token_hash, account_id, seen_at, expires_at)
         values ($1, $2, $3, $4)
         on conflict (token_hash, account_id) do update
             set seen_at = excluded.seen_at, expires_at = excluded.expires_at",
        vec![token_hash.into(), account_id.into(), now.into(), expires_at.into()],
    )
    .await
    .map(drop)
}

/// Forgets those of an account's devices that were seen longest ago, until `kept` are left.
pub async fn delete_oldest(
    db: &impl Executor,
    account_id: AccountId,
    kept: u32,
) -> Result<(), DbError> {
    db.execute(
        "delete from known_devices where account_id = $1 and token_hash not in
             (select token_hash from known_devices where account_id = $1
              order by seen_at desc, token_hash limit $2)",
        vec![account_id.into(), i64::from(kept).into()],
    )
    .await
    .map(drop)
}

/// Says whether an account has devices that signed in before.
pub async fn has_any(
    db: &impl Executor,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select token_hash from known_devices
             where account_id = $1 and expires_at > $2 limit 1",
            vec![account_id.into(), now.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Says whether the holder of this token has signed in to an account.
pub async fn is_of(
    db: &impl Executor,
    token_hash: &str,
    account_id: AccountId,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select token_hash from known_devices where token_hash = $1 and account_id = $2",
            vec![token_hash.into(), account_id.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Forgets all devices of an account.
pub async fn delete_of_account(db: &impl Executor, account_id: AccountId) -> Result<(), DbError> {
    db.execute("delete from known_devices where account_id = $1", vec![account_id.into()])
        .await
        .map(drop)
}

//! Accounts.

use nightjar_shared::{ids::AccountId, role::AccountRole, time::UnixMillis};

use super::{DbError, Executor, FromRow as _, from_row};

#[derive(Debug, Clone)]
pub struct AccountRow {
    pub account_id: AccountId,
    pub email: String,
    pub name: String,
    pub role: AccountRole,
    /// When mail to the address was known to arrive.
    pub verified_at: Option<UnixMillis>,
}

from_row!(AccountRow { account_id, email, name, role, verified_at });

/// Says whether the e-mail address was free.
pub async fn insert(
    db: &impl Executor,
    account: &AccountRow,
    password_hash: String,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into accounts
                 (account_id, email, name, role, password_hash, created_at, verified_at)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (email) do nothing",
            vec![
                account.account_id.into(),
                account.email.as_str().into(),
                account.name.as_str().into(),
                account.role.into(),
                password_hash.into(),
                now.into(),
                account.verified_at.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub async fn by_id(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<Option<AccountRow>, DbError> {
    db.one(
        "select account_id, email, name, role, verified_at from accounts
         where account_id = $1",
        vec![account_id.into()],
    )
    .await
}

/// Finds the account and its password hash.
pub async fn by_email(
    db: &impl Executor,
    email: &str,
) -> Result<Option<(AccountRow, String)>, DbError> {
    let row = db
        .query_one(
            "select account_id, email, name, role, verified_at, password_hash from accounts
             where email = $1",
            vec![email.into()],
        )
        .await?;
    row.map(|row| Ok((AccountRow::from_row(&row)?, row.get("password_hash")?))).transpose()
}

/// Finds an account's password hash.
pub async fn password_hash(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<Option<String>, DbError> {
    let row = db
        .query_one(
            "select password_hash from accounts where account_id = $1",
            vec![account_id.into()],
        )
        .await?;
    row.map(|row| row.get("password_hash")).transpose()
}

pub async fn set_password_hash(
    db: &impl Executor,
    account_id: AccountId,
    hash: String,
) -> Result<(), DbError> {
    db.execute(
        "update accounts set password_hash = $2 where account_id = $1",
        vec![account_id.into(), hash.into()],
    )
    .await
    .map(drop)
}

pub async fn set_name(
    db: &impl Executor,
    account_id: AccountId,
    name: &str,
) -> Result<(), DbError> {
    db.execute(
        "update accounts set name = $2 where account_id = $1",
        vec![account_id.into(), name.into()],
    )
    .await
    .map(drop)
}

/// Gives an account its address, unless another account has it. Says whether it did.
pub async fn set_email(
    db: &impl Executor,
    account_id: AccountId,
    email: &str,
    verified_at: Option<UnixMillis>,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update accounts set email = $2, verified_at = $3
             where account_id = $1 and not exists
                 (select 1 from accounts a where a.email = $2 and a.account_id <> $1)",
            vec![account_id.into(), email.into(), verified_at.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Puts another hash in the place of one that is still the account's.
pub async fn replace_password_hash(
    db: &impl Executor,
    account_id: AccountId,
    before: &str,
    hash: String,
) -> Result<(), DbError> {
    db.execute(
        "update accounts set password_hash = $3 where account_id = $1 and password_hash = $2",
        vec![account_id.into(), before.into(), hash.into()],
    )
    .await
    .map(drop)
}

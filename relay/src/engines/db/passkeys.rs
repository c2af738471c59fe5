//! Passkeys of accounts.

use nightjar_shared::{
    ids::{AccountId, PasskeyId},
    time::UnixMillis,
};

use super::{DbError, Executor, columns, from_row};

#[derive(Debug, Clone)]
pub struct PasskeyRow {
    pub passkey_id: PasskeyId,
    /// Base64url.
    pub credential_id: String,
    pub account_id: AccountId,
    pub name: String,
    /// COSE, base64url.
    pub public_key: String,
    pub sign_count: u32,
    pub created_at: UnixMillis,
    pub used_at: Option<UnixMillis>,
}

from_row!(PasskeyRow {
    passkey_id,
    credential_id,
    account_id,
    name,
    public_key,
    sign_count,
    created_at,
    used_at,
});

macro_rules! passkey_columns {
    () => {
        columns!(
            "": passkey_id,
            credential_id,
            account_id,
            name,
            public_key,
            sign_count,
            created_at,
            used_at
        )
    };
}

/// Says whether no account had this credential.
pub async fn insert(db: &impl Executor, passkey: PasskeyRow) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into passkeys (passkey_id, credential_id, account_id, name, public_key,
                 sign_count, created_at)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (credential_id) do nothing",
            vec![
                passkey.passkey_id.into(),
                passkey.credential_id.into(),
                passkey.account_id.into(),
                passkey.name.into(),
                passkey.public_key.into(),
                passkey.sign_count.into(),
                passkey.created_at.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub async fn by_credential(
    db: &impl Executor,
    credential_id: &str,
) -> Result<Option<PasskeyRow>, DbError> {
    db.one(
        concat!("select ", passkey_columns!(), " from passkeys where credential_id = $1"),
        vec![credential_id.into()],
    )
    .await
}

/// Lists an account's passkeys, oldest first.
pub async fn of_account(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<Vec<PasskeyRow>, DbError> {
    db.all(
        concat!(
            "select ",
            passkey_columns!(),
            " from passkeys where account_id = $1 order by passkey_id"
        ),
        vec![account_id.into()],
    )
    .await
}

/// Writes down that a passkey has signed. Says whether its counter went on since: of two signatures
/// with the same count, one is taken. 0 is no count.
pub async fn note_use(
    db: &impl Executor,
    passkey_id: PasskeyId,
    sign_count: u32,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update passkeys set sign_count = $2, used_at = $3
             where passkey_id = $1 and (sign_count < $2 or (sign_count = 0 and $2 = 0))",
            vec![passkey_id.into(), sign_count.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

pub async fn delete(
    db: &impl Executor,
    account_id: AccountId,
    passkey_id: PasskeyId,
) -> Result<bool, DbError> {
    let deleted = db
        .execute(
            "delete from passkeys where account_id = $1 and passkey_id = $2",
            vec![account_id.into(), passkey_id.into()],
        )
        .await?;
    Ok(deleted == 1)
}

pub async fn delete_of_account(db: &impl Executor, account_id: AccountId) -> Result<(), DbError> {
    db.execute("delete from passkeys where account_id = $1", vec![account_id.into()])
        .await
        .map(drop)
}

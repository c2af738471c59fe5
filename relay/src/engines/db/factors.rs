//! Second factors but for passkeys: secrets of one-time codes, backup codes; and what people are asked
//! to answer.

use nightjar_shared::{factor::ChallengePurpose, ids::AccountId, time::UnixMillis};

use super::{
    DbError, Executor, Row, from_row,
    sign_in::{SignInId, forget_browsers},
};

/// A secret of one-time codes, as it is kept.
#[derive(Debug, Clone)]
pub struct TotpRow {
    pub sealed_secret: String,
    pub confirmed_at: Option<UnixMillis>,
    pub last_step: i64,
}

from_row!(TotpRow { sealed_secret, confirmed_at, last_step });

pub async fn totp(db: &impl Executor, account_id: AccountId) -> Result<Option<TotpRow>, DbError> {
    db.one(
        "select sealed_secret, confirmed_at, last_step from totp_secrets where account_id = $1",
        vec![account_id.into()],
    )
    .await
}

/// Keeps a secret that is not confirmed yet, in the place of another such one. Says whether it did:
/// one that is in use stays.
pub async fn begin_totp(
    db: &impl Executor,
    account_id: AccountId,
    sealed_secret: String,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "insert into totp_secrets (account_id, sealed_secret, created_at, last_step)
             values ($1, $2, $3, 0)
             on conflict (account_id) do update set
                 sealed_secret = excluded.sealed_secret, created_at = excluded.created_at,
                 last_step = 0
             where totp_secrets.confirmed_at is null",
            vec![account_id.into(), sealed_secret.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Confirms the secret by a code of this step. Of two callers, one does.
pub async fn confirm_totp(
    db: &impl Executor,
    account_id: AccountId,
    sealed_secret: &str,
    step: i64,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update totp_secrets set confirmed_at = $4, last_step = $3
             where account_id = $1 and sealed_secret = $2 and confirmed_at is null",
            vec![account_id.into(), sealed_secret.into(), step.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Spends the codes up to this step. Of two callers with the same code, one does.
pub async fn spend_step(
    db: &impl Executor,
    account_id: AccountId,
    step: i64,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update totp_secrets set last_step = $2 where account_id = $1 and last_step < $2",
            vec![account_id.into(), step.into()],
        )
        .await?;
    Ok(changed == 1)
}

pub async fn delete_totp(db: &impl Executor, account_id: AccountId) -> Result<bool, DbError> {
    let deleted = db
        .execute("delete from totp_secrets where account_id = $1", vec![account_id.into()])
        .await?;
    Ok(deleted == 1)
}

/// Says how many second factors an account has.
pub async fn count(db: &impl Executor, account_id: AccountId) -> Result<u64, DbError> {
    counted(
        db.query_one(
            "select count(*) as count from second_factors where account_id = $1",
            vec![account_id.into()],
        )
        .await?
        .as_ref(),
    )
}

/// Says at how many sites an account is a member that require a second factor.
pub async fn sites_that_require(db: &impl Executor, account_id: AccountId) -> Result<u64, DbError> {
    counted(
        db.query_one(
            "select count(*) as count from members m join sites s on s.site_id = m.site_id
             where m.account_id = $1 and s.requires_second_factor = 1",
            vec![account_id.into()],
        )
        .await?
        .as_ref(),
    )
}

fn counted(row: Option<&Row>) -> Result<u64, DbError> {
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Holds the account's row until the transaction ends, so that of two that set up or remove a factor
/// one waits for the other.
pub async fn hold_account(db: &impl Executor, account_id: AccountId) -> Result<(), DbError> {
    db.execute(
        "update accounts set account_id = account_id where account_id = $1",
        vec![account_id.into()],
    )
    .await
    .map(drop)
}

pub async fn insert_backup_code(
    db: &impl Executor,
    account_id: AccountId,
    code_hash: String,
) -> Result<(), DbError> {
    db.execute(
        "insert into backup_codes (code_hash, account_id) values ($1, $2)",
        vec![code_hash.into(), account_id.into()],
    )
    .await
    .map(drop)
}

pub async fn delete_backup_codes(db: &impl Executor, account_id: AccountId) -> Result<(), DbError> {
    db.execute("delete from backup_codes where account_id = $1", vec![account_id.into()])
        .await
        .map(drop)
}

/// Spends a backup code. Of two callers, one does.
pub async fn spend_backup_code(
    db: &impl Executor,
    account_id: AccountId,
    code_hash: &str,
) -> Result<bool, DbError> {
    let deleted = db
        .execute(
            "delete from backup_codes where account_id = $1 and code_hash = $2",
            vec![account_id.into(), code_hash.into()],
        )
        .await?;
    Ok(deleted == 1)
}

pub async fn count_backup_codes(db: &impl Executor, account_id: AccountId) -> Result<u64, DbError> {
    counted(
        db.query_one(
            "select count(*) as count from backup_codes where account_id = $1",
            vec![account_id.into()],
        )
        .await?
        .as_ref(),
    )
}

pub async fn insert_challenge(
    db: &impl Executor,
    challenge_hash: String,
    purpose: ChallengePurpose,
    account_id: Option<AccountId>,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into challenges (challenge_hash, purpose, account_id, attempts, expires_at)
         values ($1, $2, $3, 0, $4)",
        vec![challenge_hash.into(), purpose.into(), account_id.into(), expires_at.into()],
    )
    .await
    .map(drop)
}

/// Takes one of the attempts at a challenge, and says whose it is: nothing when there are none left.
pub async fn attempt_challenge(
    db: &impl Executor,
    challenge_hash: &str,
    purpose: ChallengePurpose,
    attempts_max: u32,
    now: UnixMillis,
) -> Result<Option<Option<AccountId>>, DbError> {
    let row = db
        .query_one(
            "update challenges set attempts = attempts + 1
             where challenge_hash = $1 and purpose = $2 and attempts < $3 and expires_at > $4
             returning account_id",
            vec![challenge_hash.into(), purpose.into(), attempts_max.into(), now.into()],
        )
        .await?;
    row.map(|row| row.get("account_id")).transpose()
}

/// Ends a challenge. Of two callers, one does.
pub async fn end_challenge(db: &impl Executor, challenge_hash: &str) -> Result<bool, DbError> {
    let deleted = db
        .execute("delete from challenges where challenge_hash = $1", vec![challenge_hash.into()])
        .await?;
    Ok(deleted == 1)
}

/// Ends all but the newest challenges of an account.
pub async fn keep_newest_challenges(
    db: &impl Executor,
    account_id: AccountId,
    count: u32,
) -> Result<(), DbError> {
    db.execute(
        "delete from challenges where account_id = $1 and challenge_hash not in
             (select challenge_hash from challenges where account_id = $1
              order by expires_at desc, challenge_hash limit $2)",
        vec![account_id.into(), count.into()],
    )
    .await
    .map(drop)
}

/// Until when a sign-in counts as confirmed.
#[derive(Debug, Clone, Copy)]
pub struct Confirmation {
    pub password_until: UnixMillis,
    pub factor_until: UnixMillis,
}

from_row!(Confirmation { password_until, factor_until });

pub async fn confirmation(
    db: &impl Executor,
    sign_in: &SignInId,
) -> Result<Option<Confirmation>, DbError> {
    db.one(
        "select password_until, factor_until from confirmations where sign_in = $1",
        vec![sign_in.into()],
    )
    .await
}

/// Confirms a sign-in, for as long as the longer of what it was and is.
pub async fn confirm(
    db: &impl Executor,
    account_id: AccountId,
    sign_in: &SignInId,
    confirmation: Confirmation,
) -> Result<(), DbError> {
    db.execute(
        "insert into confirmations (sign_in, account_id, password_until, factor_until)
         values ($1, $2, $3, $4)
         on conflict (sign_in) do update set
             password_until = case when excluded.password_until > confirmations.password_until
                 then excluded.password_until else confirmations.password_until end,
             factor_until = case when excluded.factor_until > confirmations.factor_until
                 then excluded.factor_until else confirmations.factor_until end",
        vec![
            sign_in.into(),
            account_id.into(),
            confirmation.password_until.into(),
            confirmation.factor_until.into(),
        ],
    )
    .await
    .map(drop)
}

/// Lets another sign-in have what one was confirmed by.
pub async fn move_confirmation(
    db: &impl Executor,
    from: &SignInId,
    to: &SignInId,
) -> Result<(), DbError> {
    db.execute(
        "update confirmations set sign_in = $2 where sign_in = $1",
        vec![from.into(), to.into()],
    )
    .await
    .map(drop)
}

/// Ends all sign-ins of an account but one; keys are no sign-ins of a person, and stay.
pub async fn end_other_sign_ins(
    db: &impl Executor,
    account_id: AccountId,
    kept: Option<&SignInId>,
) -> Result<(), DbError> {
    forget_browsers(db, account_id, kept).await?;
    let kept = kept.map_or_else(|| "".into(), super::Value::from);
    db.execute(
        "delete from sessions where account_id = $1 and token_hash <> $2",
        vec![account_id.into(), kept.clone()],
    )
    .await?;
    db.execute(
        "delete from token_families where account_id = $1 and family_id <> $2",
        vec![account_id.into(), kept],
    )
    .await
    .map(drop)
}

/// Forgets challenges and confirmations that are over.
pub async fn delete_expired(db: &impl Executor, now: UnixMillis) -> Result<(), DbError> {
    for sql in [
        "delete from challenges where expires_at <= $1",
        "delete from confirmations where password_until <= $1 and factor_until <= $1",
    ] {
        db.execute(sql, vec![now.into()]).await?;
    }
    Ok(())
}

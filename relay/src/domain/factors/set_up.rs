//! What factors an account has, and what follows when that changes.

use nightjar_shared::{audit::Action, ids::AccountId, role::AccountRole, time::UnixMillis};
use serde::Serialize;
use utoipa::ToSchema;

use super::backup_codes;
use crate::{
    app::App,
    domain::{
        audit::{Actor, Entry, record},
        email, live,
        mails::{self, Mail},
        signed_in::SignedIn,
    },
    engines::db::{Db, Executor, Transaction, accounts, factors, passkeys as passkey_rows},
    error::{Error, ProblemCode, Result},
};

/// What came of setting a factor up.
#[derive(Clone, Serialize, ToSchema)]
pub struct SetUp {
    /// With the first factor. Shown once: each works once, when all else is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_codes: Option<Vec<String>>,
}

/// Makes new backup codes in the place of those before.
pub async fn new_backup_codes(app: &App, signed_in: &SignedIn) -> Result<SetUp> {
    super::confirmed(app, signed_in).await?;
    let account_id = signed_in.caller.account_id;
    let transaction = app.db.begin().await?;
    factors::hold_account(&transaction, account_id).await?;
    if factors::count(&transaction, account_id).await? == 0 {
        return Err(Error::conflict(
            ProblemCode::NotSetUp,
            "Backup codes stand in for a second factor: set one up first.",
        ));
    }
    let codes = backup_codes::replace(&transaction, account_id).await?;
    let entry = Entry::new(Action::BackupCodesMade, signed_in.caller);
    record(&transaction, app.now(), entry).await?;
    tell(app, &transaction, account_id).await?;
    transaction.commit().await?;
    Ok(SetUp { backup_codes: Some(codes) })
}

/// Tells the owner by mail: whoever stole a sign-in may have done it.
pub(super) async fn tell(app: &App, db: &impl Executor, account_id: AccountId) -> Result<()> {
    let account = accounts::by_id(db, account_id).await?.ok_or_else(Error::not_found)?;
    mails::tell_owner(app, db, &account, Mail::FactorsChanged).await
}

/// Ends what a new factor ends. With the first one, backup codes are made, and all other sign-ins
/// end: they were made by the password alone.
pub(super) async fn finish(
    app: &App,
    transaction: Transaction,
    signed_in: &SignedIn,
    is_first: bool,
) -> Result<SetUp> {
    let account_id = signed_in.caller.account_id;
    tell(app, &transaction, account_id).await?;
    if !is_first {
        transaction.commit().await?;
        return Ok(SetUp { backup_codes: None });
    }
    let codes = backup_codes::replace(&transaction, account_id).await?;
    factors::end_other_sign_ins(&transaction, account_id, Some(&signed_in.sign_in)).await?;
    transaction.commit().await?;
    app.realtime.close_account(account_id);
    live::end_without_right(app).await?;
    Ok(SetUp { backup_codes: Some(codes) })
}

/// Refuses to leave an account without a factor where one is required. Asked when it was removed: the
/// transaction is dropped then.
pub(super) async fn check_left(db: &impl Executor, account_id: AccountId) -> Result<()> {
    if factors::count(db, account_id).await? > 0 || !is_required(db, account_id).await? {
        return Ok(());
    }
    Err(Error::conflict(
        ProblemCode::SecondFactorRequired,
        "This is your last second factor, and you need one: set another one up first.",
    ))
}

pub(super) async fn is_required(db: &impl Executor, account_id: AccountId) -> Result<bool> {
    let account = accounts::by_id(db, account_id).await?.ok_or_else(Error::not_found)?;
    Ok(account.role == AccountRole::Admin || factors::sites_that_require(db, account_id).await? > 0)
}

/// Forgets backup codes that stand in for nothing.
pub(super) async fn forget_codes_of_nothing(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<()> {
    if factors::count(db, account_id).await? == 0 {
        factors::delete_backup_codes(db, account_id).await?;
    }
    Ok(())
}

/// Removes all factors of an account and ends all of its sign-ins: for an operator who knows the
/// person. Needs no running relay; one that runs closes sockets within seconds.
pub async fn remove_all(db: &Db, typed: &str, now: UnixMillis) -> Result<()> {
    let email = email::normalize(typed)?;
    let found = accounts::by_email(db, &email).await?;
    let (account, _) = found.ok_or_else(|| {
        Error::refused(404, ProblemCode::NotFound, "There is no account with this address.")
    })?;
    let account_id = account.account_id;
    let transaction = db.begin().await?;
    factors::hold_account(&transaction, account_id).await?;
    factors::delete_totp(&transaction, account_id).await?;
    passkey_rows::delete_of_account(&transaction, account_id).await?;
    factors::delete_backup_codes(&transaction, account_id).await?;
    factors::end_other_sign_ins(&transaction, account_id, None).await?;
    let entry = Entry::new(Action::FactorsRemoved, Actor::Relay).subject(account_id);
    record(&transaction, now, entry).await?;
    Ok(transaction.commit().await?)
}

/// Forgets challenges and confirmations that are over.
pub(in crate::domain) async fn delete_expired(app: &App) -> Result<()> {
    Ok(factors::delete_expired(&app.db, app.now()).await?)
}

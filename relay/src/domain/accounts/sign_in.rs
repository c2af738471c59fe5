//! Whether a password is right.

use super::find::find;
use crate::{
    app::{App, passwords::Verdict},
    domain::{
        access::Caller,
        attempts::{Attempt, Origin},
        email,
        factors::{self, SecondFactorQuestion},
        record,
    },
    engines::db::accounts,
    error::{Error, ProblemCode, Result},
};

/// What a right password comes to.
pub enum Login {
    Caller(Caller),
    /// The account has a second factor: nobody is signed in until it is shown.
    Asked(SecondFactorQuestion),
}

/// Checks a password. Right or wrong, known or not, it takes as long.
pub async fn login(app: &App, typed: &str, password: String, origin: Origin<'_>) -> Result<Login> {
    let now = app.now();
    let wrong = || {
        Error::unauthorized(
            ProblemCode::InvalidCredentials,
            "The address or the password is not right.",
        )
    };
    let Ok(email) = email::normalize(typed) else { return Err(wrong()) };
    let address = origin.address;
    let attempt = Attempt::of(app, &email, origin).await?;
    attempt.take(app, now)?;
    let (account, stored) = find(&app.db, &email, typed).await?.unzip();
    let _turn = app.passwords.turn_of(address).await?;
    let verdict = app.passwords.verify(password.clone(), stored.clone()).await?;
    let account = account.filter(|_| verdict != Verdict::Wrong).ok_or_else(wrong)?;
    attempt.give_back(app);
    let account_id = account.account_id;
    app.limits.login_success.take(&account_id.to_string(), now)?;
    if let (Verdict::RightAsTyped, Some(before)) = (verdict, stored) {
        let hash = app.passwords.hash_known(password).await?;
        accounts::replace_password_hash(&app.db, account_id, &before, hash).await?;
    }
    if let Some(question) = factors::ask(app, account_id).await? {
        return Ok(Login::Asked(question));
    }
    record(&app.db, now, Some(account_id), None, "signed_in", account_id).await?;
    Ok(Login::Caller(Caller::person(account_id)))
}

//! Showing again who one is: before what would outlast a stolen session.

use std::{net::IpAddr, time::Duration};

use nightjar_shared::{audit::Action, factor::ChallengePurpose, range::Check, time::UnixMillis};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Factor, challenge, verify};
use crate::{
    app::{App, passwords::Verdict},
    domain::{
        access,
        audit::{Entry, tally},
        signed_in::SignedIn,
    },
    engines::db::{accounts, factors},
    error::{Error, ProblemCode, Result},
};

/// How long it is believed.
const LIFETIME: Duration = Duration::from_mins(10);

/// The password, or a second factor, or both.
#[derive(Deserialize, ToSchema)]
pub struct Confirmation {
    #[serde(default)]
    pub password: Option<String>,
    #[serde(default)]
    pub factor: Option<Factor>,
}

impl Check for Confirmation {}

/// Checks what somebody who is signed in shows of themselves, and remembers it for this sign-in, for
/// 10 minutes.
pub async fn confirm_identity(
    app: &App,
    signed_in: &SignedIn,
    address: IpAddr,
    shown: Confirmation,
) -> Result<()> {
    access::in_person(signed_in.caller)?;
    let now = app.now();
    let until = now.plus(LIFETIME);
    let mut confirmation =
        factors::Confirmation { password_until: UnixMillis(0), factor_until: UnixMillis(0) };
    if let Some(password) = shown.password {
        check_password(app, signed_in, address, password).await?;
        confirmation.password_until = until;
    }
    if let Some(factor) = shown.factor {
        check_factor(app, signed_in, &factor).await?;
        confirmation.factor_until = until;
    }
    if confirmation.password_until < until && confirmation.factor_until < until {
        return Err(required());
    }
    let account_id = signed_in.caller.account_id;
    Ok(factors::confirm(&app.db, account_id, &signed_in.sign_in, confirmation).await?)
}

/// Refuses who has not shown in the last 10 minutes that it is they: by the second factor, or by the
/// password where the account has none.
pub async fn confirmed(app: &App, signed_in: &SignedIn) -> Result<()> {
    access::in_person(signed_in.caller)?;
    let shown = shown_lately(app, signed_in).await?;
    if shown.factor.unwrap_or(shown.password) { Ok(()) } else { Err(required()) }
}

/// Refuses who has not shown both in the last 10 minutes, password and second factor: for the end of
/// a factor.
pub async fn confirmed_twice(app: &App, signed_in: &SignedIn) -> Result<()> {
    access::in_person(signed_in.caller)?;
    let shown = shown_lately(app, signed_in).await?;
    if shown.password && shown.factor.unwrap_or(true) { Ok(()) } else { Err(required()) }
}

/// Checks the password that comes with a wish, and that the second factor, where the account has one,
/// was shown in the last 10 minutes: for the end of an account, and what is as good as another owner.
pub async fn confirm_now(
    app: &App,
    signed_in: &SignedIn,
    address: IpAddr,
    password: String,
) -> Result<()> {
    access::in_person(signed_in.caller)?;
    check_password(app, signed_in, address, password).await?;
    let shown = shown_lately(app, signed_in).await?;
    if shown.factor.unwrap_or(true) { Ok(()) } else { Err(required()) }
}

struct Shown {
    password: bool,
    /// Absent where the account has no second factor.
    factor: Option<bool>,
}

async fn shown_lately(app: &App, signed_in: &SignedIn) -> Result<Shown> {
    let now = app.now();
    let found = factors::confirmation(&app.db, &signed_in.sign_in).await?;
    let has_factor = factors::count(&app.db, signed_in.caller.account_id).await? > 0;
    let is_good = |until: fn(&factors::Confirmation) -> UnixMillis| {
        found.as_ref().is_some_and(|found| until(found) > now)
    };
    Ok(Shown {
        password: is_good(|found| found.password_until),
        factor: has_factor.then(|| is_good(|found| found.factor_until)),
    })
}

/// Wrong passwords are counted by sign-in: who has stolen one guesses no faster than a stranger, and
/// stops nobody else.
async fn check_password(
    app: &App,
    signed_in: &SignedIn,
    address: IpAddr,
    password: String,
) -> Result<()> {
    let account_id = signed_in.caller.account_id;
    let key = signed_in.sign_in.to_string();
    app.limits.confirmations.take(&key, app.now())?;
    let stored = accounts::password_hash(&app.db, account_id).await?;
    let _turn = app.passwords.turn_of(address).await?;
    if app.passwords.verify(password, stored).await? == Verdict::Wrong {
        tally(app, Entry::new(Action::ConfirmationRefused, signed_in.caller)).await?;
        // Not 401: the sign-in is as good as before.
        return Err(Error::forbidden(
            ProblemCode::InvalidCredentials,
            "The password is not right.",
        ));
    }
    app.limits.confirmations.give_back(&key);
    Ok(())
}

async fn check_factor(app: &App, signed_in: &SignedIn, factor: &Factor) -> Result<()> {
    let account_id = signed_in.caller.account_id;
    let key = signed_in.sign_in.to_string();
    app.limits.confirmations.take(&key, app.now())?;
    let asked = match factor {
        Factor::Passkey(answer) => {
            challenge::take(app, &answer.challenge, ChallengePurpose::Passkey).await?;
            answer.challenge.as_str()
        }
        Factor::Code(_) | Factor::BackupCode(_) => "",
    };
    verify::verify(app, account_id, factor, asked).await?;
    app.limits.confirmations.give_back(&key);
    Ok(())
}

fn required() -> Error {
    Error::forbidden(
        ProblemCode::ConfirmationRequired,
        "Show again who you are, by password or second factor: POST /api/v1/auth/confirm.",
    )
}

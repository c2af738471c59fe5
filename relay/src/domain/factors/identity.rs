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

/// Refuses who has not shown in the last 10 minutes that it is they: by password or second factor.
pub async fn confirmed(app: &App, signed_in: &SignedIn) -> Result<()> {
    access::in_person(signed_in.caller)?;
    let now = app.now();
    let found = factors::confirmation(&app.db, &signed_in.sign_in).await?;
    let is_confirmed =
        found.is_some_and(|found| found.password_until > now || found.factor_until > now);
    if is_confirmed { Ok(()) } else { Err(required()) }
}

/// Refuses who has not shown both in the last 10 minutes, password and second factor: for the end of
/// a factor, and for what is the end of an account that has one.
pub async fn confirmed_twice(app: &App, signed_in: &SignedIn) -> Result<()> {
    access::in_person(signed_in.caller)?;
    let now = app.now();
    let found = factors::confirmation(&app.db, &signed_in.sign_in).await?;
    let has_factor = factors::count(&app.db, signed_in.caller.account_id).await? > 0;
    let is_confirmed = found.is_some_and(|found| {
        found.password_until > now && (found.factor_until > now || !has_factor)
    });
    if is_confirmed { Ok(()) } else { Err(required()) }
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
    let account = accounts::by_id(&app.db, account_id).await?.ok_or_else(Error::not_found)?;
    let stored = accounts::by_email(&app.db, &account.email).await?.map(|(_, stored)| stored);
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

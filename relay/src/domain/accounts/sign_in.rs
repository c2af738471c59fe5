//! Whether a password is right, and who is told of it.

use std::net::IpAddr;

use nightjar_shared::{audit::Action, ids::AccountId, notification::Kind};

use super::{address::send_link, client::Client, find::find};
use crate::{
    app::{App, passwords::Verdict},
    domain::{
        access::Caller,
        attempts::{Attempt, Origin},
        audit::{Actor, Entry, record, tally},
        email,
        factors::{self, SecondFactorQuestion},
        mails::{self, Mail},
        notifications::{self, Happening},
    },
    engines::db::{
        accounts::{self, AccountRow},
        admin::accounts as known,
    },
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
    if verdict == Verdict::Wrong {
        note_failure(app, account.map(|account| account.account_id), address).await?;
        return Err(wrong());
    }
    let account = account.ok_or_else(wrong)?;
    attempt.give_back(app);
    let account_id = account.account_id;
    app.limits.login_success.take(&account_id.to_string(), now)?;
    if let (Verdict::RightAsTyped, Some(before)) = (verdict, stored) {
        let hash = app.passwords.hash_known(password).await?;
        accounts::replace_password_hash(&app.db, account_id, &before, hash).await?;
    }
    if app.settings.get().require_verified && account.verified_at.is_none() {
        return Err(unverified(app, &account).await?);
    }
    if let Some(question) = factors::ask(app, account_id).await? {
        return Ok(Login::Asked(question));
    }
    let entry = Entry::new(Action::SignedIn, account_id).address(app.known_address(address));
    record(&app.db, now, entry).await?;
    Ok(Login::Caller(Caller::person(account_id)))
}

/// Refuses an account that an administrator has disabled, to who has shown that it is theirs.
pub async fn refuse_disabled(app: &App, account_id: AccountId) -> Result<()> {
    if known::is_disabled(&app.db, account_id).await? {
        return Err(Error::forbidden(
            ProblemCode::AccountDisabled,
            "This account is disabled; ask the person who runs this relay.",
        ));
    }
    Ok(())
}

/// Writes down that a password was wrong, by the account and never by the address that was typed: people
/// type passwords there.
async fn note_failure(app: &App, account_id: Option<AccountId>, address: IpAddr) -> Result<()> {
    app.tallies.refused_sign_ins.add(1);
    let entry = Entry::new(Action::SignInFailed, Actor::Stranger);
    let entry = entry.address(app.known_address(address));
    let entry = account_id.into_iter().fold(entry, Entry::subject);
    tally(app, entry).await
}

/// Sends the link once more by which the address is confirmed, and says so.
async fn unverified(app: &App, account: &AccountRow) -> Result<Error> {
    if mails::is_there(app) && app.limits.mails_by_recipient.take(&account.email, app.now()).is_ok()
    {
        let transaction = app.db.begin().await?;
        send_link(app, &transaction, account, &account.email).await?;
        transaction.commit().await?;
    }
    let title = "Confirm your address first: follow the link in the mail that was sent to it.";
    Ok(Error::forbidden(ProblemCode::EmailUnverified, title))
}

/// Tells the owner of an account that somebody signed in with a browser or program that had not before.
pub async fn note_sign_in(app: &App, caller: Caller, client: &Client) -> Result<()> {
    let Some(account) = accounts::by_id(&app.db, caller.account_id).await? else { return Ok(()) };
    let sign_in = Happening::to_account(Kind::NewSignIn, caller.account_id);
    let sign_in = sign_in
        .detail(notifications::details::PROGRAM, client.program.as_str())
        .detail(notifications::details::NETWORK, client.network.as_str());
    notifications::happened(app, &app.db, sign_in).await?;
    if app.limits.news_by_account.take(&caller.account_id.to_string(), app.now()).is_err() {
        return Ok(());
    }
    let mail = Mail::NewSignIn { program: &client.program, network: &client.network };
    mails::tell_owner(app, &app.db, &account, mail).await
}

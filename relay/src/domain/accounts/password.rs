//! Changing a password, and setting a new one where the old one was lost.

use std::{net::IpAddr, sync::Arc};

use nightjar_shared::{account::LinkPurpose, audit::Action, range::Check, time::UnixMillis};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    confirm::confirm,
    find::find,
    links::{self, Link, Way},
    sessions, strength,
};
use crate::{
    app::App,
    domain::{
        access::{self, Caller},
        audit::{Actor, Doer, Entry, record},
        email, live,
        mails::{self, Mail, Recipient},
        secrets,
        signed_in::SignedIn,
    },
    engines::db::{
        Db,
        accounts::{self, AccountRow},
        api_keys, known_devices, links as rows, sign_in, sites,
    },
    error::{Error, ProblemCode, Result},
};

#[derive(Clone, Deserialize, ToSchema)]
pub struct PasswordChange {
    /// The one so far.
    pub current: String,
    /// At least 10 characters.
    #[schema(min_length = 10)]
    pub password: String,
    /// Leaves the account's other sign-ins as they are; otherwise they end.
    #[serde(default)]
    pub keep_others: bool,
}

impl Check for PasswordChange {}

/// Changes the password of somebody who knows it.
pub async fn change_password(
    app: &App,
    signed_in: &SignedIn,
    change: PasswordChange,
    address: IpAddr,
) -> Result<()> {
    let account_id = signed_in.caller.account_id;
    let account = confirm(app, signed_in, change.current, address).await?;
    check(app, &account, &change.password).await?;
    let hash = {
        let _turn = app.passwords.turn_of(address).await?;
        app.passwords.hash(change.password).await?
    };
    let transaction = app.db.begin().await?;
    accounts::set_password_hash(&transaction, account_id, hash).await?;
    // Whoever knew the old one may have asked for another address.
    for purpose in [LinkPurpose::Reset, LinkPurpose::Verify] {
        rows::delete_of_account(&transaction, account_id, purpose).await?;
    }
    let ended = if change.keep_others {
        Vec::new()
    } else {
        sign_in::delete_all_but(&transaction, account_id, Some(&signed_in.sign_in)).await?
    };
    let entry = Entry::new(Action::PasswordChanged, signed_in.caller);
    record(&transaction, app.now(), entry).await?;
    mails::tell_owner(app, &transaction, &account, Mail::PasswordChanged).await?;
    transaction.commit().await?;
    sessions::close(app, account_id, &ended).await
}

/// Refuses a password that is guessed early.
async fn check(app: &App, account: &AccountRow, password: &str) -> Result<()> {
    let sites = sites::of_account(&app.db, account.account_id, app.now()).await?;
    let sites = sites.iter().map(|site| site.name.as_str());
    let own = [account.email.as_str(), account.name.as_str(), app.config.host()];
    strength::check(password, own.into_iter().chain(sites))
}

/// Sends a link by which a new password is set, if there is an account whose address is known to be
/// right. What the caller hears, and when, says nothing about that.
pub fn forgot_password(app: &Arc<App>, typed: String, address: IpAddr) -> Result<()> {
    if !mails::is_there(app) {
        let title = "This relay sends no mail. Ask the person who runs it for a link.";
        return Err(Error::conflict(ProblemCode::NoMail, title));
    }
    let now = app.now();
    app.limits.links_by_address.take_at(app.address_key(address).as_deref(), now)?;
    let task = app.clone();
    app.errands.take(&app.tracker, async move {
        if let Err(error) = send_reset_link(&task, &typed).await {
            tracing::warn!(%error, "cannot send a link for a new password");
        }
    })
}

async fn send_reset_link(app: &App, typed: &str) -> Result<()> {
    let Ok(address) = email::normalize(typed) else { return Ok(()) };
    let Some((account, _)) = find(&app.db, &address, typed).await? else { return Ok(()) };
    if account.verified_at.is_none() {
        tracing::info!("a link for a new password was asked for an address that is not confirmed");
        return Ok(());
    }
    let now = app.now();
    // Nobody fills somebody else's mailbox, nor holds these mails up by others.
    if app.limits.reset_mails.take(&account.email, now).is_err() {
        return Ok(());
    }
    let transaction = app.db.begin().await?;
    let way = Way::Mail(&account.email);
    let (url, purpose) = (&app.config.public_url, LinkPurpose::Reset);
    let link = links::make(&transaction, url, account.account_id, purpose, way, now).await?;
    let mail = Mail::ResetPassword { link: &link.url, expires_at: link.expires_at };
    let to = Recipient { account_id: Some(account.account_id), email: &account.email };
    mails::queue(app, &transaction, to, mail).await?;
    let account_id = account.account_id;
    let entry = Entry::new(Action::PasswordResetAsked, Actor::Stranger).subject(account_id);
    record(&transaction, now, entry).await?;
    Ok(transaction.commit().await?)
}

#[derive(Clone, Deserialize, ToSchema)]
pub struct PasswordReset {
    /// What stands behind the `#` of the link.
    pub token: String,
    /// At least 10 characters.
    #[schema(min_length = 10)]
    pub password: String,
}

impl Check for PasswordReset {}

/// Sets a new password by a link, which is spent by that. Everybody who was signed in to the account is
/// signed out, and its API keys end. It signs nobody in: a second factor is still asked for.
pub async fn reset_password(app: &App, reset: PasswordReset, address: IpAddr) -> Result<Caller> {
    app.limits.links_by_address.take_at(app.address_key(address).as_deref(), app.now())?;
    let hash = secrets::hash(&reset.token);
    let purpose = LinkPurpose::Reset;
    // A password that is refused leaves the link as it is, and who has no link hashes nothing.
    let link = rows::find(&app.db, &hash, purpose, app.now()).await?.ok_or_else(links::is_over)?;
    let account_id = link.account_id;
    let account = accounts::by_id(&app.db, account_id).await?.ok_or_else(links::is_over)?;
    check(app, &account, &reset.password).await?;
    let password_hash = {
        let _turn = app.passwords.turn_of(address).await?;
        app.passwords.hash(reset.password).await?
    };
    let now = app.now();
    let transaction = app.db.begin().await?;
    let link = rows::take(&transaction, &hash, purpose, now).await?.ok_or_else(links::is_over)?;
    // The address may have been changed since the link was sent to it.
    let account = accounts::by_id(&transaction, account_id).await?.ok_or_else(links::is_over)?;
    if link.email.as_ref().is_some_and(|email| *email != account.email) {
        return Err(links::is_over());
    }
    accounts::set_password_hash(&transaction, account_id, password_hash).await?;
    if link.email.as_ref() == Some(&account.email) {
        accounts::set_email(&transaction, account_id, &account.email, Some(now)).await?;
    }
    for purpose in [LinkPurpose::Reset, LinkPurpose::Verify] {
        rows::delete_of_account(&transaction, account_id, purpose).await?;
    }
    sign_in::delete_all_but(&transaction, account_id, None).await?;
    api_keys::delete_of_account(&transaction, account_id).await?;
    known_devices::delete_of_account(&transaction, account_id).await?;
    let entry = Entry::new(Action::PasswordReset, account_id);
    let entry = entry.address(app.known_address(address)).subject(account_id);
    record(&transaction, now, entry).await?;
    mails::tell_owner(app, &transaction, &account, Mail::PasswordChanged).await?;
    transaction.commit().await?;
    app.realtime.close_account(account_id);
    live::end_of_account(app, account_id, None).await?;
    Ok(Caller::person(account_id))
}

/// Makes such a link for an administrator. Where there is mail, owners of confirmed addresses ask for it
/// themselves: nobody else is to have a way into their account.
pub async fn reset_link_by_admin(app: &App, caller: Caller, typed: &str) -> Result<Link> {
    access::administrator(app, caller).await?;
    app.limits.reset_links.take(&caller.account_id.to_string(), app.now())?;
    let found = find(&app.db, &email::normalize(typed)?, typed).await?;
    let (account, _) = found.ok_or_else(Error::not_found)?;
    if mails::is_there(app) && account.verified_at.is_some() {
        let title = "This person asks for a link by mail: nobody else is to have it.";
        return Err(Error::conflict(ProblemCode::ByMail, title));
    }
    make_link_by_hand(&app.db, &app.config.public_url, &account, Some(caller), app.now()).await
}

/// Makes a link by which the owner of an account sets a new password, to be brought by hand. Needs no
/// running relay.
pub async fn make_reset_link(
    db: &Db,
    public_url: &str,
    typed: &str,
    now: UnixMillis,
) -> Result<Link> {
    let found = find(db, &email::normalize(typed)?, typed).await?;
    let (account, _) = found.ok_or_else(Error::not_found)?;
    make_link_by_hand(db, public_url, &account, None, now).await
}

async fn make_link_by_hand(
    db: &Db,
    public_url: &str,
    account: &AccountRow,
    by: Option<Caller>,
    now: UnixMillis,
) -> Result<Link> {
    let (account_id, purpose) = (account.account_id, LinkPurpose::Reset);
    let transaction = db.begin().await?;
    let link = links::make(&transaction, public_url, account_id, purpose, Way::ByHand, now).await?;
    let by = by.map_or_else(|| Doer::from(Actor::Relay), Doer::from);
    let entry = Entry::new(Action::ResetLinkMade, by).subject(account_id);
    record(&transaction, now, entry).await?;
    transaction.commit().await?;
    Ok(link)
}

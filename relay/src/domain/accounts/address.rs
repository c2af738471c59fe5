//! The address of an account: confirmed by a link that a mail brings, and changed by one.

use std::net::IpAddr;

use nightjar_shared::{account::LinkPurpose, audit::Action, range::Check};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    confirm::confirm,
    links::{self, Way},
};
use crate::{
    app::App,
    domain::{
        access::{self, Caller},
        audit::{Entry, record},
        email,
        mails::{self, Mail, Recipient},
        secrets,
        signed_in::SignedIn,
    },
    engines::db::{
        Executor,
        accounts::{self, AccountRow},
        links as rows,
    },
    error::{Error, ProblemCode, Result},
};

#[derive(Clone, Deserialize, ToSchema)]
pub struct AddressChange {
    #[schema(format = "email", max_length = 254)]
    pub email: String,
    pub password: String,
}

impl Check for AddressChange {}

/// What became of the wish for another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressChanged {
    /// A link was sent to the new address; the old one stands until it is followed.
    Asked,
    /// Where there is no mail, nothing is asked.
    Done,
}

/// Wishes for another address. Whether it has an account already is told to its owner alone.
pub async fn change_address(
    app: &App,
    signed_in: &SignedIn,
    change: AddressChange,
    address: IpAddr,
) -> Result<AddressChanged> {
    let new = email::normalize(&change.email)?;
    let account = confirm(app, signed_in, change.password, address).await?;
    if !mails::is_there(app) {
        return change_at_once(app, &account, &new).await;
    }
    app.limits.mails_by_recipient.take(&new, app.now())?;
    let transaction = app.db.begin().await?;
    let owner = accounts::by_email(&transaction, &new).await?.map(|(owner, _)| owner.account_id);
    if owner.is_some_and(|owner| owner != account.account_id) {
        let to = Recipient { account_id: owner, email: &new };
        mails::queue(app, &transaction, to, Mail::AccountExists).await?;
    } else {
        send_link(app, &transaction, &account, &new).await?;
    }
    transaction.commit().await?;
    Ok(AddressChanged::Asked)
}

async fn change_at_once(app: &App, account: &AccountRow, new: &str) -> Result<AddressChanged> {
    let account_id = account.account_id;
    let transaction = app.db.begin().await?;
    if !accounts::set_email(&transaction, account_id, new, None).await? {
        return Err(taken());
    }
    rows::delete_of_account(&transaction, account_id, LinkPurpose::Reset).await?;
    record(&transaction, app.now(), Entry::new(Action::AddressChanged, account_id)).await?;
    transaction.commit().await?;
    Ok(AddressChanged::Done)
}

fn taken() -> Error {
    Error::conflict(ProblemCode::EmailTaken, "There is an account with this address.")
}

/// Sends the link that confirms the caller's own address once more.
pub async fn send_verification(app: &App, caller: Caller) -> Result<()> {
    access::in_person(caller)?;
    if !mails::is_there(app) {
        let title = "This relay sends no mail, so no address is confirmed.";
        return Err(Error::conflict(ProblemCode::NoMail, title));
    }
    let account = accounts::by_id(&app.db, caller.account_id).await?;
    let account = account.ok_or_else(Error::not_found)?;
    if account.verified_at.is_some() {
        return Ok(());
    }
    app.limits.mails_by_recipient.take(&account.email, app.now())?;
    let transaction = app.db.begin().await?;
    send_link(app, &transaction, &account, &account.email).await?;
    Ok(transaction.commit().await?)
}

/// Sends a link by which an address is confirmed.
pub(super) async fn send_link(
    app: &App,
    transaction: &impl Executor,
    account: &AccountRow,
    address: &str,
) -> Result<()> {
    let (now, purpose) = (app.now(), LinkPurpose::Verify);
    let (url, way) = (&app.config.public_url, Way::Mail(address));
    let link = links::make(transaction, url, account.account_id, purpose, way, now).await?;
    let to = Recipient { account_id: Some(account.account_id), email: address };
    let mail = Mail::VerifyAddress { link: &link.url, expires_at: link.expires_at };
    mails::queue(app, transaction, to, mail).await
}

#[derive(Clone, Deserialize, ToSchema)]
pub struct Verification {
    /// What stands behind the `#` of the link.
    pub token: String,
}

impl Check for Verification {}

/// Confirms an address by a link, which is spent by that: the account has this address from now on.
pub async fn verify_address(app: &App, token: &str, address: IpAddr) -> Result<()> {
    let now = app.now();
    app.limits.links_by_address.take_at(app.address_key(address).as_deref(), now)?;
    let transaction = app.db.begin().await?;
    let purpose = LinkPurpose::Verify;
    let link = rows::take(&transaction, &secrets::hash(token), purpose, now).await?;
    let link = link.ok_or_else(links::is_over)?;
    let (account_id, new) = (link.account_id, link.email.ok_or_else(links::is_over)?);
    let account = accounts::by_id(&transaction, account_id).await?.ok_or_else(links::is_over)?;
    if !accounts::set_email(&transaction, account_id, &new, Some(now)).await? {
        return Err(taken());
    }
    // What was sent to the old address opens nothing any more.
    for purpose in [purpose, LinkPurpose::Reset] {
        rows::delete_of_account(&transaction, account_id, purpose).await?;
    }
    if account.email == new {
        record(&transaction, now, Entry::new(Action::AddressConfirmed, account_id)).await?;
    } else {
        record(&transaction, now, Entry::new(Action::AddressChanged, account_id)).await?;
        mails::tell_owner(app, &transaction, &account, Mail::AddressChanged { new: &new }).await?;
    }
    Ok(transaction.commit().await?)
}

//! Who may make an account, and how one is made.

use std::net::IpAddr;

use nightjar_shared::{
    audit::Action,
    ids::AccountId,
    range::Check,
    role::{AccountRole, Registration},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{address::send_link, find::find, strength};
use crate::{
    app::{App, limits::address_key, passwords::Hasher},
    domain::{
        access::Caller,
        audit::{Entry, record},
        email,
        mails::{self, Mail, Recipient},
        text,
    },
    engines::db::{
        Db, Executor,
        accounts::{self, AccountRow},
        admin,
        sites::{self, SiteRow},
    },
    error::{Error, ProblemCode, Result},
};

/// What somebody signs up with.
#[derive(Clone, Deserialize, ToSchema)]
pub struct SignUp {
    #[schema(format = "email", max_length = 254)]
    pub email: String,
    /// At least 10 characters, and none of the passwords that are guessed first.
    #[schema(min_length = 10)]
    pub password: String,
    #[serde(default)]
    pub name: Option<String>,
}

impl Check for SignUp {}

/// What a stranger is told before signing up.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RegistrationState {
    /// `open`, or `invitation` or `closed`: then signing up is refused.
    #[schema(value_type = String)]
    pub registration: Registration,
    /// Whether this relay sends mail: then a lost password is replaced by a link in one.
    pub mail: bool,
    /// What who runs the relay tells all who use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
}

/// Says who may make an account.
pub fn registration(app: &App) -> RegistrationState {
    let settings = app.settings.get();
    RegistrationState {
        registration: settings.registration,
        mail: mails::is_there(app),
        banner: settings.banner.clone(),
    }
}

/// What became of a sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    In(Caller),
    /// A mail asks whether the address is right; until then nobody is let in. The same is said where the
    /// address has an account.
    Asked,
}

/// An account that is about to be made: checked, its password hashed.
pub struct NewAccount {
    row: AccountRow,
    password_hash: String,
    typed: String,
}

/// Checks what somebody signs up with, and hashes the password: that takes long, and no transaction may
/// wait for it. What it costs the relay is limited by the caller (`app.passwords.turn_of`).
pub async fn prepare(
    passwords: &Hasher,
    sign_up: SignUp,
    role: AccountRole,
    host: &str,
) -> Result<NewAccount> {
    let email = email::normalize(&sign_up.email)?;
    let name = match sign_up.name.as_deref().map(str::trim) {
        None | Some("") => email.split('@').next().unwrap_or_default().to_owned(),
        Some(name) => text::name(name)?,
    };
    let own = [email.as_str(), name.as_str(), host];
    strength::check(&sign_up.password, own.into_iter())?;
    let password_hash = passwords.hash(sign_up.password).await?;
    let account_id = AccountId::generate();
    let row = AccountRow { account_id, email, name, role, verified_at: None };
    Ok(NewAccount { row, password_hash, typed: sign_up.email })
}

/// Makes an account for somebody who was invited, whoever else may sign up, in the transaction that
/// spends the invitation. It has no site of its own. A mail asks whether the address is right; whoever
/// invited them has vouched for them meanwhile.
pub async fn create_invited(
    app: &App,
    transaction: &impl Executor,
    new: NewAccount,
) -> Result<Caller> {
    let (row, now) = (new.row.clone(), app.now());
    let caller = insert(transaction, new, now).await?.ok_or_else(taken)?;
    if mails::is_there(app) && app.limits.mails_by_recipient.take(&row.email, now).is_ok() {
        send_link(app, transaction, &row, &row.email).await?;
    }
    Ok(caller)
}

fn taken() -> Error {
    Error::conflict(ProblemCode::EmailTaken, "There is an account with this address.")
}

/// Inserts the account: nothing when its address has one.
async fn insert(
    transaction: &impl Executor,
    new: NewAccount,
    now: UnixMillis,
) -> Result<Option<Caller>> {
    let NewAccount { row, password_hash, typed } = new;
    let account_id = row.account_id;
    let is_taken = find(transaction, &row.email, &typed).await?.is_some();
    if is_taken || !accounts::insert(transaction, &row, password_hash, now).await? {
        return Ok(None);
    }
    record(transaction, now, Entry::new(Action::AccountCreated, account_id)).await?;
    Ok(Some(Caller::person(account_id)))
}

async fn give_home(transaction: &impl Executor, caller: Caller, now: UnixMillis) -> Result<()> {
    let site = SiteRow::new("Home".to_owned());
    Ok(sites::insert(transaction, &site, caller.account_id, now).await?)
}

/// Makes an account and its first site, where the relay is open to all.
pub async fn register(app: &App, sign_up: SignUp, address: IpAddr) -> Result<Registered> {
    let settings = app.settings.get();
    if settings.registration != Registration::Open {
        return Err(Error::forbidden(
            ProblemCode::RegistrationClosed,
            "This relay takes no new accounts; ask its administrator.",
        ));
    }
    // Also where all share one address: who closes this door stops nobody who has an account.
    app.limits.registration.take(&address_key(address), app.now())?;
    let new = {
        let _turn = app.passwords.turn_of(address).await?;
        prepare(&app.passwords, sign_up, AccountRole::User, app.config.host()).await?
    };
    let now = app.now();
    let row = new.row.clone();
    // One mail for each sign-up, and few to anybody who did not ask for them.
    let may_mail = app.limits.mails_by_recipient.take(&row.email, now).is_ok();
    let transaction = app.db.begin().await?;
    let Some(caller) = insert(&transaction, new, now).await? else {
        if !settings.require_verified {
            return Err(taken());
        }
        if may_mail {
            let to = Recipient { account_id: None, email: &row.email };
            mails::queue(app, &transaction, to, Mail::AccountExists).await?;
            transaction.commit().await?;
        }
        return Ok(Registered::Asked);
    };
    give_home(&transaction, caller, now).await?;
    if may_mail && mails::is_there(app) {
        send_link(app, &transaction, &row, &row.email).await?;
    }
    transaction.commit().await?;
    Ok(if settings.require_verified { Registered::Asked } else { Registered::In(caller) })
}

/// Makes an account and its first site. Needs no running relay: the first administrator is made
/// so.
pub async fn create(
    db: &Db,
    passwords: &Hasher,
    sign_up: SignUp,
    role: AccountRole,
    now: UnixMillis,
) -> Result<Caller> {
    let new = prepare(passwords, sign_up, role, "").await?;
    let transaction = db.begin().await?;
    admin::hold(&transaction).await?;
    let caller = settle_in(&transaction, new, now).await?;
    transaction.commit().await?;
    Ok(caller)
}

/// Makes an account and its first site, in a transaction.
pub(super) async fn settle_in(
    transaction: &impl Executor,
    new: NewAccount,
    now: UnixMillis,
) -> Result<Caller> {
    let caller = insert(transaction, new, now).await?.ok_or_else(taken)?;
    give_home(transaction, caller, now).await?;
    Ok(caller)
}

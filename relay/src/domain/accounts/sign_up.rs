//! Who may make an account, and how one is made.

use std::net::IpAddr;

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, SiteId},
    range::Check,
    role::{AccountRole, Registration, Role},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::find::find;
use crate::{
    app::{App, limits::address_key, passwords::Hasher},
    domain::{
        access::Caller,
        audit::{Entry, record},
        email, text,
    },
    engines::db::{
        Db, Executor,
        accounts::{self, AccountRow},
        sites::{self, SiteRow},
    },
    error::{Error, ProblemCode, Result},
};

/// What somebody signs up with.
#[derive(Clone, Deserialize, ToSchema)]
pub struct SignUp {
    #[schema(format = "email", max_length = 254)]
    pub email: String,
    /// At least 10 characters.
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
}

/// Says who may make an account.
pub fn registration(app: &App) -> RegistrationState {
    RegistrationState { registration: app.config.registration }
}

/// Makes an account and its first site, where the relay is open to all.
pub async fn register(app: &App, sign_up: SignUp, address: IpAddr) -> Result<Caller> {
    if app.config.registration != Registration::Open {
        return Err(Error::forbidden(
            ProblemCode::RegistrationClosed,
            "This relay takes no new accounts; ask its administrator.",
        ));
    }
    // Also where all share one address: who closes this door stops nobody who has an account.
    app.limits.registration.take(&address_key(address), app.now())?;
    let _turn = app.passwords.turn_of(address).await?;
    create(&app.db, &app.passwords, sign_up, AccountRole::User, app.now()).await
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
    let account = NewAccount::prepare(passwords, sign_up, role).await?;
    let transaction = db.begin().await?;
    let account_id = account.insert(&transaction, now).await?;
    let site = SiteRow { site_id: SiteId::generate(), name: "Home".to_owned(), role: Role::Owner };
    sites::insert(&transaction, &site, account_id, now).await?;
    transaction.commit().await?;
    Ok(Caller::person(account_id))
}

/// An account that is about to be made.
pub(in crate::domain) struct NewAccount {
    row: AccountRow,
    /// As it was typed.
    email: String,
    password_hash: String,
}

impl NewAccount {
    /// Checks what somebody signs up with, and hashes the password: no transaction waits for that.
    pub(in crate::domain) async fn prepare(
        passwords: &Hasher,
        sign_up: SignUp,
        role: AccountRole,
    ) -> Result<Self> {
        let email = email::normalize(&sign_up.email)?;
        let name = match sign_up.name.as_deref().map(str::trim) {
            None | Some("") => email.split('@').next().unwrap_or_default().to_owned(),
            Some(name) => text::name(name)?,
        };
        let password_hash = passwords.hash(sign_up.password).await?;
        let row = AccountRow { account_id: AccountId::generate(), email, name, role };
        Ok(Self { row, email: sign_up.email, password_hash })
    }

    /// Inserts it, without a site.
    pub(in crate::domain) async fn insert(
        self,
        transaction: &impl Executor,
        now: UnixMillis,
    ) -> Result<AccountId> {
        let Self { row, email, password_hash } = self;
        let is_taken = find(transaction, &row.email, &email).await?.is_some();
        if is_taken || !accounts::insert(transaction, &row, password_hash, now).await? {
            return Err(Error::conflict(
                ProblemCode::EmailTaken,
                "There is an account with this address.",
            ));
        }
        let account_id = row.account_id;
        record(transaction, now, Entry::new(Action::AccountCreated, account_id)).await?;
        Ok(account_id)
    }
}

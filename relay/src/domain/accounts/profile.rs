//! What an account is called, and where it belongs.

use nightjar_shared::{audit::Action, ids::AccountId, range::Check, role::AccountRole};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    domain::{
        access::{self, Caller},
        audit::{Entry, record},
        sites::{self, Site},
        text,
    },
    engines::db::{accounts, credentials},
    error::{Error, Result},
};

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Account {
    #[schema(value_type = String)]
    pub account_id: AccountId,
    pub email: String,
    /// Whether mail to it is known to arrive.
    pub email_verified: bool,
    pub name: String,
    /// Relay-wide: `user` or `admin`.
    #[schema(value_type = String)]
    pub role: AccountRole,
}

/// Who is signed in, and where they belong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Me {
    pub account: Account,
    pub sites: Vec<Site>,
    /// Whether nothing else is answered until a second factor is set up: administrators need one.
    pub second_factor_required: bool,
}

pub async fn me(app: &App, caller: Caller) -> Result<Me> {
    let account = accounts::by_id(&app.db, caller.account_id).await?;
    let account = account.ok_or_else(Error::not_found)?;
    let second_factor_required = credentials::lacks_factor(&app.db, caller.account_id).await?;
    Ok(Me {
        account: Account {
            account_id: account.account_id,
            email: account.email,
            email_verified: account.verified_at.is_some(),
            name: account.name,
            role: account.role,
        },
        sites: if second_factor_required { Vec::new() } else { sites::of(app, caller).await? },
        second_factor_required,
    })
}

#[derive(Clone, Deserialize, ToSchema)]
pub struct ProfileChange {
    #[schema(max_length = 80)]
    pub name: String,
}

impl Check for ProfileChange {}

/// Gives the caller another name.
pub async fn change_profile(app: &App, caller: Caller, change: &ProfileChange) -> Result<Me> {
    access::in_person(caller)?;
    let name = text::name(&change.name)?;
    let transaction = app.db.begin().await?;
    accounts::set_name(&transaction, caller.account_id, &name).await?;
    record(&transaction, app.now(), Entry::new(Action::NameChanged, caller)).await?;
    transaction.commit().await?;
    me(app, caller).await
}

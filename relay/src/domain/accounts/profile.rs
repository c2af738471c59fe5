//! What an account is called, and where it belongs.

use nightjar_shared::{ids::AccountId, role::AccountRole};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    domain::{
        access::Caller,
        sites::{self, Site},
    },
    engines::db::accounts,
    error::{Error, Result},
};

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Account {
    #[schema(value_type = String)]
    pub account_id: AccountId,
    pub email: String,
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
    let second_factor_required = accounts::lacks_factor(&app.db, caller.account_id).await?;
    Ok(Me {
        account: Account {
            account_id: account.account_id,
            email: account.email,
            name: account.name,
            role: account.role,
        },
        sites: if second_factor_required { Vec::new() } else { sites::of(app, caller).await? },
        second_factor_required,
    })
}

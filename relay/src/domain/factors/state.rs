//! What factors an account has.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    passkeys::{self, Passkey},
    set_up::is_required,
};
use crate::{app::App, domain::signed_in::SignedIn, engines::db::factors, error::Result};

/// By what an account can show that it is its person.
#[derive(Clone, Serialize, ToSchema)]
pub struct FactorState {
    /// Whether an app makes codes for it.
    pub code: bool,
    pub passkeys: Vec<Passkey>,
    pub backup_codes_left: u64,
    /// Whether the last one must stay: administrators need one, and members of a site that requires one.
    pub required: bool,
    /// Whether browsers make passkeys for this relay: it needs a name.
    pub passkeys_available: bool,
}

pub async fn state(app: &App, signed_in: &SignedIn) -> Result<FactorState> {
    let account_id = signed_in.caller.account_id;
    let totp = factors::totp(&app.db, account_id).await?;
    Ok(FactorState {
        code: totp.is_some_and(|row| row.confirmed_at.is_some()),
        passkeys: passkeys::list(app, account_id).await?,
        backup_codes_left: factors::count_backup_codes(&app.db, account_id).await?,
        required: is_required(&app.db, account_id).await?,
        passkeys_available: passkeys::are_available(app),
    })
}

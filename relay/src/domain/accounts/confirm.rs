//! Whether somebody who is signed in is the owner, too: before what a borrowed phone must not do.

use std::net::IpAddr;

use crate::{
    app::App,
    domain::{factors, signed_in::SignedIn},
    engines::db::accounts::{self, AccountRow},
    error::{Error, Result},
};

/// Checks the password of who is signed in, and the second factor of an account that has one.
pub(super) async fn confirm(
    app: &App,
    signed_in: &SignedIn,
    password: String,
    address: IpAddr,
) -> Result<AccountRow> {
    factors::confirm_now(app, signed_in, address, password).await?;
    let account_id = signed_in.caller.account_id;
    accounts::by_id(&app.db, account_id).await?.ok_or_else(Error::not_found)
}

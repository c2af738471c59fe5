//! Whether somebody who is signed in knows the password, too: before what a borrowed phone must not do.

use std::net::IpAddr;

use nightjar_shared::ids::AccountId;

use crate::{
    app::{App, passwords::Verdict},
    engines::db::accounts::{self, AccountRow},
    error::{Error, ProblemCode, Result},
};

/// Checks the password of an account that is signed in.
pub(super) async fn confirm(
    app: &App,
    account_id: AccountId,
    password: String,
    address: IpAddr,
) -> Result<AccountRow> {
    let key = account_id.to_string();
    app.limits.password_checks.take(&key, app.now())?;
    let stored = accounts::password_hash(&app.db, account_id).await?;
    let _turn = app.passwords.turn_of(address).await?;
    if app.passwords.verify(password, stored).await? == Verdict::Wrong {
        let title = "The password is not right.";
        return Err(Error::forbidden(ProblemCode::InvalidCredentials, title));
    }
    app.limits.password_checks.give_back(&key);
    accounts::by_id(&app.db, account_id).await?.ok_or_else(Error::not_found)
}

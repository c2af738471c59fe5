//! Which account has an address.

use crate::{
    domain::email,
    engines::db::{
        Executor,
        accounts::{self, AccountRow},
    },
    error::Result,
};

/// Finds an account by its address, also one from before addresses had one spelling.
pub(super) async fn find(
    db: &impl Executor,
    normal: &str,
    typed: &str,
) -> Result<Option<(AccountRow, String)>> {
    if let Some(found) = accounts::by_email(db, normal).await? {
        return Ok(Some(found));
    }
    let before = email::spelled_before(typed);
    if before == normal { Ok(None) } else { Ok(accounts::by_email(db, &before).await?) }
}

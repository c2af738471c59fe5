//! A relay keeps an administrator.

use nightjar_shared::ids::AccountId;

use crate::{
    engines::db::{Executor, admin},
    error::{Error, ProblemCode, Result},
};

/// Refuses what would leave the relay without an administrator. Whoever asks holds what administrators
/// change.
pub(super) async fn keep_one(transaction: &impl Executor, account_id: AccountId) -> Result<()> {
    if admin::accounts::count_other_administrators(transaction, account_id).await? > 0 {
        return Ok(());
    }
    Err(Error::conflict(
        ProblemCode::LastAdmin,
        "The relay has no other administrator: make somebody else one first.",
    ))
}

//! What administrators of the relay see of all of it: never a picture, the name of footage or an address
//! of an object.

pub mod accounts;
pub mod cameras;
pub mod jobs;
pub mod letters;
pub mod live;
pub mod settings;
pub mod sites;
pub mod statistics;
pub mod storage;
pub mod views;

use super::{DbError, Executor};

/// Holds what administrators change until the transaction ends: of two who do so at once, one comes after
/// the other, and reads what the first has done.
pub async fn hold(db: &impl Executor) -> Result<(), DbError> {
    db.execute(
        "update relay_state set settings_version = settings_version where state_id = 1",
        vec![],
    )
    .await
    .map(drop)
}

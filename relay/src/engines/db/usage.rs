//! How much cameras, sites and accounts use.

use nightjar_shared::ids::{AccountId, CameraId, SiteId};

use super::{DbError, Executor, Value};
use crate::config::Amount;

pub async fn of_camera(db: &impl Executor, camera_id: CameraId) -> Result<Amount, DbError> {
    read(
        db,
        "select (select count(*) from events where camera_id = $1) as events,
             (select count(*) from clips where camera_id = $1) as clips,
             (select cast(coalesce(sum(bytes), 0) as bigint) from clips where camera_id = $1)
                 as bytes",
        camera_id.into(),
    )
    .await
}

pub async fn of_site(db: &impl Executor, site_id: SiteId) -> Result<Amount, DbError> {
    read(
        db,
        "select (select count(*) from events where site_id = $1) as events,
             (select count(*) from clips where site_id = $1) as clips,
             (select cast(coalesce(sum(bytes), 0) as bigint) from clips where site_id = $1)
                 as bytes",
        site_id.into(),
    )
    .await
}

/// Counts what is in all sites that an account owns.
pub async fn of_owner(db: &impl Executor, account_id: AccountId) -> Result<Amount, DbError> {
    read(
        db,
        "select
             (select count(*) from events where site_id in
                 (select site_id from members where account_id = $1 and role = 'owner'))
                 as events,
             (select count(*) from clips where site_id in
                 (select site_id from members where account_id = $1 and role = 'owner'))
                 as clips,
             (select cast(coalesce(sum(bytes), 0) as bigint) from clips where site_id in
                 (select site_id from members where account_id = $1 and role = 'owner'))
                 as bytes",
        account_id.into(),
    )
    .await
}

/// Lists the accounts that own a site.
pub async fn owners(db: &impl Executor, site_id: SiteId) -> Result<Vec<AccountId>, DbError> {
    let rows = db
        .query(
            "select account_id from members where site_id = $1 and role = 'owner'",
            vec![site_id.into()],
        )
        .await?;
    rows.iter().map(|row| row.get("account_id")).collect()
}

async fn read(db: &impl Executor, sql: &'static str, owner: Value) -> Result<Amount, DbError> {
    let row = db.query_one(sql, vec![owner]).await?;
    let row = row.ok_or_else(|| DbError::Row("a count has no row".to_owned()))?;
    Ok(Amount { bytes: row.get("bytes")?, clips: row.get("clips")?, events: row.get("events")? })
}

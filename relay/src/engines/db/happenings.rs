//! What happened and has not been told yet.

use nightjar_shared::{
    ids::{AccountId, CameraId, EventId, SiteId},
    notification::Kind,
    time::UnixMillis,
};

use super::{DbError, Executor, from_row};

/// Something that may be told. The same again, while it waits, is counted.
#[derive(Debug, Clone)]
pub struct HappeningRow {
    pub happening_key: String,
    pub kind: Kind,
    pub site_id: Option<SiteId>,
    pub camera_id: Option<CameraId>,
    pub account_id: Option<AccountId>,
    pub event_id: Option<EventId>,
    pub details: serde_json::Value,
    pub happened_at: UnixMillis,
    pub count: u64,
}

from_row!(HappeningRow {
    happening_key,
    kind,
    site_id,
    camera_id,
    account_id,
    event_id,
    details,
    happened_at,
    count
});

/// Writes down what happened; what waits already is one more of it.
pub async fn add(db: &impl Executor, row: HappeningRow, due_at: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "insert into happenings (happening_key, kind, site_id, camera_id, account_id, event_id,
             details, happened_at, count, due_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (happening_key) do update set count = happenings.count + excluded.count",
        vec![
            row.happening_key.into(),
            row.kind.into(),
            row.site_id.into(),
            row.camera_id.into(),
            row.account_id.into(),
            row.event_id.into(),
            row.details.to_string().into(),
            row.happened_at.into(),
            row.count.into(),
            due_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Takes what is due next. Sites take turns, so that one of them with a thousand cameras holds no other up.
/// What is due later than `latest` was written by a clock that has been set back since.
pub async fn take(
    db: &impl Executor,
    now: UnixMillis,
    latest: UnixMillis,
) -> Result<Option<HappeningRow>, DbError> {
    db.one(
        "delete from happenings where happening_key in
             (select happening_key from
                 (select happening_key, due_at, row_number() over (
                      partition by coalesce(site_id, account_id) order by due_at, happening_key
                  ) as turn
                  from happenings where due_at <= $1 or due_at > $2) as waiting
              order by turn, due_at, happening_key limit 1)
         returning happening_key, kind, site_id, camera_id, account_id, event_id, details,
             happened_at, count",
        vec![now.into(), latest.into()],
    )
    .await
}

/// Lets what could not be told wait.
pub async fn postpone(
    db: &impl Executor,
    happening_key: &str,
    due_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update happenings set due_at = $2 where happening_key = $1",
        vec![happening_key.into(), due_at.into()],
    )
    .await
    .map(drop)
}

/// Takes back what is not so any more. Says whether it had not been told yet.
pub async fn withdraw(db: &impl Executor, happening_key: &str) -> Result<bool, DbError> {
    let deleted = db
        .execute("delete from happenings where happening_key = $1", vec![happening_key.into()])
        .await?;
    Ok(deleted == 1)
}

/// Forgets what waits of a site that is about to be deleted: first, as those do who tell of it, or each would
/// wait for the other.
pub async fn delete_of_site(db: &impl Executor, site_id: SiteId) -> Result<(), DbError> {
    db.execute("delete from happenings where site_id = $1", vec![site_id.into()]).await.map(drop)
}

/// Forgets what waits of an account that is about to be deleted, first as well.
pub async fn delete_of_account(db: &impl Executor, account_id: AccountId) -> Result<(), DbError> {
    db.execute("delete from happenings where account_id = $1", vec![account_id.into()])
        .await
        .map(drop)
}

/// Forgets what waits of a camera that is about to be removed, first as well.
pub async fn delete_of_camera(db: &impl Executor, camera_id: CameraId) -> Result<(), DbError> {
    db.execute("delete from happenings where camera_id = $1", vec![camera_id.into()])
        .await
        .map(drop)
}

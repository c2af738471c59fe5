//! How often and how long clips are watched.

use nightjar_shared::{
    ids::{AccountId, CameraId, ClipId},
    time::UnixMillis,
};

use super::{DbError, Executor, from_row};

/// A player, as it reported last.
#[derive(Debug, Clone, Copy)]
pub struct ViewRow {
    pub account_id: AccountId,
    pub clip_id: ClipId,
    pub began_at: UnixMillis,
    pub watched_ms: u64,
}

from_row!(ViewRow { account_id, clip_id, began_at, watched_ms });

/// Adds a player. Says whether it is new.
pub async fn insert(db: &impl Executor, view_id: &str, view: ViewRow) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into clip_views (view_id, account_id, clip_id, began_at, watched_ms)
             values ($1, $2, $3, $4, $5) on conflict (view_id) do nothing",
            vec![
                view_id.into(),
                view.account_id.into(),
                view.clip_id.into(),
                view.began_at.into(),
                view.watched_ms.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub async fn by_id(db: &impl Executor, view_id: &str) -> Result<Option<ViewRow>, DbError> {
    db.one(
        "select account_id, clip_id, began_at, watched_ms from clip_views where view_id = $1",
        vec![view_id.into()],
    )
    .await
}

/// Notes how long a player has played, if that is still what it said `before`. Says whether it was.
pub async fn set_watched(
    db: &impl Executor,
    view_id: &str,
    (before, watched_ms): (u64, u64),
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update clip_views set watched_ms = $3 where view_id = $1 and watched_ms = $2",
            vec![view_id.into(), before.into(), watched_ms.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Adds to what a clip and its camera were watched.
pub async fn add(
    db: &impl Executor,
    (clip_id, camera_id): (ClipId, CameraId),
    day: i64,
    (views, watched_ms): (u64, u64),
) -> Result<(), DbError> {
    db.execute(
        "update clips set views = views + $2, watched_ms = watched_ms + $3 where clip_id = $1",
        vec![clip_id.into(), views.into(), watched_ms.into()],
    )
    .await?;
    db.execute(
        "insert into camera_views (camera_id, day, views, watched_ms) values ($1, $2, $3, $4)
         on conflict (camera_id, day) do update set
             views = camera_views.views + excluded.views,
             watched_ms = camera_views.watched_ms + excluded.watched_ms",
        vec![camera_id.into(), day.into(), views.into(), watched_ms.into()],
    )
    .await
    .map(drop)
}

pub async fn forget_before(db: &impl Executor, before: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from clip_views where began_at < $1", vec![before.into()]).await
}

/// Forgets what cameras were watched before a day.
pub async fn forget_days_before(db: &impl Executor, day: i64) -> Result<u64, DbError> {
    db.execute("delete from camera_views where day < $1", vec![day.into()]).await
}

/// How often and how long something was watched.
#[derive(Debug, Clone, Copy)]
pub struct Watched {
    pub views: u64,
    pub watched_ms: u64,
}

from_row!(Watched { views, watched_ms });

pub async fn of_clip(db: &impl Executor, clip_id: ClipId) -> Result<Option<Watched>, DbError> {
    db.one("select views, watched_ms from clips where clip_id = $1", vec![clip_id.into()]).await
}

/// The same of a camera on one day.
#[derive(Debug, Clone, Copy)]
pub struct WatchedDay {
    pub day: i64,
    pub views: u64,
    pub watched_ms: u64,
}

from_row!(WatchedDay { day, views, watched_ms });

/// Lists the days on which a camera's clips were watched, oldest first.
pub async fn of_camera(
    db: &impl Executor,
    camera_id: CameraId,
    (first, last): (i64, i64),
) -> Result<Vec<WatchedDay>, DbError> {
    db.all(
        "select day, views, watched_ms from camera_views
         where camera_id = $1 and day >= $2 and day <= $3 order by day",
        vec![camera_id.into(), first.into(), last.into()],
    )
    .await
}

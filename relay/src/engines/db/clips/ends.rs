//! Clips that are open for too long, deleted or lost.

use nightjar_shared::{
    ids::{CameraId, ClipId},
    time::UnixMillis,
};

use crate::engines::db::{DbError, Executor, from_row, parts};

/// A clip that is open for so long that the relay looks after it.
#[derive(Debug, Clone, Copy)]
pub struct OpenClip {
    pub clip_id: ClipId,
    pub camera_id: CameraId,
    pub progress_at: UnixMillis,
    pub camera_online: bool,
}

from_row!(OpenClip { clip_id, camera_id, progress_at, camera_online });

pub async fn due_looks(
    db: &impl Executor,
    now: UnixMillis,
    limit: u32,
) -> Result<Vec<OpenClip>, DbError> {
    db.all(
        "select c.clip_id, c.camera_id, c.progress_at, m.online as camera_online
         from clips c join cameras m on m.camera_id = c.camera_id
         where c.look_at <= $1 and c.state in ('recording', 'announced')
         order by c.look_at limit $2",
        vec![now.into(), limit.into()],
    )
    .await
}

pub async fn look_again(
    db: &impl Executor,
    clip_id: ClipId,
    look_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update clips set look_at = $2 where clip_id = $1 and look_at is not null",
        vec![clip_id.into(), look_at.into()],
    )
    .await
    .map(drop)
}

/// Deletes the clip; its objects are due for deletion. It is remembered, as its camera may offer it
/// again.
pub async fn delete(
    db: &impl Executor,
    (clip_id, camera_id): (ClipId, CameraId),
    due: parts::Due,
) -> Result<(), DbError> {
    parts::delete_all(db, clip_id, due).await?;
    db.execute(
        "insert into deleted_clips (clip_id, camera_id, deleted_at) values ($1, $2, $3)
         on conflict (clip_id) do nothing",
        vec![clip_id.into(), camera_id.into(), due.first_at.into()],
    )
    .await?;
    db.execute("delete from clips where clip_id = $1", vec![clip_id.into()]).await.map(drop)
}

/// Forgets which clips were deleted before: their cameras offer them no more.
pub async fn forget_deleted(db: &impl Executor, before: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from deleted_clips where deleted_at < $1", vec![before.into()]).await
}

/// Returns whether a person deleted this camera's clip.
pub async fn was_deleted(
    db: &impl Executor,
    clip_id: ClipId,
    camera_id: CameraId,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select clip_id from deleted_clips where clip_id = $1 and camera_id = $2",
            vec![clip_id.into(), camera_id.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Marks a clip failed whose footage is gone from the store. Says whether there is none left.
pub async fn mark_lost(db: &impl Executor, clip_id: ClipId) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update clips set state = 'failed', reason = 'lost', truncated = 0, look_at = null
             where clip_id = $1 and state = 'ready' and not exists (select 1 from clip_parts p
                 where p.clip_id = $1 and p.stored = 1
                     and p.kind in ('file', 'segment', 'snapshot'))",
            vec![clip_id.into()],
        )
        .await?;
    Ok(changed == 1)
}

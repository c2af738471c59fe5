//! Clips that people bring.

use nightjar_shared::{
    clip::{ClipKind, ClipState, FootageClass, Visibility},
    ids::{AccountId, CameraId, ClipId, SiteId},
    time::{ClockState, UnixMillis},
};

use super::{DbError, Executor, from_row};

#[derive(Debug, Clone)]
pub struct NewImport {
    pub clip_id: ClipId,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub kind: ClipKind,
    pub started_at: UnixMillis,
    pub duration_ms: u64,
    pub title: Option<String>,
    pub search_text: String,
    pub imported_by: AccountId,
    pub begun_at: UnixMillis,
}

/// Inserts a clip that is to be brought. Nobody looks after it as after those of cameras.
pub async fn insert(db: &impl Executor, import: NewImport) -> Result<(), DbError> {
    db.execute(
        "insert into clips (clip_id, camera_id, site_id, kind, state, started_at, duration_ms, clock,
             visibility, class, title, search_text, imported_by, progress_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        vec![
            import.clip_id.into(),
            import.camera_id.into(),
            import.site_id.into(),
            import.kind.into(),
            ClipState::Announced.into(),
            import.started_at.into(),
            import.duration_ms.into(),
            ClockState::Synced.into(),
            Visibility::Site.into(),
            FootageClass::Imported.into(),
            import.title.into(),
            import.search_text.into(),
            import.imported_by.into(),
            import.begun_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Holds a clip that is not finished until the transaction ends. Says whether it is still none.
pub async fn hold_open(db: &impl Executor, clip_id: ClipId) -> Result<bool, DbError> {
    let held = db
        .execute(
            "update clips set revision = revision
             where clip_id = $1 and class = 'imported' and state = 'announced'",
            vec![clip_id.into()],
        )
        .await?;
    Ok(held == 1)
}

/// What was begun and not finished.
#[derive(Debug, Clone, Copy)]
pub struct Unfinished {
    pub clip_id: ClipId,
    pub camera_id: CameraId,
}

from_row!(Unfinished { clip_id, camera_id });

/// Lists what was begun before a time and not finished.
pub async fn unfinished(
    db: &impl Executor,
    before: UnixMillis,
    limit: u32,
) -> Result<Vec<Unfinished>, DbError> {
    db.all(
        "select clip_id, camera_id from clips
         where class = 'imported' and state = 'announced' and progress_at < $1 limit $2",
        vec![before.into(), limit.into()],
    )
    .await
}

//! Clips, as their watchers see them. How they arrive is in [`super::uploads`], how they are
//! played in [`super::playback`].

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use nightjar_shared::{
    clip::{ClipKind, ClipState, Visibility},
    ids::{CameraId, ClipId, EventId, SiteId},
    time::{ClockState, UnixMillis},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App, List, PageRequest,
    access::{self, Caller, Right, right_to_see},
    events::Selection,
    record,
    updates::{self, Update},
};
use crate::{
    engines::{
        db::{
            clips::{self, ClipRow},
            parts::{self, Due},
        },
        objects::ObjectKey,
    },
    error::{Error, ProblemCode, Result},
};

/// A revoked viewer may still read for this long.
pub(super) const PLAYBACK_LIFETIME: Duration = Duration::from_mins(5);
/// Permissions to upload last 15 minutes, and an upload takes a while.
const UPLOADS_OVER: Duration = Duration::from_mins(45);
const DELETIONS_PER_BATCH: u32 = 100;
/// A store that is far away answers each after tens of milliseconds.
const DELETIONS_AT_ONCE: usize = 8;
const DELETION_RETRY: Duration = Duration::from_mins(10);

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Clip {
    #[schema(value_type = String)]
    pub clip_id: ClipId,
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    #[schema(value_type = String)]
    pub site_id: SiteId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub event_id: Option<EventId>,
    /// `clip` or `snapshot`.
    #[schema(value_type = String)]
    pub kind: ClipKind,
    /// `recording` (and growing), `announced` (on its way), `ready` or `failed`.
    #[schema(value_type = String)]
    pub state: ClipState,
    /// Ready, but its end is missing: the camera was cut off. It may still come.
    pub truncated: bool,
    #[schema(value_type = i64)]
    pub started_at: UnixMillis,
    /// `synced` or `unsynced`: whether the camera's clock was set.
    #[schema(value_type = String)]
    pub clock: ClockState,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<UnixMillis>,
    /// Of a clip that still arrives: how much of it can be played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Bytes of all parts that are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Good for 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// `private` (owners and managers) or `site` (all members who may see pictures).
    #[schema(value_type = String)]
    pub visibility: Visibility,
}

impl Clip {
    pub(super) fn new(app: &App, row: ClipRow) -> Self {
        Self {
            clip_id: row.clip_id,
            camera_id: row.camera_id,
            site_id: row.site_id,
            event_id: row.event_id,
            kind: row.kind,
            state: row.state,
            truncated: row.truncated,
            started_at: row.started_at,
            clock: row.clock,
            ended_at: row.ended_at,
            duration_ms: row.duration_ms,
            length: row.length,
            thumbnail_url: row.thumbnail_key.and_then(|key| signed_url(app, &key)),
            visibility: row.visibility,
        }
    }
}

pub async fn list(
    app: &App,
    caller: Caller,
    selection: &Selection,
    page: &PageRequest,
) -> Result<List<Clip>> {
    let position = page.position()?;
    let reader = access::reader(caller, Right::SeePictures);
    let private_to = access::roles_with(right_to_see(Visibility::Private));
    let filter = selection.filter()?;
    let rows = clips::list(&app.db, &position.page, reader, private_to, &filter).await?;
    Ok(position.list(rows, |row| (row.started_at, row.clip_id), |row| Clip::new(app, row)))
}

pub async fn get(app: &App, caller: Caller, clip_id: ClipId) -> Result<Clip> {
    Ok(Clip::new(app, access::clip(app, caller, clip_id, Right::SeePictures).await?))
}

pub async fn set_visibility(
    app: &App,
    caller: Caller,
    clip_id: ClipId,
    visibility: &str,
) -> Result<Clip> {
    let mut row = access::clip(app, caller, clip_id, Right::Manage).await?;
    row.visibility = visibility.parse().map_err(|_| {
        Error::invalid(ProblemCode::InvalidVisibility, "visibility is `private` or `site`.")
    })?;
    clips::set_visibility(&app.db, clip_id, row.visibility).await?;
    tell(app, row.clone()).await;
    Ok(Clip::new(app, row))
}

pub async fn delete(app: &App, caller: Caller, clip_id: ClipId) -> Result<()> {
    let row = access::clip(app, caller, clip_id, Right::Manage).await?;
    let due = deletion_due(app.now());
    let transaction = app.db.begin().await?;
    let parts = parts::of_clip(&transaction, clip_id).await?;
    clips::delete(&transaction, &row, due).await?;
    let account_id = Some(caller.account_id);
    record(&transaction, app.now(), account_id, Some(row.site_id), "clip_deleted", clip_id).await?;
    transaction.commit().await?;
    // Its footage is gone when its owner hears so, and does not wait its turn among others'. What
    // is more than a batch must not hold the request up.
    let keys = parts.into_iter().map(|part| (part.object_key, due.last_at));
    delete_objects(app, keys.take(DELETIONS_PER_BATCH as usize), due.first_at).await?;
    app.deletions_due.notify_one();
    Ok(())
}

pub(super) fn signed_url(app: &App, key: &str) -> Option<String> {
    let key: ObjectKey = key.parse().ok()?;
    Some(app.objects.presign_get(&key, PLAYBACK_LIFETIME).url)
}

/// Tells those at its site who may see a clip how it is now.
pub(super) async fn tell(app: &App, row: ClipRow) {
    let site_id = row.site_id;
    let right = right_to_see(row.visibility);
    let clip = Clip::new(app, row);
    updates::tell(app, site_id, right, &Update::Clip { clip }).await;
}

/// When objects that are given up now are deleted.
pub(super) fn deletion_due(now: UnixMillis) -> Due {
    Due { first_at: now, last_at: now.plus(UPLOADS_OVER) }
}

/// How far a batch of deletions got.
pub(super) enum Deleted {
    /// Nothing more is due now.
    All,
    /// There may be more.
    Some,
}

/// Deletes from the store some of what nothing refers to any more, oldest first.
pub(super) async fn delete_due_objects(app: &App) -> Result<Deleted> {
    let now = app.now();
    let due = parts::due_deletions(&app.db, now, DELETIONS_PER_BATCH).await?;
    let is_full = due.len() >= DELETIONS_PER_BATCH as usize;
    delete_objects(app, due.into_iter(), now).await?;
    Ok(if is_full { Deleted::Some } else { Deleted::All })
}

async fn delete_objects(
    app: &App,
    keys: impl Iterator<Item = (String, UnixMillis)>,
    now: UnixMillis,
) -> Result<()> {
    stream::iter(keys)
        .map(Ok)
        .try_for_each_concurrent(DELETIONS_AT_ONCE, async |(key, last_due_at)| {
            delete_object(app, &key, last_due_at, now).await
        })
        .await
}

/// What becomes of it is written down without waiting for the disk: after a power cut an object is
/// deleted again, which changes nothing.
async fn delete_object(
    app: &App,
    text: &str,
    last_due_at: UnixMillis,
    now: UnixMillis,
) -> Result<()> {
    let db = app.db.unsynced();
    let Ok(key) = text.parse::<ObjectKey>() else {
        tracing::error!(key = text, "an object that cannot exist was to be deleted");
        return Ok(parts::forget_deletion(&db, text).await?);
    };
    match app.objects.delete(&key).await {
        Ok(()) if now < last_due_at => {
            parts::postpone_deletion(&db, text, last_due_at).await?;
        }
        Ok(()) => parts::forget_deletion(&db, text).await?,
        Err(error) => {
            tracing::warn!(%error, "cannot delete an object; trying again later");
            parts::postpone_deletion(&db, text, now.plus(DELETION_RETRY)).await?;
        }
    }
    Ok(())
}

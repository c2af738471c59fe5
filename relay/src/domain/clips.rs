//! Clips, as their watchers see them. How they arrive is in [`super::uploads`], how they are
//! played in [`super::playback`].

use nightjar_shared::{
    audit::Action,
    clip::{ClipKind, ClipState, FootageClass, Visibility},
    ids::{AccountId, CameraId, ClipId, EventId, SiteId},
    time::{ClockState, UnixMillis},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    List, PageRequest, Selection,
    access::{self, Caller, Right, right_to_see},
    audit::{Doer, Entry, record},
    even_when_full, objects,
    selection::{Listing, merged},
    updates::{self, Update},
};
use crate::{
    app::App,
    engines::db::{
        clips::{self, ClipRow},
        parts::{self, Due, PartRow},
    },
    error::{Error, ProblemCode, Result},
};

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
    /// For lists. Good for 2.5 to 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// The picture that the thumbnail was made of. Good as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub still_url: Option<String>,
    /// `private` (owners and managers) or `site` (all members who may see pictures).
    #[schema(value_type = String)]
    pub visibility: Visibility,
    /// What it is of: `motion`, `manual`, `continuous`, `picture` or `imported`.
    #[schema(value_type = String)]
    pub class: FootageClass,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Give it with a change: it is refused where somebody else was faster.
    pub revision: u64,
    /// It is not deleted, whatever else goes.
    pub protected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub protected_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub protected_by: Option<AccountId>,
    /// Absent when the account is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protector_name: Option<String>,
    /// The caller has seen it; absent in what is told to several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<bool>,
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
            thumbnail_url: row.thumbnail_key.and_then(|key| objects::signed_url(app, &key)),
            still_url: row.still_key.and_then(|key| objects::signed_url(app, &key)),
            visibility: row.visibility,
            class: row.class,
            title: row.title,
            note: row.note,
            tags: row.tags,
            revision: row.revision,
            protected: row.protected_at.is_some(),
            protected_at: row.protected_at,
            protected_by: row.protected_by,
            protector_name: row.protector_name,
            seen: row.seen,
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
    let reader = access::reader(app, caller, Right::SeePictures);
    let private_to = access::roles_of(caller, right_to_see(Visibility::Private));
    let listing = Listing::of(app, caller, reader, selection).await?;
    let mut rows = Vec::new();
    for from in listing.sources() {
        rows.extend(clips::list(&app.db, &position.page, reader, private_to, from).await?);
    }
    let rows = merged(rows, &position, |row| (row.started_at, row.clip_id));
    Ok(position.list(rows, |row| (row.started_at, row.clip_id), |row| Clip::new(app, row)))
}

pub async fn get(app: &App, caller: Caller, clip_id: ClipId) -> Result<Clip> {
    Ok(Clip::new(app, access::clip(app, caller, clip_id, Right::SeePictures).await?))
}

/// Deletes a clip, unless it is protected.
pub async fn delete(app: &App, caller: Caller, clip_id: ClipId) -> Result<()> {
    let row = access::clip(app, caller, clip_id, Right::Manage).await?;
    if row.protected_at.is_some() {
        return Err(protected());
    }
    let due = objects::deletion_due(app.now());
    let parts = even_when_full(app, || forget(app, caller, &row, due)).await?;
    // Its footage is gone when its owner hears so, and does not wait its turn among others'. What
    // is more than a batch must not hold the request up.
    let keys = parts.into_iter().map(|part| (part.object_key, due.last_at));
    objects::delete_batch(app, keys, due.first_at).await?;
    app.deletions_due.notify_one();
    Ok(())
}

/// Deletes a clip's rows, and gives its parts.
async fn forget(app: &App, caller: Caller, row: &ClipRow, due: Due) -> Result<Vec<PartRow>> {
    let transaction = app.db.begin().await?;
    if !clips::hold_unprotected(&transaction, row.clip_id).await? {
        // Somebody protected or deleted it just now.
        drop(transaction);
        let found = clips::of_camera(&app.db, row.clip_id, row.camera_id).await?;
        return Err(found.map_or_else(Error::not_found, |_| protected()));
    }
    let parts = parts::of_clip(&transaction, row.clip_id).await?;
    clips::delete(&transaction, (row.clip_id, row.camera_id), due).await?;
    let entry = deed(Action::ClipDeleted, caller, row);
    record(&transaction, app.now(), entry).await?;
    transaction.commit().await?;
    Ok(parts)
}

fn protected() -> Error {
    let title = "This clip is protected: take that away first.";
    Error::conflict(ProblemCode::Protected, title)
}

/// What is written down of who did something to a clip.
pub(super) fn deed(action: Action, doer: impl Into<Doer>, clip: &ClipRow) -> Entry {
    let entry = Entry::new(action, doer).site(clip.site_id).camera(clip.camera_id);
    entry.subject(clip.clip_id)
}

/// Tells those at its site who may see a clip how it is now.
pub(super) async fn tell(app: &App, row: ClipRow) {
    let place = (row.site_id, row.camera_id);
    let right = right_to_see(row.visibility);
    let clip = Clip::new(app, row);
    updates::tell(app, place, right, &Update { kind: "clip", field: "clip", value: &clip }).await;
}

//! What of a clip has arrived in the object store: what its upload and its end without a camera look
//! at.

use nightjar_shared::{
    clip::FootageClass,
    ids::{CameraId, ClipId},
};

use super::{clips as clip_domain, events, notifications, playback::Footage};
use crate::{
    app::App,
    engines::{
        db::{
            clips::{self, ClipRow},
            parts::{self, PartRow},
        },
        objects::ObjectKey,
    },
    error::{Error, Result},
};

/// What a look into the object store has shown.
pub(super) struct Found {
    /// All parts of the clip, in the order of their indexes.
    pub(super) parts: Vec<PartRow>,
    /// The indexes of those that were not known to be stored.
    pub(super) stored: Vec<u32>,
}

/// Looks for parts that are not known to be stored: `indexes` of them, or all.
pub(super) async fn look_for_parts(
    app: &App,
    clip_id: ClipId,
    indexes: Option<&[u32]>,
) -> Result<Found> {
    let mut parts = parts::of_clip(&app.db, clip_id).await?;
    let mut stored = Vec::new();
    let wanted = |part: &&mut PartRow| indexes.is_none_or(|it| it.contains(&part.index));
    for part in parts.iter_mut().filter(wanted).filter(|part| !part.stored) {
        if is_in_store(app, part).await? {
            parts::mark_stored(&app.db, clip_id, part.index, &part.object_key).await?;
            part.stored = true;
            stored.push(part.index);
        }
    }
    if !stored.is_empty()
        && let Some(footage) = Footage::of(&parts)
    {
        clips::set_duration(&app.db, clip_id, footage.duration_ms()).await?;
    }
    let is_new_picture =
        |part: &PartRow| part.kind.is_illustration() && stored.contains(&part.index);
    if parts.iter().any(is_new_picture) {
        notifications::pictured(app, clip_id).await?;
    }
    Ok(Found { parts, stored })
}

/// Tells those who may see a clip, and its event, how they are now.
pub(super) async fn tell_all(app: &App, camera_id: CameraId, clip_id: ClipId) -> Result<()> {
    let row = own(app, camera_id, clip_id).await?;
    let event_id = row.event_id;
    clip_domain::tell(app, row).await;
    match event_id {
        Some(event_id) => events::tell_of_clip(app, camera_id, event_id).await,
        None => Ok(()),
    }
}

/// Finds a clip of this camera: another camera's does not exist for it, nor one that a person brought.
pub(super) async fn own(app: &App, camera_id: CameraId, clip_id: ClipId) -> Result<ClipRow> {
    let found = clips::of_camera(&app.db, clip_id, camera_id).await?;
    found.filter(|row| row.class != FootageClass::Imported).ok_or_else(Error::not_found)
}

/// Returns whether the object is there, in full length and of its type. Its checksum is in its key, and
/// the store refused any other content for it; a store that names what it has is believed.
pub(super) async fn is_in_store(app: &App, part: &PartRow) -> Result<bool> {
    let key: ObjectKey = part.object_key.parse().map_err(anyhow::Error::from)?;
    let found = app.objects.head(&key).await?;
    Ok(found.is_some_and(|found| {
        let other_bytes = found.sha256.is_some_and(|sha256| hex::encode(sha256) != part.sha256);
        found.length == part.length && found.content_type == key.content_type() && !other_bytes
    }))
}

//! How a clip arrives: announced, its parts permitted one by one, complete when the store has
//! them all. Every step may be repeated.

use std::time::Duration;

use nightjar_shared::{
    api::{ClipAnnouncement, ClipCompletion, ClipFailure, PartKind, PartRequest, PartUpload},
    ids::{CameraId, ClipId},
};

use super::{App, clips as clip_domain, clips::Clip, events, events::clock_word, text};
use crate::{
    engines::{
        db::{
            cameras,
            clips::{self, ClipRow, NewClip, PartRow},
        },
        objects::{ContentType, ObjectKey},
    },
    error::{Error, Result},
};

/// No part is larger.
pub const PART_BYTES_MAX: u64 = 1 << 30;
const PICTURE_BYTES_MAX: u64 = 8 << 20;
const PARTS_AT_ONCE: usize = 64;
const INDEX_MAX: u32 = 9_999;
const UPLOAD_LIFETIME: Duration = Duration::from_mins(15);

/// A camera announces a clip. It makes the id: announcing it again changes nothing.
pub async fn announce(
    app: &App,
    camera_id: CameraId,
    announcement: ClipAnnouncement,
) -> Result<Clip> {
    let camera = cameras::by_id(&app.db, camera_id).await?.ok_or_else(Error::not_found)?;
    let new = NewClip {
        clip_id: announcement.clip_id,
        camera_id,
        site_id: camera.site_id,
        event_id: announcement.event_id,
        started_at: announcement.started_at,
        clock: clock_word(announcement.clock),
    };
    let is_new = clips::insert(&app.db, &new).await?;
    let row = own(app, camera_id, announcement.clip_id).await?;
    if is_new {
        clip_domain::tell(app, row.clone()).await;
    }
    Ok(Clip::new(app, row))
}

/// Permits the upload of parts. What the store has already is not asked for again.
pub async fn permit(
    app: &App,
    camera_id: CameraId,
    clip_id: ClipId,
    requests: Vec<PartRequest>,
) -> Result<Vec<PartUpload>> {
    if requests.len() > PARTS_AT_ONCE {
        return Err(Error::invalid("too_large", "At most 64 parts are permitted at once."));
    }
    let clip = own(app, camera_id, clip_id).await?;
    let asked = requests
        .iter()
        .map(|request| Ok((new_part(camera_id, clip_id, request)?, request)))
        .collect::<Result<Vec<_>>>()?;
    let known = clips::parts(&app.db, clip_id).await?;
    let mut uploads = Vec::with_capacity(asked.len());
    for (part, request) in asked {
        let stored = known.iter().any(|known| known.stored && is_same(known, &part));
        if !stored && clip.state != "announced" {
            return Err(Error::conflict("already_complete", "This clip takes no more parts."));
        }
        uploads.push(permit_one(app, &clip, &part, request, stored).await?);
    }
    if requests.iter().any(|request| request.kind == PartKind::Snapshot) {
        clips::set_kind(&app.db, clip_id, "snapshot").await?;
    }
    Ok(uploads)
}

async fn permit_one(
    app: &App,
    clip: &ClipRow,
    part: &PartRow,
    request: &PartRequest,
    mut stored: bool,
) -> Result<PartUpload> {
    let key: ObjectKey = part.object_key.parse().map_err(anyhow::Error::from)?;
    if !stored {
        let due = clip_domain::deletion_due(app.now());
        clips::upsert_part(&app.db, clip.clip_id, part, due).await?;
        stored = is_in_store(app, part).await?;
        if stored {
            clips::mark_stored(&app.db, clip.clip_id, part.index, &part.object_key).await?;
        }
    }
    let sha256 = read_sha256(&request.sha256)?;
    let signed = app.objects.presign_put(&key, part.length, &sha256, UPLOAD_LIFETIME);
    Ok(PartUpload {
        index: part.index,
        url: signed.url,
        headers: signed.headers,
        expires_at: app.now().plus(signed.expires_in),
        stored,
    })
}

/// All parts are uploaded: the clip is ready once the store has shown every one of them.
pub async fn complete(
    app: &App,
    camera_id: CameraId,
    clip_id: ClipId,
    completion: ClipCompletion,
) -> Result<Clip> {
    let clip = own(app, camera_id, clip_id).await?;
    if clip.state == "failed" {
        return Err(Error::conflict("already_failed", "This clip was given up before."));
    }
    let parts = clips::parts(&app.db, clip_id).await?;
    for index in &completion.parts {
        let part = parts.iter().find(|part| part.index == *index);
        let part = part.ok_or_else(|| part_missing(*index))?;
        if !part.stored {
            if !is_in_store(app, part).await? {
                return Err(part_missing(*index));
            }
            clips::mark_stored(&app.db, clip_id, *index, &part.object_key).await?;
        }
    }
    let has_footage = parts
        .iter()
        .any(|part| part.kind != PartKind::Thumbnail && completion.parts.contains(&part.index));
    if !has_footage {
        return Err(Error::conflict("part_missing", "A clip has more than a thumbnail."));
    }
    let (ended_at, duration_ms) = (completion.ended_at, completion.duration_ms);
    let is_new = clips::mark_ready(&app.db, clip_id, ended_at, duration_ms).await?;
    let row = own(app, camera_id, clip_id).await?;
    if is_new {
        clip_domain::tell(app, row.clone()).await;
        if let Some(event_id) = row.event_id {
            events::tell_of_clip(app, camera_id, event_id).await?;
        }
    }
    Ok(Clip::new(app, row))
}

/// The footage is gone and will never come.
pub async fn fail(
    app: &App,
    camera_id: CameraId,
    clip_id: ClipId,
    failure: &ClipFailure,
) -> Result<()> {
    own(app, camera_id, clip_id).await?;
    let transaction = app.db.begin().await?;
    let changed = clips::mark_failed(&transaction, clip_id, &text::report(&failure.reason)).await?;
    if changed {
        let due = clip_domain::deletion_due(app.now());
        clips::delete_parts(&transaction, clip_id, due).await?;
    }
    transaction.commit().await?;
    if changed {
        clip_domain::tell(app, own(app, camera_id, clip_id).await?).await;
    }
    Ok(())
}

/// A clip of this camera; another's is not there.
async fn own(app: &App, camera_id: CameraId, clip_id: ClipId) -> Result<ClipRow> {
    clips::of_camera(&app.db, clip_id, camera_id).await?.ok_or_else(Error::not_found)
}

/// Whether the object is there in full length. Its checksum is in its key, and the store refused
/// any other content for it.
async fn is_in_store(app: &App, part: &PartRow) -> Result<bool> {
    let key: ObjectKey = part.object_key.parse().map_err(anyhow::Error::from)?;
    let found = app.objects.head(&key).await.map_err(anyhow::Error::from)?;
    Ok(found.is_some_and(|found| found.length == part.length))
}

fn is_same(known: &PartRow, asked: &PartRow) -> bool {
    known.index == asked.index
        && known.object_key == asked.object_key
        && known.length == asked.length
}

/// Checks a request. The key is made here, of ids and the checksum alone.
fn new_part(camera_id: CameraId, clip_id: ClipId, request: &PartRequest) -> Result<PartRow> {
    let unsupported = || {
        Error::invalid("unsupported_content_type", "Footage is video/mp4, a picture is image/jpeg.")
            .with_detail(format!("part {}", request.index))
    };
    let content_type: ContentType = request.content_type.parse().map_err(|_| unsupported())?;
    let (expected, length_max) = match request.kind {
        PartKind::File | PartKind::Init | PartKind::Segment => (ContentType::Mp4, PART_BYTES_MAX),
        PartKind::Thumbnail | PartKind::Snapshot => (ContentType::Jpeg, PICTURE_BYTES_MAX),
    };
    if content_type != expected {
        return Err(unsupported());
    }
    if request.length == 0 || request.length > length_max || request.index > INDEX_MAX {
        return Err(Error::invalid("too_large", "A part is empty, too large, or one too many.")
            .with_detail(format!("part {}", request.index)));
    }
    let sha256 = hex::encode(read_sha256(&request.sha256)?);
    let name = format!("{}-{}", request.index, &sha256[..32]);
    let segments = [camera_id.to_string(), clip_id.to_string(), name];
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let key = ObjectKey::new(&segments, content_type).map_err(anyhow::Error::from)?;
    Ok(PartRow {
        index: request.index,
        kind: request.kind,
        length: request.length,
        sha256,
        content_type: content_type.as_str().to_owned(),
        object_key: key.to_string(),
        stored: false,
    })
}

fn read_sha256(text: &str) -> Result<[u8; 32]> {
    let mut sha256 = [0; 32];
    hex::decode_to_slice(text, &mut sha256)
        .map_err(|_| Error::invalid("invalid_sha256", "sha256 is 64 hexadecimal digits."))?;
    Ok(sha256)
}

fn part_missing(index: u32) -> Error {
    Error::conflict("part_missing", "A part is not in the store.")
        .with_detail(format!("part {index}"))
}

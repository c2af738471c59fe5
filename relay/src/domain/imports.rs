//! Clips that people bring: of a phone, or of another camera.
//!
//! The bytes go straight to the store, by a permission for exactly them. What they are is looked at
//! before anybody gets to see them: the relay reads the first few, and nothing else.

use std::time::Duration;

use nightjar_shared::{
    api::PartKind,
    audit::Action,
    clip::{ClipKind, ClipState, FootageClass},
    ids::{CameraId, ClipId},
    range::Check,
    text as letters,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::{
    access::{self, Caller, Right},
    audit::record,
    clips::{self as clip_domain, Clip, deed},
    objects, quotas,
    uploads::{self, NewPart},
};
use crate::{
    app::App,
    config::Amount,
    engines::{
        db::{
            clips::{self, ClipRow},
            imports::{self, NewImport},
            members,
            parts::{self, PartRow},
        },
        objects::{ContentType, ObjectKey},
    },
    error::{Error, ProblemCode, Result},
};

const TITLE_CHARS_MAX: usize = 120;
/// A file of a day is more than the store takes.
const DURATION_MS_MAX: u64 = 24 * 3_600_000;
/// What was begun and not finished is forgotten: the permission to send it is over by then.
const UNFINISHED: Duration = Duration::from_hours(1);
const FORGOTTEN_AT_ONCE: u32 = 100;
const AHEAD: Duration = Duration::from_mins(1);
/// Enough to see what a file says that it is.
const BYTES_LOOKED_AT: u16 = 64;

/// A file that somebody wants to bring: a video (`video/mp4`) or a picture (`image/jpeg`).
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct NewUpload {
    /// Among whose clips it is to be.
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    /// When it was taken.
    #[schema(value_type = i64)]
    pub started_at: UnixMillis,
    pub content_type: String,
    /// Bytes: 1 GiB at most, of a picture 8 MiB.
    pub length: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// 32 hexadecimal digits, for stores that do not check SHA-256.
    #[serde(default)]
    pub md5: Option<String>,
    /// How long it plays.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// 120 characters at most: the name of the file, say.
    #[serde(default)]
    pub title: Option<String>,
}

impl Check for NewUpload {}

/// Permission to send the file: a PUT to `url` with these headers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Upload {
    /// Also of the clip that it becomes.
    #[schema(value_type = String)]
    pub upload_id: ClipId,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
}

/// Permits somebody to bring a file.
pub async fn begin(app: &App, caller: Caller, new: NewUpload) -> Result<Upload> {
    let camera = access::camera(app, caller, new.camera_id, Right::Manage).await?;
    let now = app.now();
    app.limits.imports.take(&caller.account_id.to_string(), now)?;
    if !(UnixMillis(0)..=now.plus(AHEAD)).contains(&new.started_at) {
        let title = "It was not taken before 1970, and not in the future.";
        return Err(Error::invalid(ProblemCode::InvalidTime, title));
    }
    let duration_ms = new.duration_ms.unwrap_or(0);
    if duration_ms > DURATION_MS_MAX {
        return Err(Error::invalid(ProblemCode::TooLarge, "It plays for 24 hours at most."));
    }
    let given = new.title.as_deref().filter(|title| !title.trim().is_empty());
    let title = given.map(|title| letters::name(title, TITLE_CHARS_MAX)).map(|title| {
        let problem =
            "A title has 120 characters at most on one line, and none that cannot be seen.";
        title.ok_or_else(|| Error::invalid(ProblemCode::InvalidText, problem))
    });
    let title = title.transpose()?;
    let clip_id = ClipId::generate();
    let is_picture = new.content_type == ContentType::Jpeg.as_str();
    let part = uploads::new_part(
        (new.camera_id, clip_id),
        &NewPart {
            index: 0,
            kind: if is_picture { PartKind::Snapshot } else { PartKind::File },
            length: new.length,
            sha256: &new.sha256,
            content_type: &new.content_type,
            duration_ms: None,
        },
    )?;
    let signed = uploads::sign(app, &part, new.md5.as_deref())?;
    quotas::check_space(app)?;
    if !app.objects.has_room(new.length).await? {
        return Err(quotas::no_space());
    }
    let more = Amount { bytes: new.length, clips: 1, events: 0 };
    quotas::take(app, camera.camera_id, camera.site_id, more).await?;
    let import = NewImport {
        clip_id,
        camera_id: camera.camera_id,
        site_id: camera.site_id,
        kind: if is_picture { ClipKind::Snapshot } else { ClipKind::Clip },
        started_at: new.started_at,
        duration_ms,
        search_text: title.as_deref().map(letters::folded).unwrap_or_default(),
        title,
        imported_by: caller.account_id,
        begun_at: now,
    };
    let transaction = app.db.begin().await?;
    if !members::hold(&transaction, camera.site_id).await? {
        return Err(Error::not_found());
    }
    imports::insert(&transaction, import).await?;
    parts::upsert(&transaction, clip_id, &part, objects::deletion_due(now)).await?;
    parts::count_bytes(&transaction, clip_id).await?;
    quotas::check_written(app, &transaction, (camera.camera_id, camera.site_id)).await?;
    transaction.commit().await?;
    let expires_at = now.plus(signed.expires_in);
    Ok(Upload { upload_id: clip_id, url: signed.url, headers: signed.headers, expires_at })
}

/// Takes somebody's word that a file was sent: it is a clip once the store shows it, and it is what it
/// was said to be. Otherwise nothing is left of it.
pub async fn complete(app: &App, caller: Caller, clip_id: ClipId) -> Result<Clip> {
    let row = access::clip(app, caller, clip_id, Right::Manage).await?;
    let is_open = row.class == FootageClass::Imported && row.state.is_open();
    if row.class == FootageClass::Imported && row.state == ClipState::Ready {
        return Ok(Clip::new(app, row));
    }
    let part = parts::of_clip(&app.db, clip_id).await?.into_iter().next();
    let (true, Some(part)) = (is_open, part) else {
        let title = "This clip takes no more parts.";
        return Err(Error::conflict(ProblemCode::AlreadyComplete, title));
    };
    let key: ObjectKey = part.object_key.parse().map_err(anyhow::Error::from)?;
    let Some(found) = app.objects.head(&key).await? else {
        let title = "The file is not in the store yet.";
        return Err(Error::conflict(ProblemCode::PartMissing, title));
    };
    let other_bytes = found.sha256.is_some_and(|sha256| hex::encode(sha256) != part.sha256);
    let is_as_promised = found.length == part.length
        && found.content_type == key.content_type()
        && !other_bytes
        && is_what_it_says(
            key.content_type(),
            &app.objects.first_bytes(&key, BYTES_LOOKED_AT).await?,
        );
    if !is_as_promised {
        forget(app, (clip_id, row.camera_id)).await?;
        return Err(Error::invalid(
            ProblemCode::NotWhatItSays,
            "This file is no MP4 or JPEG, or not the one that was announced: it is deleted.",
        ));
    }
    finish(app, caller, &row, &part).await
}

async fn finish(app: &App, caller: Caller, row: &ClipRow, part: &PartRow) -> Result<Clip> {
    let duration_ms = row.duration_ms.unwrap_or(0);
    let ended_at = row.started_at.plus(Duration::from_millis(duration_ms));
    let transaction = app.db.begin().await?;
    parts::mark_stored(&transaction, row.clip_id, part.index, &part.object_key).await?;
    if clips::mark_ready(&transaction, row.clip_id, ended_at, duration_ms).await? {
        let entry = deed(Action::ClipImported, caller, row).fact("bytes", &part.length);
        record(&transaction, app.now(), entry).await?;
    }
    transaction.commit().await?;
    let row = access::clip(app, caller, row.clip_id, Right::Manage).await?;
    clip_domain::tell(app, ClipRow { seen: None, ..row.clone() }).await;
    Ok(Clip::new(app, row))
}

/// Returns whether a file begins as files of its type do.
fn is_what_it_says(content_type: ContentType, start: &[u8]) -> bool {
    match content_type {
        ContentType::Jpeg => start.starts_with(&[0xFF, 0xD8, 0xFF]),
        // A box of a plausible length, `ftyp`, and a brand of four letters (ISO 14496-12, 4.3).
        ContentType::Mp4 => {
            let length = start.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
            let brand = start.get(8..12).unwrap_or_default();
            start.get(4..8) == Some(b"ftyp")
                && (16..=4_096).contains(&length)
                && length % 4 == 0
                && brand.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
        }
        ContentType::Playlist | ContentType::Package => false,
    }
}

/// Deletes what became of an upload.
async fn forget(app: &App, (clip_id, camera_id): (ClipId, CameraId)) -> Result<()> {
    let transaction = app.db.begin().await?;
    if imports::hold_open(&transaction, clip_id).await? {
        let due = objects::deletion_due(app.now());
        clips::delete(&transaction, (clip_id, camera_id), due).await?;
    }
    transaction.commit().await?;
    app.deletions_due.notify_one();
    Ok(())
}

/// Forgets what was begun and never finished.
pub(super) async fn forget_unfinished(app: &App) -> Result<()> {
    let before = app.now().minus(UNFINISHED);
    for row in imports::unfinished(&app.db, before, FORGOTTEN_AT_ONCE).await? {
        forget(app, (row.clip_id, row.camera_id)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        let mp4 = |start: &[u8]| is_what_it_says(ContentType::Mp4, start);
        assert!(mp4(b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2"));
        assert!(mp4(b"\0\0\0\x14ftypqt  \0\0\0\0qt  "));
        let html = b"<!doctype html><script>alert(1)</script>";
        for other in [&b""[..], b"ftyp", html, b"\0\0\0\x02ftypisom", b"\xFF\xFF\xFF\xFFftypisom"] {
            assert!(!mp4(other), "{other:?}");
        }
        assert!(is_what_it_says(ContentType::Jpeg, &[0xFF, 0xD8, 0xFF, 0xE0]));
        assert!(!is_what_it_says(ContentType::Jpeg, html));
        assert!(!is_what_it_says(ContentType::Playlist, b"#EXTM3U"));
    }
}

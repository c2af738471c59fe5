//! How a clip arrives: announced, its parts permitted one by one, complete when the store has
//! them all. Every step may be repeated.

use std::time::Duration;

use nightjar_shared::{
    api::{
        ClipAnnouncement, ClipCompletion, ClipFailure, ManifestPart, PartKind, PartRequest,
        PartUpload, PartsSent, PartsStored, manifest,
    },
    clip::ClipState,
    ids::{CameraId, ClipId},
    time::ClockState,
};

use sha2::{Digest as _, Sha256};

use super::{
    abandoned,
    arrived::{is_in_store, look_for_parts, own, tell_all},
    camera_moves, clips as clip_domain,
    clips::Clip,
    objects,
    playback::Footage,
    quotas, text,
};
use crate::{
    app::App,
    config::Amount,
    engines::{
        db::{
            camera_moves as moved, cameras,
            clips::{self, ClipRow, NewClip},
            parts::{self, PartRow},
        },
        objects::{Content, ContentType, ObjectKey, SignedUpload},
    },
    error::{Error, ProblemCode, Result},
};

/// No part is larger.
pub const PART_BYTES_MAX: u64 = 1 << 30;
const PICTURE_BYTES_MAX: u64 = 8 << 20;
const PARTS_AT_ONCE: usize = 64;
const INDEX_MAX: u32 = 9_999;
const UPLOAD_LIFETIME: Duration = Duration::from_mins(15);

/// Takes a camera's announcement of a clip. The camera makes the id, so announcing again changes
/// nothing but the time, which a clock that was set since may have corrected. What an owner deleted
/// stays deleted.
pub async fn announce(
    app: &App,
    camera_id: CameraId,
    announcement: ClipAnnouncement,
) -> Result<Clip> {
    let camera = cameras::by_id(&app.db, camera_id).await?.ok_or_else(Error::not_found)?;
    if clips::of_camera(&app.db, announcement.clip_id, camera_id).await?.is_none() {
        quotas::check_space(app)?;
        let more = Amount { clips: 1, ..Amount::default() };
        quotas::take(app, camera_id, camera.site_id, more).await?;
    }
    let seen_at = (announcement.started_at, announcement.clock);
    let site_id = camera_moves::site_of(app, &camera, seen_at).await?;
    let new = NewClip {
        clip_id: announcement.clip_id,
        camera_id,
        site_id,
        event_id: announcement.event_id,
        started_at: announcement.started_at,
        clock: announcement.clock,
        boot_id: announcement.boot_id,
        started_uptime_ms: announcement.started_uptime_ms,
        state: if announcement.recording { ClipState::Recording } else { ClipState::Announced },
    };
    let is_new = insert(app, &new).await?;
    let mut row = own(app, camera_id, announcement.clip_id).await?;
    if is_new {
        clip_domain::tell(app, row.clone()).await;
    } else {
        let is_right = announcement.clock == ClockState::Synced;
        if is_right && clips::correct_start(&app.db, row.clip_id, announcement.started_at).await? {
            moved::refile(&app.db, camera_id).await?;
            tell_all(app, camera_id, row.clip_id).await?;
        }
        row = reopen(app, row, new.state).await?;
    }
    Ok(Clip::new(app, row))
}

/// Looks for a deletion after it has inserted: one that happens meanwhile is not missed.
async fn insert(app: &App, new: &NewClip) -> Result<bool> {
    let transaction = app.db.begin().await?;
    let is_new = clips::insert(&transaction, new, abandoned::progress(app.now())).await?;
    if is_new && clips::was_deleted(&transaction, new.clip_id, new.camera_id).await? {
        return Err(Error::refused(410, ProblemCode::Deleted, "This clip was deleted."));
    }
    transaction.commit().await?;
    Ok(is_new)
}

/// Opens a clip again that the relay closed without its camera: the camera is back.
async fn reopen(app: &App, row: ClipRow, state: ClipState) -> Result<ClipRow> {
    let ClipRow { clip_id, camera_id, .. } = row;
    clips::mark_open(&app.db, clip_id, state, abandoned::progress(app.now())).await?;
    let now = own(app, camera_id, clip_id).await?;
    if (now.state, now.truncated) != (row.state, row.truncated) {
        clip_domain::tell(app, now.clone()).await;
    }
    Ok(now)
}

/// Permits the upload of parts. What the store has already is not asked for again.
pub async fn permit(
    app: &App,
    camera_id: CameraId,
    clip_id: ClipId,
    requests: Vec<PartRequest>,
) -> Result<Vec<PartUpload>> {
    if requests.len() > PARTS_AT_ONCE {
        return Err(Error::invalid(
            ProblemCode::TooLarge,
            "At most 64 parts are permitted at once.",
        ));
    }
    let mut clip = own(app, camera_id, clip_id).await?;
    let mut asked = requests
        .iter()
        .map(|request| Ok((new_part((camera_id, clip_id), &request.into())?, request)))
        .collect::<Result<Vec<_>>>()?;
    let known = parts::of_clip(&app.db, clip_id).await?;
    check_kind(&known, &requests)?;
    for (part, _) in &mut asked {
        keep_key(part, &known);
    }
    check_room(app, &clip, &known, asked.iter().map(|(part, _)| part)).await?;
    if clip.truncated {
        clip = reopen(app, clip, ClipState::Announced).await?;
    }
    let mut permits = Vec::with_capacity(asked.len());
    for (part, request) in asked {
        let stored = known.iter().any(|known| known.stored && is_same(known, &part));
        if !stored && !clip.state.is_open() {
            return Err(Error::conflict(
                ProblemCode::AlreadyComplete,
                "This clip takes no more parts.",
            ));
        }
        permits.push(Permit {
            content: content(app, &part, request.md5.as_deref())?,
            part,
            stored,
        });
    }
    let is_snapshot = requests.iter().any(|request| request.kind == PartKind::Snapshot);
    write(app, clip_id, &permits, is_snapshot).await?;
    let mut uploads = Vec::with_capacity(permits.len());
    for mut permit in permits {
        if !permit.stored && is_in_store(app, &permit.part).await? {
            let PartRow { index, object_key, .. } = &permit.part;
            parts::mark_stored(&app.db, clip_id, *index, object_key).await?;
            permit.stored = true;
        }
        uploads.push(permit.sign(app)?);
    }
    Ok(uploads)
}

/// A part that may be uploaded.
struct Permit {
    part: PartRow,
    content: Content,
    /// The store has it already.
    stored: bool,
}

impl Permit {
    fn sign(self, app: &App) -> Result<PartUpload> {
        let key: ObjectKey = self.part.object_key.parse().map_err(anyhow::Error::from)?;
        let signed = app.objects.presign_put(&key, &self.content, UPLOAD_LIFETIME);
        Ok(PartUpload {
            index: self.part.index,
            url: signed.url,
            headers: signed.headers,
            expires_at: app.now().plus(signed.expires_in),
            stored: self.stored,
        })
    }
}

/// Writes down what is permitted, all at once. A power cut may take it back: the camera then asks
/// again.
async fn write(app: &App, clip_id: ClipId, permits: &[Permit], is_snapshot: bool) -> Result<()> {
    let transaction = app.db.begin_unsynced().await?;
    let due = objects::deletion_due(app.now());
    for permit in permits.iter().filter(|permit| !permit.stored) {
        parts::upsert(&transaction, clip_id, &permit.part, due).await?;
    }
    parts::count_bytes(&transaction, clip_id).await?;
    if is_snapshot {
        clips::mark_picture(&transaction, clip_id).await?;
    }
    Ok(transaction.commit().await?)
}

/// Looks whether there is room for the parts that are new: in the quotas, and in the store.
async fn check_room(
    app: &App,
    clip: &ClipRow,
    known: &[PartRow],
    asked: impl Iterator<Item = &PartRow>,
) -> Result<()> {
    let is_new = |part: &&PartRow| !known.iter().any(|known| is_same(known, part));
    let bytes = asked.filter(is_new).map(|part| part.length).sum();
    if bytes == 0 {
        return Ok(());
    }
    quotas::check_space(app)?;
    if !app.objects.has_room(bytes).await? {
        return Err(quotas::no_space());
    }
    let more = Amount { bytes, ..Amount::default() };
    quotas::take(app, clip.camera_id, clip.site_id, more).await
}

/// Refuses to let footage become a picture: who has a camera's key must not take back what the
/// camera has sent.
fn check_kind(known: &[PartRow], requests: &[PartRequest]) -> Result<()> {
    let is_picture = |kind: PartKind| kind.is_illustration() || kind == PartKind::Snapshot;
    let has_footage = known.iter().any(|part| part.stored && !is_picture(part.kind));
    if has_footage && requests.iter().any(|request| request.kind == PartKind::Snapshot) {
        return Err(Error::conflict(ProblemCode::NotASnapshot, "This clip has footage already."));
    }
    Ok(())
}

/// Returns what a part's upload is bound to.
fn content(app: &App, part: &PartRow, md5: Option<&str>) -> Result<Content> {
    let content = Content {
        length: part.length,
        sha256: read_sha256(&part.sha256)?,
        md5: md5.map(read_md5).transpose()?,
    };
    if content.md5.is_none() && app.objects.needs_md5() {
        return Err(Error::invalid(
            ProblemCode::Md5Required,
            "The store does not check SHA-256: a part needs an MD5 too. Update the camera's agent.",
        ));
    }
    Ok(content)
}

/// Permits the upload of a part: of exactly these bytes.
pub(super) fn sign(app: &App, part: &PartRow, md5: Option<&str>) -> Result<SignedUpload> {
    let key: ObjectKey = part.object_key.parse().map_err(anyhow::Error::from)?;
    Ok(app.objects.presign_put(&key, &content(app, part, md5)?, UPLOAD_LIFETIME))
}

/// Parts were sent. What the store shows of them counts from now on: the event has its picture,
/// and the clip plays as far as it has come.
pub async fn confirm(
    app: &App,
    camera_id: CameraId,
    clip_id: ClipId,
    sent: PartsSent,
) -> Result<PartsStored> {
    if sent.parts.len() > PARTS_AT_ONCE {
        return Err(Error::invalid(
            ProblemCode::TooLarge,
            "At most 64 parts are confirmed at once.",
        ));
    }
    let clip = own(app, camera_id, clip_id).await?;
    let found = look_for_parts(app, clip_id, Some(&sent.parts)).await?;
    if !found.stored.is_empty() {
        let state = match clip.state {
            ClipState::Recording => ClipState::Recording,
            ClipState::Announced | ClipState::Ready | ClipState::Failed => ClipState::Announced,
        };
        clips::mark_open(&app.db, clip_id, state, abandoned::progress(app.now())).await?;
        tell_all(app, camera_id, clip_id).await?;
    }
    let is_stored = |index: &u32| found.parts.iter().any(|it| it.index == *index && it.stored);
    let (stored, missing) = sent.parts.into_iter().partition(is_stored);
    Ok(PartsStored { stored, missing })
}

/// Completes a clip: it is ready once the store has shown every part.
pub async fn complete(
    app: &App,
    camera_id: CameraId,
    clip_id: ClipId,
    completion: ClipCompletion,
) -> Result<Clip> {
    let clip = own(app, camera_id, clip_id).await?;
    if clip.state == ClipState::Failed && !clip.truncated {
        return Err(Error::conflict(ProblemCode::AlreadyFailed, "This clip was given up before."));
    }
    let known = look_for_parts(app, clip_id, Some(&completion.parts)).await?.parts;
    let is_stored = |index: &&u32| known.iter().any(|it| it.index == **index && it.stored);
    if let Some(index) = completion.parts.iter().find(|index| !is_stored(index)) {
        return Err(part_missing(*index));
    }
    let (listed, unlisted): (Vec<PartRow>, Vec<PartRow>) =
        known.into_iter().partition(|part| completion.parts.contains(&part.index));
    check_footage(&listed, &completion)?;
    let (ended_at, duration_ms) = (completion.ended_at, completion.duration_ms);
    if clips::mark_ready(&app.db, clip_id, ended_at, duration_ms).await? {
        for part in unlisted {
            let due = objects::deletion_due(app.now());
            parts::delete(&app.db, clip_id, &part, due).await?;
        }
        parts::count_bytes(&app.db, clip_id).await?;
        tell_all(app, camera_id, clip_id).await?;
    }
    Ok(Clip::new(app, own(app, camera_id, clip_id).await?))
}

/// Checks that these stored parts are the clip that its camera means.
fn check_footage(parts: &[PartRow], completion: &ClipCompletion) -> Result<()> {
    if parts.iter().all(|part| part.kind.is_illustration()) {
        return Err(Error::conflict(
            ProblemCode::PartMissing,
            "A clip has more than a thumbnail and a still.",
        ));
    }
    let playable = Footage::of(parts).map_or(0, |footage| footage.parts.len());
    let footage = parts.iter().filter(|part| !part.kind.is_illustration()).count();
    if playable != footage {
        return Err(Error::conflict(
            ProblemCode::PartMissing,
            "There is a gap between the segments.",
        ));
    }
    let manifest = manifest(parts.iter().map(|part| ManifestPart {
        index: part.index,
        kind: part.kind,
        length: part.length,
        duration_ms: part.duration_ms,
        sha256: &part.sha256,
    }));
    let same = completion
        .manifest_sha256
        .as_ref()
        .is_none_or(|expected| *expected == hex::encode(Sha256::digest(manifest)));
    if !same {
        return Err(Error::conflict(
            ProblemCode::ManifestMismatch,
            "The stored parts are not this clip.",
        ));
    }
    Ok(())
}

/// Takes a camera's word that the footage is gone and will never come.
pub async fn fail(
    app: &App,
    camera_id: CameraId,
    clip_id: ClipId,
    failure: &ClipFailure,
) -> Result<()> {
    let row = own(app, camera_id, clip_id).await?;
    let reason = text::report(&failure.reason);
    let known = parts::of_clip(&app.db, clip_id).await?;
    if let Some(footage) = Footage::of(&known) {
        let duration_ms = footage.duration_ms();
        let end = row.started_at.plus(Duration::from_millis(duration_ms));
        if clips::mark_given_up(&app.db, clip_id, end, duration_ms, &reason).await? {
            tell_all(app, camera_id, clip_id).await?;
        }
        return Ok(());
    }
    let transaction = app.db.begin().await?;
    let changed = clips::mark_failed(&transaction, clip_id, &reason).await?;
    if changed {
        let due = objects::deletion_due(app.now());
        parts::delete_all(&transaction, clip_id, due).await?;
        parts::count_bytes(&transaction, clip_id).await?;
    }
    transaction.commit().await?;
    if changed {
        clip_domain::tell(app, own(app, camera_id, clip_id).await?).await;
    }
    Ok(())
}

/// Leaves a part the key that it had when it was asked for before: keys were made otherwise once.
fn keep_key(part: &mut PartRow, known: &[PartRow]) {
    let is_it = |known: &&PartRow| {
        known.index == part.index
            && known.sha256 == part.sha256
            && known.content_type == part.content_type
    };
    if let Some(known) = known.iter().find(is_it) {
        known.object_key.clone_into(&mut part.object_key);
    }
}

fn is_same(known: &PartRow, asked: &PartRow) -> bool {
    known.index == asked.index
        && known.object_key == asked.object_key
        && known.length == asked.length
}

/// A part that somebody wants to send.
pub(super) struct NewPart<'a> {
    pub(super) index: u32,
    pub(super) kind: PartKind,
    pub(super) length: u64,
    pub(super) sha256: &'a str,
    pub(super) content_type: &'a str,
    pub(super) duration_ms: Option<u64>,
}

impl<'a> From<&'a PartRequest> for NewPart<'a> {
    fn from(request: &'a PartRequest) -> Self {
        Self {
            index: request.index,
            kind: request.kind,
            length: request.length,
            sha256: &request.sha256,
            content_type: &request.content_type,
            duration_ms: request.duration_ms,
        }
    }
}

/// Checks a request. The key is made here, of ids and the checksum alone; it tells none of them, as
/// the addresses of a shared clip are seen by people who may know nothing else of its camera.
pub(super) fn new_part(
    (camera_id, clip_id): (CameraId, ClipId),
    request: &NewPart<'_>,
) -> Result<PartRow> {
    let unsupported = || {
        Error::invalid(
            ProblemCode::UnsupportedContentType,
            "Footage is video/mp4, a picture is image/jpeg.",
        )
        .with_detail(format!("part {}", request.index))
    };
    let content_type: ContentType = request.content_type.parse().map_err(|_| unsupported())?;
    let (expected, length_max) = match request.kind {
        PartKind::File | PartKind::Init | PartKind::Segment => (ContentType::Mp4, PART_BYTES_MAX),
        PartKind::Thumbnail | PartKind::Still | PartKind::Snapshot => {
            (ContentType::Jpeg, PICTURE_BYTES_MAX)
        }
    };
    if content_type != expected {
        return Err(unsupported());
    }
    if request.length == 0 || request.length > length_max || request.index > INDEX_MAX {
        return Err(Error::invalid(
            ProblemCode::TooLarge,
            "A part is empty, too large, or one too many.",
        )
        .with_detail(format!("part {}", request.index)));
    }
    let sha256 = hex::encode(read_sha256(request.sha256)?);
    let index = request.index;
    let named = format!("nightjar object v1\n{camera_id}\n{clip_id}\n{index}\n{sha256}");
    let name = hex::encode(Sha256::digest(named));
    // A directory for each two digits keeps those of the embedded store small.
    let (directory, name) = name[..48].split_at(2);
    let key = ObjectKey::new(&[directory, name], content_type).map_err(anyhow::Error::from)?;
    Ok(PartRow {
        index: request.index,
        kind: request.kind,
        length: request.length,
        sha256,
        content_type: content_type.as_str().to_owned(),
        object_key: key.to_string(),
        stored: false,
        duration_ms: request.duration_ms.filter(|_| request.kind == PartKind::Segment),
    })
}

fn read_sha256(text: &str) -> Result<[u8; 32]> {
    let mut sha256 = [0; 32];
    hex::decode_to_slice(text, &mut sha256).map_err(|_| {
        Error::invalid(ProblemCode::InvalidSha256, "sha256 is 64 hexadecimal digits.")
    })?;
    Ok(sha256)
}

fn read_md5(text: &str) -> Result<[u8; 16]> {
    let mut md5 = [0; 16];
    hex::decode_to_slice(text, &mut md5)
        .map_err(|_| Error::invalid(ProblemCode::InvalidMd5, "md5 is 32 hexadecimal digits."))?;
    Ok(md5)
}

fn part_missing(index: u32) -> Error {
    Error::conflict(ProblemCode::PartMissing, "A part is not in the store.")
        .with_detail(format!("part {index}"))
}

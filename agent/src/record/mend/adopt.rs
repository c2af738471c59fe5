//! The start-up scan: closes what a power cut left open, finds files without a row and rows
//! without files, ends events that nobody ended. Afterwards index and disk agree.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use nightjar_shared::{
    PROTOCOL_VERSION,
    api::PartKind,
    event::{EventEndReason, EventMessage, EventState},
    ids::{BootId, ClipId},
    time::{ClockState, UnixMillis},
};
use tokio::task::spawn_blocking;

use crate::record::{
    clip::writer::{FinishedFile, WriteError, is_continuous, repair},
    files::{self, Kind, picture_part, video_part},
    room::keeper::find_missing,
};
use crate::{
    clock::Clock,
    store::{Clip, ClipKind, ClipState, NewClip, NewPart, Store, StoreError},
};

const CUT_SHORT: &str = "the camera lost power before any footage was safe";

#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error("cannot list {path}: {source}", path = path.display())]
    List { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the scan found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Clips that were open and are closed now.
    pub closed: usize,
    /// Files that had no row and have one now.
    pub found: usize,
    /// Clips of which nothing was left.
    pub lost: usize,
    /// Closed clips whose files somebody deleted.
    pub missing: u64,
}

/// The files of one clip.
#[derive(Debug, Default)]
pub(in crate::record) struct Files {
    pub(in crate::record) video: Option<PathBuf>,
    pub(in crate::record) picture: Option<PathBuf>,
}

/// Brings index and disk together. Nothing may be recording into `directory`.
pub async fn adopt(
    store: &Store,
    directory: &Path,
    boot_id: BootId,
    clock: &Clock,
) -> Result<Adopted, AdoptError> {
    let mut files = list_files(directory).await?;
    let clips = store.clips().await?;
    let mut adopted = Adopted::default();
    let mut ended_at = HashMap::new();

    for clip in &clips {
        let left = files.remove(&clip.clip_id).unwrap_or_default();
        // A disk that was missing for a while gives back what was thought to be gone.
        let is_back = clip.state == ClipState::Gone && left.video.is_some();
        if clip.state != ClipState::Open && !is_back {
            remove_unlisted(directory, clip, left).await;
            continue;
        }
        let end = close(store, directory, clip.clip_id, clip.kind, clip.started_at, left).await?;
        if let Some(end) = end {
            adopted.closed += 1;
            ended_at.extend(clip.event_id.map(|event_id| (event_id, end)));
        } else {
            adopted.lost += 1;
            store.clip_gone(clip.clip_id, CUT_SHORT).await?;
        }
    }
    // Retention takes the oldest first, by the order of the index.
    let mut unknown: Vec<_> = files.into_iter().collect();
    unknown.sort_by_key(|(clip_id, _)| *clip_id);
    for (clip_id, left) in unknown {
        if found(store, directory, clip_id, left).await? {
            adopted.found += 1;
        }
    }
    adopted.missing = find_missing(store, directory, clips).await?;
    for event in store.open_events().await? {
        let at = ended_at.get(&event.event_id).copied().unwrap_or_else(|| clock.unix());
        let message = EventMessage {
            protocol: PROTOCOL_VERSION,
            event_id: event.event_id,
            kind: event.kind,
            state: EventState::Ended,
            at,
            clock: clock.state(),
            boot_id,
            uptime_ms: clock.uptime_ms(),
            clip_id: event.clip_id,
            boxes: Vec::new(),
            zones: Vec::new(),
            reason: Some(EventEndReason::Interrupted.into()),
            tamper: None,
            peak_area: None,
            duration_ms: None,
        };
        store.enqueue_event(message).await?;
    }
    Ok(adopted)
}

/// Groups the files by clip; half-written pictures are removed.
async fn list_files(directory: &Path) -> Result<HashMap<ClipId, Files>, AdoptError> {
    let path = directory.to_owned();
    let listed = spawn_blocking(move || files::list(&path))
        .await
        .map_err(|_| StoreError::ShuttingDown)?
        .map_err(|source| AdoptError::List { path: directory.to_owned(), source })?;
    let mut by_clip: HashMap<ClipId, Files> = HashMap::new();
    for (clip_id, kind, path) in listed {
        match kind {
            Kind::Video | Kind::UnfinishedVideo => {
                by_clip.entry(clip_id).or_default().video = Some(path);
            }
            Kind::Picture => by_clip.entry(clip_id).or_default().picture = Some(path),
            Kind::DamagedVideo => {}
            Kind::UnfinishedPicture => {
                if let Err(error) = files::remove(&path) {
                    tracing::warn!(%error, path = %path.display(), "a torn picture stays");
                }
            }
        }
    }
    Ok(by_clip)
}

/// Removes a thumbnail that came too late for its clip, or whose clip is gone.
async fn remove_unlisted(directory: &Path, clip: &Clip, left: Files) {
    let Some(picture) = left.picture else { return };
    let listed = clip.parts.iter().any(|part| directory.join(&part.path) == picture);
    if !listed {
        remove_file(picture).await;
    }
}

async fn remove_file(path: PathBuf) {
    let removed = spawn_blocking({
        let path = path.clone();
        move || files::remove(&path)
    });
    if let Ok(Err(error)) = removed.await {
        tracing::warn!(%error, path = %path.display(), "a file that belongs to no clip stays");
    }
}

/// Closes a clip from what is left of it. Gives its end, or nothing when nothing is left: then
/// its picture goes too.
pub(in crate::record) async fn close(
    store: &Store,
    directory: &Path,
    clip_id: ClipId,
    kind: ClipKind,
    started_at: UnixMillis,
    left: Files,
) -> Result<Option<UnixMillis>, AdoptError> {
    let mut parts: Vec<NewPart> = Vec::new();
    let mut duration_ms = 0;
    if kind != ClipKind::Snapshot {
        let file = match left.video {
            Some(video) => repaired(directory, video, clip_id).await.unwrap_or_else(|error| {
                tracing::error!(clip.id = %clip_id, %error, "a clip cannot be repaired");
                None
            }),
            None => None,
        };
        let Some(file) = file else {
            if let Some(picture) = left.picture {
                remove_file(picture).await;
            }
            return Ok(None);
        };
        duration_ms = file.duration_ms;
        parts.push(video_part(clip_id, file.length, file.duration_ms));
    }
    let picture = left.picture.and_then(|path| path.metadata().ok());
    if let Some(length) = picture.map(|metadata| metadata.len()) {
        let picture = match kind {
            ClipKind::Snapshot => PartKind::Snapshot,
            _ => PartKind::Thumbnail,
        };
        parts.push(picture_part(clip_id, picture, length));
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let ended_at = started_at.plus(Duration::from_millis(duration_ms));
    store.close_clip(clip_id, duration_ms, parts, None).await?;
    tracing::info!(clip.id = %clip_id, duration_ms, "a clip that was cut off is complete");
    Ok(Some(ended_at))
}

async fn repaired(
    directory: &Path,
    video: PathBuf,
    clip_id: ClipId,
) -> Result<Option<FinishedFile>, WriteError> {
    let directory = directory.to_owned();
    let path = video.clone();
    spawn_blocking(move || repair(&directory, &path, clip_id)).await.unwrap_or_else(|panicked| {
        Err(WriteError::File { path: video, source: io::Error::other(panicked) })
    })
}

/// Of footage that the index does not know. A file that cannot be read is not repaired either.
async fn kind_of(video: PathBuf) -> ClipKind {
    let read = spawn_blocking(move || is_continuous(&video)).await;
    if matches!(read, Ok(Ok(true))) { ClipKind::Continuous } else { ClipKind::Motion }
}

/// Takes up files that the index does not know, for instance after it was lost. Their clip began
/// when its id was made, as near as can be told.
async fn found(
    store: &Store,
    directory: &Path,
    clip_id: ClipId,
    left: Files,
) -> Result<bool, AdoptError> {
    let kind = match &left.video {
        Some(video) => kind_of(video.clone()).await,
        None => ClipKind::Snapshot,
    };
    let Some(made_at) = clip_id.as_uuid().get_timestamp() else { return Ok(false) };
    if left.video.is_none() && left.picture.is_none() {
        return Ok(false);
    }
    let (seconds, nanos) = made_at.to_unix();
    let millis = seconds.saturating_mul(1_000) + u64::from(nanos / 1_000_000);
    let started_at = UnixMillis(i64::try_from(millis).unwrap_or(i64::MAX));
    let clip = NewClip {
        clip_id,
        event_id: None,
        kind,
        started_at,
        clock: ClockState::Unsynced,
        // Nobody knows in which boot that was. In this one, the clock that is set later would make
        // it footage of today.
        boot_id: BootId::generate(),
        started_uptime_ms: 0,
    };
    store.begin_clip(clip, None).await?;
    if close(store, directory, clip_id, kind, started_at, left).await?.is_none() {
        store.clip_gone(clip_id, CUT_SHORT).await?;
        return Ok(false);
    }
    Ok(true)
}

//! One clip's way to the relay.

use std::{io, path::Path, time::Duration};

use nightjar_shared::{
    api::{ClipAnnouncement, ClipCompletion, ClipFailure, PartKind, PartRequest, PartUpload},
    ids::ClipId,
};
use tokio::task::spawn_blocking;

use super::digest::sha256_file;
use crate::{
    clock::unix_now,
    cloud::{Cloud, CloudError, Disposition},
    store::{Clip, ClipState, Part, Store, StoreError},
};

/// The relay answers for at most this many parts at a time.
const PARTS_PER_REQUEST: usize = 64;
/// After a refusal of the camera's key, only a new pairing helps: ask rarely.
const UNPAIRED_DELAY: Duration = Duration::from_mins(5);

const FILE_DELETED: &str = "its file was deleted from the camera's disk";

/// Why a clip did not get through.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another try may go well, after `at_least`.
    Later {
        cause: String,
        at_least: Duration,
    },
    /// The relay will never take it.
    Never {
        cause: String,
    },
    /// The footage is not on disk any more; the relay is to be told.
    FileGone {
        reason: &'static str,
    },
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        let cause = error.to_string();
        match error.disposition() {
            // What the relay misses is offered again next time.
            _ if error.code() == Some("part_missing") => {
                Self::Later { cause, at_least: Duration::ZERO }
            }
            Disposition::Never => Self::Never { cause },
            Disposition::TryAgain => {
                Self::Later { cause, at_least: error.retry_after().unwrap_or_default() }
            }
            Disposition::Unauthorized => Self::Later { cause, at_least: UNPAIRED_DELAY },
        }
    }
}

/// Brings a clip to the relay, or tells the relay that its footage is gone.
pub(super) async fn transfer(
    store: &Store,
    cloud: &Cloud,
    recordings: &Path,
    clip: &Clip,
) -> Result<(), Failure> {
    let announcement = ClipAnnouncement {
        clip_id: clip.clip_id,
        event_id: clip.event_id,
        started_at: clip.started_at,
        clock: clip.clock,
        recording: false,
    };
    if clip.state == ClipState::Gone {
        cloud.announce_clip(&announcement).await?;
        let reason = clip.gone_reason.clone().unwrap_or_default();
        cloud.fail_clip(clip.clip_id, &ClipFailure { reason }).await?;
        return Ok(());
    }
    let parts = measured_parts(store, recordings, clip).await?;
    cloud.announce_clip(&announcement).await?;
    for batch in parts.chunks(PARTS_PER_REQUEST) {
        send_parts(store, cloud, recordings, clip.clip_id, batch).await?;
    }
    let completion = ClipCompletion {
        parts: parts.iter().map(|part| part.index).collect(),
        ended_at: clip.ended_at.unwrap_or(clip.started_at),
        duration_ms: clip.duration_ms.unwrap_or(0),
        manifest_sha256: None,
    };
    cloud.complete_clip(clip.clip_id, &completion).await?;
    Ok(())
}

/// The parts that are on disk, as the relay is to be asked about them.
async fn measured_parts(
    store: &Store,
    recordings: &Path,
    clip: &Clip,
) -> Result<Vec<MeasuredPart>, Failure> {
    let mut measured = Vec::with_capacity(clip.parts.len());
    for part in &clip.parts {
        match measure(store, recordings, clip.clip_id, part).await? {
            Some(part) => measured.push(part),
            // A clip does without its thumbnail, but not without footage.
            None if part.kind == PartKind::Thumbnail => {}
            None => return Err(Failure::FileGone { reason: FILE_DELETED }),
        }
    }
    if measured.is_empty() {
        return Err(Failure::FileGone { reason: FILE_DELETED });
    }
    Ok(measured)
}

/// A part whose file has been read.
struct MeasuredPart {
    index: u32,
    path: String,
    request: PartRequest,
}

async fn measure(
    store: &Store,
    recordings: &Path,
    clip_id: ClipId,
    part: &Part,
) -> Result<Option<MeasuredPart>, Failure> {
    let path = recordings.join(&part.path);
    // A file that changed since it was read is read again.
    let known = part
        .sha256
        .clone()
        .filter(|_| path.metadata().is_ok_and(|metadata| metadata.len() == part.length));
    let (sha256, length) = if let Some(sha256) = known {
        (sha256, part.length)
    } else {
        let read = spawn_blocking(move || sha256_file(&path)).await;
        match read.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            Ok((sha256, length)) => {
                store.part_measured(clip_id, part.index, sha256.clone(), length).await?;
                (sha256, length)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let cause = format!("cannot read {}: {error}", part.path);
                return Err(Failure::Later { cause, at_least: Duration::ZERO });
            }
        }
    };
    let request = PartRequest {
        index: part.index,
        kind: part.kind,
        length,
        sha256,
        content_type: part.content_type.clone(),
        duration_ms: None,
    };
    Ok(Some(MeasuredPart { index: part.index, path: part.path.clone(), request }))
}

async fn send_parts(
    store: &Store,
    cloud: &Cloud,
    recordings: &Path,
    clip_id: ClipId,
    parts: &[MeasuredPart],
) -> Result<(), Failure> {
    let requests: Vec<PartRequest> = parts.iter().map(|part| part.request.clone()).collect();
    let uploads = cloud.request_parts(clip_id, &requests).await?;
    for part in parts {
        let Some(upload) = uploads.iter().find(|upload| upload.index == part.index) else {
            let cause = format!("the relay gave no place for part {}", part.index);
            return Err(Failure::Later { cause, at_least: Duration::ZERO });
        };
        if !upload.stored {
            put(cloud, recordings, part, upload).await?;
        }
        store.part_uploaded(clip_id, part.index, unix_now()).await?;
    }
    Ok(())
}

async fn put(
    cloud: &Cloud,
    recordings: &Path,
    part: &MeasuredPart,
    upload: &PartUpload,
) -> Result<(), Failure> {
    let path = recordings.join(&part.path);
    let sent = cloud.put_part(&upload.url, &upload.headers, &path, part.request.length).await;
    sent.map_err(|error| match error {
        CloudError::File { ref source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Failure::FileGone { reason: FILE_DELETED }
        }
        // A signature that expired while others were sent is refused: a fresh one may not be.
        error => Failure::Later {
            cause: error.to_string(),
            at_least: error.retry_after().unwrap_or_default(),
        },
    })
}

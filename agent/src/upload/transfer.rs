//! One step of a clip's way to the relay: announce it, ask where parts go, PUT them, report them,
//! complete it. A step is short, so that something more urgent never waits for long.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};

use nightjar_shared::{
    api::{
        ClipAnnouncement, ClipCompletion, ClipFailure, ManifestPart, PartKind, PartRequest,
        PartUpload, manifest,
    },
    ids::ClipId,
    time::UnixMillis,
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    digest::checksums_of,
    failure::{FILE_DELETED, UploadFailure},
    parts::{self, Cut, Picture, Stretch},
};
use crate::{
    clock::Clock,
    cloud::{Cloud, Pace},
    machine::blocking,
    store::{Clip, ClipState, Store},
};

/// How many parts are asked for at a time. Their permissions hold for minutes: more would run out
/// on a slow link.
const PARTS_AT_ONCE: usize = 8;
/// How long a step may take before no further part is begun.
const LONGEST_STEP: Duration = Duration::from_secs(4);

/// What a step is to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    Picture,
    /// Its picture too, where that is missing.
    Footage,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is, or will be, more.
    GoOn,
    /// The relay has verified all of the clip.
    Done,
    /// The relay knows that the footage is gone.
    ToldGone,
}

/// What this process knows of a clip's upload. All of it can be found out again.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What the relay was told of the clip: whether it is being written, and when it began.
    announced: Option<(bool, UnixMillis)>,
    /// How the closed file is cut into segments: not at all where it is no fragmented MP4 of ours.
    cut: Looked<Option<Arc<Cut>>>,
    /// The thumbnail that the picture's file carries.
    thumbnail: Looked<Option<(u64, u64)>>,
    /// The relay knows no stills.
    still_refused: bool,
    /// The parts that the relay has verified, by their indexes.
    verified: BTreeMap<u32, PartRequest>,
}

/// What a look into a file has found.
#[derive(Debug, Default, Clone)]
enum Looked<T> {
    #[default]
    NotYet,
    Found(T),
}

impl Known {
    pub(super) fn has(&self, index: u32) -> bool {
        self.verified.contains_key(&index)
    }

    /// Forgets what the relay has: it misses something, so all of it is offered again.
    pub(super) fn forget(&mut self) {
        *self = Self {
            cut: std::mem::take(&mut self.cut),
            thumbnail: std::mem::take(&mut self.thumbnail),
            ..Self::default()
        };
    }
}

/// What steps work with. A cheap clone.
#[derive(Clone)]
pub(super) struct Carrier {
    pub(super) store: Store,
    pub(super) cloud: Cloud,
    pub(super) recordings: PathBuf,
    pub(super) pace: Pace,
    pub(super) clock: Clock,
}

impl Carrier {
    /// Carries out one step.
    pub(super) async fn step(
        &self,
        clip: &Clip,
        load: Load,
        known: &mut Known,
    ) -> Result<Outcome, UploadFailure> {
        self.announce(clip, known).await?;
        if clip.state == ClipState::Gone {
            let reason = clip.gone_reason.clone().unwrap_or_default();
            self.cloud.fail_clip(clip.clip_id, &ClipFailure { reason }).await?;
            return Ok(Outcome::ToldGone);
        }
        if let Some(picture) = self.picture(clip, known).await {
            self.bring_picture(clip.clip_id, &picture, known).await?;
        }
        let has_footage = clip.parts.iter().any(|part| part.kind == PartKind::File);
        // A snapshot is complete with its picture.
        if load == Load::Picture && (has_footage || clip.state == ClipState::Open) {
            return Ok(Outcome::GoOn);
        }
        let footage = self.footage(clip, known).await?;
        let missing: Vec<&Stretch> = footage.iter().filter(|part| !known.has(part.index)).collect();
        let all_sent = self.bring(clip.clip_id, &missing, known).await?;
        if !all_sent || clip.state == ClipState::Open {
            return Ok(Outcome::GoOn);
        }
        if known.verified.is_empty() {
            return Err(UploadFailure::FileGone { reason: FILE_DELETED });
        }
        // The clock may have been set during this step.
        let Some(clip) = self.store.clip(clip.clip_id).await? else { return Ok(Outcome::GoOn) };
        self.announce(&clip, known).await?;
        self.complete(&clip, known).await?;
        Ok(Outcome::Done)
    }

    async fn announce(&self, clip: &Clip, known: &mut Known) -> Result<(), UploadFailure> {
        let recording = clip.state == ClipState::Open;
        if known.announced == Some((recording, clip.started_at)) {
            return Ok(());
        }
        let announcement = ClipAnnouncement {
            clip_id: clip.clip_id,
            event_id: clip.event_id,
            started_at: clip.started_at,
            clock: clip.clock,
            boot_id: Some(clip.boot_id),
            started_uptime_ms: Some(clip.started_uptime_ms),
            recording,
        };
        self.cloud.announce_clip(&announcement).await?;
        known.announced = Some((recording, clip.started_at));
        Ok(())
    }

    /// Looks what a clip's picture is sent as. A file that cannot be read says so when it is sent.
    async fn picture(&self, clip: &Clip, known: &mut Known) -> Option<Picture> {
        let whole = parts::picture(clip, None)?;
        if let Looked::Found(thumbnail) = known.thumbnail {
            return parts::picture(clip, thumbnail);
        }
        let path = self.recordings.join(&whole.parts.first()?.path);
        let Ok(Ok(thumbnail)) = blocking(move || parts::thumbnail(&path)).await else {
            return Some(whole);
        };
        known.thumbnail = Looked::Found(thumbnail);
        parts::picture(clip, thumbnail)
    }

    /// Brings a clip's picture. A clip does without its thumbnail and its still, but a snapshot is its
    /// picture.
    async fn bring_picture(
        &self,
        clip_id: ClipId,
        picture: &Picture,
        known: &mut Known,
    ) -> Result<(), UploadFailure> {
        for part in &picture.parts {
            if known.has(part.index) || (part.kind == PartKind::Still && known.still_refused) {
                continue;
            }
            match self.bring(clip_id, &[part], known).await {
                // Also where a snapshot has a thumbnail: the snapshot itself says that it is gone.
                Err(UploadFailure::FileGone { .. }) if part.kind.is_illustration() => {
                    if picture.parts.iter().all(|part| part.kind.is_illustration()) {
                        self.store.drop_part(clip_id, picture.index).await?;
                        return Ok(());
                    }
                }
                // The relay is older than this agent.
                Err(UploadFailure::Never { cause }) if part.kind == PartKind::Still => {
                    tracing::debug!(clip.id = %clip_id, %cause, "the relay takes no still");
                    known.still_refused = true;
                }
                brought => {
                    brought?;
                }
            }
        }
        self.store.part_uploaded(clip_id, picture.index, self.clock.unix()).await?;
        Ok(())
    }

    /// Deletes the thumbnail of a clip whose footage is gone: without its row it would be taken for
    /// a snapshot when the agent starts again.
    pub(super) async fn remove_thumbnail(&self, clip: &Clip) {
        let thumbnail = clip.parts.iter().find(|part| part.kind == PartKind::Thumbnail);
        let Some(path) = thumbnail.map(|part| self.recordings.join(&part.path)) else { return };
        let removed = blocking(move || std::fs::remove_file(path)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(clip.id = %clip.clip_id, %error, "a clip's picture cannot be deleted");
        }
    }

    /// Lists the parts of the clip's footage that are on disk for good.
    async fn footage(&self, clip: &Clip, known: &mut Known) -> Result<Vec<Stretch>, UploadFailure> {
        if clip.state == ClipState::Open {
            let growth = self.store.growth(clip.clip_id);
            return Ok(growth.as_ref().map(parts::grown).unwrap_or_default());
        }
        let Some(file) = clip.parts.iter().find(|part| part.kind == PartKind::File) else {
            return Ok(Vec::new());
        };
        let cut = match &known.cut {
            Looked::Found(cut) => cut.clone(),
            Looked::NotYet => {
                let path = self.recordings.join(&file.path);
                let looked = blocking(move || parts::cut(&path)).await;
                let looked = looked.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
                let cut = looked.map_err(|error| UploadFailure::from_file(&file.path, &error))?;
                let cut = cut.map(Arc::new);
                known.cut = Looked::Found(cut.clone());
                cut
            }
        };
        Ok(parts::closed(clip, cut.as_deref()))
    }

    /// Sends parts for as long as a step may take. Returns whether the relay has all of them.
    async fn bring(
        &self,
        clip_id: ClipId,
        parts: &[&Stretch],
        known: &mut Known,
    ) -> Result<bool, UploadFailure> {
        let deadline = Instant::now() + LONGEST_STEP;
        for batch in parts.chunks(PARTS_AT_ONCE) {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            let mut requests = Vec::with_capacity(batch.len());
            for part in batch {
                requests.push(self.measured(part).await?);
            }
            let uploads = self.cloud.request_parts(clip_id, &requests).await?;
            let mut sent = Vec::new();
            let mut put = Ok(());
            for (part, request) in batch.iter().zip(&requests) {
                let upload = uploads.iter().find(|upload| upload.index == part.index);
                let upload = upload.ok_or_else(|| UploadFailure::no_place(part.index))?;
                if upload.stored {
                    known.verified.insert(part.index, request.clone());
                    continue;
                }
                if !sent.is_empty() && Instant::now() >= deadline {
                    break;
                }
                put = self.put(part, upload).await;
                if put.is_err() {
                    break;
                }
                sent.push(request);
            }
            // What arrived counts, even when the next part did not.
            let confirmed = self.confirm(clip_id, &sent, known).await;
            put.and(confirmed)?;
        }
        Ok(parts.iter().all(|part| known.has(part.index)))
    }

    async fn measured(&self, part: &Stretch) -> Result<PartRequest, UploadFailure> {
        let path = self.recordings.join(&part.path);
        let (offset, length) = (part.offset, part.length);
        let read = blocking(move || checksums_of(&path, offset, length)).await;
        let checksums = read
            .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
            .map_err(|error| UploadFailure::from_file(&part.path, &error))?;
        Ok(PartRequest {
            index: part.index,
            kind: part.kind,
            length,
            sha256: checksums.sha256,
            md5: Some(checksums.md5),
            content_type: part.content_type.clone(),
            duration_ms: part.duration_ms,
        })
    }

    async fn put(&self, part: &Stretch, upload: &PartUpload) -> Result<(), UploadFailure> {
        let path = self.recordings.join(&part.path);
        let stretch = (part.offset, part.length);
        let sent = self.cloud.put_part(upload, &path, stretch, &self.pace).await;
        sent.map_err(UploadFailure::of_put)
    }

    /// Reports parts that were sent. Only what the relay itself has seen in the store counts.
    async fn confirm(
        &self,
        clip_id: ClipId,
        sent: &[&PartRequest],
        known: &mut Known,
    ) -> Result<(), UploadFailure> {
        if sent.is_empty() {
            return Ok(());
        }
        let indexes = sent.iter().map(|request| request.index).collect();
        let answer = self.cloud.confirm_parts(clip_id, indexes).await?;
        for request in sent {
            if answer.stored.contains(&request.index) {
                known.verified.insert(request.index, (*request).clone());
            }
        }
        match answer.missing.first() {
            Some(index) => Err(UploadFailure::not_there(*index)),
            None => Ok(()),
        }
    }

    async fn complete(&self, clip: &Clip, known: &mut Known) -> Result<(), UploadFailure> {
        let manifest = manifest(known.verified.values().map(|part| ManifestPart {
            index: part.index,
            kind: part.kind,
            length: part.length,
            duration_ms: part.duration_ms,
            sha256: &part.sha256,
        }));
        let completion = ClipCompletion {
            parts: known.verified.keys().copied().collect(),
            ended_at: clip.ended_at.unwrap_or(clip.started_at),
            duration_ms: clip.duration_ms.unwrap_or(0),
            manifest_sha256: Some(hex::encode(Sha256::digest(manifest))),
        };
        self.cloud.complete_clip(clip.clip_id, &completion).await?;
        Ok(())
    }
}

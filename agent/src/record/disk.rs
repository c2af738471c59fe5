//! The thread that owns the files of open clips, and tells the index of them.
//!
//! It blocks by nature (every fragment is synced), so it is a thread of its own behind a bounded
//! queue. When the disk is slower than the camera the queue fills, the recorder waits for it, and
//! the frames it could not take are dropped by the media hub: memory stays bounded.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use nightjar_shared::{api::PartKind, event::EventMessage, ids::ClipId, time::UnixMillis};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{
    RecordStatus, files,
    keeper::disk_space,
    writer::{ClipFile, FinishedFile, WriteError},
};
use crate::{
    frame::EncodedFrame,
    media::Media,
    store::{ClipEnd, NewClip, NewPart, Store, StoreError},
};

/// Commands that may wait: some seconds of frames.
pub(super) const QUEUE: usize = 256;
/// Notes for the index that could not be written, kept for another try; beyond it the oldest is
/// forgotten. The start-up scan finds the clips again, whatever was forgotten.
const MAX_OWED: usize = 256;
/// Between two tries to write them.
const OWED_RETRY: Duration = Duration::from_secs(2);
/// A snapshot that takes longer leaves its clip without a thumbnail.
const THUMBNAIL_PATIENCE: Duration = Duration::from_secs(3);

pub(super) const DISK_FULL: &str =
    "the disk for recordings is full; recording goes on when space is free";

pub(super) const VIDEO_PART: u32 = 0;
pub(super) const THUMBNAIL_PART: u32 = 1;

/// Which session a clip belongs to. Both may record at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Motion,
    Manual,
}

impl Slot {
    pub(super) const ALL: [Self; 2] = [Self::Motion, Self::Manual];
}

#[derive(Debug)]
pub(super) enum DiskCommand {
    /// Opens a clip, after the slot's open one is closed.
    Begin(Box<Begin>),
    Append {
        slot: Slot,
        frame: Arc<EncodedFrame>,
    },
    /// Closes the slot's clip, if one is open, and tells of the event's end.
    End {
        slot: Slot,
        message: Option<Box<EventMessage>>,
    },
    /// Tells something without touching a clip.
    Tell(Box<EventMessage>),
}

#[derive(Debug)]
pub(super) struct Begin {
    pub(super) slot: Slot,
    pub(super) clip: NewClip,
    /// The event that the clip begins.
    pub(super) message: Option<EventMessage>,
    /// Begins with a key frame.
    pub(super) frames: Vec<Arc<EncodedFrame>>,
    /// The clip's expected length.
    pub(super) longest: Duration,
}

pub(super) struct Disk {
    context: Context,
    runtime: Handle,
    open: [Option<OpenClip>; 2],
    owed: VecDeque<Owed>,
    owed_since: Instant,
}

struct OpenClip {
    clip_id: ClipId,
    started_at: UnixMillis,
    file: ClipFile,
    thumbnail: oneshot::Receiver<NewPart>,
}

/// A note that the index has yet to take.
enum Owed {
    Tell(Box<EventMessage>),
    Close { clip_id: ClipId, end: ClipEnd, parts: Vec<NewPart>, message: Option<Box<EventMessage>> },
    Gone { clip_id: ClipId, reason: &'static str },
}

/// What the disk thread works with.
pub(super) struct Context {
    pub(super) directory: PathBuf,
    pub(super) store: Store,
    pub(super) media: Media,
    pub(super) tracker: TaskTracker,
    pub(super) status: Arc<watch::Sender<RecordStatus>>,
    /// The clip of each slot that could not be written (any further), for the recorder.
    pub(super) failed: watch::Sender<[Option<ClipId>; 2]>,
    /// Wakes retention: a clip was closed, or the disk is full.
    pub(super) keeper: Arc<Notify>,
}

impl Disk {
    /// Must be called inside a Tokio runtime.
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            runtime: Handle::current(),
            open: [None, None],
            owed: VecDeque::new(),
            owed_since: Instant::now(),
        }
    }

    /// Works until the recorder drops its end of the queue; then closes what is open.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<DiskCommand>) {
        while let Some(command) = commands.blocking_recv() {
            if !self.owed.is_empty() && self.owed_since.elapsed() >= OWED_RETRY {
                self.pay();
            }
            match command {
                DiskCommand::Begin(begin) => self.begin(*begin),
                DiskCommand::Append { slot, frame } => self.append(slot, frame),
                DiskCommand::End { slot, message } => self.end(slot, message),
                DiskCommand::Tell(message) => self.owe(Owed::Tell(message)),
            }
        }
        for slot in Slot::ALL {
            self.end(slot, None);
        }
        self.pay();
    }

    fn begin(&mut self, begin: Begin) {
        let Begin { slot, clip, message, frames, longest } = begin;
        self.end(slot, None);
        let (clip_id, started_at) = (clip.clip_id, clip.started_at);
        let indexed = self.runtime.block_on(self.context.store.begin_clip(clip, message.clone()));
        if let Err(error) = indexed {
            self.report_store(clip_id, &error);
            self.fail(slot, clip_id);
            if let Some(message) = message {
                self.owe(Owed::Tell(Box::new(message)));
            }
            return;
        }
        match self.create(clip_id, started_at, frames, longest) {
            Ok(file) => {
                let thumbnail = self.take_thumbnail(clip_id);
                self.open[slot as usize] = Some(OpenClip { clip_id, started_at, file, thumbnail });
                self.tell_what_is_recorded();
                tracing::info!(clip.id = %clip_id, "a clip begins");
            }
            Err(problem) => {
                self.report(clip_id, problem);
                self.fail(slot, clip_id);
                self.owe(Owed::Gone { clip_id, reason: "it could not be written to the disk" });
            }
        }
    }

    fn create(
        &mut self,
        clip_id: ClipId,
        started_at: UnixMillis,
        frames: Vec<Arc<EncodedFrame>>,
        longest: Duration,
    ) -> Result<ClipFile, Problem> {
        self.check_space()?;
        let first = frames.first().ok_or_else(|| Problem::other("a clip without frames"))?;
        let mut file =
            ClipFile::create(&self.context.directory, clip_id, first, started_at, longest)?;
        if let Err(error) = file.append(frames) {
            // Whatever was written of the pre-roll is kept.
            tracing::warn!(clip.id = %clip_id, %error, "a clip ends early");
            self.context.keeper.notify_one();
        }
        Ok(file)
    }

    fn append(&mut self, slot: Slot, frame: Arc<EncodedFrame>) {
        let begins_group = frame.key_frame;
        let Some(open) = &mut self.open[slot as usize] else { return };
        let clip_id = open.clip_id;
        let mut written = open.file.append([frame]).map_err(Problem::from);
        if begins_group && written.is_ok() {
            written = self.check_space();
        }
        match written {
            Ok(()) if begins_group => self.clear_problem(),
            Ok(()) => {}
            Err(problem) => {
                self.report(clip_id, problem);
                self.end(slot, None);
                self.fail(slot, clip_id);
            }
        }
    }

    fn tell_what_is_recorded(&self) {
        let recording = self.open.iter().any(Option::is_some);
        let manual = self.open[Slot::Manual as usize].is_some();
        self.context.status.send_modify(|status| {
            status.recording = recording;
            status.manual_recording = manual;
        });
    }

    fn end(&mut self, slot: Slot, message: Option<Box<EventMessage>>) {
        let Some(open) = self.open[slot as usize].take() else {
            return self.tell(message);
        };
        self.tell_what_is_recorded();
        let OpenClip { clip_id, started_at, file, thumbnail } = open;
        match file.close() {
            Ok(Some(finished)) => {
                let thumbnail = self.runtime.block_on(timeout(THUMBNAIL_PATIENCE, thumbnail));
                let parts = std::iter::once(video_part(clip_id, finished))
                    .chain(thumbnail.ok().and_then(Result::ok))
                    .collect();
                let end = ClipEnd {
                    ended_at: started_at.plus(Duration::from_millis(finished.duration_ms)),
                    duration_ms: finished.duration_ms,
                };
                self.owe(Owed::Close { clip_id, end, parts, message });
                self.context.keeper.notify_one();
                tracing::info!(clip.id = %clip_id, duration_ms = finished.duration_ms, "a clip is complete");
            }
            Ok(None) => {
                self.owe(Owed::Gone { clip_id, reason: "it held no footage" });
                self.tell(message);
            }
            Err(error) => {
                // The start-up scan closes what is left of it.
                self.report(clip_id, error.into());
                self.tell(message);
            }
        }
    }

    /// Takes a picture of the event's beginning while the clip is being written.
    fn take_thumbnail(&self, clip_id: ClipId) -> oneshot::Receiver<NewPart> {
        let (sender, receiver) = oneshot::channel();
        let (media, directory) = (self.context.media.clone(), self.context.directory.clone());
        self.context.tracker.spawn_on(
            async move {
                match take_picture(&media, &directory, clip_id).await {
                    Ok(part) => {
                        if sender.send(part).is_err() {
                            // The clip was closed without it.
                            let _ = files::remove(&directory.join(files::picture_name(clip_id)));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(clip.id = %clip_id, %error, "a clip stays without a thumbnail");
                    }
                }
            },
            &self.runtime,
        );
        receiver
    }

    /// Recording stops before the disk is entirely full: the index must still be able to say so.
    fn check_space(&self) -> Result<(), Problem> {
        let space = disk_space(&self.context.directory);
        if space.total_bytes > 0 && space.free_bytes < space.reserve_bytes() {
            return Err(Problem::disk_full());
        }
        Ok(())
    }

    fn fail(&mut self, slot: Slot, clip_id: ClipId) {
        self.context.failed.send_modify(|failed| failed[slot as usize] = Some(clip_id));
    }

    fn report(&self, clip_id: ClipId, problem: Problem) {
        tracing::error!(clip.id = %clip_id, "recording stopped: {}", problem.text);
        if problem.disk_full {
            self.context.keeper.notify_one();
        }
        self.context.status.send_modify(|status| {
            // The keeper takes the news of a full disk back when there is space.
            let place =
                if problem.disk_full { &mut status.retention.problem } else { &mut status.problem };
            *place = Some(problem.text);
        });
    }

    fn report_store(&self, clip_id: ClipId, error: &StoreError) {
        let problem = if error.is_disk_full() {
            Problem::disk_full()
        } else {
            Problem::other(error.to_string())
        };
        self.report(clip_id, problem);
    }

    fn clear_problem(&self) {
        self.context.status.send_if_modified(|status| status.problem.take().is_some());
    }

    fn tell(&mut self, message: Option<Box<EventMessage>>) {
        if let Some(message) = message {
            self.owe(Owed::Tell(message));
        }
    }

    /// Writes a note to the index, after those that still wait.
    fn owe(&mut self, note: Owed) {
        self.owed.push_back(note);
        if self.owed.len() > MAX_OWED {
            self.owed.pop_front();
        }
        self.pay();
    }

    fn pay(&mut self) {
        while let Some(note) = self.owed.front() {
            let written = match note {
                Owed::Tell(message) => {
                    self.runtime.block_on(self.context.store.enqueue_event((**message).clone()))
                }
                Owed::Close { clip_id, end, parts, message } => {
                    let message = message.as_deref().cloned();
                    self.runtime.block_on(self.context.store.close_clip(
                        *clip_id,
                        *end,
                        parts.clone(),
                        message,
                    ))
                }
                Owed::Gone { clip_id, reason } => {
                    self.runtime.block_on(self.context.store.clip_gone(*clip_id, reason))
                }
            };
            if let Err(error) = written {
                tracing::warn!(%error, "the index could not take a note; it will be tried again");
                self.owed_since = Instant::now();
                return;
            }
            self.owed.pop_front();
        }
    }
}

/// Why a clip ended early, for the owner.
struct Problem {
    text: String,
    disk_full: bool,
}

impl Problem {
    fn disk_full() -> Self {
        Self { text: DISK_FULL.to_owned(), disk_full: true }
    }

    fn other(text: impl Into<String>) -> Self {
        Self { text: text.into(), disk_full: false }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        if error.is_disk_full() {
            Self::disk_full()
        } else {
            Self::other(format!("{error}; recording tries again every few seconds"))
        }
    }
}

pub(super) fn video_part(clip_id: ClipId, file: FinishedFile) -> NewPart {
    NewPart {
        index: VIDEO_PART,
        kind: PartKind::File,
        path: files::video_name(clip_id),
        content_type: "video/mp4",
        length: file.length,
        duration_ms: Some(file.duration_ms),
    }
}

pub(super) fn picture_part(clip_id: ClipId, kind: PartKind, index: u32, length: u64) -> NewPart {
    NewPart {
        index,
        kind,
        path: files::picture_name(clip_id),
        content_type: "image/jpeg",
        length,
        duration_ms: None,
    }
}

async fn take_picture(media: &Media, directory: &Path, clip_id: ClipId) -> anyhow::Result<NewPart> {
    let jpeg = media.snapshot().await?;
    let length = jpeg.len() as u64;
    let directory = directory.to_owned();
    tokio::task::spawn_blocking(move || {
        files::write_whole(&directory, &files::picture_name(clip_id), &jpeg)
    })
    .await??;
    Ok(picture_part(clip_id, PartKind::Thumbnail, THUMBNAIL_PART, length))
}

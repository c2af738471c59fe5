//! The thread that owns the files of open clips, and tells the index of them.
//!
//! It blocks by nature (every fragment is synced), so it is a thread of its own behind a bounded
//! queue. When the disk is slower than the camera the queue fills, the recorder waits for it, and
//! the frames it could not take are dropped by the media hub: memory stays bounded.

use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};

use nightjar_core::{monotonic::MonotonicNanos, picture::EncodedFrame};
use nightjar_shared::{event::EventMessage, ids::ClipId};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::record::{
    RecordStatus,
    clip::durable::{Durable, LastWritten},
    clip::growth::GrowthReports,
    clip::notes::{Note, Notes},
    clip::thumbnail,
    clip::writer::{ClipFile, FinishedFile, WriteError, close_again},
    files::{self, video_part},
    problem::Problem,
    room::space::DiskSpace,
};
use crate::{
    clock::Clock,
    stills::Stills,
    store::{NewClip, NewPart, Store},
};

/// Commands that may wait: some seconds of frames.
pub(in crate::record) const QUEUE: usize = 256;
/// A snapshot that takes longer leaves its clip without a thumbnail.
const THUMBNAIL_PATIENCE: Duration = Duration::from_secs(3);

/// How much continuous footage a power cut may take: to sync it more often would wear the card
/// for nothing that anybody waits for.
const CONTINUOUS_SYNC: Duration = Duration::from_secs(10);

/// Between two tries to do what a failing disk or index did not let be done.
const RETRY: Duration = Duration::from_secs(2);
/// Clips whose file could not be closed and is tried again; beyond it the oldest waits for the
/// start-up scan.
const MAX_UNCLOSED: usize = 16;

/// Which session a clip belongs to. All but the last may record at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum Slot {
    Motion,
    Manual,
    Tamper,
    Continuous,
}

impl Slot {
    pub(in crate::record) const ALL: [Self; Self::COUNT] =
        [Self::Motion, Self::Manual, Self::Tamper, Self::Continuous];
    pub(in crate::record) const COUNT: usize = 4;
}

#[derive(Debug)]
pub(in crate::record) enum DiskCommand {
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
pub(in crate::record) struct Begin {
    pub(in crate::record) slot: Slot,
    pub(in crate::record) clip: NewClip,
    /// The event that the clip begins.
    pub(in crate::record) message: Option<EventMessage>,
    /// Begins with a key frame.
    pub(in crate::record) frames: Vec<Arc<EncodedFrame>>,
    /// The clip's expected length.
    pub(in crate::record) longest: Duration,
}

pub(in crate::record) struct Disk {
    context: Context,
    runtime: Handle,
    open: [Option<OpenClip>; Slot::COUNT],
    unclosed: VecDeque<Ended>,
    notes: Notes,
    growth: GrowthReports,
    retried_at: MonotonicNanos,
}

struct OpenClip {
    file: ClipFile,
    ended: Ended,
}

/// What a clip needs beside its file to be closed.
struct Ended {
    clip_id: ClipId,
    thumbnail: Option<oneshot::Receiver<NewPart>>,
}

/// What the disk thread works with.
pub(in crate::record) struct Context {
    pub(in crate::record) directory: PathBuf,
    pub(in crate::record) store: Store,
    pub(in crate::record) stills: Stills,
    pub(in crate::record) clock: Clock,
    pub(in crate::record) tracker: TaskTracker,
    pub(in crate::record) status: Arc<watch::Sender<RecordStatus>>,
    /// The clip of each slot that could not be written (any further), for the recorder.
    pub(in crate::record) failed: watch::Sender<[Option<ClipId>; Slot::COUNT]>,
    /// Wakes retention: a clip was closed, or the disk is full.
    pub(in crate::record) keeper: Arc<Notify>,
    /// For the watchdog.
    pub(in crate::record) last_written: LastWritten,
}

impl Disk {
    /// Must be called inside a Tokio runtime.
    pub(in crate::record) fn new(context: Context) -> Self {
        let runtime = Handle::current();
        let notes = Notes::new(context.store.clone(), runtime.clone());
        let growth = GrowthReports::new(context.store.clone(), context.clock.clone());
        let retried_at = context.clock.monotonic();
        Self {
            context,
            growth,
            runtime,
            open: [const { None }; Slot::COUNT],
            unclosed: VecDeque::new(),
            notes,
            retried_at,
        }
    }

    /// Works until the recorder drops its end of the queue; then closes what is open.
    pub(in crate::record) fn run(mut self, mut commands: mpsc::Receiver<DiskCommand>) {
        loop {
            // While something is owed, no command need come for it to be tried again.
            let owes = self.notes.are_owed() || !self.unclosed.is_empty();
            let command = if owes {
                self.runtime.block_on(timeout(RETRY, commands.recv()))
            } else {
                Ok(commands.blocking_recv())
            };
            if owes && self.now().since(self.retried_at) >= RETRY {
                self.retry();
            }
            match command {
                Ok(Some(DiskCommand::Begin(begin))) => self.begin(*begin),
                Ok(Some(DiskCommand::Append { slot, frame })) => self.append(slot, vec![frame]),
                Ok(Some(DiskCommand::End { slot, message })) => self.end(slot, message),
                Ok(Some(DiskCommand::Tell(message))) => self.notes.write(Note::Tell(message)),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        for slot in Slot::ALL {
            self.end(slot, None);
        }
        self.retry();
    }

    fn now(&self) -> MonotonicNanos {
        self.context.clock.monotonic()
    }

    /// Tries again what is owed.
    fn retry(&mut self) {
        self.notes.pay();
        for ended in std::mem::take(&mut self.unclosed) {
            let closed = close_again(&self.context.directory, ended.clip_id);
            self.settle(ended, closed, None);
        }
        self.retried_at = self.now();
    }

    fn begin(&mut self, begin: Begin) {
        let Begin { slot, clip, message, frames, longest } = begin;
        self.end(slot, None);
        let (clip_id, started_at) = (clip.clip_id, clip.started_at);
        if let Err(problem) = self.check_space() {
            return self.refuse(slot, clip_id, problem, message);
        }
        let indexed = self.runtime.block_on(self.context.store.begin_clip(clip, message.clone()));
        if let Err(error) = indexed {
            return self.refuse(slot, clip_id, error.into(), message);
        }
        let continuous = slot == Slot::Continuous;
        let sync_every = if continuous { CONTINUOUS_SYNC } else { Duration::ZERO };
        let directory = &self.context.directory;
        let first = frames.first().ok_or_else(|| Problem::other("a clip without frames"));
        let created = first.and_then(|first| {
            Ok(ClipFile::create(directory, clip_id, first, started_at, longest, sync_every)?)
        });
        match created {
            Ok(file) => {
                let init_length = file.init_length();
                self.durable(Durable { clip_id, init_length, fragments: &[] });
                let thumbnail = (!continuous).then(|| self.take_thumbnail(clip_id));
                let ended = Ended { clip_id, thumbnail };
                self.open[slot as usize] = Some(OpenClip { file, ended });
                self.tell_what_is_recorded();
                tracing::info!(clip.id = %clip_id, "a clip begins");
                self.append(slot, frames);
            }
            Err(problem) => {
                self.report(clip_id, problem);
                self.fail(slot, clip_id);
                self.notes
                    .write(Note::Gone { clip_id, reason: "it could not be written to the disk" });
            }
        }
    }

    /// A clip that is not begun is not in the index either: on a full disk there would be a failed one
    /// every few seconds.
    fn refuse(
        &mut self,
        slot: Slot,
        clip_id: ClipId,
        problem: Problem,
        message: Option<EventMessage>,
    ) {
        self.report(clip_id, problem);
        self.fail(slot, clip_id);
        self.tell(message.map(|message| Box::new(EventMessage { clip_id: None, ..message })));
    }

    /// Every byte of footage passes here once, when it is safe.
    fn durable(&mut self, durable: Durable<'_>) {
        self.context.last_written.note(&durable, self.now());
        self.growth.note(&durable);
    }

    /// Of one clip, in order.
    fn append(&mut self, slot: Slot, frames: Vec<Arc<EncodedFrame>>) {
        let begins_group = frames.iter().any(|frame| frame.key_frame);
        let Some(mut open) = self.open[slot as usize].take() else { return };
        let (clip_id, init_length) = (open.ended.clip_id, open.file.init_length());
        let mut written = match open.file.append(frames) {
            Ok([]) => Ok(()),
            Ok(fragments) => {
                self.durable(Durable { clip_id, init_length, fragments });
                Ok(())
            }
            Err(error) => Err(Problem::from(error)),
        };
        self.open[slot as usize] = Some(open);
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
        let OpenClip { file, ended } = open;
        let clip_id = ended.clip_id;
        let closed = file.close();
        if let Ok(Some(finished)) = &closed {
            let (init_length, fragments) = (finished.init_length, &finished.last_fragments);
            self.durable(Durable { clip_id, init_length, fragments });
        }
        self.growth.ended(clip_id);
        self.settle(ended, closed, message);
    }

    /// Tells the index what became of a clip's file; one that could not be closed is kept for
    /// another try.
    fn settle(
        &mut self,
        ended: Ended,
        closed: Result<Option<FinishedFile>, WriteError>,
        message: Option<Box<EventMessage>>,
    ) {
        let clip_id = ended.clip_id;
        match closed {
            Ok(Some(finished)) => {
                let video = video_part(clip_id, finished.length, finished.duration_ms);
                let thumbnail = ended.thumbnail.and_then(|taken| self.wait_for(taken));
                let parts = std::iter::once(video).chain(thumbnail).collect();
                let duration_ms = finished.duration_ms;
                self.notes.write(Note::Close { clip_id, duration_ms, parts, message });
                self.context.keeper.notify_one();
                tracing::info!(clip.id = %clip_id, duration_ms, "a clip is complete");
            }
            Ok(None) => {
                // At the next start a picture without its clip would be taken for a snapshot.
                if let Some(taken) = ended.thumbnail
                    && self.wait_for(taken).is_some()
                {
                    let picture = self.context.directory.join(files::picture_name(clip_id));
                    drop(files::remove(&picture));
                }
                self.notes.write(Note::Gone { clip_id, reason: "it held no footage" });
                self.tell(message);
            }
            Err(error) => {
                self.report(clip_id, error.into());
                self.tell(message);
                self.unclosed.push_back(ended);
                if self.unclosed.len() > MAX_UNCLOSED
                    && let Some(left) = self.unclosed.pop_front()
                {
                    self.context.store.clip_stops_growing(left.clip_id);
                }
            }
        }
    }

    fn take_thumbnail(&self, clip_id: ClipId) -> oneshot::Receiver<NewPart> {
        let Context { stills, directory, store, tracker, .. } = &self.context;
        let place =
            thumbnail::Place { directory: directory.clone(), store: store.clone(), clip_id };
        thumbnail::take(stills.clone(), place, tracker, &self.runtime)
    }

    fn wait_for(&self, thumbnail: oneshot::Receiver<NewPart>) -> Option<NewPart> {
        self.runtime.block_on(timeout(THUMBNAIL_PATIENCE, thumbnail)).ok()?.ok()
    }

    /// Recording stops before the disk is entirely full: the index must still be able to say so.
    fn check_space(&self) -> Result<(), Problem> {
        if DiskSpace::of(&self.context.directory, 0).is_full() {
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
            status.write_errors += 1;
        });
    }

    fn clear_problem(&self) {
        self.context.status.send_if_modified(|status| status.problem.take().is_some());
    }

    fn tell(&mut self, message: Option<Box<EventMessage>>) {
        if let Some(message) = message {
            self.notes.write(Note::Tell(message));
        }
    }
}

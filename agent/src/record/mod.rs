//! Recording: the seconds before an event, its footage, and the few after, into files that
//! survive a power cut at any byte.
//!
//! The recorder's task (`task`) decides what becomes a clip, and `clip` makes it: the disk thread
//! writes and tells the index. `room` deletes the oldest when space runs out and notices what is
//! missing. `mend` closes on start-up what the last run left open, and checks and joins footage.

mod clip;
pub mod figures;
mod files;
mod mend;
mod problem;
mod room;
mod task;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use nightjar_core::{monotonic::MonotonicNanos, picture::EncodedFrame, schedule::Week};
use nightjar_shared::{
    api::PartKind,
    ids::{BootId, ClipId},
    time::UnixMillis,
};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{clip::durable::LastWritten, room::ballast::Ballast};
pub use self::{
    mend::adopt::{AdoptError, Adopted, adopt},
    mend::export::{ExportError, Exported, export},
    mend::fsck::{Damage, DamageKind, FsckReport, fsck, repair},
    room::ballast::make_room_for_index,
};
use crate::{
    clock::{Clock, boot_id},
    config::RecordingConfig,
    file_system::{clear_way_for_directory, sync_directory},
    motion_change::MotionChange,
    stills::{StillSize, Stills},
    store::{ClipKind, NewClip, Store},
    tamper_change::TamperChange,
};

/// Requests that may wait; more are refused as busy.
const REQUEST_QUEUE: usize = 8;

/// Where clips lie, below the agent's data directory.
pub fn recordings_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("recordings")
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("a manual recording is running")]
    AlreadyRecording,
    #[error("no manual recording is running")]
    NotRecording,
    #[error("nothing is recorded in privacy mode")]
    Private,
    #[error("the camera gives no picture now")]
    NoPicture,
    #[error("too many requests, or the agent is shutting down")]
    Busy,
    #[error("{0}")]
    Failed(String),
}

/// What the recorder is doing, for health and status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordStatus {
    /// A clip is being written.
    pub recording: bool,
    /// A clip is being written because somebody asked for it.
    pub manual_recording: bool,
    /// One sentence: why the last try to write failed. Absent once writing succeeds again.
    pub problem: Option<String>,
    /// How often writing failed since the agent started.
    pub write_errors: u64,
    pub retention: RetentionStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionStatus {
    pub disk_free_bytes: u64,
    /// All closed clips together.
    pub used_bytes: u64,
    /// When the oldest clip began.
    pub oldest_at: Option<UnixMillis>,
    /// Clips whose files somebody deleted, as found by the last inspection.
    pub missing_clips: u64,
    /// One sentence when the disk is full, recording or not.
    pub problem: Option<String>,
    /// One sentence when others have filled the disk so far that little can be kept.
    pub crowded: Option<String>,
}

impl RecordStatus {
    /// What is wrong now, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let missing = self.retention.missing_clips;
        let missing =
            (missing > 0).then(|| format!("{missing} clips are missing: their files were deleted"));
        let RetentionStatus { problem: full, crowded, .. } = self.retention.clone();
        [self.problem.clone(), full, crowded, missing].into_iter().flatten().collect()
    }
}

/// What can be changed while it runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Controls {
    config: RecordingConfig,
    private: bool,
}

impl Controls {
    /// Whether what happens between events is recorded at that time, which is not known while the
    /// clock is not set.
    fn records_all_at(&self, wall: Option<UnixMillis>) -> bool {
        // Hours in an unknown zone were refused before.
        let week = self.config.schedule.as_ref().and_then(|it| Week::new(it).ok());
        !self.private && self.config.mode.records_all() && week.unwrap_or_default().covers_at(wall)
    }
}

/// Handle of the recorder. Clones share one.
#[derive(Clone)]
pub struct Recorder {
    requests: mpsc::Sender<task::Request>,
    controls: Arc<watch::Sender<Controls>>,
    status: watch::Receiver<RecordStatus>,
    last_written: LastWritten,
    stills: Stills,
    store: Store,
    clock: Clock,
    directory: PathBuf,
    boot_id: BootId,
}

/// What the recorder works with.
pub struct Input {
    pub frames: broadcast::Receiver<Arc<EncodedFrame>>,
    pub stills: Stills,
    pub motion: broadcast::Receiver<MotionChange>,
    pub tampering: broadcast::Receiver<TamperChange>,
}

/// Adopts what the last run left, then records until `cancel`; open clips are closed before the
/// tracked tasks end.
pub async fn start(
    input: Input,
    store: Store,
    config: &RecordingConfig,
    data_dir: &Path,
    clock: Clock,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> anyhow::Result<Recorder> {
    let Input { frames, stills, motion, tampering } = input;
    let directory = recordings_dir(data_dir);
    clear_way_for_directory(&directory);
    fs::create_dir_all(&directory)
        .and_then(|()| sync_directory(data_dir))
        .with_context(|| format!("cannot make {}; check its permissions", directory.display()))?;
    let boot_id = boot_id().context("cannot read the kernel's boot id")?;
    let adopted = adopt(&store, &directory, boot_id, &clock).await?;
    if adopted != Adopted::default() {
        tracing::info!(?adopted, "recordings of an earlier run were brought in order");
    }

    let (controls, controls_receiver) =
        watch::channel(Controls { config: config.clone(), private: false });
    let mut first_status = RecordStatus::default();
    first_status.retention.missing_clips = adopted.missing;
    let (status_sender, status) = watch::channel(first_status);
    let status_sender = Arc::new(status_sender);
    let (failed_sender, failed) = watch::channel([None; clip::disk::Slot::COUNT]);
    let keeper_wake = Arc::new(Notify::new());
    let last_written = LastWritten::default();
    let (requests, requests_receiver) = mpsc::channel(REQUEST_QUEUE);
    let (disk_sender, disk_receiver) = mpsc::channel(clip::disk::QUEUE);

    let disk = clip::disk::Disk::new(clip::disk::Context {
        directory: directory.clone(),
        store: store.clone(),
        stills: stills.clone(),
        clock: clock.clone(),
        tracker: tracker.clone(),
        status: Arc::clone(&status_sender),
        failed: failed_sender,
        keeper: Arc::clone(&keeper_wake),
        last_written: last_written.clone(),
    });
    tracker.spawn_blocking(move || disk.run(disk_receiver));
    let keeper = room::keeper::Keeper {
        directory: directory.clone(),
        ballast: Ballast::below(data_dir),
        boot_id,
        clock: clock.clone(),
        store: store.clone(),
        controls: controls_receiver.clone(),
        status: status_sender,
        wake: keeper_wake,
    };
    tracker.spawn(keeper.run(cancel.clone()));
    let ends = task::Ends {
        frames,
        motion,
        tampering,
        requests: requests_receiver,
        controls: controls_receiver.clone(),
        failed,
    };
    let first_controls = controls_receiver.borrow().clone();
    let task = task::Task::new(disk_sender, boot_id, clock.clone(), first_controls);
    tracker.spawn(task.run(ends, cancel));
    let controls = Arc::new(controls);
    Ok(Recorder {
        requests,
        controls,
        status,
        last_written,
        stills,
        store,
        clock,
        directory,
        boot_id,
    })
}

impl Recorder {
    /// Begins to record until it is stopped, for an hour at most. Gives the first clip.
    pub async fn start_manual(&self) -> Result<ClipId, RecordError> {
        self.request(task::Request::StartManual).await
    }

    /// Gives the clip that ends: what [`Self::start_manual`] gave, or the newest one when the
    /// recording outlasted a clip.
    pub async fn stop_manual(&self) -> Result<ClipId, RecordError> {
        self.request(task::Request::StopManual).await
    }

    /// Takes a picture, keeps it and queues its upload.
    pub async fn snapshot_clip(&self) -> Result<ClipId, RecordError> {
        if self.controls.borrow().private {
            return Err(RecordError::Private);
        }
        let jpeg = self.stills.take(StillSize::Full).await.map_err(|_| RecordError::NoPicture)?;
        self.keep_snapshot(&jpeg)
            .await
            .map_err(|error| RecordError::Failed(format!("the picture was not kept: {error:#}")))
    }

    async fn keep_snapshot(&self, jpeg: &bytes::Bytes) -> anyhow::Result<ClipId> {
        let clip_id = ClipId::generate();
        let taken_at = self.clock.unix();
        let clip = NewClip {
            clip_id,
            event_id: None,
            kind: ClipKind::Snapshot,
            started_at: taken_at,
            clock: self.clock.state(),
            boot_id: self.boot_id,
            started_uptime_ms: self.clock.uptime_ms(),
        };
        self.store.begin_clip(clip, None).await?;
        let (directory, jpeg) = (self.directory.clone(), jpeg.clone());
        let length = jpeg.len() as u64;
        let written = tokio::task::spawn_blocking(move || {
            files::write_whole(&directory, &files::picture_name(clip_id), &jpeg)
        })
        .await?;
        if let Err(error) = written {
            self.store.clip_gone(clip_id, "it could not be written to the disk").await?;
            return Err(error.into());
        }
        let part = files::picture_part(clip_id, PartKind::Snapshot, length);
        self.store.close_clip(clip_id, 0, vec![part], None).await?;
        Ok(clip_id)
    }

    /// Takes effect at once; an open clip keeps what it has.
    pub fn configure(&self, config: RecordingConfig) {
        self.controls.send_modify(|controls| controls.config = config);
    }

    /// Forgets the seconds before now: something that they show is covered from now on. Not when
    /// too many requests wait; then they are forgotten as they grow old.
    pub fn forget_preroll(&self) {
        drop(self.requests.try_send(task::Request::ForgetPreroll));
    }

    /// In privacy mode open clips are closed and nothing is recorded.
    pub fn set_privacy(&self, private: bool) {
        self.controls.send_modify(|controls| controls.private = private);
    }

    pub fn status(&self) -> watch::Receiver<RecordStatus> {
        self.status.clone()
    }

    /// When footage was last written for good.
    pub fn last_written_at(&self) -> MonotonicNanos {
        self.last_written.at()
    }

    async fn request(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<ClipId, RecordError>>) -> task::Request,
    ) -> Result<ClipId, RecordError> {
        let (sender, receiver) = oneshot::channel();
        self.requests.try_send(request(sender)).map_err(|_| RecordError::Busy)?;
        receiver.await.map_err(|_| RecordError::Busy)?
    }
}

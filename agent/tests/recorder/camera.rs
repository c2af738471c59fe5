//! An agent's recording half on a source of frames.

use std::{path::PathBuf, time::Duration};

use nightjar_agent::{
    config::RecordingConfig,
    motion_change::MotionChange,
    progress::Progress,
    record::{self, Recorder, fsck, recordings_dir},
    store::{Clip, ClipState, Held, INDEX_FILE, OutboxKind, Store},
};
use nightjar_core::monotonic::MonotonicNanos;
use nightjar_shared::{
    api::PartKind,
    event::{BoundingBox, EventEndReason, EventMessage, EventState},
    ids::{ClipId, EventId},
};
use tempfile::TempDir;
use tokio::{sync::broadcast, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::source::{PATIENCE, Source, taken};

/// An agent's recording half, in a temporary directory.
pub(crate) struct Camera {
    pub(crate) directory: TempDir,
    pub(crate) store: Store,
    pub(crate) source: Source,
    pub(crate) recorder: Recorder,
    motion: broadcast::Sender<MotionChange>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

/// What a camera that was stopped leaves behind.
pub(crate) struct Stopped {
    pub(crate) directory: TempDir,
    pub(crate) store: Store,
    pub(crate) source: Source,
}

pub(crate) fn config() -> RecordingConfig {
    RecordingConfig {
        pre_roll_s: 1,
        post_roll_s: 1,
        min_free_percent: 0,
        ..RecordingConfig::default()
    }
}

impl Camera {
    pub(crate) async fn start(config: RecordingConfig) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Source::reel(), config).await
    }

    /// With a real encoder, in real time.
    pub(crate) async fn start_encoder(config: RecordingConfig) -> Self {
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let source = Source::camera(&tracker, &cancel).await;
        let directory = tempfile::tempdir().unwrap();
        Self::start_with(directory, source, config, tracker, cancel).await
    }

    pub(crate) async fn start_in(
        directory: TempDir,
        source: Source,
        config: RecordingConfig,
    ) -> Self {
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        Self::start_with(directory, source, config, tracker, cancel).await
    }

    async fn start_with(
        directory: TempDir,
        source: Source,
        config: RecordingConfig,
        tracker: TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        let store = Store::open(&directory.path().join(INDEX_FILE)).unwrap();
        let (motion, changes) = broadcast::channel(16);
        let input = record::Input {
            frames: source.frames(),
            stills: source.stills(),
            motion: changes,
            tampering: broadcast::channel(1).1,
        };
        let recorder = record::start(
            input,
            store.clone(),
            &config,
            directory.path(),
            source.clock(),
            &tracker,
            cancel.clone(),
        )
        .await
        .unwrap();
        Self { directory, store, source, recorder, motion, tracker, cancel }
    }

    pub(crate) fn recordings(&self) -> PathBuf {
        recordings_dir(self.directory.path())
    }

    /// Waits for this much footage to go by. Gives the capture time of the last frame.
    pub(crate) async fn footage(&self, length: Duration) -> MonotonicNanos {
        self.source.footage(length).await
    }

    /// Waits until something is the case, while footage goes by.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFnMut() -> bool) {
        self.source.until(what, holds).await;
    }

    /// Tells of motion, before the next frame comes.
    pub(crate) async fn tell(&self, event_id: EventId, state: EventState, at: MonotonicNanos) {
        let started = state == EventState::Started;
        let area = BoundingBox { x: 0.25, y: 0.25, width: 0.5, height: 0.5 };
        self.motion
            .send(MotionChange {
                event_id,
                state,
                at,
                boxes: if started { vec![area] } else { Vec::new() },
                zones: Vec::new(),
                reason: (!started).then_some(EventEndReason::Still),
                peak_area: 0.02,
                duration: Duration::from_secs(1),
            })
            .unwrap();
        taken(&self.motion).await;
    }

    /// All clips, once this many events have ended: their last message is written together with
    /// the end of their last clip.
    pub(crate) async fn clips_of_ended_events(&self, count: usize) -> Vec<Clip> {
        self.until("the events' end", async || {
            let messages = self.messages().await;
            let ended = messages.iter().filter(|message| message.state == EventState::Ended);
            ended.count() >= count
        })
        .await;
        let clips = self.store.clips().await.unwrap();
        let mut of_events = clips.iter().filter(|clip| clip.event_id.is_some());
        assert!(of_events.all(|clip| clip.state == ClipState::Closed), "{clips:?}");
        clips
    }

    pub(crate) async fn messages(&self) -> Vec<EventMessage> {
        let messages = self.store.next_messages(&[], 100).await.unwrap();
        messages
            .into_iter()
            .filter(|message| message.kind == OutboxKind::Event)
            .map(|message| serde_json::from_str(&message.payload).unwrap())
            .collect()
    }

    pub(crate) async fn stop(self) -> Stopped {
        let Self { directory, store, source, tracker, cancel, .. } = self;
        cancel.cancel();
        tracker.close();
        timeout(PATIENCE, tracker.wait()).await.expect("all tasks end");
        Stopped { directory, store, source }
    }

    pub(crate) async fn assert_in_order(&self) {
        let report = fsck(&self.store, &self.recordings(), &Progress::unheard()).await.unwrap();
        assert_eq!(report.damages, []);
    }
}

/// The path of a clip's footage, relative to the recordings.
pub(crate) fn video(clip: &Clip) -> &str {
    let part = clip.parts.iter().find(|part| part.kind == PartKind::File).unwrap();
    assert_eq!((part.index, part.content_type.as_str()), (0, "video/mp4"));
    &part.path
}

/// Returns the clip that is to be uploaded next.
pub(crate) async fn waiting_upload(store: &Store) -> Option<ClipId> {
    let waiting = store.upload_candidates(1, Held::default()).await.unwrap();
    waiting.first().map(|clip| clip.clip_id)
}

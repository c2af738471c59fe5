//! An agent's recording half, in a temporary directory.

use std::{path::PathBuf, time::Duration};

use nightjar_agent::{
    clock::Clock,
    config::{RecordingConfig, SourceConfig, SourceKind},
    encode::Media,
    motion_change::MotionChange,
    record::{self, Recorder, fsck, recordings_dir},
    store::{Clip, ClipState, Held, OutboxKind, Store},
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

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An agent's recording half, in a temporary directory.
pub(crate) struct Camera {
    pub(crate) directory: TempDir,
    pub(crate) store: Store,
    pub(crate) media: Media,
    pub(crate) recorder: Recorder,
    pub(crate) motion: broadcast::Sender<MotionChange>,
    pub(crate) tracker: TaskTracker,
    pub(crate) cancel: CancellationToken,
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
        Self::start_in(tempfile::tempdir().unwrap(), config).await
    }

    pub(crate) async fn start_in(directory: TempDir, config: RecordingConfig) -> Self {
        let store = Store::open(&directory.path().join("agent.db")).unwrap();
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let source = SourceConfig {
            kind: SourceKind::Synthetic,
            width: 320,
            height: 180,
            fps: 15,
            ..SourceConfig::default()
        };
        let media = Media::start(&source, &tracker, cancel.clone()).unwrap();
        let (motion, changes) = broadcast::channel(16);
        let recorder = record::start(
            record::Input { media: media.clone(), motion: changes },
            store.clone(),
            &config,
            directory.path(),
            Clock::default(),
            &tracker,
            cancel.clone(),
        )
        .await
        .unwrap();
        Self { directory, store, media, recorder, motion, tracker, cancel }
    }

    pub(crate) fn recordings(&self) -> PathBuf {
        recordings_dir(self.directory.path())
    }

    /// Waits for this much footage to go by. Gives the capture time of the last frame.
    pub(crate) async fn footage(&self, length: Duration) -> MonotonicNanos {
        let mut frames = self.media.frames();
        let mut first = None;
        let wait = async {
            loop {
                let Ok(frame) = frames.recv().await else { continue };
                let first = *first.get_or_insert(frame.captured_at);
                if frame.captured_at.since(first) >= length {
                    return frame.captured_at;
                }
            }
        };
        timeout(PATIENCE, wait).await.expect("the source gives frames")
    }

    pub(crate) fn tell(&self, event_id: EventId, state: EventState, at: MonotonicNanos) {
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
    }

    /// All clips, once this many events have ended: their last message is written together with
    /// the end of their last clip.
    pub(crate) async fn clips_of_ended_events(&self, count: usize) -> Vec<Clip> {
        let wait = async {
            loop {
                let messages = self.messages().await;
                let ended = messages.iter().filter(|message| message.state == EventState::Ended);
                if ended.count() >= count {
                    return self.store.clips().await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let clips = timeout(PATIENCE, wait).await.expect("the events end in time");
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

    pub(crate) async fn stop(self) -> (TempDir, Store) {
        self.cancel.cancel();
        self.tracker.close();
        timeout(PATIENCE, self.tracker.wait()).await.expect("all tasks end");
        (self.directory, self.store)
    }

    pub(crate) async fn assert_in_order(&self) {
        let report = fsck(&self.store, &self.recordings()).await.unwrap();
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

/// Waits until something is the case.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

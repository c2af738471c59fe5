//! The recorder on a disk that fails: each write, sync and change of a name once with each error,
//! and the power at each operation. Runs side by side share one camera, whose frames come in real
//! time.

use std::{
    env,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use nightjar_agent::{
    clock::{Clock, boot_id, monotonic_now, unix_now},
    config::{RecordingConfig, SourceConfig, SourceKind},
    encode::Media,
    motion_change::MotionChange,
    record::{self, Recorder, adopt, fsck, recordings_dir},
    store::{Clip, ClipKind, ClipState, INDEX_FILE, Store},
};
use nightjar_shared::{
    event::{EventEndReason, EventState},
    ids::EventId,
};
use tokio::{sync::broadcast, task::JoinSet, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Random, footage,
    forgetful::{
        Fault, Operation, Outcome,
        libc_errno::{EIO, ENOSPC},
    },
    fresh_disk,
    mount::{Shared, lock, mount},
};

const SIDE_BY_SIDE: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(30);
/// One group of pictures (a second) and one more.
const MAX_LOSS_MS: i64 = 2_000;
/// `make soak` sets it: power is cut at every operation, not at every third, and each write meets
/// both errors.
const SOAK: &str = "NIGHTJAR_SOAK";

static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        report(panic);
    }));
}

/// A camera for all runs.
pub(crate) async fn camera(tracker: &TaskTracker, cancel: &CancellationToken) -> Media {
    let source = SourceConfig {
        kind: SourceKind::Synthetic,
        width: 320,
        height: 180,
        fps: 15,
        ..SourceConfig::default()
    };
    let media = Media::start(&source, tracker, cancel.clone()).unwrap();
    timeout(PATIENCE, media.frames().recv()).await.unwrap().unwrap();
    media
}

/// Waits for footage to go by.
pub(crate) async fn footage_of(media: &Media, length: Duration) {
    let mut frames = media.frames();
    let until = monotonic_now().plus(length);
    let wait = async {
        loop {
            match frames.recv().await {
                Ok(frame) if frame.captured_at >= until => return,
                _ => {}
            }
        }
    };
    timeout(PATIENCE, wait).await.expect("the camera gives frames");
}

/// An agent's recording half that runs.
pub(crate) struct Running {
    pub(crate) recorder: Recorder,
    pub(crate) store: Store,
    motion: broadcast::Sender<MotionChange>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Running {
    pub(crate) async fn start(media: &Media, directory: &Path) -> anyhow::Result<Self> {
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let store = Store::open(&directory.join(INDEX_FILE))?;
        let config =
            RecordingConfig { pre_roll_s: 1, post_roll_s: 0, ..RecordingConfig::default() };
        let (motion, changes) = broadcast::channel(16);
        let started = record::start(
            record::Input { media: media.clone(), motion: changes },
            store.clone(),
            &config,
            directory,
            Clock::default(),
            &tracker,
            cancel.clone(),
        );
        let recorder = started.await?;
        Ok(Self { recorder, store, motion, tracker, cancel })
    }

    pub(crate) fn tell(&self, event_id: EventId, state: EventState) {
        let change = MotionChange {
            event_id,
            state,
            at: monotonic_now(),
            boxes: Vec::new(),
            zones: Vec::new(),
            reason: (state == EventState::Ended).then_some(EventEndReason::Still),
            peak_area: 0.02,
            duration: Duration::from_secs(1),
        };
        // The recorder may have ended with the disk.
        let _ = self.motion.send(change);
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.tracker.close();
        let ended = timeout(PATIENCE, self.tracker.wait());
        ended.await.expect("all tasks end, whatever the disk does");
    }
}

/// Records on request, then an event with its pre-roll, as far as the disk lets it. An agent that
/// cannot even start says so; then there is nothing to do but to start it again.
async fn record(media: &Media, directory: &Path) -> anyhow::Result<()> {
    let running = Running::start(media, directory).await?;
    footage_of(media, Duration::from_millis(200)).await;
    start(&running.recorder, media).await;
    footage_of(media, Duration::from_millis(2_200)).await;
    running.recorder.stop_manual().await?;
    let event_id = EventId::generate();
    running.tell(event_id, EventState::Started);
    footage_of(media, Duration::from_millis(700)).await;
    running.tell(event_id, EventState::Ended);
    running.stop().await;
    Ok(())
}

pub(crate) async fn start(recorder: &Recorder, media: &Media) {
    while recorder.start_manual().await.is_err() {
        footage_of(media, Duration::from_millis(100)).await;
    }
}

/// Starts the agent's recording half again as after a restart; index and disk agree, every clip
/// plays. Gives the clips.
pub(crate) async fn judge(directory: &Path, context: &str) -> Vec<Clip> {
    let recordings = recordings_dir(directory);
    std::fs::create_dir_all(&recordings).unwrap();
    let store = Store::open(&directory.join(INDEX_FILE)).unwrap();
    adopt(&store, &recordings, boot_id().unwrap(), &Clock::default()).await.unwrap();
    let report = fsck(&store, &recordings).await.unwrap();
    assert_eq!((report.open_clips, report.damages), (0, vec![]), "{context}");
    let mut clips = store.clips().await.unwrap();
    clips.retain(|clip| clip.state == ClipState::Closed && clip.kind != ClipKind::Snapshot);
    for clip in &clips {
        let file = recordings.join(&clip.parts[0].path);
        let probe = tokio::task::spawn_blocking(move || footage::probe(&file)).await.unwrap();
        let plays = probe.starts_with_key_frame && probe.frames > 0 && probe.duration_s > 0.0;
        assert!(plays, "{context}: {probe:?}");
    }
    clips
}

/// One run with one fault. False when the fault never came to pass, nothing when FUSE is missing.
async fn run(media: Media, fault: Fault, seed: u64) -> Option<bool> {
    let directory = tempfile::tempdir().unwrap();
    let (disk, mounted) = fresh_disk(directory.path())?;
    lock(&disk).plan(Some(fault));
    let context = format!("{fault:?}, seed {seed}");
    let recorded = record(&media, &mounted.path).await;
    let struck_at = lock(&disk).struck_at;
    let struck = struck_at.is_some();
    match fault.outcome {
        Outcome::Fails(_) => {
            lock(&disk).plan(None);
            let clips = judge(&mounted.path, &context).await;
            // One failure costs one clip at most: the other recording is there.
            assert!(recorded.is_err() || !clips.is_empty(), "{context}: nothing was recorded");
            drop(mounted);
        }
        Outcome::PowerCut => {
            drop(mounted);
            reboot(&disk, seed);
            let mounted = mount(&disk, directory.path()).unwrap();
            let clips = judge(&mounted.path, &context).await;
            assert_loss(&clips, struck_at, &context);
            drop(mounted);
        }
    }
    Some(struck)
}

/// Of what was not synced, a random part reached the disk.
fn reboot(disk: &Shared, seed: u64) {
    let mut random = Random(seed);
    let none = random.below(3) == 0;
    lock(disk).reboot(|| !none && random.below(2) == 0);
}

fn assert_loss(
    clips: &[Clip],
    cut_at: Option<nightjar_core::monotonic::MonotonicNanos>,
    context: &str,
) {
    let (Some(cut_at), Some(last)) = (cut_at, clips.last()) else { return };
    let cut_at_ms = unix_now().minus(monotonic_now().since(cut_at)).0;
    // The event's clip may have been complete for a while before the power went.
    let is_second = last.kind == ClipKind::Motion;
    let lost_ms = cut_at_ms - last.ended_at.unwrap().0;
    assert!(is_second || lost_ms <= MAX_LOSS_MS, "{context}: {lost_ms} ms were lost");
}

/// Runs with N = 1, 2, … until one passes untouched. Gives how many did not.
async fn until_untouched(media: &Media, step: u64, fault_at: impl Fn(u64) -> Fault) -> u64 {
    let mut first = 1;
    loop {
        let mut runs = JoinSet::new();
        let numbers = (0..SIDE_BY_SIDE).map(|number| first + number * step);
        for number in numbers {
            runs.spawn(run(media.clone(), fault_at(number), number));
        }
        let struck: Vec<Option<bool>> = runs.join_all().await;
        if struck.contains(&None) {
            return u64::MAX;
        }
        let touched = struck.iter().filter(|struck| **struck == Some(true)).count() as u64;
        first += SIDE_BY_SIDE * step;
        if touched < SIDE_BY_SIDE {
            return first / step + touched - SIDE_BY_SIDE;
        }
    }
}

async fn fail_every(operation: Operation, error: impl Fn(u64) -> i32, least: u64) {
    count_panics();
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let media = camera(&tracker, &cancel).await;
    let fault = |at| {
        let outcome = Outcome::Fails(error(at));
        Fault { operation: Some(operation), at, outcome }
    };
    let touched = until_untouched(&media, 1, fault).await;
    cancel.cancel();
    assert!(touched >= least, "only {touched} runs met the fault");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something panicked");
}

/// There are hundreds of writes: each meets one of the errors here, and both in `make soak`.
#[tokio::test(flavor = "multi_thread")]
async fn each_write_may_fail_or_find_the_disk_full() {
    fail_every(Operation::Write, |at| if at % 2 == 0 { EIO } else { ENOSPC }, 30).await;
    if env::var_os(SOAK).is_some() {
        fail_every(Operation::Write, |at| if at % 2 == 0 { ENOSPC } else { EIO }, 30).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sync_may_fail_with_an_error() {
    fail_every(Operation::Sync, |_| EIO, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sync_may_find_the_disk_full() {
    fail_every(Operation::Sync, |_| ENOSPC, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_name_may_fail() {
    fail_every(Operation::Name, |_| EIO, 5).await;
    fail_every(Operation::Name, |_| ENOSPC, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_may_go_at_any_operation() {
    count_panics();
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let media = camera(&tracker, &cancel).await;
    let step = if env::var_os(SOAK).is_some() { 1 } else { 3 };
    let fault = |at| Fault { operation: None, at, outcome: Outcome::PowerCut };
    let touched = until_untouched(&media, step, fault).await;
    cancel.cancel();
    assert!(touched >= 20, "only {touched} power cuts");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something panicked");
}

//! The recorder on a disk that fails: each write, sync and change of a name once with each error,
//! and the power at each operation. Each run has a reel of its own, whose time stands still while
//! the disk works; `make soak` has the same before a camera, whose frames come in real time.

use std::{
    env,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nightjar_agent::{
    clock::{Clock, boot_id},
    config::RecordingConfig,
    motion_change::MotionChange,
    progress::Progress,
    record::{self, Recorder, adopt, fsck, recordings_dir},
    store::{Clip, ClipKind, ClipState, INDEX_FILE, Store},
};
use nightjar_core::{monotonic::MonotonicNanos, seeded::Seeded};
use nightjar_shared::{
    event::{EventEndReason, EventState},
    ids::EventId,
};
use tokio::{
    sync::broadcast,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    forgetful::{
        Fault, Operation, Outcome,
        libc_errno::{EIO, ENOSPC},
    },
    fresh_disk,
    mount::{Shared, lock, mount},
};
use crate::{
    probes::probe_once,
    source::{FRAME_INTERVAL, PATIENCE, Reel, Source, taken},
};

/// One group of pictures (a second) and one more.
const MAX_LOSS_MS: i64 = 2_000;
/// `make soak` sets it: power is cut at every operation, not at every third, each write meets both
/// errors, and all of it happens before a camera, too.
const SOAK: &str = "NIGHTJAR_SOAK";

static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        report(panic);
    }));
}

pub(crate) fn is_soak() -> bool {
    env::var_os(SOAK).is_some()
}

/// What runs are fed with.
#[derive(Clone)]
pub(crate) enum Film {
    /// Each with its own.
    Reel,
    /// All of them with the same one.
    Camera(Arc<Source>),
}

impl Film {
    pub(crate) fn source(&self) -> Arc<Source> {
        match self {
            Self::Reel => Arc::new(Source::Reel(Reel::at_noon())),
            Self::Camera(source) => Arc::clone(source),
        }
    }

    /// Runs at a time: those before a camera wait most of the time.
    fn side_by_side(&self) -> u64 {
        match self {
            Self::Reel => 8,
            Self::Camera(_) => 40,
        }
    }
}

/// Lets something happen before a camera with a real encoder.
pub(crate) async fn before_camera<F: Future<Output = ()>>(run: impl FnOnce(Film) -> F) {
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    run(Film::Camera(Arc::new(Source::camera(&tracker, &cancel).await))).await;
    cancel.cancel();
}

/// An agent's recording half that runs.
pub(crate) struct Running {
    pub(crate) recorder: Recorder,
    pub(crate) store: Store,
    source: Arc<Source>,
    motion: broadcast::Sender<MotionChange>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Running {
    pub(crate) async fn start(source: Arc<Source>, directory: &Path) -> anyhow::Result<Self> {
        let config =
            RecordingConfig { pre_roll_s: 1, post_roll_s: 0, ..RecordingConfig::default() };
        Self::start_with(source, directory, &config).await
    }

    pub(crate) async fn start_with(
        source: Arc<Source>,
        directory: &Path,
        config: &RecordingConfig,
    ) -> anyhow::Result<Self> {
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let store = Store::open(&directory.join(INDEX_FILE))?;
        let (motion, changes) = broadcast::channel(16);
        let started = record::start(
            record::Input {
                frames: source.frames(),
                stills: source.stills(),
                motion: changes,
                tampering: broadcast::channel(1).1,
            },
            store.clone(),
            config,
            directory,
            source.clock(),
            &tracker,
            cancel.clone(),
        );
        let recorder = started.await?;
        Ok(Self { recorder, store, source, motion, tracker, cancel })
    }

    /// Waits for footage to go by. A reel waits for the disk: a time that stands still is never
    /// behind.
    pub(crate) async fn footage(&self, length: Duration) {
        let Source::Reel(reel) = &*self.source else {
            return self.pass(length).await;
        };
        let until = reel.clock.clock().monotonic().plus(length);
        loop {
            let frame = reel.next().await;
            if frame.key_frame {
                self.until_written(frame.captured_at).await;
            }
            if frame.captured_at >= until {
                return;
            }
        }
    }

    /// Lets footage go by, however far behind the disk is.
    pub(crate) async fn pass(&self, length: Duration) {
        self.source.footage(length).await;
    }

    /// Waits until the group that ends then is on disk, if it is being recorded.
    async fn until_written(&self, at: MonotonicNanos) {
        let wait = async {
            while self.recorder.status().borrow().recording && self.recorder.last_written_at() < at
            {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("what is recorded is written");
    }

    /// Waits until something is the case, while footage goes by.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFnMut() -> bool) {
        self.source.until(what, holds).await;
    }

    /// Begins to record on request; gives up where the disk does not let it.
    pub(crate) async fn start_manual(&self) {
        while self.recorder.start_manual().await.is_err() {
            self.footage(FRAME_INTERVAL).await;
        }
        let mut status = self.recorder.status();
        let begun = status.wait_for(|status| status.recording || status.write_errors > 0);
        timeout(PATIENCE, begun).await.expect("the disk answers").unwrap();
    }

    /// Tells of motion, before the next frame comes.
    pub(crate) async fn tell(&self, event_id: EventId, state: EventState) {
        let change = MotionChange {
            event_id,
            state,
            at: self.source.clock().monotonic(),
            boxes: Vec::new(),
            zones: Vec::new(),
            reason: (state == EventState::Ended).then_some(EventEndReason::Still),
            peak_area: 0.02,
            duration: Duration::from_secs(1),
        };
        // The recorder may have ended with the disk.
        drop(self.motion.send(change));
        taken(&self.motion).await;
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
async fn record(source: Arc<Source>, directory: &Path) -> anyhow::Result<()> {
    let running = Running::start(source, directory).await?;
    running.footage(Duration::from_millis(200)).await;
    running.start_manual().await;
    running.footage(Duration::from_millis(2_200)).await;
    running.recorder.stop_manual().await?;
    let event_id = EventId::generate();
    running.tell(event_id, EventState::Started).await;
    running.footage(Duration::from_millis(700)).await;
    running.tell(event_id, EventState::Ended).await;
    running.stop().await;
    Ok(())
}

/// Starts the agent's recording half again as after a restart; index and disk agree, every clip
/// plays. Gives the clips.
pub(crate) async fn judge(directory: &Path, clock: &Clock, context: &str) -> Vec<Clip> {
    let recordings = recordings_dir(directory);
    std::fs::create_dir_all(&recordings).unwrap();
    let store = Store::open(&directory.join(INDEX_FILE)).unwrap();
    adopt(&store, &recordings, boot_id().unwrap(), clock).await.unwrap();
    let report = fsck(&store, &recordings, &Progress::unheard()).await.unwrap();
    assert_eq!((report.open_clips, report.damages), (0, vec![]), "{context}");
    let mut clips = store.clips().await.unwrap();
    clips.retain(|clip| clip.state == ClipState::Closed && clip.kind != ClipKind::Snapshot);
    for clip in &clips {
        let file = recordings.join(&clip.parts[0].path);
        let probe = tokio::task::spawn_blocking(move || probe_once(&file)).await.unwrap();
        let plays = probe.starts_with_key_frame && probe.frames > 0 && probe.duration_s > 0.0;
        assert!(plays, "{context}: {probe:?}");
    }
    clips
}

/// One run with one fault. False when the fault never came to pass, nothing when FUSE is missing.
async fn run(film: Film, fault: Fault, seed: u64) -> Option<bool> {
    let source = film.source();
    let clock = source.clock();
    let directory = tempfile::tempdir().unwrap();
    let (disk, mounted) = fresh_disk(directory.path(), clock.clone())?;
    lock(&disk).plan(Some(fault));
    let context = format!("{fault:?}, seed {seed}");
    let recorded = record(source, &mounted.path).await;
    let struck_at = lock(&disk).struck_at;
    let struck = struck_at.is_some();
    match fault.outcome {
        Outcome::Fails(_) => {
            lock(&disk).plan(None);
            let clips = judge(&mounted.path, &clock, &context).await;
            // One failure costs one clip at most: the other recording is there.
            assert!(recorded.is_err() || !clips.is_empty(), "{context}: nothing was recorded");
            drop(mounted);
        }
        Outcome::PowerCut => {
            drop(mounted);
            reboot(&disk, seed);
            let mounted = mount(&disk, directory.path()).unwrap();
            let clips = judge(&mounted.path, &clock, &context).await;
            assert_loss(&clips, struck_at, &clock, &context);
            drop(mounted);
        }
    }
    Some(struck)
}

/// Of what was not synced, a random part reached the disk.
fn reboot(disk: &Shared, seed: u64) {
    let mut random = Seeded::new(seed);
    let none = random.below(3) == 0;
    lock(disk).reboot(|| !none && random.below(2) == 0);
}

fn assert_loss(clips: &[Clip], cut_at: Option<MonotonicNanos>, clock: &Clock, context: &str) {
    let (Some(cut_at), Some(last)) = (cut_at, clips.last()) else { return };
    // The event's clip may have been complete for a while before the power went.
    let is_second = last.kind == ClipKind::Motion;
    let lost_ms = clock.unix_time_of(cut_at).0 - last.ended_at.unwrap().0;
    assert!(is_second || lost_ms <= MAX_LOSS_MS, "{context}: {lost_ms} ms were lost");
}

/// Runs with N = 1, 1 + `step`, … until one passes untouched. Gives how many did not.
async fn until_untouched(film: &Film, step: u64, fault_at: impl Fn(u64) -> Fault) -> u64 {
    let side_by_side = film.side_by_side();
    let mut touched = 0;
    for batch in 0.. {
        let mut runs = JoinSet::new();
        for number in batch * side_by_side..(batch + 1) * side_by_side {
            let at = 1 + number * step;
            runs.spawn(run(film.clone(), fault_at(at), at));
        }
        let struck: Vec<Option<bool>> = runs.join_all().await;
        if struck.contains(&None) {
            return u64::MAX;
        }
        let here = struck.iter().filter(|struck| **struck == Some(true)).count() as u64;
        touched += here;
        if here < side_by_side {
            break;
        }
    }
    touched
}

async fn fail_every(film: Film, operation: Operation, error: impl Fn(u64) -> i32, least: u64) {
    count_panics();
    let fault = |at| {
        let outcome = Outcome::Fails(error(at));
        Fault { operation: Some(operation), at, outcome }
    };
    let touched = until_untouched(&film, 1, fault).await;
    assert!(touched >= least, "only {touched} runs met the fault");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something panicked");
}

async fn cut_power(film: Film, step: u64, least: u64) {
    count_panics();
    let fault = |at| Fault { operation: None, at, outcome: Outcome::PowerCut };
    let touched = until_untouched(&film, step, fault).await;
    assert!(touched >= least, "only {touched} power cuts");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something panicked");
}

fn either(at: u64) -> i32 {
    if at.is_multiple_of(2) { EIO } else { ENOSPC }
}

fn the_other(at: u64) -> i32 {
    either(at + 1)
}

/// There are hundreds of writes: each meets one of the errors here, and both in `make soak`.
#[tokio::test(flavor = "multi_thread")]
async fn each_write_may_fail_or_find_the_disk_full() {
    fail_every(Film::Reel, Operation::Write, either, 30).await;
    if is_soak() {
        fail_every(Film::Reel, Operation::Write, the_other, 30).await;
        before_camera(|film| fail_every(film, Operation::Write, either, 30)).await;
        before_camera(|film| fail_every(film, Operation::Write, the_other, 30)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sync_may_fail_with_an_error() {
    fail_every(Film::Reel, Operation::Sync, |_| EIO, 10).await;
    if is_soak() {
        before_camera(|film| fail_every(film, Operation::Sync, |_| EIO, 10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sync_may_find_the_disk_full() {
    fail_every(Film::Reel, Operation::Sync, |_| ENOSPC, 10).await;
    if is_soak() {
        before_camera(|film| fail_every(film, Operation::Sync, |_| ENOSPC, 10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_name_may_fail() {
    for error in [EIO, ENOSPC] {
        fail_every(Film::Reel, Operation::Name, |_| error, 5).await;
        if is_soak() {
            before_camera(|film| fail_every(film, Operation::Name, |_| error, 5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn power_may_go_at_any_operation() {
    let step = if is_soak() { 1 } else { 3 };
    cut_power(Film::Reel, step, 20).await;
}

/// A real encoder, in real time: what runs beside it must not starve it.
#[tokio::test(flavor = "multi_thread")]
async fn power_may_go_at_any_operation_before_a_real_encoder() {
    let (step, least) = if is_soak() { (1, 20) } else { (15, 5) };
    before_camera(|film| cut_power(film, step, least)).await;
}

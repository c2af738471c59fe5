//! SIGKILL while recording, at random moments: finished clips play, the open one loses a group of
//! pictures and a second at most, the index agrees.
//!
//! The victim is this test program itself, started once more with variables that say where to record
//! and what.

use std::{
    collections::HashSet,
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use nightjar_agent::{
    clock::{Clock, boot_id},
    config::{RecordingConfig, RecordingMode},
    motion_change::MotionChange,
    progress::Progress,
    record::{self, Recorder, adopt, fsck, recordings_dir},
    store::{Clip, ClipKind, ClipState, INDEX_FILE, Store},
};
use nightjar_core::{monotonic::MonotonicNanos, picture::EncodedFrame, seeded::Seeded};
use nightjar_shared::{
    event::{EventEndReason, EventState},
    ids::{ClipId, EventId},
};
use tokio::{
    sync::broadcast,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    footage::{self, Probe},
    probes::probe_all,
    source::{FRAME_INTERVAL, PATIENCE, Reel, Source},
};

const VICTIM_DIRECTORY: &str = "NIGHTJAR_TEST_VICTIM_DIRECTORY";
/// Whether the victim records all the time, instead of on request.
const VICTIM_RECORDS_ALL: &str = "NIGHTJAR_TEST_VICTIM_RECORDS_ALL";
/// What the clock of the victim's reel says when it begins. Without it the victim has a camera.
const VICTIM_BEGINS_AT: &str = "NIGHTJAR_TEST_VICTIM_BEGINS_AT";
/// Set by `make soak`: more kills, most of them of real encoders.
const SOAK: &str = "NIGHTJAR_SOAK";
/// A fragment, of a second, is written when it is complete; and a second more.
const MAX_LOSS_MS: i64 = 2_000;
/// Time between two frames of a reel: some twenty times as fast as a camera.
const REEL_INTERVAL: Duration = Duration::from_millis(3);
/// Longer than anything in the index.
const BETWEEN_LIVES: Duration = Duration::from_secs(2);

/// How the victims of a test are tormented.
#[derive(Clone, Copy)]
struct Torment {
    /// Cameras that are killed side by side. Every other one records all the time.
    cameras: u64,
    kills_each: u64,
    longest_life: Duration,
    encodes: bool,
}

/// Reels, killed at any moment of a dozen clips.
const REELS: Torment = Torment {
    cameras: 4,
    kills_each: 50,
    longest_life: Duration::from_millis(200),
    encodes: false,
};
/// Cameras that encode, killed within four seconds. A few in `make test`; what a starved machine
/// loses beyond the limit says nothing.
const ENCODERS: Torment =
    Torment { cameras: 4, kills_each: 3, longest_life: Duration::from_secs(4), encodes: true };

/// What the victim says: a line for each frame it has captured.
#[derive(Debug, Clone, Copy)]
struct LastFrame {
    captured_at: MonotonicNanos,
    captured_at_ms: i64,
    recording_since_ms: i64,
}

#[test]
fn two_hundred_kills_at_random_moments_lose_no_clip_and_at_most_two_seconds() {
    let kills_each = if env::var_os(SOAK).is_some() { 500 } else { REELS.kills_each };
    Torment { kills_each, ..REELS }.inflict();
}

#[test]
fn kills_at_random_moments_of_a_real_encoder_lose_no_clip_and_at_most_two_seconds() {
    let kills_each = if env::var_os(SOAK).is_some() { 500 } else { ENCODERS.kills_each };
    Torment { kills_each, ..ENCODERS }.inflict();
}

impl Torment {
    fn inflict(self) {
        let torments = (0..self.cameras).map(|seed| thread::spawn(move || self.kill_one(seed)));
        let torments: Vec<_> = torments.collect();
        let finished: usize = torments.into_iter().map(|torment| torment.join().unwrap()).sum();
        assert!(finished > 0, "some clips were finished before a kill");
    }

    /// Kills one camera again and again. Gives the number of clips that were closed by it itself.
    fn kill_one(self, seed: u64) -> usize {
        let directory = tempfile::tempdir().unwrap();
        let mut random = Seeded::new(0x5eed + seed);
        let mut unseen = Unseen::default();
        let mut begins_at = (!self.encodes).then_some(MonotonicNanos::default());
        let mut finished = 0;
        for round in 0..self.kills_each {
            let life = random.below(u64::try_from(self.longest_life.as_micros()).unwrap());
            let life = Duration::from_micros(life);
            let last = run_and_kill(directory.path(), seed % 2 == 1, begins_at, life);
            begins_at = begins_at.map(|_| last.captured_at.plus(BETWEEN_LIVES));
            let context = format!("seed {seed}, round {round}, killed after {life:?}");
            finished += examine(directory.path(), last, &mut unseen, &context);
        }
        unseen.look_at_all();
        finished
    }
}

/// Starts a victim, kills it `life` after its recording began. Gives its last frame.
fn run_and_kill(
    directory: &Path,
    records_all: bool,
    begins_at: Option<MonotonicNanos>,
    life: Duration,
) -> LastFrame {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "kills::the_victim_records", "--ignored", "--nocapture"])
        .env(VICTIM_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if records_all {
        command.env(VICTIM_RECORDS_ALL, "1");
    }
    if let Some(begins_at) = begins_at {
        command.env(VICTIM_BEGINS_AT, begins_at.0.to_string());
    }
    let mut victim = command.spawn().unwrap();
    let mut lines = FrameLines(BufReader::new(victim.stdout.take().unwrap()));
    let first = lines.next().expect("the victim records");
    let reader = thread::spawn(move || lines.last().unwrap_or(first));
    thread::sleep(life);
    kill(&mut victim);
    reader.join().unwrap()
}

fn kill(victim: &mut Child) {
    victim.kill().unwrap();
    victim.wait().unwrap();
}

struct FrameLines(BufReader<ChildStdout>);

impl Iterator for FrameLines {
    type Item = LastFrame;

    fn next(&mut self) -> Option<LastFrame> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                return None;
            }
            let mut words = line.split_whitespace().skip_while(|word| *word != "frame").skip(1);
            let words = (words.next(), words.next(), words.next());
            if let (Some(captured_at), Some(captured_at_ms), Some(since)) = words {
                return Some(LastFrame {
                    captured_at: MonotonicNanos(captured_at.parse().unwrap()),
                    captured_at_ms: captured_at_ms.parse().unwrap(),
                    recording_since_ms: since.parse().unwrap(),
                });
            }
        }
    }
}

/// Closed clips, and those that ffprobe has yet to see: it looks at many at a time.
#[derive(Default)]
struct Unseen {
    known: HashSet<ClipId>,
    files: Vec<PathBuf>,
    /// When each was killed, and how long the index says that it is.
    contexts: Vec<(String, Duration)>,
}

impl Unseen {
    fn add(&mut self, clip: &Clip, file: PathBuf, context: &str) {
        if self.known.insert(clip.clip_id) {
            self.files.push(file);
            let length = Duration::from_millis(clip.duration_ms.unwrap());
            self.contexts.push((context.to_owned(), length));
        }
    }

    fn look_at_all(&self) {
        let probes = probe_all(&self.files);
        for ((file, probe), (context, length)) in self.files.iter().zip(probes).zip(&self.contexts)
        {
            let told_s = length.as_secs_f64();
            let is_told = |probe: &Probe| (probe.duration_s - told_s).abs() < 0.01;
            // ffmpeg guesses how long the last frame of an uneven clip is shown; ffprobe reads it.
            let probe = if is_told(&probe) { probe } else { footage::probe(file) };
            assert!(probe.starts_with_key_frame && probe.frames > 0, "{context}: {probe:?}");
            assert!(is_told(&probe), "{context}: {probe:?}, {told_s} s");
        }
    }
}

/// Brings the directory in order as the agent's start does, and judges what it finds. Gives the
/// number of clips that had been closed before the kill.
fn examine(directory: &Path, last: LastFrame, unseen: &mut Unseen, context: &str) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let recordings = recordings_dir(directory);
    let (before, clips) = runtime.block_on(async {
        let store = Store::open(&directory.join(INDEX_FILE)).unwrap();
        let before = store.clips().await.unwrap();
        adopt(&store, &recordings, boot_id().unwrap(), &Clock::default()).await.unwrap();
        let report = fsck(&store, &recordings, &Progress::unheard()).await.unwrap();
        assert_eq!((report.open_clips, report.damages), (0, vec![]), "{context}");
        assert!(store.open_events().await.unwrap().is_empty(), "{context}");
        (before, store.clips().await.unwrap())
    });
    for clip in clips.iter().filter(|clip| clip.state == ClipState::Closed) {
        unseen.add(clip, video_path(&recordings, clip), context);
    }
    let saved_until = clips
        .iter()
        .filter(|clip| clip.state == ClipState::Closed && clip.kind != ClipKind::Motion)
        .filter_map(|clip| clip.ended_at)
        .map(|ended_at| ended_at.0)
        .max()
        .unwrap_or(0)
        .max(last.recording_since_ms);
    let lost_ms = last.captured_at_ms - saved_until;
    assert!(lost_ms <= MAX_LOSS_MS, "{context}: {lost_ms} ms were lost");
    before.iter().filter(|clip| clip.state == ClipState::Closed).count()
}

fn video_path(recordings: &Path, clip: &Clip) -> PathBuf {
    recordings.join(&clip.parts[0].path)
}

/// Not a test: what the tests above start and kill. Records without end, with clips that are
/// split every other second and motion that comes and goes.
#[test]
#[ignore = "started by the tests of this file"]
fn the_victim_records() {
    let Some(directory) = env::var_os(VICTIM_DIRECTORY) else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(record_for_ever(Path::new(&directory)));
}

/// A recorder that is going to be killed, and the frames that it records.
struct Victim {
    source: Source,
    /// Of a camera, which gives them when it likes.
    frames: Option<broadcast::Receiver<Arc<EncodedFrame>>>,
    recorder: Recorder,
    recordings: PathBuf,
    records_all: bool,
}

impl Victim {
    /// Gives the next frame. A reel waits for the group before it to be in a file.
    async fn next(&mut self) -> Arc<EncodedFrame> {
        if let Some(frames) = &mut self.frames {
            return timeout(PATIENCE, frames.recv()).await.unwrap().unwrap();
        }
        let Source::Reel(reel) = &self.source else { unreachable!("a camera gives its frames") };
        let before = self.recorded_bytes();
        let frame = reel.next().await;
        while frame.key_frame && !self.is_written(&frame, before) {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(REEL_INTERVAL).await;
        frame
    }

    /// Continuous footage is written long before it is synced.
    fn is_written(&self, key_frame: &EncodedFrame, before_bytes: u64) -> bool {
        if self.records_all {
            self.recorded_bytes() > before_bytes
        } else {
            self.recorder.last_written_at() >= key_frame.captured_at
        }
    }

    fn recorded_bytes(&self) -> u64 {
        let files = std::fs::read_dir(&self.recordings).unwrap();
        // A file may get its final name meanwhile.
        files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
    }
}

async fn source(tracker: &TaskTracker, cancel: &CancellationToken) -> Source {
    let Ok(begins_at) = env::var(VICTIM_BEGINS_AT) else {
        return Source::camera(tracker, cancel).await;
    };
    let reel = Reel::at_noon();
    reel.clock.advance_to(MonotonicNanos(begins_at.parse().unwrap()));
    Source::Reel(reel)
}

async fn record_for_ever(directory: &Path) {
    let store = Store::open(&directory.join(INDEX_FILE)).unwrap();
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let source = source(&tracker, &cancel).await;
    let clock = source.clock();
    let (motion, changes) = broadcast::channel(16);
    let records_all = env::var_os(VICTIM_RECORDS_ALL).is_some();
    let config = RecordingConfig {
        min_free_percent: 0,
        mode: if records_all { RecordingMode::Continuous } else { RecordingMode::Event },
        pre_roll_s: 1,
        post_roll_s: 1,
        max_clip_s: 5,
        ..RecordingConfig::default()
    };
    let frames = matches!(source, Source::Camera(_)).then(|| source.frames());
    let input = record::Input {
        frames: source.frames(),
        stills: source.stills(),
        motion: changes,
        tampering: broadcast::channel(1).1,
    };
    let recorder = record::start(input, store, &config, directory, clock.clone(), &tracker, cancel)
        .await
        .unwrap();
    let first = source.footage(FRAME_INTERVAL).await;
    while !records_all && recorder.start_manual().await.is_err() {
        source.footage(FRAME_INTERVAL).await;
    }
    let mut status = recorder.status();
    let begun = status.wait_for(|status| status.recording);
    timeout(PATIENCE, begun).await.expect("the disk takes it").unwrap();
    let since = clock.unix_time_of(first);
    let recordings = recordings_dir(directory);
    let mut victim = Victim { source, frames, recorder, recordings, records_all };
    let mut event_id = EventId::generate();
    for number in 1_u64.. {
        let frame = victim.next().await;
        let state = match number % 20 {
            1 => EventState::Started,
            8 => EventState::Ended,
            _ => {
                tell(frame.captured_at, clock.unix_time_of(frame.captured_at).0, since.0);
                continue;
            }
        };
        if state == EventState::Started {
            event_id = EventId::generate();
        }
        let ended = state == EventState::Ended;
        let change = MotionChange {
            event_id,
            state,
            at: frame.captured_at,
            boxes: Vec::new(),
            zones: Vec::new(),
            reason: ended.then_some(EventEndReason::Still),
            peak_area: 0.02,
            duration: Duration::from_secs(1),
        };
        motion.send(change).unwrap();
    }
}

fn tell(captured_at: MonotonicNanos, captured_at_ms: i64, since_ms: i64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "frame {} {captured_at_ms} {since_ms}", captured_at.0).unwrap();
    out.flush().unwrap();
}

//! SIGKILL while recording, at random moments: finished clips play, the open one loses a group of
//! pictures and a second at most, the index agrees.
//!
//! The victim is this test program itself, started anew with a variable that says where to record.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod footage;

use std::{
    collections::HashSet,
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use nightjar_agent::{
    clock::{Clock, boot_id},
    config::{RecordingConfig, RecordingMode, SourceConfig, SourceKind},
    encode::Media,
    motion_change::MotionChange,
    record::{self, adopt, fsck, recordings_dir},
    store::{Clip, ClipKind, ClipState, INDEX_FILE, Store},
};
use nightjar_shared::{
    event::{EventEndReason, EventState},
    ids::{ClipId, EventId},
};
use tokio::sync::broadcast;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const VICTIM_DIRECTORY: &str = "NIGHTJAR_TEST_VICTIM_DIRECTORY";
/// Whether the victim records all the time, instead of on request.
const VICTIM_RECORDS_ALL: &str = "NIGHTJAR_TEST_VICTIM_RECORDS_ALL";
/// Set by `make soak`: ten times as many kills, of fewer cameras at a time, as what a starved
/// machine loses beyond the limit says nothing.
const SOAK: &str = "NIGHTJAR_SOAK";
/// Cameras that are killed side by side, and how often each. Every other one records all the time.
const CAMERAS: u64 = 10;
const KILLS_EACH: u64 = 20;
const CAMERAS_IN_SOAK: u64 = 4;
const KILLS_EACH_IN_SOAK: u64 = 500;
/// The synthetic source has a key frame a second; a fragment is written when it is complete.
const MAX_LOSS_MS: i64 = 2_000;
/// The victim must begin to record in this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the victim says: a line for each frame it has captured.
#[derive(Debug, Clone, Copy)]
struct LastFrame {
    captured_at_ms: i64,
    recording_since_ms: i64,
}

#[test]
fn two_hundred_kills_at_random_moments_lose_no_clip_and_at_most_two_seconds() {
    let (cameras, kills) = match env::var_os(SOAK) {
        Some(_) => (CAMERAS_IN_SOAK, KILLS_EACH_IN_SOAK),
        None => (CAMERAS, KILLS_EACH),
    };
    let torments = (0..cameras).map(|seed| thread::spawn(move || torment(seed, kills)));
    let cameras: Vec<_> = torments.collect();
    let finished: usize = cameras.into_iter().map(|camera| camera.join().unwrap()).sum();
    assert!(finished > 0, "some clips were finished before a kill");
}

/// Kills one camera again and again. Gives the number of clips that were closed by it itself.
fn torment(seed: u64, kills: u64) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random(0x5eed + seed);
    let mut examined = HashSet::new();
    let mut finished = 0;
    for round in 0..kills {
        let life = Duration::from_millis(random.below(4_000));
        let last = run_and_kill(directory.path(), seed % 2 == 1, life);
        let context = format!("seed {seed}, round {round}, killed after {life:?}");
        finished += examine(directory.path(), last, &mut examined, &context);
    }
    finished
}

/// Starts a victim, kills it `life` after its recording began. Gives its last frame.
fn run_and_kill(directory: &Path, records_all: bool, life: Duration) -> LastFrame {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "the_victim_records", "--ignored", "--nocapture"])
        .env(VICTIM_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if records_all {
        command.env(VICTIM_RECORDS_ALL, "1");
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
            if let (Some(captured), Some(since)) = (words.next(), words.next()) {
                return Some(LastFrame {
                    captured_at_ms: captured.parse().unwrap(),
                    recording_since_ms: since.parse().unwrap(),
                });
            }
        }
    }
}

/// Brings the directory in order as the agent's start does, and judges what it finds. Gives the
/// number of clips that had been closed before the kill.
fn examine(
    directory: &Path,
    last: LastFrame,
    examined: &mut HashSet<ClipId>,
    context: &str,
) -> usize {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let recordings = recordings_dir(directory);
    let (before, clips) = runtime.block_on(async {
        let store = Store::open(&directory.join(INDEX_FILE)).unwrap();
        let before = store.clips().await.unwrap();
        adopt(&store, &recordings, boot_id().unwrap(), &Clock::default()).await.unwrap();
        let report = fsck(&store, &recordings).await.unwrap();
        assert_eq!((report.open_clips, report.damages), (0, vec![]), "{context}");
        assert!(store.open_events().await.unwrap().is_empty(), "{context}");
        (before, store.clips().await.unwrap())
    });
    for clip in clips.iter().filter(|clip| clip.state == ClipState::Closed) {
        if examined.insert(clip.clip_id) {
            let probe = footage::probe(&video_path(&recordings, clip));
            assert!(probe.starts_with_key_frame && probe.frames > 0, "{context}: {probe:?}");
            let told_s = Duration::from_millis(clip.duration_ms.unwrap()).as_secs_f64();
            assert!((probe.duration_s - told_s).abs() < 0.01, "{context}: {probe:?}, {told_s} s");
        }
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

async fn record_for_ever(directory: &Path) {
    let store = Store::open(&directory.join(INDEX_FILE)).unwrap();
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
    let records_all = env::var_os(VICTIM_RECORDS_ALL).is_some();
    let config = RecordingConfig {
        min_free_percent: 0,
        mode: if records_all { RecordingMode::Continuous } else { RecordingMode::Event },
        pre_roll_s: 1,
        post_roll_s: 1,
        max_clip_s: 5,
        ..RecordingConfig::default()
    };
    let mut frames = media.frames();
    let clock = Clock::default();
    let input = record::Input { media, motion: changes };
    let recorder = record::start(input, store, &config, directory, clock.clone(), &tracker, cancel)
        .await
        .unwrap();
    let first = tokio::time::timeout(PATIENCE, frames.recv()).await.unwrap().unwrap();
    while !records_all && recorder.start_manual().await.is_err() {
        frames.recv().await.unwrap();
    }
    recorder.status().wait_for(|status| status.recording).await.unwrap();
    let mut event_id = EventId::generate();
    let since = clock.unix_time_of(first.captured_at);
    for number in 1_u64.. {
        let frame = frames.recv().await.unwrap();
        let state = match number % 20 {
            1 => EventState::Started,
            8 => EventState::Ended,
            _ => {
                tell(clock.unix_time_of(frame.captured_at).0, since.0);
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

fn tell(captured_at_ms: i64, since_ms: i64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "frame {captured_at_ms} {since_ms}").unwrap();
    out.flush().unwrap();
}

/// A small seeded generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
        (self.0 >> 33) % bound
    }
}

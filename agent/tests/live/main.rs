//! Live sessions through the real worker process, watched by a real WebRTC peer.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod viewer;

use std::{fs, sync::Arc, time::Duration};

use nightjar_agent::{
    config::{LiveConfig, SourceConfig, SourceKind},
    identity::Identity,
    live::{self, Live, WorkerCommand},
    media::Media,
};
use nightjar_shared::{
    ids::SessionId,
    signal::{Signal, SignalKind},
};
use rustix::process::{Pid, Signal as ProcessSignal, kill_process};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::viewer::Viewer;

const PATIENCE: Duration = Duration::from_secs(20);

/// A camera with live viewing, and the relay's end of its signalling.
struct Camera {
    media: Media,
    live: Live,
    viewers: watch::Receiver<u32>,
    signals: mpsc::Sender<Signal>,
    replies: mpsc::Receiver<(String, Signal)>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Camera {
    fn start(max_viewers: u32) -> Self {
        let source = SourceConfig {
            kind: SourceKind::Synthetic,
            width: 320,
            height: 240,
            fps: 25,
            ..SourceConfig::default()
        };
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let media = Media::start(&source, &tracker, cancel.clone()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (signals, signals_in) = mpsc::channel(64);
        let (signals_out, replies) = mpsc::channel(64);
        let live = live::start(
            media.clone(),
            &LiveConfig { max_viewers, ..LiveConfig::default() },
            WorkerCommand::of(env!("CARGO_BIN_EXE_nightjar-agent")),
            (signals_in, signals_out),
            Arc::new(Identity::open(directory.path()).unwrap()),
            &tracker,
            cancel.clone(),
        );
        let viewers = live.viewers();
        Self { media, live, viewers, signals, replies, tracker, cancel }
    }

    /// Sends an offer and waits for what the camera says to it.
    async fn offer(&mut self, sdp: String) -> Signal {
        let signal = Signal {
            sdp: Some(sdp),
            reply_to: Some("replica-1".to_owned()),
            expires_in_ms: 15_000,
            ..Signal::new(SessionId::generate(), SignalKind::Offer)
        };
        let id = signal.session_id;
        self.signals.send(signal).await.unwrap();
        self.reply_to(id).await
    }

    /// What the camera says next of a session, but for its figures, which come in between.
    async fn reply_to(&mut self, id: SessionId) -> Signal {
        loop {
            let reply = time::timeout(PATIENCE, self.replies.recv()).await.expect("a reply");
            let (to, signal) = reply.unwrap();
            if signal.session_id == id && signal.kind != SignalKind::Report {
                assert_eq!(to, "replica-1");
                return signal;
            }
        }
    }

    /// A viewer that is answered.
    async fn watch(&mut self) -> (Viewer, SessionId) {
        self.watch_with(Viewer::new()).await
    }

    async fn watch_with(&mut self, viewer: Viewer) -> (Viewer, SessionId) {
        let answer = self.offer(viewer.offer().await).await;
        assert_eq!(answer.kind, SignalKind::Answer, "{:?}", answer.reason);
        viewer.accept(answer.sdp.as_deref().unwrap());
        (viewer, answer.session_id)
    }

    async fn until_viewers(&mut self, count: u32) {
        let there = self.viewers.wait_for(|viewers| *viewers == count);
        time::timeout(PATIENCE, there).await.expect("the number of viewers").unwrap();
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.tracker.close();
        time::timeout(PATIENCE, self.tracker.wait()).await.expect("all tasks end");
    }
}

/// The worker processes of this test process, by their parent and command line.
fn workers() -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let parent = format!("PPid:\t{}\n", std::process::id());
        if read("status").contains(&parent) && read("cmdline").contains("live-worker") {
            found.push(pid);
        }
    }
    found
}

fn send_signal(pid: i32, signal: ProcessSignal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Tests look for their own worker among this process' children, so they take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn viewers_get_frames_that_begin_with_a_key_frame() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let (mut first, id) = camera.watch().await;
    assert!(first.receive(30).await.first_is_key_frame);
    let (mut second, _) = camera.watch().await;
    assert!(second.receive(30).await.first_is_key_frame);
    first.receive_more(10).await;
    camera.until_viewers(2).await;

    camera.signals.send(Signal::new(id, SignalKind::Bye)).await.unwrap();
    camera.until_viewers(1).await;
    first.falls_silent().await;
    second.receive_more(10).await;
    camera.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_that_also_ask_for_sound_get_pictures() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    for kinds in [["video", "audio"], ["audio", "video"]] {
        let (mut viewer, _) = camera.watch_with(Viewer::wanting(&kinds)).await;
        assert!(viewer.receive(10).await.first_is_key_frame, "{kinds:?}");
    }
    camera.stop().await;
}

/// Resident memory of a process, in KB.
fn resident_kb(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Open descriptors and threads of a process.
fn holdings(pid: i32) -> (usize, usize) {
    let count = |name: &str| fs::read_dir(format!("/proc/{pid}/{name}")).unwrap().count();
    (count("fd"), count("task"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_ended_leave_nothing_behind() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    // Memory settles late: what it grows by shows only in the long run.
    let (rounds, settling) = match std::env::var_os("NIGHTJAR_SOAK") {
        Some(_) => (1_000, 200),
        None => (25, 5),
    };
    let mut before = None;
    for round in 0..rounds {
        let (mut viewer, id) = camera.watch().await;
        viewer.receive(2).await;
        camera.signals.send(Signal::new(id, SignalKind::Bye)).await.unwrap();
        camera.until_viewers(0).await;
        // What the first few leave are pools that are used again.
        if round == settling {
            let worker = workers()[0];
            before = Some((settled(worker, None).await, resident_kb(worker)));
        }
    }
    let (before, before_kb) = before.unwrap();
    let after = settled(workers()[0], Some(before)).await;
    let grown_kb = resident_kb(workers()[0]).saturating_sub(before_kb);
    if rounds >= 1_000 {
        assert!(grown_kb <= 2 * (rounds - settling), "{grown_kb} KB more");
    }
    assert!(after.0 <= before.0 && after.1 <= before.1 + 2, "{before:?} became {after:?}");
    camera.stop().await;
}

/// Closing takes a moment: waits until the holdings are at most the expected ones, or for a
/// while stay the same.
async fn settled(pid: i32, expected: Option<(usize, usize)>) -> (usize, usize) {
    let mut last = holdings(pid);
    let mut unchanged = 0;
    while unchanged < 20
        && expected.is_none_or(|expected| last.0 > expected.0 || last.1 > expected.1)
    {
        time::sleep(Duration::from_millis(100)).await;
        let now = holdings(pid);
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn one_viewer_too_many_is_refused_and_privacy_ends_all() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(1);
    let (mut viewer, id) = camera.watch().await;
    viewer.receive(5).await;
    let refused = camera.offer(Viewer::new().offer().await).await;
    assert_eq!(refused.reason.as_deref(), Some("busy"));

    camera.live.set_privacy(true);
    assert_eq!(camera.reply_to(id).await.reason.as_deref(), Some("privacy_mode"));
    camera.until_viewers(0).await;
    let refused = camera.offer(Viewer::new().offer().await).await;
    assert_eq!(refused.reason.as_deref(), Some("privacy_mode"));

    camera.live.set_privacy(false);
    camera.live.set_max_viewers(2);
    let (mut one, _) = camera.watch().await;
    let (mut two, _) = camera.watch().await;
    one.receive(5).await;
    two.receive(5).await;
    camera.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_is_replaced_and_frames_never_stop() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let mut frames = camera.media.frames();
    let (mut viewer, id) = camera.watch().await;
    viewer.receive(5).await;
    let killed = workers();
    assert_eq!(killed.len(), 1, "one worker: {killed:?}");
    send_signal(killed[0], ProcessSignal::KILL);
    let at = Instant::now();
    assert_eq!(camera.reply_to(id).await.reason.as_deref(), Some("worker_restarted"));
    let (mut viewer, _) = camera.watch().await;
    viewer.receive(5).await;
    // An upper bound for a loaded machine, not the figure: that is measured by the bench.
    assert!(at.elapsed() < PATIENCE);
    assert_ne!(workers(), killed);
    let mut gaps = Vec::new();
    // Where the machine is slow, the oldest ones are gone.
    let mut last = loop {
        if let Ok(frame) = frames.recv().await {
            break frame.captured_at;
        }
    };
    while let Ok(frame) = frames.try_recv() {
        gaps.push(frame.captured_at.since(last));
        last = frame.captured_at;
    }
    let longest = gaps.iter().max().unwrap();
    assert!(*longest < Duration::from_millis(500), "the encoder never noticed: {longest:?}");
    camera.stop().await;
    assert!(workers().is_empty(), "no worker outlives its agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_hangs_is_replaced() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let (mut viewer, id) = camera.watch().await;
    viewer.receive(5).await;
    let hung = workers();
    send_signal(hung[0], ProcessSignal::STOP);
    assert_eq!(camera.reply_to(id).await.reason.as_deref(), Some("worker_restarted"));
    let (mut viewer, _) = camera.watch().await;
    viewer.receive(5).await;
    camera.stop().await;
    assert!(workers().is_empty(), "also the hung one is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_vanishes_is_reaped() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let (mut staying, _) = camera.watch().await;
    let (mut viewer, id) = camera.watch().await;
    viewer.receive(5).await;
    drop(viewer);
    let vanished = Instant::now();
    assert_eq!(camera.reply_to(id).await.reason.as_deref(), Some("viewer_gone"));
    let after = vanished.elapsed();
    assert!(after < PATIENCE, "{after:?}");
    camera.until_viewers(1).await;
    staying.receive_more(10).await;
    camera.stop().await;
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit
    }
}

/// Changes an offer in one to four places: bytes, lines, whole stretches.
fn mutate(offer: &str, random: &mut Random) -> String {
    let mut bytes = offer.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 => bytes[at] = b"0123456789:= /-"[random.below(15)],
            2 => drop(bytes.drain(at..(at + 1 + random.below(40)).min(bytes.len()))),
            3 => {
                let line: Vec<u8> = bytes[at..(at + 60).min(bytes.len())].to_vec();
                bytes.splice(at..at, line.repeat(1 + random.below(20)));
            }
            4 => bytes.truncate(at.max(1)),
            _ => {
                let mut lines: Vec<String> =
                    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
                let (one, other) = (random.below(lines.len()), random.below(lines.len()));
                lines.swap(one, other);
                bytes = (lines.join("\r\n") + "\r\n").into_bytes();
            }
        }
        if bytes.is_empty() {
            bytes.push(b'v');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_mutated_offers_are_harmless() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let (mut watching, _) = camera.watch().await;
    watching.receive(5).await;
    let worker = workers();
    let offer = Viewer::new().offer().await;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut refused, mut answered) = (0, 0);
    for round in 0..200 {
        let sdp = match round {
            0 => String::new(),
            1 => "garbage".repeat(10_000),
            _ => mutate(&offer, &mut random),
        };
        let reply = camera.offer(sdp).await;
        if reply.kind == SignalKind::Answer {
            answered += 1;
            camera.signals.send(Signal::new(reply.session_id, SignalKind::Bye)).await.unwrap();
        } else {
            assert_eq!(reply.reason.as_deref(), Some("invalid_offer"), "round {round}");
            refused += 1;
        }
        for candidate in ["", "candidate:", "candidate:1 1 udp 1 ::1 9 typ host"] {
            let signal = Signal {
                candidate: Some(candidate.to_owned()),
                ..Signal::new(reply.session_id, SignalKind::Candidate)
            };
            camera.signals.send(signal).await.unwrap();
        }
    }
    assert!(refused > 20 && answered > 5, "{refused} refused, {answered} answered");
    watching.receive_more(10).await;
    camera.until_viewers(1).await;
    assert_eq!(workers(), worker, "the same worker held out");
    camera.stop().await;
}

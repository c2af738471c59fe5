//! Live sessions through the real worker process, watched by a real WebRTC peer.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod bad_input;
mod camera;
mod joining;
#[path = "../../../shared/tests/mutation/mod.rs"]
mod mutation;
mod neighbours;
mod viewer;

use std::time::Duration;

use nightjar_shared::signal::{Signal, SignalKind};
use rustix::process::Signal as ProcessSignal;
use tokio::time::Instant;

use self::{
    camera::{Camera, resident_kib, send_signal, settled, workers},
    viewer::Viewer,
};

const PATIENCE: Duration = Duration::from_secs(20);

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

/// As a relay would be that puts its own address into an offer that somebody else signed.
#[tokio::test(flavor = "multi_thread")]
async fn who_shows_another_certificate_than_the_offer_names_gets_no_packet() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let stranger = Viewer::new();
    let answer = camera.offer(with_another_fingerprint(&stranger.offer().await)).await;
    assert_eq!(answer.kind, SignalKind::Answer, "{:?}", answer.reason);
    camera.until_viewers(1).await;
    stranger.accept(answer.sdp.as_deref().unwrap());
    let end = camera.reply_to(answer.session_id).await;
    assert_eq!((end.kind, end.reason.as_deref()), (SignalKind::Bye, Some("not_authentic")));
    camera.until_viewers(0).await;
    assert_eq!(stranger.packets(), 0);

    let (mut viewer, _) = camera.watch().await;
    viewer.receive(10).await;
    camera.stop().await;
}

fn with_another_fingerprint(offer: &str) -> String {
    let other = |line: &str| match line.strip_prefix("a=fingerprint:sha-256 ") {
        Some(digest) if digest.starts_with("00") => {
            format!("a=fingerprint:sha-256 01{}", &digest[2..])
        }
        Some(digest) => format!("a=fingerprint:sha-256 00{}", &digest[2..]),
        None => line.to_owned(),
    };
    offer.lines().map(|line| other(line) + "\r\n").collect()
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
            before = Some((settled(worker, None).await, resident_kib(worker)));
        }
    }
    let (before, before_kib) = before.unwrap();
    let after = settled(workers()[0], Some(before)).await;
    let grown_kib = resident_kib(workers()[0]).saturating_sub(before_kib);
    if rounds >= 1_000 {
        assert!(grown_kib <= 2 * (rounds - settling), "{grown_kib} KiB more");
    }
    assert!(after.is_within(before), "{before:?} became {after:?}");
    camera.stop().await;
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
    // As cameras are opened by the libraries that know them: what the agent starts would have it, too.
    let file = tempfile::NamedTempFile::new().unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let mut camera = Camera::start(8);
    let mut frames = camera.media.frames();
    let (mut viewer, id) = camera.watch().await;
    viewer.receive(5).await;
    let killed = workers();
    assert_eq!(killed.len(), 1, "one worker: {killed:?}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", killed[0])).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "it gave up what it does not need: {status}");
    let held = std::fs::read_dir(format!("/proc/{}/fd", killed[0])).unwrap();
    let held = held.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    assert!(held.into_iter().all(|path| path != file.path()), "it holds what is the agent's");
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
    assert!(*longest < Duration::from_millis(1_500), "the encoder never noticed: {longest:?}");
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

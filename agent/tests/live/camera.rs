//! A camera with live viewing as its relay sees it, and its worker as the kernel sees it.

use std::{fs, sync::Arc, time::Duration};

use nightjar_agent::{
    config::{LiveConfig, SourceConfig, SourceKind},
    encode::Media,
    identity::Identity,
    live::{self, Live, WorkerCommand},
};
use nightjar_shared::{
    ids::SessionId,
    signal::{Signal, SignalKind},
};
use rustix::process::{Pid, Signal as ProcessSignal, kill_process};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{PATIENCE, viewer::Viewer};

/// A camera with live viewing, and the relay's end of its signalling.
pub(crate) struct Camera {
    pub(crate) media: Media,
    pub(crate) live: Live,
    viewers: watch::Receiver<u32>,
    pub(crate) signals: mpsc::Sender<Signal>,
    pub(crate) replies: mpsc::Receiver<(String, Signal)>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Camera {
    pub(crate) fn start(max_viewers: u32) -> Self {
        let source = SourceConfig {
            kind: SourceKind::Synthetic,
            width: 320,
            height: 240,
            fps: 25,
            ..SourceConfig::default()
        };
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let media = Media::start(&source, None, &tracker, cancel.clone()).unwrap();
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
    pub(crate) async fn offer(&mut self, sdp: String) -> Signal {
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
    pub(crate) async fn reply_to(&mut self, id: SessionId) -> Signal {
        let reply = async {
            loop {
                let (to, signal) = self.replies.recv().await.unwrap();
                if signal.session_id == id && signal.kind != SignalKind::Report {
                    assert_eq!(to, "replica-1");
                    return signal;
                }
            }
        };
        time::timeout(PATIENCE, reply).await.expect("a reply")
    }

    /// A viewer that is answered.
    pub(crate) async fn watch(&mut self) -> (Viewer, SessionId) {
        self.watch_with(Viewer::new()).await
    }

    pub(crate) async fn watch_with(&mut self, viewer: Viewer) -> (Viewer, SessionId) {
        let answer = self.offer(viewer.offer().await).await;
        assert_eq!(answer.kind, SignalKind::Answer, "{:?}", answer.reason);
        viewer.accept(answer.sdp.as_deref().unwrap());
        (viewer, answer.session_id)
    }

    pub(crate) async fn until_viewers(&mut self, count: u32) {
        let there = self.viewers.wait_for(|viewers| *viewers == count);
        time::timeout(PATIENCE, there).await.expect("the number of viewers").unwrap();
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.tracker.close();
        time::timeout(PATIENCE, self.tracker.wait()).await.expect("all tasks end");
    }
}

/// The worker processes of this test process, by their parent and command line.
pub(crate) fn workers() -> Vec<i32> {
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

pub(crate) fn send_signal(pid: i32, signal: ProcessSignal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holdings {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

impl Holdings {
    fn of(pid: i32) -> Self {
        let count = |name: &str| fs::read_dir(format!("/proc/{pid}/{name}")).unwrap().count();
        Self { descriptors: count("fd"), threads: count("task") }
    }

    /// A few threads of pools, the media engine's and the runtime's, end when they are not needed
    /// for a while.
    pub(crate) fn is_within(self, before: Self) -> bool {
        self.descriptors <= before.descriptors && self.threads <= before.threads + 8
    }
}

/// Closing takes a moment: waits until the holdings are at most the expected ones, or for a
/// while stay the same.
pub(crate) async fn settled(pid: i32, expected: Option<Holdings>) -> Holdings {
    let mut last = Holdings::of(pid);
    let mut unchanged = 0;
    while unchanged < 20 && expected.is_none_or(|expected| !last.is_within(expected)) {
        time::sleep(Duration::from_millis(100)).await;
        let now = Holdings::of(pid);
        unchanged = if now == last { unchanged + 1 } else { 0 };
        last = now;
    }
    last
}

/// What a process takes of the memory, in KiB.
pub(crate) fn resident_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

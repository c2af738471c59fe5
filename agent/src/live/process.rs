//! The worker process as the agent sees it: started, fed, listened to and ended.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use nightjar_core::picture::{EncodedFrame, Layer};
use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    sync::{broadcast, mpsc, watch},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::wire::{WorkerOrder, WorkerReport, Writer, read_report};
use crate::{
    encode::{Joined, Media},
    logging,
};

/// Orders on their way; when full, the session that an order belongs to is given up.
const ORDER_QUEUE: usize = 128;

/// Reports on their way; when full, the worker waits.
const REPORT_QUEUE: usize = 128;

/// Frames that may lie between encoder and worker before it has to skip to a key frame.
const MAX_BACKLOG: usize = 15;

/// A worker that does not end when its stream closes is killed.
const FAREWELL: Duration = Duration::from_secs(2);

/// Environment variables passed to the worker: where the media engine finds its plugins, and which
/// lines are logged. Those of GStreamer are passed, too.
const PASSED_VARIABLES: [&str; 7] =
    ["PATH", "HOME", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "LANG", "RUST_LOG", "JOURNAL_STREAM"];

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

impl WorkerCommand {
    /// Starts this very program, even when its file was replaced since it started.
    pub fn this_program() -> Self {
        Self::of("/proc/self/exe")
    }

    /// Starts the `live-worker` subcommand of an agent's binary.
    pub fn of(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: vec!["live-worker".into()] }
    }

    fn spawn(&self, stream: StdUnixStream) -> io::Result<Child> {
        let passed = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            PASSED_VARIABLES.contains(&name.as_ref()) || name.starts_with("GST_")
        });
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(passed)
            // Fewer heaps for the media engine's many threads.
            .env("MALLOC_ARENA_MAX", "2")
            .envs([logging::for_children()])
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(stream)))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

/// A running worker. When it ends, for whatever reason, `reports` ends.
pub(super) struct WorkerProcess {
    pub(super) orders: mpsc::Sender<WorkerOrder>,
    pub(super) reports: mpsc::Receiver<WorkerReport>,
    /// Whether frames are sent.
    pub(super) watched: watch::Sender<bool>,
    stop: CancellationToken,
}

impl WorkerProcess {
    /// Starts a worker with the agent's end of a socket pair as its only connection.
    pub(super) fn start(
        command: &WorkerCommand,
        media: &Media,
        tracker: &TaskTracker,
    ) -> anyhow::Result<Self> {
        let (near, far) = StdUnixStream::pair().context("cannot make a socket pair")?;
        near.set_nonblocking(true).context("cannot set up a socket pair")?;
        let stream = UnixStream::from_std(near).context("cannot set up a socket pair")?;
        let child = command
            .spawn(far)
            .with_context(|| format!("cannot start {}", command.program.display()))?;
        let (orders, order_receiver) = mpsc::channel(ORDER_QUEUE);
        let (report_sender, reports) = mpsc::channel(REPORT_QUEUE);
        let (watched, watched_receiver) = watch::channel(false);
        let stop = CancellationToken::new();
        let (read, write) = stream.into_split();
        let feed = Feed {
            media: media.clone(),
            orders: order_receiver,
            watched: watched_receiver,
            writer: Writer::new(write),
        };
        tracker.spawn(tend(child, listen(read, report_sender), feed, stop.clone()));
        Ok(Self { orders, reports, watched, stop })
    }
}

impl Drop for WorkerProcess {
    /// Stops the process. It ends soon after; its task waits for it.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Stays with a worker until it has ended.
async fn tend(
    mut child: Child,
    listening: impl Future<Output = io::Result<()>>,
    feed: Feed,
    stop: CancellationToken,
) {
    let result = tokio::select! {
        () = stop.cancelled() => Ok(()),
        result = listening => result,
        result = feed.run() => result,
        _ = child.wait() => Ok(()),
    };
    if let Err(error) = result {
        tracing::warn!(%error, "the connection to the live worker broke");
    }
    // Both halves of the stream are closed now, which tells the worker to end.
    match time::timeout(FAREWELL, child.wait()).await {
        Ok(Ok(status)) if !stop.is_cancelled() => tracing::warn!(%status, "the live worker ended"),
        Ok(_) => {}
        Err(_) => {
            tracing::warn!("the live worker hangs and is killed");
            let _ = child.kill().await;
        }
    }
}

/// Passes reports on until the stream ends.
async fn listen(read: OwnedReadHalf, reports: mpsc::Sender<WorkerReport>) -> io::Result<()> {
    let mut read = BufReader::new(read);
    while let Some(report) = read_report(&mut read).await? {
        if reports.send(report).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Writes orders and, while somebody watches, frames.
struct Feed {
    media: Media,
    orders: mpsc::Receiver<WorkerOrder>,
    watched: watch::Receiver<bool>,
    writer: Writer<OwnedWriteHalf>,
}

impl Feed {
    async fn run(mut self) -> io::Result<()> {
        let mut main = LayerFeed::new(Layer::Main);
        let mut low = LayerFeed::new(Layer::Low);
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => self.writer.write_json(&order).await?,
                    None => return Ok(()),
                },
                Ok(()) = self.watched.changed() => {
                    let watched = *self.watched.borrow_and_update();
                    if watched {
                        self.writer.write_json(&WorkerOrder::FramesBegin).await?;
                    }
                    main.open(watched.then(|| self.media.join(Layer::Main)));
                    low.open(watched.then(|| self.media.join(Layer::Low)));
                }
                frame = main.next() => self.forward(&mut main, frame).await?,
                frame = low.next() => self.forward(&mut low, frame).await?,
            }
        }
    }

    async fn forward(&mut self, stream: &mut LayerFeed, frame: Received) -> io::Result<()> {
        match frame {
            Ok((frame, backlog)) => match stream.gate.admit(frame.key_frame, backlog) {
                Admission::Send => self.writer.write_frame(stream.layer, &frame).await?,
                Admission::Skip => {}
                Admission::SkipAndRecover => self.media.force_key_frame_of(stream.layer),
            },
            Err(broadcast::error::RecvError::Lagged(_)) => stream.gate.skip(),
            // The camera is stopping, and so is this worker.
            Err(broadcast::error::RecvError::Closed) => stream.open(None),
        }
        Ok(())
    }
}

/// A frame and how many wait behind it.
type Received = Result<(Arc<EncodedFrame>, usize), broadcast::error::RecvError>;

/// One layer on its way to the worker.
struct LayerFeed {
    layer: Layer,
    /// What was encoded before somebody watched: it goes first.
    before: VecDeque<Arc<EncodedFrame>>,
    frames: Option<broadcast::Receiver<Arc<EncodedFrame>>>,
    gate: FrameGate,
}

impl LayerFeed {
    fn new(layer: Layer) -> Self {
        Self { layer, before: VecDeque::new(), frames: None, gate: FrameGate::default() }
    }

    fn open(&mut self, joined: Option<Joined>) {
        let (before, frames) = joined.map(|it| (it.before, it.frames)).unzip();
        self.before = before.unwrap_or_default().into();
        self.frames = frames;
        self.gate = FrameGate::default();
    }

    /// Waits for the next frame. Never resolves while nobody watches.
    async fn next(&mut self) -> Received {
        if let Some(frame) = self.before.pop_front() {
            return Ok((frame, 0));
        }
        match &mut self.frames {
            Some(frames) => {
                let frame = frames.recv().await?;
                Ok((frame, frames.len()))
            }
            None => std::future::pending().await,
        }
    }
}

/// Lets whole groups of pictures through: starts at a key frame, and when the worker is too slow
/// skips up to one.
#[derive(Debug, Default)]
struct FrameGate {
    open: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Send,
    Skip,
    /// Skip, and ask for a key frame to go on from.
    SkipAndRecover,
}

impl FrameGate {
    /// Decides about one frame, with `backlog` frames waiting behind it.
    fn admit(&mut self, key_frame: bool, backlog: usize) -> Admission {
        if backlog > MAX_BACKLOG {
            let recover = self.open;
            self.open = false;
            return if recover { Admission::SkipAndRecover } else { Admission::Skip };
        }
        self.open |= key_frame;
        if self.open { Admission::Send } else { Admission::Skip }
    }

    /// Skips up to the next key frame.
    fn skip(&mut self) {
        self.open = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_gets_a_key_frame_first() {
        let mut gate = FrameGate::default();
        assert_eq!(gate.admit(false, 0), Admission::Skip);
        assert_eq!(gate.admit(true, 0), Admission::Send);
        assert_eq!(gate.admit(false, 0), Admission::Send);
    }

    #[test]
    fn a_slow_worker_skips_up_to_the_next_key_frame_and_asks_for_it_once() {
        let mut gate = FrameGate::default();
        gate.admit(true, 0);
        assert_eq!(gate.admit(false, 16), Admission::SkipAndRecover);
        assert_eq!(gate.admit(false, 16), Admission::Skip);
        assert_eq!(gate.admit(true, 16), Admission::Skip, "a key frame would be late as well");
        assert_eq!(gate.admit(false, 3), Admission::Skip);
        assert_eq!(gate.admit(true, 2), Admission::Send);
    }
}

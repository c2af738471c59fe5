//! The live worker: a child process that holds the WebRTC connections, of viewers and to an SFU.
//! It has no key and no file, gets encoded frames and signals over its standard input, and ends
//! when that closes.

mod connection;
mod quality;
mod spares;
mod viewers;

use std::{
    io,
    os::{fd::AsFd as _, unix::net::UnixStream as StdUnixStream},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::spawn_blocking,
    time::{self, MissedTickBehavior},
};
use tokio_util::task::TaskTracker;

use self::viewers::Viewers;
use super::wire::{ToWorker, WorkerReport, Writer, read_to_worker};
use crate::{clock::monotonic_now, confine, webrtc::peer};

/// Messages from the agent on their way; when full, the agent waits, and skips frames.
const INPUT_QUEUE: usize = 16;

/// Reports on their way; when full, those that may be lost are.
const REPORT_QUEUE: usize = 256;

/// What happens to the connections; when full, an event is lost, and silence still ends the session.
const EVENT_QUEUE: usize = 256;

/// How long closing may take: milliseconds, unless the media engine hangs.
const CLOSING_LIMIT: Duration = Duration::from_secs(1);

const TICK: Duration = Duration::from_millis(250);

/// Runs the worker until the agent closes its standard input. Blocks; makes a runtime of its own.
pub fn run() -> anyhow::Result<()> {
    confine::close_inherited().context("cannot see what the agent left open")?;
    // Before there is a second thread, which it would not bind.
    confine::confine();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve());
    // Connections that still close are given up: the process ends with them.
    runtime.shutdown_background();
    result
}

async fn serve() -> anyhow::Result<()> {
    let (read, write) = agent_stream()?.into_split();
    // The agent's whole process group gets these. It ends the worker when its viewers are told.
    let _interrupts = signal(SignalKind::interrupt())?;
    let _terminations = signal(SignalKind::terminate())?;
    let tracker = TaskTracker::new();
    let (reports, report_receiver) = mpsc::channel(REPORT_QUEUE);
    tracker.spawn(write_reports(write, report_receiver));
    if let Err(error) = peer::warm_up().await {
        tracing::warn!(error = format!("{error:#}"), "the media engine does not warm up");
    }
    let (input, mut inputs) = mpsc::channel(INPUT_QUEUE);
    tracker.spawn(read_inputs(read, input));
    let (events, mut event_receiver) = mpsc::channel(EVENT_QUEUE);
    let mut viewers = Viewers::new(events, reports, tracker);
    viewers.send_report(WorkerReport::Ready);
    let mut ticks = time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            input = inputs.recv() => match input {
                Some(ToWorker::Frame(layer, frame)) => viewers.on_frame(layer, frame),
                Some(ToWorker::Order(order)) => viewers.on_order(order),
                None => break,
            },
            Some(event) = event_receiver.recv() => viewers.on_event(event),
            _ = ticks.tick() => viewers.on_tick(monotonic_now()),
        }
    }
    // One that hangs would keep this process alive for ever, with nobody to end it.
    let closing = spawn_blocking(move || drop(viewers));
    let _ = time::timeout(CLOSING_LIMIT, closing).await;
    Ok(())
}

/// Takes the worker's end of the socket pair, which is this process' standard input.
fn agent_stream() -> anyhow::Result<UnixStream> {
    let descriptor = io::stdin().as_fd().try_clone_to_owned().context("no standard input")?;
    let stream = StdUnixStream::from(descriptor);
    stream.peer_addr().context("live-worker is started by the agent, not by hand")?;
    stream.set_nonblocking(true)?;
    Ok(UnixStream::from_std(stream)?)
}

async fn read_inputs(read: OwnedReadHalf, inputs: mpsc::Sender<ToWorker>) {
    let mut read = BufReader::with_capacity(64 * 1024, read);
    loop {
        match read_to_worker(&mut read).await {
            Ok(Some(input)) => {
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "the connection to the agent broke");
                return;
            }
        }
    }
}

async fn write_reports(write: OwnedWriteHalf, mut reports: mpsc::Receiver<WorkerReport>) {
    let mut writer = Writer::new(write);
    while let Some(report) = reports.recv().await {
        // The agent is gone: reading its end says so, too.
        if writer.write_json(&report).await.is_err() {
            return;
        }
    }
}

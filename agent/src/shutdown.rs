//! How the agent ends: who asked for it, in which order its parts stop, and what systemd hears.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// All parts together; systemd and people expect an end within 5 s.
pub const STOP_WITHIN: Duration = Duration::from_secs(4);

/// Why the agent ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Somebody asked for it.
    Stopped,
    /// To begin anew at once, by command or because the camera was paired anew.
    Restart,
    /// A part of the agent is gone; whoever supervises the agent starts it again.
    Failed(String),
}

/// Asks the whole agent to end; the first reason counts.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    ending: Arc<OnceLock<Ending>>,
}

impl Shutdown {
    pub fn request(&self, ending: Ending) {
        drop(self.ending.set(ending));
        self.token.cancel();
    }

    pub async fn requested(&self) -> Ending {
        self.token.cancelled().await;
        self.ending.get().cloned().unwrap_or(Ending::Stopped)
    }

    /// A panic anywhere, also in a thread of GStreamer, ends the agent in order.
    pub fn end_on_panic(&self) {
        let shutdown = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            tracing::error!(%panic, "a part of the agent panicked");
            shutdown.request(Ending::Failed("a part of the agent panicked".to_owned()));
        }));
    }
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The first signal asks for an orderly end; the second does not wait for it.
    pub async fn watch(mut self, shutdown: Shutdown) {
        self.next().await;
        tracing::info!("stopping; a second signal stops at once");
        shutdown.request(Ending::Stopped);
        self.next().await;
        std::process::exit(130);
    }
}

/// One part of the agent: its tasks, and the word to stop them.
#[derive(Debug, Clone)]
pub struct Stage {
    name: &'static str,
    pub cancel: CancellationToken,
    pub tracker: TaskTracker,
}

impl Stage {
    pub fn new(name: &'static str) -> Self {
        Self { name, cancel: CancellationToken::new(), tracker: TaskTracker::new() }
    }

    /// Resolves, with the agent asked to end, once all tasks of a stage have ended without being
    /// told to. To be polled after the stage has started its tasks.
    pub async fn guard(self, shutdown: Shutdown) {
        self.tracker.close();
        self.tracker.wait().await;
        if !self.cancel.is_cancelled() {
            tracing::error!(part = self.name, "a part of the agent ended early");
            shutdown.request(Ending::Failed(format!("{} ended early", self.name)));
        }
    }

    /// Tells whether all tasks ended in time.
    async fn stop(&self, deadline: Instant) -> bool {
        self.cancel.cancel();
        self.tracker.close();
        timeout_at(deadline, self.tracker.wait()).await.is_ok()
    }
}

/// Stops the parts one after the other, in the order given, within [`STOP_WITHIN`].
pub async fn stop_in_order(stages: &[Stage]) {
    let deadline = Instant::now() + STOP_WITHIN;
    for stage in stages {
        if !stage.stop(deadline).await {
            tracing::warn!(part = stage.name, "did not stop in time and is left behind");
        }
    }
}

/// Tells systemd, where it is there, that the agent does its work.
pub fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

pub fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

pub fn notify_alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often systemd wants to hear that the agent is alive; nothing without a watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_early_ends_the_agent_by_name() {
        let (shutdown, stage) = (Shutdown::default(), Stage::new("recording"));
        stage.tracker.spawn(async {});
        stage.guard(shutdown.clone()).await;
        let ending = shutdown.requested().await;
        assert_eq!(ending, Ending::Failed("recording ended early".to_owned()));
    }

    #[tokio::test]
    async fn a_part_that_was_told_to_stop_ends_nothing() {
        let (shutdown, stage) = (Shutdown::default(), Stage::new("recording"));
        let cancel = stage.cancel.clone();
        stage.tracker.spawn(async move { cancel.cancelled().await });
        let guard = stage.clone().guard(shutdown.clone());
        tokio::join!(guard, stop_in_order(std::slice::from_ref(&stage)));
        assert!(!shutdown.token.is_cancelled());
    }

    #[tokio::test]
    async fn parts_stop_one_after_the_other() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let stages = ["live", "recording", "uplink"].map(Stage::new);
        for stage in &stages {
            let (order, cancel, name) = (order.clone(), stage.cancel.clone(), stage.name);
            stage.tracker.spawn(async move {
                cancel.cancelled().await;
                tokio::task::yield_now().await;
                order.lock().unwrap().push(name);
            });
        }
        stop_in_order(&stages).await;
        assert_eq!(*order.lock().unwrap(), ["live", "recording", "uplink"]);
    }

    #[test]
    fn the_first_reason_to_end_counts() {
        let shutdown = Shutdown::default();
        shutdown.request(Ending::Restart);
        shutdown.request(Ending::Stopped);
        assert_eq!(shutdown.ending.get(), Some(&Ending::Restart));
    }
}

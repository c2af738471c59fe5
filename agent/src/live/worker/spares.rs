//! The media engine that is made ahead of the next connection.

use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    task::spawn_blocking,
};
use tokio_util::task::TaskTracker;

use crate::webrtc::peer::Spare;

/// Keeps one engine ready; dropping it drops the engine, which blocks.
pub(super) struct Spares {
    next: Next,
    tracker: TaskTracker,
}

/// How far the next engine has come.
enum Next {
    Missing,
    InTheMaking(oneshot::Receiver<anyhow::Result<Spare>>),
    Ready(Spare),
    /// Connections begin without, as long as this process lives.
    Impossible,
}

impl Spares {
    pub(super) fn new(tracker: TaskTracker) -> Self {
        Self { next: Next::Missing, tracker }
    }

    /// Takes the engine that is ready, if there is one.
    pub(super) fn take(&mut self) -> Option<Spare> {
        self.settle();
        match std::mem::replace(&mut self.next, Next::Missing) {
            Next::Ready(spare) => Some(spare),
            other => {
                self.next = other;
                None
            }
        }
    }

    /// Has an engine made if there is none. To be called from time to time rather than right after
    /// [`Self::take`]: that would slow down the connection that took the last one.
    pub(super) fn prepare(&mut self) {
        self.settle();
        if !matches!(self.next, Next::Missing) {
            return;
        }
        let (sender, receiver) = oneshot::channel();
        self.next = Next::InTheMaking(receiver);
        self.tracker.spawn(async move {
            let made = spawn_blocking(Spare::make).await.map_err(Into::into).flatten();
            if let Err(unsent) = sender.send(made) {
                // The worker ends; dropping an engine blocks.
                let _ = spawn_blocking(move || drop(unsent)).await;
            }
        });
    }

    /// Looks whether the engine in the making is there.
    fn settle(&mut self) {
        let Next::InTheMaking(receiver) = &mut self.next else { return };
        self.next = match receiver.try_recv() {
            Ok(Ok(spare)) => Next::Ready(spare),
            Ok(Err(error)) => {
                tracing::warn!(error = format!("{error:#}"), "no media engine can be made ahead");
                Next::Impossible
            }
            Err(TryRecvError::Empty) => return,
            // The task that made it panicked.
            Err(TryRecvError::Closed) => Next::Impossible,
        };
    }
}

//! The media engine that is made ahead of the next connection.

use tokio::task::spawn_blocking;

use super::viewers::{Event, Viewers};
use crate::webrtc::peer::Spare;

/// How far it has come.
pub(super) enum Ahead {
    Missing,
    InTheMaking,
    Ready(Spare),
    /// Connections begin without, as long as this process lives.
    Impossible,
}

impl Ahead {
    /// Takes it, if it is there.
    pub(super) fn take(&mut self) -> Option<Spare> {
        match std::mem::replace(self, Self::Missing) {
            Self::Ready(spare) => Some(spare),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Viewers {
    /// Has one made if it is missing. Not at once when it is taken: that would slow down the
    /// connection that took it.
    pub(super) fn prepare(&mut self) {
        if !matches!(self.ahead, Ahead::Missing) {
            return;
        }
        self.ahead = Ahead::InTheMaking;
        let events = self.events.clone();
        self.tracker.spawn(async move {
            let made = spawn_blocking(Spare::make).await.map_err(Into::into).flatten();
            if let Err(unsent) = events.send(Event::Prepared(made)).await {
                // The worker ends; dropping an engine blocks.
                let _ = spawn_blocking(move || drop(unsent)).await;
            }
        });
    }

    pub(super) fn prepared(&mut self, made: anyhow::Result<Spare>) {
        self.ahead = match made {
            Ok(spare) => Ahead::Ready(spare),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "no media engine can be made ahead");
                Ahead::Impossible
            }
        };
    }
}

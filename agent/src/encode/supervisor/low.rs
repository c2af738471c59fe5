//! The low layer of one run: started while somebody wants it, given up when it fails.

use std::sync::Arc;

use tokio::{sync::mpsc, task::spawn_blocking, time};

use super::STOP_LIMIT;
use crate::{
    capture::Geometry,
    encode::{low::LowLayer, speed::Speeds, taps::Taps},
};

/// The low layer of one run, while somebody wants it.
#[derive(Default)]
pub(super) struct Low {
    running: Option<(LowLayer, mpsc::Receiver<String>)>,
}

impl Low {
    pub(super) async fn set(
        &mut self,
        wanted: bool,
        geometry: Geometry,
        speeds: &Arc<Speeds>,
        taps: &Arc<Taps>,
    ) {
        if !wanted {
            self.stop().await;
        } else if self.running.is_none() {
            let (speeds, taps) = (Arc::clone(speeds), Arc::clone(taps));
            let start = move || LowLayer::start(geometry, speeds.best()?.kind, &taps);
            match spawn_blocking(start).await {
                Ok(Ok(running)) => self.running = Some(running),
                Ok(Err(error)) => {
                    tracing::error!(error = format!("{error:#}"), "there is no low layer");
                }
                Err(panic) => tracing::error!(%panic, "there is no low layer"),
            }
        }
    }

    /// What ended the layer; never, while there is none.
    pub(super) async fn failed(&mut self) -> String {
        match &mut self.running {
            Some((_, failures)) => match failures.recv().await {
                Some(failure) => failure,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// It is tried again when it is next wanted; until then its viewers stay with the main one.
    pub(super) async fn give_up(&mut self, failure: &str) {
        tracing::warn!(failure, "the low layer ended");
        self.stop().await;
    }

    async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let stopped = spawn_blocking(move || drop(running));
            if time::timeout(STOP_LIMIT, stopped).await.is_err() {
                tracing::error!("the low layer does not stop; it is left behind");
            }
        }
    }
}

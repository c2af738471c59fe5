//! Brings clips to the relay: announce, ask where the parts go, PUT them, complete. One clip at a
//! time, the newest first.
//!
//! Every step is idempotent on the clip's id and what has been done is kept in the index, so that
//! a restart at any moment loses nothing and doubles nothing. Failures wait with full jitter; a
//! clip that was just recorded is tried at once all the same.

mod digest;
mod transfer;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::transfer::{Failure, transfer};
use crate::{
    backoff::{Backoff, chance},
    cloud::Cloud,
    store::{Clip, ClipState, Store, StoreError},
};

const SHORTEST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_mins(5);

/// Uploads until `cancel`; an upload that is cut off begins again with the parts that are
/// missing. `recordings` is the directory that the index's paths are relative to.
pub fn start(
    store: Store,
    cloud: Cloud,
    recordings: &Path,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) {
    let uploader = Uploader { store, cloud, recordings: recordings.to_owned() };
    tracker.spawn(async move {
        cancel.run_until_cancelled(uploader.run()).await;
    });
}

struct Uploader {
    store: Store,
    cloud: Cloud,
    recordings: PathBuf,
}

impl Uploader {
    async fn run(self) {
        let wake = self.store.uploads_wake();
        let mut backoff = Backoff::new(SHORTEST_DELAY, LONGEST_DELAY);
        loop {
            match self.upload_next().await {
                Ok(Progress::Settled) => backoff.reset(),
                Ok(Progress::Idle) => wake.notified().await,
                Ok(Progress::Delayed { at_least }) => {
                    let delay = backoff.next_delay(chance()).max(at_least);
                    tokio::select! {
                        () = sleep(delay) => {}
                        () = wake.notified() => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the index cannot say what to upload");
                    sleep(backoff.next_delay(chance())).await;
                }
            }
        }
    }

    async fn upload_next(&self) -> Result<Progress, StoreError> {
        let Some(clip) = self.store.next_upload().await? else { return Ok(Progress::Idle) };
        let clip_id = clip.clip_id;
        match transfer(&self.store, &self.cloud, &self.recordings, &clip).await {
            Ok(()) => {
                self.settle(&clip).await?;
                Ok(Progress::Settled)
            }
            Err(Failure::Later { cause, at_least }) => {
                tracing::info!(clip.id = %clip_id, %cause, "an upload is delayed");
                self.store.upload_delayed(clip_id, cause).await?;
                Ok(Progress::Delayed { at_least })
            }
            Err(Failure::Never { cause }) => {
                tracing::warn!(clip.id = %clip_id, %cause, "a clip will not be uploaded");
                self.store.upload_failed(clip_id, cause).await?;
                Ok(Progress::Settled)
            }
            Err(Failure::FileGone { reason }) => {
                tracing::warn!(clip.id = %clip_id, reason, "a clip cannot be uploaded");
                self.store.clip_gone(clip_id, reason).await?;
                Ok(Progress::Settled)
            }
            Err(Failure::Store(error)) => Err(error),
        }
    }

    async fn settle(&self, clip: &Clip) -> Result<(), StoreError> {
        if clip.state == ClipState::Gone {
            let reason = clip.gone_reason.clone().unwrap_or_default();
            return self.store.upload_failed(clip.clip_id, reason).await;
        }
        self.store.upload_done(clip.clip_id).await?;
        tracing::info!(clip.id = %clip.clip_id, "a clip was uploaded");
        Ok(())
    }
}

enum Progress {
    /// A clip is done with, for good or bad: on to the next.
    Settled,
    /// Nothing waits.
    Idle,
    /// It went wrong and may go well later.
    Delayed { at_least: Duration },
}

//! Brings clips to the relay, also while they are recorded: two at a time, pictures before
//! footage, the newest clip before a backlog.
//!
//! Every step is idempotent on ids that the camera made. The index keeps which clips wait; which
//! of their parts the relay has is asked of the relay, and how a file is cut into parts follows
//! from the file. So a restart at any moment loses nothing, and sends nothing twice except the part
//! that was on its way.

mod digest;
mod failure;
mod parts;
mod queue;
mod transfer;

use std::{collections::HashMap, path::Path, time::Duration};

use nightjar_core::{backoff::Backoff, schedule::DailyHours};
use nightjar_shared::ids::ClipId;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    failure::UploadFailure,
    queue::{Grown, Queue, Turn},
    transfer::{Carrier, Known, Load, Outcome},
};
use crate::{
    clock::Clock,
    cloud::{Cloud, Pace},
    config::UploadConfig,
    machine::chance,
    store::{Clip, ClipState, Store, StoreError},
};

const SHORTEST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_mins(5);
/// How many uploads run at a time: one may wait for the relay's answer while another sends.
const AT_ONCE: usize = 2;
/// How many clips are considered at a time, the most urgent ones.
const CONSIDERED: usize = 64;
/// How often quiet hours, and clips that wait for their picture, are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Uploads until `cancel`. `recordings` is the directory that the index's paths are relative to.
pub fn start(
    store: Store,
    cloud: Cloud,
    recordings: &Path,
    config: watch::Receiver<UploadConfig>,
    clock: Clock,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) {
    let pace = Pace::new(clock.clone());
    let carrier = Carrier { store, cloud, recordings: recordings.to_owned(), pace, clock };
    let uploader = Uploader {
        carrier,
        config,
        quiet: None,
        queue: Queue::default(),
        known: HashMap::new(),
        steps: JoinSet::new(),
        paused_until: Instant::now(),
        backoff: Backoff::new(SHORTEST_DELAY, LONGEST_DELAY),
    };
    tracker.spawn(async move {
        cancel.run_until_cancelled(uploader.run()).await;
    });
}

struct Uploader {
    carrier: Carrier,
    config: watch::Receiver<UploadConfig>,
    quiet: Option<DailyHours>,
    queue: Queue,
    /// What is known of clips that wait and are not being worked on.
    known: HashMap<ClipId, Known>,
    /// The steps under way. They end with this task.
    steps: JoinSet<EndedStep>,
    paused_until: Instant,
    backoff: Backoff,
}

/// A step that has ended.
struct EndedStep {
    clip: Clip,
    known: Known,
    ended: Result<Outcome, UploadFailure>,
}

impl Uploader {
    async fn run(mut self) {
        let wake = self.carrier.store.uploads_wake();
        let retry = self.carrier.store.uploads_retry();
        self.adopt_config();
        loop {
            let looks_again = match self.begin_steps().await {
                Ok(looks_again) => looks_again,
                Err(error) => {
                    tracing::warn!(%error, "the index cannot say what to upload");
                    self.paused_until = Instant::now() + self.backoff.next_delay(chance());
                    true
                }
            };
            let look_at = self.paused_until.max(Instant::now() + LOOK_EVERY);
            tokio::select! {
                biased;
                Some(step) = self.steps.join_next() => self.settle(step).await,
                () = wake.notified() => {}
                () = retry.notified() => self.paused_until = Instant::now(),
                Ok(()) = self.config.changed() => self.adopt_config(),
                () = sleep_until(look_at), if looks_again => {}
            }
        }
    }

    fn adopt_config(&mut self) {
        let config = self.config.borrow_and_update();
        let cap = (config.max_kbps > 0).then_some(config.max_kbps);
        self.carrier.pace.set_max_kbps(cap);
        // Hours in an unknown zone were refused before.
        self.quiet = config.quiet_hours.as_ref().and_then(|hours| DailyHours::new(hours).ok());
    }

    /// Begins what may begin now. Returns whether time alone may change what that is.
    async fn begin_steps(&mut self) -> Result<bool, StoreError> {
        if Instant::now() < self.paused_until {
            return Ok(true);
        }
        let mut looks_again = false;
        if self.steps.len() >= AT_ONCE {
            return Ok(looks_again);
        }
        let now = self.now();
        let held = self.queue.held(now);
        let candidates = self.carrier.store.upload_candidates(CONSIDERED, held).await?;
        self.known.retain(|id, _| candidates.iter().any(|candidate| candidate.clip_id == *id));
        let waits = |id| candidates.iter().any(|candidate| candidate.clip_id == id);
        self.queue.retain(now.monotonic, waits);
        for candidate in candidates {
            if self.steps.len() >= AT_ONCE {
                break;
            }
            let grown = self.grown(candidate.clip_id);
            match self.queue.judge(&candidate, grown, now) {
                Turn::Begin(load) => self.begin(candidate.clip_id, load).await?,
                Turn::Wait => looks_again = true,
                Turn::Nothing => {}
            }
        }
        Ok(looks_again)
    }

    fn grown(&self, clip_id: ClipId) -> Option<Grown> {
        let growth = self.carrier.store.growth(clip_id)?;
        let known = self.known.get(&clip_id);
        let is_known = |index| known.is_some_and(|known| known.has(index));
        let has_more = parts::grown(&growth).iter().any(|part| !is_known(part.index));
        Some(Grown { age: self.carrier.clock.monotonic().since(growth.begun_at), has_more })
    }

    fn now(&self) -> queue::Now {
        let unix = self.carrier.clock.unix();
        let quiet = self.quiet.as_ref().is_some_and(|hours| hours.cover(unix));
        queue::Now { monotonic: self.carrier.clock.monotonic(), unix, quiet }
    }

    async fn begin(&mut self, clip_id: ClipId, load: Load) -> Result<(), StoreError> {
        let Some(clip) = self.carrier.store.clip(clip_id).await? else { return Ok(()) };
        self.queue.began(clip_id);
        let mut known = self.known.remove(&clip_id).unwrap_or_default();
        let carrier = self.carrier.clone();
        self.steps.spawn(async move {
            let ended = carrier.step(&clip, load, &mut known).await;
            EndedStep { clip, known, ended }
        });
        Ok(())
    }

    async fn settle(&mut self, step: Result<EndedStep, JoinError>) {
        let EndedStep { clip, mut known, ended } = match step {
            Ok(step) => step,
            // A panic ends the agent anyway.
            Err(error) => {
                tracing::error!(%error, "an upload ended early");
                return;
            }
        };
        let clip_id = clip.clip_id;
        self.queue.ended(clip_id);
        let settled = match ended {
            Ok(outcome) => {
                self.backoff.reset();
                self.succeeded(&clip, outcome).await
            }
            Err(failure) => self.failed(&clip, failure, &mut known).await,
        };
        self.known.insert(clip_id, known);
        if let Err(error) = settled {
            tracing::warn!(clip.id = %clip_id, %error, "the index could not note an upload's step");
            self.paused_until = Instant::now() + self.backoff.next_delay(chance());
        }
    }

    async fn succeeded(&mut self, clip: &Clip, outcome: Outcome) -> Result<(), StoreError> {
        let store = &self.carrier.store;
        match outcome {
            Outcome::GoOn => Ok(()),
            Outcome::Done => {
                tracing::info!(clip.id = %clip.clip_id, "a clip was uploaded");
                store.upload_done(clip.clip_id).await
            }
            Outcome::ToldGone => {
                let reason = clip.gone_reason.clone().unwrap_or_default();
                store.upload_failed(clip.clip_id, reason).await
            }
        }
    }

    async fn failed(
        &mut self,
        clip: &Clip,
        failure: UploadFailure,
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let clip_id = clip.clip_id;
        let store = &self.carrier.store;
        match failure {
            UploadFailure::Away { cause, at_least } => {
                tracing::info!(clip.id = %clip_id, %cause, "uploads are delayed");
                let delay = self.backoff.next_delay(chance()).max(at_least);
                self.paused_until = Instant::now() + delay;
                // It may have forgotten the clip when it is back.
                known.forget();
                Ok(())
            }
            UploadFailure::Later { cause } => {
                tracing::info!(clip.id = %clip_id, %cause, "a clip's upload is delayed");
                known.forget();
                self.queue.delay(clip_id, self.carrier.clock.monotonic(), chance());
                store.upload_delayed(clip_id, cause).await
            }
            UploadFailure::Never { cause } => {
                tracing::warn!(clip.id = %clip_id, %cause, "a clip will not be uploaded");
                self.queue.give_up(clip_id);
                store.upload_failed(clip_id, cause).await
            }
            UploadFailure::Deleted => {
                tracing::info!(clip.id = %clip_id, "a clip was deleted at the relay");
                self.queue.give_up(clip_id);
                store.upload_done(clip_id).await
            }
            // Its file has got its final name meanwhile, or has just been deleted.
            UploadFailure::FileGone { .. } if clip.state == ClipState::Open => {
                self.queue.delay(clip_id, self.carrier.clock.monotonic(), 0.0);
                Ok(())
            }
            UploadFailure::FileGone { reason } => {
                tracing::warn!(clip.id = %clip_id, reason, "a clip cannot be uploaded");
                self.carrier.remove_thumbnail(clip).await;
                store.clip_gone(clip_id, reason).await
            }
            UploadFailure::Store(error) => Err(error),
        }
    }
}

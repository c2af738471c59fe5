//! Asks, downloads, checks, hands over; from time to time, at once when a person asks, and whenever
//! the installer has got further.

use std::{sync::Arc, time::Duration};

use nightjar_core::{
    backoff::Backoff,
    update::{Camera, admit},
};
use nightjar_shared::release::{Manifest, UpdateOffer, UpdateProblem, UpdateState};
use nightjar_update::{
    Failure, Installed, KeyFile, Layout, check_package, check_room, check_signed,
    handover::{Status, failed_versions},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{AGAIN, EVERY, FIRST, UpdateEnds, look, report, spool::Spool};
use crate::{
    cloud::{Cloud, CloudError, Disposition, Pace},
    machine::{blocking, chance},
};

/// How soon it is noticed that the installer has got further.
const LOOK_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Updates {
    cloud: Cloud,
    pace: Pace,
    layout: Layout,
    spool: Spool,
    asked: Arc<Notify>,
    /// What the agent has to say of an update, and what the installer said then: its next word counts
    /// more.
    own: Option<(Status, Status)>,
    /// What the relay heard last.
    told: Option<Status>,
    /// The digest of the package that was handed over last.
    handed_over: Option<String>,
}

/// Why a download did not come to its end.
enum Trouble {
    /// It may, later.
    Relay(CloudError),
    /// It will not.
    Refused(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl From<CloudError> for Trouble {
    fn from(error: CloudError) -> Self {
        Self::Relay(error)
    }
}

impl Updates {
    pub(super) fn new(ends: UpdateEnds, pace: Pace) -> Self {
        Self {
            cloud: ends.cloud,
            pace,
            spool: Spool::below(&ends.data_dir),
            layout: ends.layout,
            asked: ends.asked,
            own: None,
            told: None,
            handed_over: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(AGAIN, EVERY);
        let mut due = Instant::now() + spread(FIRST);
        let mut asked = false;
        loop {
            asked |= self.wait(due).await;
            match self.round(asked).await {
                Ok(()) => {
                    asked = false;
                    backoff.reset();
                    due = Instant::now() + spread(EVERY);
                }
                Err(error) => {
                    tracing::debug!(%error, "updates cannot be asked for; trying again");
                    due = Instant::now() + backoff.next_delay(chance());
                }
            }
        }
    }

    /// Waits until it is time. Returns whether a person asked.
    async fn wait(&self, due: Instant) -> bool {
        loop {
            tokio::select! {
                () = self.asked.notified() => return true,
                () = sleep_until(due) => return false,
                () = sleep(LOOK_EVERY) => {
                    let got_further = self.told.as_ref().is_some_and(|told| *told != self.status());
                    if got_further {
                        return false;
                    }
                }
            }
        }
    }

    async fn round(&mut self, asked: bool) -> Result<(), CloudError> {
        let installed = match look(&self.layout).await {
            Ok(Some(installed)) => installed,
            // Nothing can update what is no package.
            Ok(None) => return Ok(()),
            Err(failure) => {
                tracing::warn!(%failure, "what is installed is not known");
                return Ok(());
            }
        };
        let status = self.status();
        let answer = match self.cloud.report_update(&report(&installed, &status, asked)).await {
            Ok(answer) => answer,
            // A relay that is older than updates.
            Err(error) if error.disposition() == Disposition::Never => return Ok(()),
            Err(error) => return Err(error),
        };
        self.told = Some(status);
        let Some(offer) = answer.offer else { return Ok(()) };
        if self.is_under_way() {
            return Ok(());
        }
        match self.fetch(&installed, &offer, asked).await {
            Ok(()) => Ok(()),
            Err(Trouble::Relay(error)) => Err(error),
            Err(Trouble::Refused(failure)) => self.refuse(&installed, failure).await,
        }
    }

    /// Checks, downloads and hands over what is offered.
    async fn fetch(
        &mut self,
        installed: &Installed,
        offer: &UpdateOffer,
        asked: bool,
    ) -> Result<(), Trouble> {
        let manifest = self.check(installed, offer)?;
        if !asked && self.was_refused(&manifest) {
            return Ok(());
        }
        check_room(&self.layout, manifest.size, manifest.size)?;
        let partial = self.spool.prepare(&manifest.sha256, manifest.size)?;
        let mut downloading = Status { state: UpdateState::Downloading, ..Status::IDLE };
        downloading.target = Some(manifest.version.clone());
        self.say(downloading);
        self.tell(installed).await?;
        tracing::info!(version = %manifest.version, bytes = manifest.size, "downloading an update");
        self.cloud.download(&offer.url, &partial, manifest.size, &self.pace).await?;
        let (path, checked) = (partial.clone(), manifest.clone());
        let found = blocking(move || check_package(&path, &checked)).await;
        let found = found.unwrap_or_else(|error| {
            Err(Failure::new(UpdateProblem::Failed, format!("it cannot be checked: {error}")))
        });
        if let Err(failure) = found {
            // What is wrong at its end is read again from its beginning.
            drop(std::fs::remove_file(&partial));
            return Err(failure.into());
        }
        self.spool.hand_over(&partial, offer.release.clone())?;
        self.handed_over = Some(manifest.sha256.clone());
        tracing::info!(version = %manifest.version, "an update waits for the installer");
        let target = Some(manifest.version);
        self.say(Status { state: UpdateState::Waiting, target, ..Status::IDLE });
        self.spool.forget_last_word();
        self.tell(installed).await?;
        Ok(())
    }

    /// Returns whether the installer refused this very package, for a reason that it alone sees: it would
    /// be downloaded each hour in vain. A person, or a new start of the agent, has it tried again.
    fn was_refused(&self, manifest: &Manifest) -> bool {
        self.handed_over.as_ref() == Some(&manifest.sha256)
            && self.installer().state == UpdateState::Refused
    }

    /// Checks what can be checked before anything is downloaded.
    fn check(&self, installed: &Installed, offer: &UpdateOffer) -> Result<Manifest, Failure> {
        let keys = KeyFile::read(&self.layout.keys())?;
        let manifest = check_signed(&offer.release, &keys)?;
        let failed = failed_versions(&self.layout).unwrap_or_default();
        let camera = Camera {
            installed: &installed.version,
            architecture: &installed.architecture,
            failed: &failed,
        };
        admit(&manifest, &camera)?;
        Ok(manifest)
    }

    /// Says, once, why an update is not taken. The relay offers it again, and by then it may be
    /// another one.
    async fn refuse(&mut self, installed: &Installed, failure: Failure) -> Result<(), CloudError> {
        // That was said when it was tried.
        if matches!(failure.problem, UpdateProblem::FailedBefore | UpdateProblem::NotNewer) {
            return Ok(());
        }
        let status = Status {
            state: UpdateState::Refused,
            target: None,
            problem: Some(failure.problem),
            detail: Some(failure.detail.clone()),
        };
        if self.own.as_ref().is_some_and(|(own, _)| *own == status) {
            return Ok(());
        }
        tracing::warn!(problem = %failure.problem, %failure, "an update is not taken");
        if let Err(error) = self.spool.keep_last_word(&status) {
            tracing::warn!(%error, "why an update is not taken was not kept");
        }
        self.say(status);
        self.tell(installed).await
    }

    /// Tells the relay how far it is; what it offers in return comes again with the next round.
    async fn tell(&mut self, installed: &Installed) -> Result<(), CloudError> {
        let status = self.status();
        self.cloud.report_update(&report(installed, &status, false)).await?;
        self.told = Some(status);
        Ok(())
    }

    fn say(&mut self, status: Status) {
        self.own = Some((status, self.installer()));
    }

    fn status(&self) -> Status {
        let installer = self.installer();
        match &self.own {
            Some((own, then)) if *then == installer && !self.was_taken(own) => own.clone(),
            _ => installer,
        }
    }

    /// Returns whether the installer has taken what was laid down for it. It may say of that exactly what
    /// it said of the last one.
    fn was_taken(&self, own: &Status) -> bool {
        own.state == UpdateState::Waiting && !self.spool.has_request()
    }

    fn installer(&self) -> Status {
        Status::read(&self.layout).unwrap_or(Status::IDLE)
    }

    /// Returns whether the installer has something, or is to take it.
    fn is_under_way(&self) -> bool {
        matches!(
            self.status().state,
            UpdateState::Waiting | UpdateState::Installing | UpdateState::OnTrial
        )
    }
}

/// Draws a time around one, so that many cameras do not ask at once.
fn spread(around: Duration) -> Duration {
    around.mul_f64(0.75 + chance() / 2.0)
}

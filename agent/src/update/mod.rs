//! Updates: asks the relay what there is, downloads in the background, checks, and lays it where the
//! installer takes it. Nothing here has the right to install: `nightjar-update` does that as root,
//! and checks everything again.

mod spool;
mod task;

use std::{path::PathBuf, sync::Arc, time::Duration};

use nightjar_shared::release::{UpdateAnswer, UpdateReport};
use nightjar_update::{Failure, Installed, Layout, handover::Status, installed};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::spool::last_word;
use self::task::Updates;
use crate::{
    clock::Clock,
    cloud::{Cloud, CloudError, Pace},
    machine::blocking,
};

/// Downloads leave room for footage and viewers. A package of 25 MB takes less than a minute.
const DOWNLOAD_KBPS: u32 = 4_000;

/// What updates need of the rest of the agent.
pub struct UpdateEnds {
    pub cloud: Cloud,
    pub clock: Clock,
    pub data_dir: PathBuf,
    /// Where dpkg's database and the installer's files are.
    pub layout: Layout,
    /// Notified when a person wants an update now.
    pub asked: Arc<Notify>,
}

/// Looks for updates until cancelled.
pub fn start(ends: UpdateEnds, tracker: &TaskTracker, cancel: CancellationToken) {
    let pace = Pace::new(ends.clock.clone());
    pace.set_max_kbps(Some(DOWNLOAD_KBPS));
    let updates = Updates::new(ends, pace);
    tracker.spawn(async move {
        cancel.run_until_cancelled(updates.run()).await;
    });
}

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("the agent was not installed as a package, so nothing can update it")]
    NoPackage,
    #[error(transparent)]
    Dpkg(#[from] Failure),
    #[error(transparent)]
    Relay(#[from] CloudError),
}

/// Asks once what there is, without installing it.
pub async fn ask(cloud: &Cloud, layout: &Layout) -> Result<(Installed, UpdateAnswer), AskError> {
    let installed = look(layout).await?.ok_or(AskError::NoPackage)?;
    let status = Status::read(layout).unwrap_or(Status::IDLE);
    let answer = cloud.report_update(&report(&installed, &status, true)).await?;
    Ok((installed, answer))
}

/// Asks dpkg, which is a process of its own.
async fn look(layout: &Layout) -> Result<Option<Installed>, Failure> {
    let layout = layout.clone();
    let looked = blocking(move || installed(&layout)).await;
    looked.unwrap_or_else(|error| {
        Err(Failure::new(
            nightjar_shared::release::UpdateProblem::Failed,
            format!("dpkg cannot be asked: {error}"),
        ))
    })
}

fn report(installed: &Installed, status: &Status, asked: bool) -> UpdateReport {
    UpdateReport {
        protocol: nightjar_shared::PROTOCOL_VERSION,
        version: installed.version.clone(),
        architecture: installed.architecture.clone(),
        state: status.state,
        target: status.target.clone(),
        problem: status.problem,
        detail: status.detail.clone(),
        asked,
    }
}

/// How often is asked, and how soon after the start. Cameras that came back together do not ask
/// together.
const FIRST: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_hours(1);
/// After a failure, growing.
const AGAIN: Duration = Duration::from_secs(30);

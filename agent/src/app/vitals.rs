//! Tells the installer of updates, every other second, that the agent does its work: by a file in the
//! runtime directory, which systemd makes. Without one nobody judges.

use std::{env, fs, io, path::PathBuf, process, time::Duration};

use nightjar_core::update::Expectation;
use nightjar_update::handover::{VITALS_FILE, Vitals};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{kept::Switches, watchdog};
use crate::{
    clock::Clock,
    config::RecordingMode,
    encode::{CaptureStatus, Media},
    record::{RecordStatus, Recorder},
    store::Store,
};
use nightjar_shared::configuration::Configuration;

const EVERY: Duration = Duration::from_secs(2);
/// Set by systemd; of several directories, the first.
const RUNTIME_DIRECTORY: &str = "RUNTIME_DIRECTORY";

/// Where the agent's work shows.
pub(super) struct VitalSources {
    pub(super) media: Media,
    pub(super) recorder: Recorder,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) switches: watch::Receiver<Switches>,
    pub(super) configuration: watch::Receiver<Configuration>,
}

impl VitalSources {
    pub(super) async fn run(self, cancel: CancellationToken) {
        let Some(directory) = runtime_directory() else { return cancel.cancelled().await };
        let (capture, record) = (self.media.status(), self.recorder.status());
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failed = false;
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            let vitals = Vitals {
                pid: process::id(),
                uptime_ms: self.clock.uptime_ms(),
                does: self.does(&capture.borrow(), &record.borrow()),
            };
            let written = write(&directory, &vitals);
            if let (Err(error), false) = (&written, failed) {
                tracing::warn!(%error, "an update could not be judged: the runtime directory");
            }
            failed = written.is_err();
        }
    }

    /// In privacy mode the camera does what its owner wants: neither is missing.
    fn does(&self, capture: &CaptureStatus, record: &RecordStatus) -> Expectation {
        let private = self.switches.borrow().privacy;
        let is_to_record = self.configuration.borrow().recording_mode != Some(RecordingMode::Off);
        let writes =
            watchdog::writes(record, self.recorder.last_written_at(), self.clock.monotonic());
        Expectation {
            captures: private || (capture.running && capture.problem.is_none()),
            records: private || (is_to_record && writes && record.problem.is_none()),
            connected: self.store.has_reached_relay(),
        }
    }
}

fn runtime_directory() -> Option<PathBuf> {
    let directories = env::var_os(RUNTIME_DIRECTORY)?;
    env::split_paths(&directories).next().filter(|path| path.is_absolute())
}

/// The directory lies in memory: there is nothing to sync.
fn write(directory: &std::path::Path, vitals: &Vitals) -> io::Result<()> {
    let (path, temporary) = (directory.join(VITALS_FILE), directory.join("vitals.new"));
    fs::write(&temporary, serde_json::to_vec(vitals)?)?;
    fs::rename(temporary, path)
}

//! The camera's health: gathered from all parts, told to the relay every 30 s and when something
//! changes that a person would care about.

use std::{path::PathBuf, time::Duration};

use nightjar_shared::{
    PROTOCOL_VERSION,
    event::{CaptureHealth, Health},
    ids::BootId,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::control::Switches;
use crate::{
    clock::{clock_state, unix_now, uptime_ms},
    config::SourceKind,
    frame::CaptureStatus,
    store::Store,
};

const EVERY: Duration = Duration::from_secs(30);
/// Changes that come together are told together.
const SETTLE: Duration = Duration::from_millis(200);

/// Where health is read.
pub(super) struct HealthSources {
    pub(super) boot_id: BootId,
    pub(super) source: SourceKind,
    pub(super) data_dir: PathBuf,
    pub(super) store: Store,
    pub(super) capture: watch::Receiver<CaptureStatus>,
    pub(super) switches: watch::Receiver<Switches>,
}

impl HealthSources {
    pub(super) async fn run(
        mut self,
        health: watch::Sender<Option<Health>>,
        cancel: CancellationToken,
    ) {
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep_until(due) => {}
                true = self.changed() => {
                    let soon = Instant::now() + SETTLE;
                    if due > soon && self.differs(&health) {
                        due = soon;
                    }
                    continue;
                }
            }
            health.send_replace(Some(self.gather().await));
            due = Instant::now() + EVERY;
        }
    }

    /// False when a part has ended: then only the clock is left.
    async fn changed(&mut self) -> bool {
        let changed = tokio::select! {
            changed = self.capture.changed() => changed,
            changed = self.switches.changed() => changed,
        };
        changed.is_ok()
    }

    /// Whether more than measurements changed.
    fn differs(&self, told: &watch::Sender<Option<Health>>) -> bool {
        let told = told.borrow();
        let Some(told) = told.as_ref() else { return true };
        let (capture, switches) = (self.capture.borrow(), self.switches.borrow());
        told.capture.running != capture.running
            || told.capture.problem != capture.problem
            || told.capture.encoder != capture.encoder
            || told.armed != switches.armed
            || told.privacy != switches.privacy
    }

    async fn gather(&self) -> Health {
        let (disk_free_bytes, disk_problem) = self.disk_free();
        let (queue_length, index_problem) = match self.store.queue_length().await {
            Ok(length) => (length, None),
            Err(error) => (0, Some(error.to_string())),
        };
        let capture = self.capture.borrow().clone();
        let switches = *self.switches.borrow();
        let errors = [capture.problem.clone(), disk_problem, index_problem];
        Health {
            protocol: PROTOCOL_VERSION,
            at: unix_now(),
            clock: clock_state(),
            boot_id: self.boot_id,
            uptime_ms: uptime_ms(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            capture: CaptureHealth {
                running: capture.running,
                source: self.source.as_str().to_owned(),
                encoder: capture.encoder,
                width: capture.width,
                height: capture.height,
                fps: capture.fps,
                problem: capture.problem,
            },
            armed: switches.armed,
            privacy: switches.privacy,
            recording: false,
            disk_free_bytes,
            retention_days: 0.0,
            queue_length,
            viewers: 0,
            errors: errors.into_iter().flatten().collect(),
        }
    }

    fn disk_free(&self) -> (u64, Option<String>) {
        match rustix::fs::statvfs(&self.data_dir) {
            Ok(space) => (space.f_bavail.saturating_mul(space.f_frsize), None),
            Err(error) => (0, Some(format!("the disk's free space is unknown: {error}"))),
        }
    }
}

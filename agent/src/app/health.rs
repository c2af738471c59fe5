//! The camera's health: gathered from all parts, told to the relay every 30 s and when something
//! changes that a person would care about.

use std::{path::PathBuf, time::Duration};

use nightjar_shared::{
    PROTOCOL_VERSION,
    configuration::Configuration,
    event::{CaptureHealth, Health, SfuHealth},
    finding::{Finding, Verdict},
    ids::BootId,
    time::UnixMillis,
};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::kept::Switches;
use crate::{
    board::{SystemRoot, heat::temperature},
    clock::Clock,
    config::SourceKind,
    doctor,
    encode::CaptureStatus,
    night::NightStatus,
    record::{RecordStatus, RetentionStatus},
    store::Store,
};

/// How often health is reported.
const EVERY: Duration = Duration::from_secs(30);
/// How long changes are gathered, so that those that come together are reported together.
const SETTLE: Duration = Duration::from_millis(200);

/// The parts that health is read from.
pub(super) struct HealthSources {
    pub(super) clock: Clock,
    pub(super) boot_id: BootId,
    pub(super) source: SourceKind,
    pub(super) data_dir: PathBuf,
    pub(super) store: Store,
    pub(super) capture: watch::Receiver<CaptureStatus>,
    pub(super) record: watch::Receiver<RecordStatus>,
    pub(super) viewers: watch::Receiver<u32>,
    pub(super) sfu: watch::Receiver<Option<SfuHealth>>,
    pub(super) night: watch::Receiver<NightStatus>,
    pub(super) switches: watch::Receiver<Switches>,
    pub(super) scheduled_off: watch::Receiver<bool>,
    pub(super) configuration: watch::Receiver<Configuration>,
    /// What is not as it could be with the network.
    pub(super) network: watch::Receiver<Vec<Finding>>,
}

/// What the board said of itself when health was last gathered.
#[derive(Debug, Default)]
struct BoardReport {
    temperature_celsius: Option<f32>,
    /// What is not as it could be.
    findings: Vec<Finding>,
}

impl HealthSources {
    pub(super) async fn run(
        mut self,
        system: SystemRoot,
        health: watch::Sender<Option<Health>>,
        cancel: CancellationToken,
    ) {
        let mut board = BoardReport::default();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep_until(due) => {}
                true = self.changed() => {
                    let soon = Instant::now() + SETTLE;
                    if due > soon && self.differs(&health, &board) {
                        due = soon;
                    }
                    continue;
                }
            }
            board = self.look_at_board(&system).await.unwrap_or(board);
            health.send_replace(Some(self.gather(&board).await));
            due = Instant::now() + EVERY;
        }
    }

    /// Reads the kernel's files, which may block.
    async fn look_at_board(&self, system: &SystemRoot) -> Option<BoardReport> {
        let (system, data_dir) = (system.clone(), self.data_dir.clone());
        let read = spawn_blocking(move || {
            let mut findings = doctor::examine_board(&data_dir, &system);
            findings.extend(doctor::examine_updates(&data_dir, &system));
            findings.retain(|finding| finding.verdict != Verdict::Good);
            let temperature_celsius = temperature(&system).map(|it| it.celsius);
            BoardReport { temperature_celsius, findings }
        });
        read.await.inspect_err(|error| tracing::error!(%error, "the board cannot be read")).ok()
    }

    /// Lists what is not as it could be, as `doctor` says it.
    fn findings(&self, board: &BoardReport) -> Vec<Finding> {
        board.findings.iter().chain(self.network.borrow().iter()).cloned().collect()
    }

    /// Waits for a change. Returns false when a part has ended: then only the clock is left.
    async fn changed(&mut self) -> bool {
        let changed = tokio::select! {
            changed = self.capture.changed() => changed,
            changed = self.record.changed() => changed,
            changed = self.viewers.changed() => changed,
            Ok(()) = self.sfu.changed() => Ok(()),
            Ok(()) = self.night.changed() => Ok(()),
            Ok(()) = self.network.changed() => Ok(()),
            changed = self.switches.changed() => changed,
            changed = self.scheduled_off.changed() => changed,
        };
        changed.is_ok()
    }

    /// Returns whether more than measurements changed since the last report.
    fn differs(&self, told: &watch::Sender<Option<Health>>, board: &BoardReport) -> bool {
        let told = told.borrow();
        let Some(told) = told.as_ref() else { return true };
        let (capture, switches) = (self.capture.borrow(), self.switches.borrow());
        told.capture.running != capture.running
            || told.capture.problem != capture.problem
            || told.capture.encoder != capture.encoder
            || told.capture.transcoded != capture.transcoded
            || told.errors != self.errors()
            || told.recording != self.record.borrow().recording
            || told.manual_recording != self.record.borrow().manual_recording
            || told.viewers != *self.viewers.borrow()
            || told.sfu != *self.sfu.borrow()
            || told.armed != switches.armed
            || told.scheduled_off != *self.scheduled_off.borrow()
            || told.privacy != switches.privacy
            || told.findings != self.findings(board)
    }

    async fn gather(&self, board: &BoardReport) -> Health {
        let queue_length = self.store.queue_length().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the length of the queue is unknown");
            0
        });
        let oldest = self.store.oldest_in_queue().await.unwrap_or(None);
        let queue_age_ms = oldest.map(|since| {
            u64::try_from(self.clock.unix().since(since).as_millis()).unwrap_or(u64::MAX)
        });
        let capture = self.capture.borrow().clone();
        let record = self.record.borrow().clone();
        let switches = *self.switches.borrow();
        Health {
            protocol: PROTOCOL_VERSION,
            at: self.clock.unix(),
            clock: self.clock.state(),
            boot_id: self.boot_id,
            uptime_ms: self.clock.uptime_ms(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            capture: CaptureHealth {
                running: capture.running,
                source: self.source.as_str().to_owned(),
                encoder: capture.encoder,
                transcoded: capture.transcoded,
                width: capture.width,
                height: capture.height,
                fps: capture.fps,
                problem: capture.problem,
            },
            armed: switches.armed,
            scheduled_off: *self.scheduled_off.borrow(),
            privacy: switches.privacy,
            recording: record.recording,
            manual_recording: record.manual_recording,
            disk_free_bytes: self.disk_free_bytes(),
            disk_total_bytes: self.disk_total_bytes(),
            recordings_bytes: record.retention.used_bytes,
            retention_days: record.retention.oldest_at.map_or(0.0, |at| self.days_since(at)),
            retention_horizon_days: self.retention_horizon_days(&record.retention),
            queue_length,
            queue_age_ms,
            write_errors: record.write_errors,
            viewers: *self.viewers.borrow(),
            sfu: self.sfu.borrow().clone(),
            temperature_celsius: board.temperature_celsius,
            errors: self.errors(),
            notes: capture.lost_packets.map(loss).into_iter().collect(),
            findings: self.findings(board),
        }
    }

    /// Lists what is wrong now, in one sentence each.
    fn errors(&self) -> Vec<String> {
        let CaptureStatus { problem, image_problem, .. } = self.capture.borrow().clone();
        let capture = problem.into_iter().chain(image_problem);
        let night = self.night.borrow().problems.clone();
        let sfu = self.sfu.borrow().as_ref().and_then(|sfu| sfu.problem.clone());
        let sfu = sfu.map(|problem| format!("live pictures are not published: {problem}"));
        capture.chain(self.record.borrow().problems()).chain(sfu).chain(night).collect()
    }

    fn disk_total_bytes(&self) -> u64 {
        rustix::fs::statvfs(&self.data_dir)
            .map_or(0, |space| space.f_blocks.saturating_mul(space.f_frsize))
    }

    /// Forecasts how far back the recordings will reach at the pace of those that are there.
    fn retention_horizon_days(&self, retention: &RetentionStatus) -> Option<f32> {
        let budget = self.configuration.borrow().max_bytes?;
        let reach_days = self.days_since(retention.oldest_at?);
        horizon_days(reach_days, retention.used_bytes, budget)
    }

    fn disk_free_bytes(&self) -> u64 {
        rustix::fs::statvfs(&self.data_dir)
            .map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn days_since(&self, time: UnixMillis) -> f32 {
        self.clock.unix().since(time).as_secs_f32() / 86_400.0
    }
}

/// The shortest time over which a pace says anything.
const PACE_DAYS_MIN: f32 = 1.0 / 24.0;

fn loss(packets: u64) -> String {
    format!(
        "{packets} packets of the camera were lost since it was connected to; after each loss nothing \
         is seen and recorded up to its next key frame: see the network, or set source.rtsp.transport \
         to \"tcp\""
    )
}

#[expect(clippy::cast_precision_loss, reason = "a forecast needs no more digits")]
fn horizon_days(reach_days: f32, used_bytes: u64, budget_bytes: u64) -> Option<f32> {
    if used_bytes == 0 || reach_days < PACE_DAYS_MIN {
        return None;
    }
    Some(reach_days * (budget_bytes as f32 / used_bytes as f32).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_reaches_as_far_as_it_does_and_a_half_full_one_twice_as_far() {
        assert_eq!(horizon_days(6.0, 1_000, 1_000), Some(6.0));
        assert_eq!(horizon_days(6.0, 1_000, 2_000), Some(12.0));
        assert_eq!(horizon_days(6.0, 3_000, 2_000), Some(6.0));
    }

    #[test]
    fn without_footage_or_after_minutes_nobody_can_tell() {
        assert_eq!(horizon_days(0.0, 0, 1_000), None);
        assert_eq!(horizon_days(0.01, 10, 1_000), None);
    }
}

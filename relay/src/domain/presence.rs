//! When a camera counts as being there: decisions only, `cameras` carries them out.

use std::time::Duration;

use nightjar_shared::{camera::CameraStatus, event::Health, time::UnixMillis};

use crate::app::heard::{SILENCE_MAX as SILENCE_MAX_OF_HEALTH, WRITTEN_EVERY};

/// A camera whose connection ended may be back before anybody is told.
const DEBOUNCE: Duration = Duration::from_secs(5);
/// Without a connection, a sign of life is good for this long.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Of health that was heard here.
pub(super) const HEALTH_AGE_MAX: Duration = SILENCE_MAX_OF_HEALTH;
/// Of health that is only known from the database: what is the same is written down every few minutes.
pub(super) const WRITTEN_HEALTH_AGE_MAX: Duration =
    SILENCE_MAX_OF_HEALTH.saturating_add(WRITTEN_EVERY);

/// Returns when a camera that was just heard from becomes offline, if nothing else happens: never,
/// while its connection stands, because the broker notices its end.
pub(super) fn offline_due_at(connected: bool, now: UnixMillis) -> Option<UnixMillis> {
    (!connected).then(|| now.plus(SILENCE_MAX))
}

/// Returns when a camera that left becomes offline.
pub(super) fn left_due_at(now: UnixMillis) -> UnixMillis {
    now.plus(DEBOUNCE)
}

/// Returns when cameras that were online before the relay's restart become offline, unless they are
/// back.
pub(super) fn restarted_due_at(now: UnixMillis) -> UnixMillis {
    now.plus(SILENCE_MAX)
}

/// Returns the latest time at which one that leaves now may become offline: a later one was written by a clock
/// that was ahead.
pub(super) fn put_off_max(now: UnixMillis) -> UnixMillis {
    now.plus(2 * SILENCE_MAX)
}

pub(super) fn status(
    online: bool,
    paired_at: UnixMillis,
    health: Option<(&Health, UnixMillis)>,
    age_max: Duration,
    now: UnixMillis,
) -> CameraStatus {
    if !online {
        return CameraStatus::Offline;
    }
    let (well, heard_at) = match health {
        Some((health, at)) => (health.errors.is_empty() && is_capturing(health), at),
        // A new camera has not said anything yet.
        None => (true, paired_at),
    };
    let fresh = health.is_none() || now.since(heard_at) <= age_max;
    if well && fresh { CameraStatus::Online } else { CameraStatus::Degraded }
}

/// Returns whether pictures come, or need not: in privacy mode nothing is captured, and that is
/// right.
fn is_capturing(health: &Health) -> bool {
    health.privacy || (health.capture.running && health.capture.problem.is_none())
}

/// How a camera's disk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Disk {
    Well,
    /// Neither well nor in trouble: who was told of trouble is not told that it is over.
    Between,
    /// In a sentence.
    Trouble(String),
}

/// A camera makes room for itself far above this; below it, something else fills the disk, or nothing more
/// can be deleted.
const LOW_PERCENT: u64 = 2;
/// Trouble is over well above where it begins, so that nobody is told of it by the hour.
const WELL_PERCENT: u64 = 4;

/// Judges a camera's disk by what it says.
pub(super) fn disk(health: &Health) -> Disk {
    let (free, total) = (health.disk_free_bytes, health.disk_total_bytes);
    let is_below = |percent: u64| total > 0 && free < total / 100 * percent;
    if health.write_errors > 0 {
        Disk::Trouble("Footage could not be written.".to_owned())
    } else if is_below(LOW_PERCENT) {
        Disk::Trouble(format!("{} MB are free.", free / 1_000_000))
    } else if is_below(WELL_PERCENT) {
        Disk::Between
    } else {
        Disk::Well
    }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::{event::CaptureHealth, ids::BootId, time::ClockState};
    use uuid::Uuid;

    use super::*;

    fn health() -> Health {
        Health {
            protocol: 1,
            at: UnixMillis(0),
            clock: ClockState::Synced,
            boot_id: BootId::from(Uuid::nil()),
            uptime_ms: 0,
            agent_version: "0.1.0".to_owned(),
            capture: CaptureHealth {
                running: true,
                source: "synthetic".to_owned(),
                encoder: "x264enc".to_owned(),
                transcoded: None,
                width: 1280,
                height: 720,
                fps: 15.0,
                problem: None,
            },
            armed: true,
            scheduled_off: false,
            privacy: false,
            recording: false,
            manual_recording: false,
            disk_free_bytes: 0,
            disk_total_bytes: 0,
            recordings_bytes: 0,
            retention_days: 0.0,
            retention_horizon_days: None,
            queue_length: 0,
            queue_age_ms: None,
            write_errors: 0,
            viewers: 0,
            sfu: None,
            temperature_celsius: None,
            errors: Vec::new(),
            notes: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn status_of(health: &Health, age_s: i64) -> CameraStatus {
        let now = UnixMillis(1_000_000);
        let at = UnixMillis(now.0 - age_s * 1000);
        status(true, UnixMillis(0), Some((health, at)), HEALTH_AGE_MAX, now)
    }

    #[test]
    fn a_camera_that_is_well_is_online() {
        assert_eq!(status_of(&health(), 30), CameraStatus::Online);
    }

    #[test]
    fn trouble_and_long_silence_degrade_it() {
        let mut full = health();
        full.errors.push("the disk is full".to_owned());
        assert_eq!(status_of(&full, 1), CameraStatus::Degraded);
        let mut blind = health();
        blind.capture.running = false;
        assert_eq!(status_of(&blind, 1), CameraStatus::Degraded);
        assert_eq!(status_of(&health(), 91), CameraStatus::Degraded);
    }

    #[test]
    fn privacy_is_no_trouble() {
        let mut private = health();
        private.privacy = true;
        private.capture.running = false;
        assert_eq!(status_of(&private, 1), CameraStatus::Online);
    }

    #[test]
    fn a_disk_that_is_full_or_fails_is_trouble_and_one_of_unknown_size_is_not() {
        let disk_of = |free, total, write_errors| {
            disk(&Health {
                disk_free_bytes: free,
                disk_total_bytes: total,
                write_errors,
                ..health()
            })
        };
        assert_eq!(disk_of(0, 0, 0), Disk::Well);
        assert_eq!(disk_of(50_000_000_000, 100_000_000_000, 0), Disk::Well);
        assert_eq!(disk_of(3_000_000_000, 100_000_000_000, 0), Disk::Between);
        let full = Disk::Trouble("1000 MB are free.".to_owned());
        assert_eq!(disk_of(1_000_000_000, 100_000_000_000, 0), full);
        assert!(matches!(disk_of(u64::MAX, u64::MAX, 1), Disk::Trouble(_)));
    }

    #[test]
    fn an_offline_camera_is_offline_however_well_it_was() {
        let now = UnixMillis(0);
        let health = health();
        let told = Some((&health, now));
        assert_eq!(status(false, now, told, HEALTH_AGE_MAX, now), CameraStatus::Offline);
    }

    #[test]
    fn a_standing_connection_needs_no_other_sign_of_life() {
        let now = UnixMillis(0);
        assert_eq!(offline_due_at(true, now), None);
        assert_eq!(offline_due_at(false, now), Some(UnixMillis(30_000)));
    }
}

//! The one place that reads clocks. Pure cores take `now` instead.

use std::{fs, io, time::Duration};

use nightjar_core::monotonic::MonotonicNanos;
use nightjar_shared::{
    ids::BootId,
    time::{ClockState, UnixMillis},
};
use rustix::time::{ClockId, clock_gettime};

pub fn monotonic_now() -> MonotonicNanos {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    MonotonicNanos(seconds * 1_000_000_000 + nanos)
}

/// Milliseconds since boot, suspend included.
pub fn uptime_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that others take `now` from")]
pub fn unix_now() -> UnixMillis {
    std::time::SystemTime::now().into()
}

/// The wall-clock time at which a frame was captured.
pub fn unix_time_of(at: MonotonicNanos) -> UnixMillis {
    unix_now().minus(monotonic_now().since(at))
}

/// 1 November 2026: where nobody says when the agent was built, it was not before.
const FIRST_BUILD_S: i64 = 1_793_491_200;
/// No agent is in use for so long: a later wall clock has been set wrong.
const LONGEST_LIFE: Duration = Duration::from_hours(20 * 365 * 24);

/// When this program was built: no correct clock says less. `SOURCE_DATE_EPOCH` (Unix seconds),
/// which reproducible builds set, tells it at compile time.
pub fn built_at() -> UnixMillis {
    let told = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    UnixMillis(told.unwrap_or(FIRST_BUILD_S).max(FIRST_BUILD_S) * 1_000)
}

/// Whether the network has set the clock, as systemd-timesyncd tells; without it, whether the
/// time is plausible at all.
pub fn clock_state() -> ClockState {
    let timesync_runs = fs::exists("/run/systemd/timesync").unwrap_or(false);
    let timesync_done = fs::exists("/run/systemd/timesync/synchronized").unwrap_or(false);
    let plausible = built_at()..built_at().plus(LONGEST_LIFE);
    if !plausible.contains(&unix_now()) || (timesync_runs && !timesync_done) {
        ClockState::Unsynced
    } else {
        ClockState::Synced
    }
}

/// The wall clock, when it can be trusted: a schedule goes by a clock that is right, or not at all.
pub fn trusted_now() -> Option<UnixMillis> {
    (clock_state() == ClockState::Synced).then(unix_now)
}

/// When the wall clock says that this boot began. It changes when the clock is set.
pub fn boot_at() -> UnixMillis {
    unix_now().minus(Duration::from_millis(uptime_ms()))
}

/// The kernel's name for this boot.
pub fn boot_id() -> io::Result<BootId> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    text.trim().parse().map_err(io::Error::other)
}

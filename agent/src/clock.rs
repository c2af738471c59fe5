//! The one place that reads clocks. Pure cores take `now` instead.

use std::{fs, io, time::Duration};

use nightjar_shared::{
    ids::BootId,
    time::{ClockState, UnixMillis},
};
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`, which is also what GStreamer's system clock counts.
/// Frames carry it from capture on, so that durations never depend on the wall clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonotonicNanos(pub u64);

impl MonotonicNanos {
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

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

/// Before 2025 no agent existed: an earlier wall clock has not been set.
const EARLIEST_PLAUSIBLE: UnixMillis = UnixMillis(1_735_689_600_000);

/// Whether the network has set the clock, as systemd-timesyncd tells; without it, whether the
/// time is plausible at all.
pub fn clock_state() -> ClockState {
    let timesync_runs = fs::exists("/run/systemd/timesync").unwrap_or(false);
    let timesync_done = fs::exists("/run/systemd/timesync/synchronized").unwrap_or(false);
    if unix_now() < EARLIEST_PLAUSIBLE || (timesync_runs && !timesync_done) {
        ClockState::Unsynced
    } else {
        ClockState::Synced
    }
}

/// The kernel's name for this boot.
pub fn boot_id() -> io::Result<BootId> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    text.trim().parse().map_err(io::Error::other)
}

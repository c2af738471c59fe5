//! The one place that reads clocks. Tasks ask the [`Clock`] that `app` gives them, pure cores take
//! `now`.

mod simulated;

use std::{fs, io, time::Duration};

use nightjar_core::monotonic::MonotonicNanos;
use nightjar_shared::{
    ids::BootId,
    time::{ClockState, UnixMillis},
};
use rustix::time::{ClockId, clock_gettime};

pub use self::simulated::SimulatedClock;

/// 1 November 2026: where nobody says when the agent was built, it was not before.
const FIRST_BUILD_S: i64 = 1_793_491_200;
/// No agent is in use for so long: a later wall clock has been set wrong.
const LONGEST_LIFE: Duration = Duration::from_hours(20 * 365 * 24);

/// Tells the time: that of the machine, or one that a test or a simulation turns. Clones share one.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// None for the machine's own clocks.
    simulated: Option<SimulatedClock>,
}

impl Clock {
    /// Gives the time that durations are measured by. Setting the wall clock does not change it.
    pub fn monotonic(&self) -> MonotonicNanos {
        self.simulated.as_ref().map_or_else(monotonic_now, SimulatedClock::monotonic)
    }

    /// Gives what the wall clock says, right or wrong.
    pub fn unix(&self) -> UnixMillis {
        self.simulated.as_ref().map_or_else(unix_now, SimulatedClock::unix)
    }

    /// Gives the wall clock's time where it can be trusted: a schedule goes by a clock that is right,
    /// or not at all.
    pub fn trusted_unix(&self) -> Option<UnixMillis> {
        (self.state() == ClockState::Synced).then(|| self.unix())
    }

    /// Gives the milliseconds since boot, suspend included.
    pub fn uptime_ms(&self) -> u64 {
        self.simulated.as_ref().map_or_else(uptime_ms, SimulatedClock::uptime_ms)
    }

    /// Says whether the wall clock is right.
    pub fn state(&self) -> ClockState {
        self.simulated.as_ref().map_or_else(clock_state, SimulatedClock::state)
    }

    /// Gives the wall-clock time at which something happened, such as the capture of a frame.
    pub fn unix_time_of(&self, at: MonotonicNanos) -> UnixMillis {
        self.unix().minus(self.monotonic().since(at))
    }

    /// Gives the uptime at which something happened.
    pub fn uptime_ms_of(&self, at: MonotonicNanos) -> u64 {
        let ago = u64::try_from(self.monotonic().since(at).as_millis()).unwrap_or(u64::MAX);
        self.uptime_ms().saturating_sub(ago)
    }

    /// Gives the time at which this boot began by the wall clock. It changes when that is set.
    pub fn boot_at(&self) -> UnixMillis {
        self.unix().minus(Duration::from_millis(self.uptime_ms()))
    }
}

impl SimulatedClock {
    /// Gives the clock for the tasks under test.
    pub fn clock(&self) -> Clock {
        Clock { simulated: Some(self.clone()) }
    }
}

/// Reads `CLOCK_MONOTONIC`, for what goes by GStreamer's system clock whatever a test does: capture,
/// encoders and the live worker.
pub fn monotonic_now() -> MonotonicNanos {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    MonotonicNanos(seconds * 1_000_000_000 + nanos)
}

/// Reads the machine's wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock that others take `now` from")]
pub fn unix_now() -> UnixMillis {
    std::time::SystemTime::now().into()
}

fn uptime_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Reads the machine's wall clock where it can be trusted.
pub fn trusted_now() -> Option<UnixMillis> {
    Clock::default().trusted_unix()
}

/// Whether the network has set the clock, as systemd-timesyncd tells; without it, whether the
/// time is plausible at all.
fn clock_state() -> ClockState {
    let timesync_runs = fs::exists("/run/systemd/timesync").unwrap_or(false);
    let timesync_done = fs::exists("/run/systemd/timesync/synchronized").unwrap_or(false);
    let plausible = built_at()..built_at().plus(LONGEST_LIFE);
    if !plausible.contains(&unix_now()) || (timesync_runs && !timesync_done) {
        ClockState::Unsynced
    } else {
        ClockState::Synced
    }
}

/// When this program was built: no correct clock says less. `SOURCE_DATE_EPOCH` (Unix seconds),
/// which reproducible builds set, tells it at compile time.
pub fn built_at() -> UnixMillis {
    let told = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
    UnixMillis(told.unwrap_or(FIRST_BUILD_S).max(FIRST_BUILD_S) * 1_000)
}

/// The kernel's name for this boot.
pub fn boot_id() -> io::Result<BootId> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    text.trim().parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn the_machines_clocks_go_and_agree() {
        let clock = Clock::default();
        let at = clock.monotonic();
        let (began, unix) = (clock.boot_at(), clock.unix_time_of(at));
        assert!(clock.monotonic() >= at && clock.unix() >= unix);
        assert!(began < unix && clock.uptime_ms_of(at) <= clock.uptime_ms());
    }

    #[test]
    fn a_simulated_clock_stands_still_until_it_is_turned() {
        let hands = SimulatedClock::standing(NOON);
        let clock = hands.clock();
        let (at, uptime_ms) = (clock.monotonic(), clock.uptime_ms());
        assert_eq!((clock.monotonic(), clock.unix()), (at, NOON));
        hands.advance(Duration::from_millis(1_500));
        assert_eq!(clock.monotonic().since(at), Duration::from_millis(1_500));
        assert_eq!(clock.unix(), NOON.plus(Duration::from_millis(1_500)));
        assert_eq!((clock.unix_time_of(at), clock.uptime_ms_of(at)), (NOON, uptime_ms));
        hands.advance_to(at);
        assert_eq!(clock.unix(), NOON.plus(Duration::from_millis(1_500)), "it never goes back");
    }

    #[test]
    fn setting_the_wall_clock_moves_the_boot_and_no_duration() {
        let hands = SimulatedClock::standing(UnixMillis(0));
        let clock = hands.clock();
        hands.set_state(ClockState::Unsynced);
        assert_eq!(clock.trusted_unix(), None);
        let (at, began) = (clock.monotonic(), clock.boot_at());
        hands.set_unix(NOON);
        hands.set_state(ClockState::Synced);
        assert_eq!((clock.monotonic(), clock.trusted_unix()), (at, Some(NOON)));
        assert_eq!(clock.boot_at().since(began).as_millis(), 1_800_000_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_goes_with_timers_jumps_as_they_do() {
        let clock = SimulatedClock::with_timers(NOON).clock();
        let at = clock.monotonic();
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(clock.monotonic().since(at), Duration::from_hours(1));
        assert_eq!(clock.unix(), NOON.plus(Duration::from_hours(1)));
    }
}

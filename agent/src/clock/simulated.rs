//! A clock for tests and simulations: time passes when they say so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use nightjar_core::monotonic::MonotonicNanos;
use nightjar_shared::time::{ClockState, UnixMillis};
use tokio::time::Instant;

/// How long the machine has been up when its clock begins: pre-rolls reach back from there.
const UP_FOR: Duration = Duration::from_hours(1);

/// Turns the clocks that it gives to tasks. Clones share one.
#[derive(Debug, Clone)]
pub struct SimulatedClock {
    hands: Arc<Hands>,
}

#[derive(Debug)]
struct Hands {
    /// Since when it goes with Tokio's timers. None for a clock that stands still by itself.
    goes_since: Option<Instant>,
    /// How far it was turned by hand, from boot.
    turned_nanos: AtomicU64,
    /// What the wall clock said at boot.
    boot_at_ms: AtomicI64,
    synced: AtomicBool,
}

impl SimulatedClock {
    /// Makes a clock that stands still until it is turned.
    pub fn standing(unix: UnixMillis) -> Self {
        Self::new(unix, None)
    }

    /// Makes a clock that goes with Tokio's timers: in a runtime whose time is paused, it jumps from
    /// one timer to the next.
    pub fn with_timers(unix: UnixMillis) -> Self {
        Self::new(unix, Some(Instant::now()))
    }

    fn new(unix: UnixMillis, goes_since: Option<Instant>) -> Self {
        let hands = Hands {
            goes_since,
            turned_nanos: AtomicU64::new(nanos(UP_FOR)),
            boot_at_ms: AtomicI64::new(unix.minus(UP_FOR).0),
            synced: AtomicBool::new(true),
        };
        Self { hands: Arc::new(hands) }
    }

    /// Lets time pass, for the monotonic clock and the wall clock alike.
    pub fn advance(&self, by: Duration) {
        self.hands.turned_nanos.fetch_add(nanos(by), Ordering::SeqCst);
    }

    /// Lets time pass until then. Does nothing when it is later already.
    pub fn advance_to(&self, at: MonotonicNanos) {
        let gone = self.gone_nanos();
        self.hands.turned_nanos.fetch_max(at.0.saturating_sub(gone), Ordering::SeqCst);
    }

    /// Sets the wall clock, as the network's time or a person does.
    pub fn set_unix(&self, unix: UnixMillis) {
        let boot_at = unix.minus(Duration::from_nanos(self.monotonic().0));
        self.hands.boot_at_ms.store(boot_at.0, Ordering::SeqCst);
    }

    /// Says from now on whether the wall clock is right.
    pub fn set_state(&self, state: ClockState) {
        self.hands.synced.store(state == ClockState::Synced, Ordering::SeqCst);
    }

    pub(super) fn monotonic(&self) -> MonotonicNanos {
        MonotonicNanos(self.hands.turned_nanos.load(Ordering::SeqCst) + self.gone_nanos())
    }

    pub(super) fn unix(&self) -> UnixMillis {
        let boot_at = UnixMillis(self.hands.boot_at_ms.load(Ordering::SeqCst));
        boot_at.plus(Duration::from_nanos(self.monotonic().0))
    }

    pub(super) fn uptime_ms(&self) -> u64 {
        self.monotonic().0 / 1_000_000
    }

    pub(super) fn state(&self) -> ClockState {
        if self.hands.synced.load(Ordering::SeqCst) {
            ClockState::Synced
        } else {
            ClockState::Unsynced
        }
    }

    fn gone_nanos(&self) -> u64 {
        self.hands.goes_since.map_or(0, |since| nanos(since.elapsed()))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

//! Counters of which it is written down, now and then, how far they went on.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::engines::metrics::{Counter, Metrics};

/// A counter, and how much of it is written down.
pub struct Tally {
    counter: Counter,
    written: AtomicU64,
}

impl Tally {
    fn new(counter: Counter) -> Self {
        let written = AtomicU64::new(counter.get());
        Self { counter, written }
    }

    pub fn add(&self, count: u64) {
        self.counter.add(count);
    }

    /// Returns how far it went on since the last time.
    pub fn take(&self) -> u64 {
        let counted = self.counter.get();
        counted.saturating_sub(self.written.swap(counted, Ordering::Relaxed))
    }
}

/// What becomes statistics as it happens: afterwards nothing tells of it.
pub struct Tallies {
    pub refused_sign_ins: Tally,
    pub relayed_bytes: Tally,
}

impl Tallies {
    pub fn new(metrics: &Metrics) -> Self {
        let refused = "Passwords and second factors that were wrong.";
        let relayed = "Bytes that TURN has carried, as they were written down for sites.";
        Self {
            refused_sign_ins: Tally::new(metrics.counter(
                "nightjar_sign_ins_refused_total",
                refused,
                &[],
            )),
            relayed_bytes: Tally::new(metrics.counter(
                "nightjar_relayed_bytes_metered_total",
                relayed,
                &[],
            )),
        }
    }
}

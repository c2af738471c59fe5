//! The delay of an empty path.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// The delay of an empty path is the smallest of one or two such spans. Clocks that drift apart
/// by 100 ppm differ by 2 ms in that time.
const BASE_SPAN: Duration = Duration::from_secs(10);

/// The smallest delay of the last one or two spans.
#[derive(Debug, Default)]
pub(super) struct BaseDelay {
    current: Option<i64>,
    previous: Option<i64>,
    began_at: MonotonicNanos,
}

impl BaseDelay {
    /// Takes in the delay of one more packet, in nanoseconds.
    pub(super) fn observe(&mut self, delay: i64, now: MonotonicNanos) {
        if now.since(self.began_at) >= BASE_SPAN {
            self.previous = self.current.take();
            self.began_at = now;
        }
        self.current = Some(self.current.map_or(delay, |least| least.min(delay)));
    }

    pub(super) fn smallest(&self) -> Option<i64> {
        self.current.into_iter().chain(self.previous).min()
    }
}

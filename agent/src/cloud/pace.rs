//! How fast uploads may be: a token bucket that all of them share.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use nightjar_core::monotonic::MonotonicNanos;
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Sleep, sleep},
};

use crate::clock::Clock;

/// How many bytes are read and sent at a time.
pub(super) const CHUNK_BYTES: usize = 16 * 1024;
/// How long a pause may be that is made up for: a burst must not fill a household's uplink.
const BURST: Duration = Duration::from_millis(250);

/// Bytes a second, or as fast as it goes.
#[derive(Debug, Default)]
struct Bucket {
    bytes_per_s: Option<u64>,
    /// When the bytes that were taken so far are paid for.
    paid_at: MonotonicNanos,
}

impl Bucket {
    /// Takes bytes that are sent now. Returns how long to wait before the next ones.
    fn take(&mut self, bytes: usize, now: MonotonicNanos) -> Duration {
        let Some(bytes_per_s) = self.bytes_per_s else { return Duration::ZERO };
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(bytes_per_s.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_at = self.paid_at.max(now.minus(BURST)).plus(cost);
        self.paid_at.since(now)
    }
}

/// A bandwidth cap. Clones share one.
#[derive(Debug, Clone)]
pub struct Pace {
    clock: Clock,
    bucket: Arc<Mutex<Bucket>>,
}

impl Pace {
    /// Makes one without a cap.
    pub fn new(clock: Clock) -> Self {
        Self { clock, bucket: Arc::default() }
    }

    /// Sets the cap from now on, kbit/s; without one it goes as fast as it can.
    pub fn set_max_kbps(&self, max_kbps: Option<u32>) {
        let mut bucket = self.bucket();
        bucket.bytes_per_s = max_kbps.map(|kbps| u64::from(kbps) * 1_000 / 8);
        bucket.paid_at = MonotonicNanos::default();
    }

    /// Takes bytes that came or go now. Returns how long to wait before the next ones.
    pub(super) fn take(&self, bytes: usize) -> Duration {
        self.bucket().take(bytes, self.clock.monotonic())
    }

    /// Returns the slowest throughput to wait for: `floor`, or half of the cap where that is less, as
    /// two uploads share it.
    pub(super) fn slowest(&self, floor: u64) -> u64 {
        self.bucket().bytes_per_s.map_or(floor, |cap| floor.min(cap / 4))
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads no faster than its pace.
pub(super) struct Paced<R> {
    inner: R,
    pace: Pace,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<R> Paced<R> {
    pub(super) fn new(inner: R, pace: Pace) -> Self {
        Self { inner, pace, pause: None }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Paced<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let wait = self.pace.take(buffer.filled().len() - before);
        self.pause = (!wait.is_zero()).then(|| Box::pin(sleep(wait)));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use nightjar_core::seeded::Seeded;

    use super::*;

    #[test]
    fn the_rate_holds_over_any_stretch_whatever_the_chunks() {
        let mut random = Seeded::new(3);
        for rate in [1_000_u64, 50_000, 2_000_000] {
            let mut bucket = Bucket { bytes_per_s: Some(rate), ..Bucket::default() };
            let begin = MonotonicNanos(1_000_000_000_000);
            let (mut now, mut sent) = (begin, 0_u64);
            for _ in 0..2_000 {
                let bytes = 1 + random.index(CHUNK_BYTES);
                let wait = bucket.take(bytes, now);
                sent += bytes as u64;
                // Some come late.
                now = now.plus(wait).plus(Duration::from_millis(u64::from(random.byte()) / 16));
                let span = (now.since(begin) + BURST).as_nanos();
                let allowed = span * u128::from(rate) / 1_000_000_000 + 1;
                assert!(u128::from(sent) <= allowed, "{sent} bytes, allowed {allowed}");
            }
        }
    }

    #[test]
    fn without_a_cap_nothing_waits() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(usize::MAX, MonotonicNanos(5)), Duration::ZERO);
    }

    #[test]
    fn a_pause_is_made_up_for_by_a_short_burst_alone() {
        let mut bucket = Bucket { bytes_per_s: Some(8_000), ..Bucket::default() };
        let hour = MonotonicNanos(3_600_000_000_000);
        assert_eq!(bucket.take(2_000, hour), Duration::ZERO);
        assert_eq!(bucket.take(8_000, hour), Duration::from_secs(1));
    }
}

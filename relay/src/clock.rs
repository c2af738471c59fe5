//! The one place that reads the wall clock. Everything else takes `now`.

pub mod leap;

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use nightjar_shared::time::UnixMillis;
use tokio::{sync::watch, time::Instant};

#[expect(clippy::disallowed_methods, reason = "this is the clock that others take `now` from")]
pub fn now() -> UnixMillis {
    std::time::SystemTime::now().into()
}

/// Returns how long this process has counted.
fn counted() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed()
}

/// The relay's clock. A test moves it forward to see things expire without waiting.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    source: Source,
    ahead_ms: watch::Sender<i64>,
    /// Of what is ahead, by how much the clock is wrong: that is no time that has passed.
    wrong_ms: Arc<AtomicI64>,
    /// Where it stands still; 0 while it goes.
    stands_at_ms: Arc<AtomicI64>,
}

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    Machine,
    /// Says the first when the timers stand at the second, and goes as they go.
    Timers(UnixMillis, Instant),
}

impl Clock {
    /// Makes a clock that says `at` and goes with tokio's timers, which jump where a simulation
    /// has paused them.
    pub fn with_timers(at: UnixMillis) -> Self {
        Self { source: Source::Timers(at, Instant::now()), ..Self::default() }
    }

    pub fn now(&self) -> UnixMillis {
        let now_ms = match self.stands_at_ms.load(Ordering::Acquire) {
            0 => self.source_ms(),
            stands_at_ms => stands_at_ms,
        };
        UnixMillis(now_ms + *self.ahead_ms.borrow())
    }

    fn source_ms(&self) -> i64 {
        match self.source {
            Source::Machine => now().0,
            Source::Timers(at, since) => at.plus(since.elapsed()).0,
        }
    }

    /// Lets the clock stand still but for what it is advanced by: what refills with time does not, however
    /// slow the machine is.
    pub fn stand_still(&self) {
        self.stands_at_ms.store(self.source_ms(), Ordering::Release);
    }

    pub fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.send_modify(|ahead_ms| *ahead_ms += millis);
    }

    /// Lets the clock be wrong by so much, as a machine's is that has no battery; 0 sets it right.
    pub fn be_wrong_by(&self, milliseconds: i64) {
        let before = self.wrong_ms.swap(milliseconds, Ordering::AcqRel);
        self.ahead_ms.send_modify(|ahead_ms| *ahead_ms += milliseconds - before);
    }

    /// Returns the time, and how long this process counts: what tests let pass is in both.
    pub fn both(&self) -> (UnixMillis, Duration) {
        let ahead_ms = *self.ahead_ms.borrow() - self.wrong_ms.load(Ordering::Acquire);
        let ahead = Duration::from_millis(u64::try_from(ahead_ms).unwrap_or_default());
        (self.now(), counted().saturating_add(ahead))
    }

    /// Reports every change from now on. One that comes before the last was asked for joins it.
    pub fn advances(&self) -> Advances {
        Advances { ahead_ms: self.ahead_ms.subscribe() }
    }
}

pub struct Advances {
    ahead_ms: watch::Receiver<i64>,
}

impl Advances {
    /// Waits for the next one: outside tests for ever.
    pub async fn next(&mut self) {
        if self.ahead_ms.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

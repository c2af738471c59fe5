//! The one place that reads the wall clock. Everything else takes `now`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use nightjar_shared::time::UnixMillis;

#[expect(clippy::disallowed_methods, reason = "this is the clock that others take `now` from")]
pub fn now() -> UnixMillis {
    std::time::SystemTime::now().into()
}

/// The relay's clock. A test moves it forward to see things expire without waiting.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead_ms: Arc<AtomicI64>,
}

impl Clock {
    pub fn now(&self) -> UnixMillis {
        UnixMillis(now().0 + self.ahead_ms.load(Ordering::Relaxed))
    }

    pub fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.fetch_add(millis, Ordering::Relaxed);
    }
}

//! The one place that reads the wall clock. Everything else takes `now`.

use nightjar_shared::time::UnixMillis;

#[expect(clippy::disallowed_methods, reason = "this is the clock that others take `now` from")]
pub fn now() -> UnixMillis {
    std::time::SystemTime::now().into()
}

//! Work that blocks: done on threads of its own, so that it holds no task up.
//!
//! A simulation has one thread, and the order of everything that happens on it comes from a seed:
//! there such work is done by the task that asks for it.

use std::cell::Cell;

use tokio::task::{JoinError, spawn_blocking, yield_now};

thread_local! {
    static STAYS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Has the tasks of this thread do themselves what blocks, from now on.
pub fn stay_on_this_thread() {
    STAYS_HERE.set(true);
}

/// Does work that blocks. Fails when it panics, and when the runtime stops before it begins.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if STAYS_HERE.get() {
        // Other tasks go on meanwhile, as they do while a thread works.
        yield_now().await;
        return Ok(work());
    }
    spawn_blocking(work).await
}

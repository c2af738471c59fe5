//! Work that blocks: done on threads of its own, so that it holds no task up.
//!
//! A simulation has one thread, and the order of everything that happens on it comes from a seed:
//! there such work is done by the task that asks for it.

use std::{cell::Cell, io, thread};

use tokio::{
    sync::oneshot,
    task::{JoinError, spawn_blocking, yield_now},
};

/// A tenth of the weight of other threads (`sched_prio_to_weight` of the kernel): they go first when they
/// wake. With the lowest priority, 19, a busy machine would let a second's work wait for a minute.
const LOW_PRIORITY: i32 = 10;

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

/// Does long work for which nothing else waits, on a thread of its own that lets others go first. The thread ends with it: an unprivileged one cannot go back to a higher priority. Fails when
/// the work panics.
pub async fn behind_others<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    if STAYS_HERE.get() {
        yield_now().await;
        return Ok(work());
    }
    let (sender, done) = oneshot::channel();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Of this thread alone. Where it is refused, the work is done all the same.
        let _ = rustix::process::setpriority_process(None, LOW_PRIORITY);
        // Whoever asked may have gone.
        let _ = sender.send(work());
    })?;
    done.await.map_err(|_| io::Error::other("the work panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_behind_others_has_the_lowest_priority_and_leaves_that_of_others() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        assert_eq!(behind_others("last", own).await.unwrap(), LOW_PRIORITY);
        assert_eq!(own(), before);
    }

    #[tokio::test]
    async fn a_panic_is_told_to_whoever_waits() {
        let panicked = behind_others("last", || panic!("as the test wants it")).await;
        assert!(panicked.is_err());
    }
}

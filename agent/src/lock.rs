//! Locking that survives another thread's panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose value another thread's panic leaves whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What cameras, sites and accounts use, as it was counted last, with what came since.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nightjar_shared::time::UnixMillis;
use uuid::Uuid;

use crate::config::Amount;

/// Owners that are remembered. When full, all are counted again.
const OWNERS_MAX: usize = 100_000;

/// Counts that are not older than they may be save the database from counting at each message.
#[derive(Default)]
pub struct Usage {
    counted: Mutex<HashMap<Uuid, Counted>>,
}

#[derive(Clone, Copy)]
struct Counted {
    amount: Amount,
    at: UnixMillis,
}

impl Usage {
    /// Returns what is used by the camera, site or account of this id, if it was counted within
    /// `age`.
    pub(crate) fn known(&self, id: Uuid, age: Duration, now: UnixMillis) -> Option<Amount> {
        let counted = *self.lock().get(&id)?;
        // A clock that was set back counts anew.
        (counted.at <= now && now.since(counted.at) <= age).then_some(counted.amount)
    }

    pub(crate) fn note(&self, id: Uuid, amount: Amount, now: UnixMillis) {
        let mut counted = self.lock();
        if counted.len() >= OWNERS_MAX {
            counted.clear();
        }
        counted.insert(id, Counted { amount, at: now });
    }

    /// Counts anew when asked next: something was deleted.
    pub(crate) fn forget(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    /// Adds what is about to be written.
    pub(crate) fn add(&self, id: Uuid, more: Amount) {
        if let Some(counted) = self.lock().get_mut(&id) {
            counted.amount = counted.amount.plus(more);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

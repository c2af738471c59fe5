//! How often somebody may try: token buckets in bounded memory.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nightjar_shared::time::UnixMillis;

use crate::{
    error::{Error, Result},
    network,
};

/// Keys that one limit remembers. A full bucket is forgotten; when none is full, the newcomer is
/// refused, so that a flood of keys cannot wash another key's guesses away.
const KEYS_MAX: usize = 100_000;

/// Every limit of the relay.
pub struct Limits {
    /// Wrong passwords of everybody, for one account: several times what one address may try, so
    /// that nobody at a single one locks the account's owner out, and little enough for guesses
    /// from many: 43,200 a day.
    pub login_by_account: Limit,
    pub login_by_address: Limit,
    pub registration: Limit,
    pub challenge: Limit,
    /// Wrong codes and secrets of one address.
    pub claim_by_address: Limit,
    /// Wrong codes of everybody: with 20^8 codes and a few open pairings, 8,640 guesses a day
    /// hit one with less than one in a million.
    pub claim_by_code: Limit,
    pub commands: Limit,
    pub live: Limit,
    /// Messages with candidates.
    pub trickle: Limit,
    /// Links that one account makes.
    pub shares: Limit,
    /// Links that one address opens: what the database is asked. Nobody guesses 128 bits, and a
    /// player of a clip that grows asks every 3 s.
    pub share_opening: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_by_account: Limit::new(40, Duration::from_secs(2)),
            login_by_address: Limit::new(10, Duration::from_secs(6)),
            registration: Limit::new(20, Duration::from_mins(1)),
            challenge: Limit::new(600, Duration::from_millis(100)),
            claim_by_address: Limit::new(10, Duration::from_secs(30)),
            claim_by_code: Limit::new(100, Duration::from_secs(10)),
            commands: Limit::new(60, Duration::from_secs(1)),
            live: Limit::new(60, Duration::from_secs(1)),
            trickle: Limit::new(200, Duration::from_millis(50)),
            shares: Limit::new(30, Duration::from_secs(10)),
            share_opening: Limit::new(120, Duration::from_millis(250)),
        }
    }
}

/// A bucket for each key: `burst` attempts at once, then one for each `refill` that passes.
pub struct Limit {
    burst: u32,
    refill: Duration,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// When it is, or was, full again.
    full_at: UnixMillis,
}

impl Limit {
    fn new(burst: u32, refill: Duration) -> Self {
        Self { burst, refill, buckets: Mutex::default() }
    }

    /// Takes one attempt, or says when there is one again.
    pub fn take(&self, key: &str, now: UnixMillis) -> Result<()> {
        self.check(key, now)?;
        let mut buckets = self.lock();
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| bucket.full_at > now);
            if buckets.len() >= KEYS_MAX {
                return Err(Error::rate_limited(self.refill.as_secs()));
            }
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket { full_at: now });
        bucket.full_at = bucket.full_at.max(now).plus(self.refill);
        Ok(())
    }

    /// Gives an attempt back that turned out to be a right one.
    pub fn give_back(&self, key: &str) {
        if let Some(bucket) = self.lock().get_mut(key) {
            bucket.full_at = bucket.full_at.minus(self.refill);
        }
    }

    fn check(&self, key: &str, now: UnixMillis) -> Result<()> {
        let full_at = self.lock().get(key).map_or(now, |bucket| bucket.full_at);
        let spent = full_at.since(now);
        let room = self.refill.saturating_mul(self.burst.saturating_sub(1));
        if spent <= room {
            return Ok(());
        }
        Err(Error::rate_limited(spent.saturating_sub(room).as_secs() + 1))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what counts as one address.
pub fn address_key(address: IpAddr) -> String {
    network::of(address).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ProblemCode;

    fn limit() -> Limit {
        Limit::new(3, Duration::from_secs(6))
    }

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1000)
    }

    #[test]
    fn a_burst_passes_and_then_one_each_refill() {
        let limit = limit();
        for _ in 0..3 {
            limit.take("a", at(0)).unwrap();
        }
        assert_eq!(limit.take("a", at(0)).unwrap_err().code(), ProblemCode::RateLimited);
        assert!(limit.take("a", at(5)).is_err());
        limit.take("a", at(6)).unwrap();
        assert!(limit.take("a", at(6)).is_err());
    }

    #[test]
    fn keys_do_not_share() {
        let limit = limit();
        for _ in 0..3 {
            limit.take("a", at(0)).unwrap();
        }
        limit.take("b", at(0)).unwrap();
    }

    #[test]
    fn a_refusal_costs_nothing_more() {
        let limit = limit();
        for _ in 0..100 {
            let _ = limit.take("a", at(0));
        }
        limit.take("a", at(6)).unwrap();
    }

    #[test]
    fn one_address_never_spends_what_an_account_has() {
        let limits = Limits::default();
        for second in 0..3600 {
            for _ in 0..10 {
                if limits.login_by_address.take("a", at(second)).is_ok() {
                    limits.login_by_account.take("alice", at(second)).unwrap();
                }
            }
        }
        // Many do.
        let left = (0..100).filter(|_| limits.login_by_account.take("alice", at(3600)).is_ok());
        assert!((30..=40).contains(&left.count()));
    }

    #[test]
    fn memory_stays_bounded_and_known_keys_are_kept() {
        let limit = limit();
        for _ in 0..3 {
            limit.take("victim", at(0)).unwrap();
        }
        for number in 0..KEYS_MAX {
            let _ = limit.take(&number.to_string(), at(0));
        }
        assert!(limit.lock().len() <= KEYS_MAX);
        assert!(limit.take("victim", at(0)).is_err());
        limit.take("newcomer", at(60)).unwrap();
    }
}

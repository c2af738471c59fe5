//! One limit: a token bucket for each key, in bounded memory.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nightjar_shared::time::UnixMillis;

use crate::error::{Error, Result};

/// Keys that one limit remembers. A full bucket is forgotten; when none is full, the newcomer is
/// refused, so that a flood of keys cannot wash another key's guesses away.
const KEYS_MAX: usize = 100_000;

/// A bucket for each key: `burst` attempts at once, then one for each `refill` that passes. Where waits
/// grow, each further attempt costs twice as long a wait as the one before, up to `wait_max`.
pub struct Limit {
    burst: u32,
    refill: Duration,
    wait_max: Duration,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// When it is, or was, full again.
    full_at: UnixMillis,
    /// Attempts that count for how long the next wait is, and the last of them.
    strikes: u32,
    struck_at: UnixMillis,
    /// When it was looked at last.
    seen_at: UnixMillis,
}

impl Bucket {
    fn new(now: UnixMillis) -> Self {
        Self { full_at: now, strikes: 0, struck_at: now, seen_at: now }
    }

    /// Goes back with a clock that was ahead and was set right: nobody waits for the years between.
    fn follow(&mut self, now: UnixMillis) {
        let back = self.seen_at.since(now);
        self.full_at = self.full_at.minus(back);
        self.struck_at = self.struck_at.minus(back);
        self.seen_at = now;
    }
}

/// Forgets what is remembered of attempts one by one: whoever stops for a day begins anew.
const STRIKE_FORGOTTEN: Duration = Duration::from_mins(30);

impl Limit {
    pub(super) fn new(burst: u32, refill: Duration) -> Self {
        Self::growing(burst, refill, refill)
    }

    /// Makes a limit whose waits grow.
    pub(super) fn growing(burst: u32, refill: Duration, wait_max: Duration) -> Self {
        Self { burst, refill, wait_max, buckets: Mutex::default() }
    }

    /// Takes one attempt, or says when there is one again.
    pub fn take(&self, key: &str, now: UnixMillis) -> Result<()> {
        self.take_many(key, 1, now)
    }

    /// Takes one attempt of an address, where addresses can be told apart.
    pub fn take_at(&self, address: Option<&str>, now: UnixMillis) -> Result<()> {
        address.map_or(Ok(()), |address| self.take(address, now))
    }

    /// Takes something that counts as several attempts: what is worth more than a whole burst may pass
    /// when nothing else did for long.
    pub fn take_many(&self, key: &str, weight: u32, now: UnixMillis) -> Result<()> {
        self.check(key, weight, now)?;
        let mut buckets = self.lock();
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| {
                bucket.follow(now);
                bucket.full_at > now
            });
            if buckets.len() >= KEYS_MAX {
                return Err(Error::rate_limited(self.refill.as_secs()));
            }
        }
        let bucket = buckets.entry(key.to_owned()).or_insert_with(|| Bucket::new(now));
        bucket.follow(now);
        let forgotten = now.since(bucket.struck_at).as_secs() / STRIKE_FORGOTTEN.as_secs();
        bucket.strikes =
            bucket.strikes.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        bucket.strikes = bucket.strikes.saturating_add(weight);
        bucket.struck_at = now;
        let cost = self.cost(bucket.strikes).saturating_mul(weight);
        bucket.full_at = bucket.full_at.max(now).plus(cost);
        Ok(())
    }

    /// Takes one attempt in any case, and returns how long to wait before it is made.
    pub fn reserve(&self, key: &str, now: UnixMillis) -> Duration {
        let mut buckets = self.lock();
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| {
                bucket.follow(now);
                bucket.full_at > now
            });
            if buckets.len() >= KEYS_MAX {
                return self.refill;
            }
        }
        let bucket = buckets.entry(key.to_owned()).or_insert_with(|| Bucket::new(now));
        bucket.follow(now);
        let spent = bucket.full_at.since(now);
        bucket.full_at = bucket.full_at.max(now).plus(self.refill);
        spent.saturating_sub(self.room(1))
    }

    /// Gives an attempt back that turned out to be a right one.
    pub fn give_back(&self, key: &str) {
        self.give_back_many(key, 1);
    }

    pub fn give_back_many(&self, key: &str, weight: u32) {
        if let Some(bucket) = self.lock().get_mut(key) {
            let cost = self.cost(bucket.strikes).saturating_mul(weight);
            bucket.full_at = bucket.full_at.minus(cost);
            bucket.strikes = bucket.strikes.saturating_sub(weight);
        }
    }

    /// Returns how long the wait is that an attempt brings, with those before it that count.
    fn cost(&self, strikes: u32) -> Duration {
        let doublings = strikes.saturating_sub(self.burst).min(31);
        self.refill.saturating_mul(1 << doublings).min(self.wait_max)
    }

    fn check(&self, key: &str, weight: u32, now: UnixMillis) -> Result<()> {
        let spent = self.lock().get_mut(key).map_or(Duration::ZERO, |bucket| {
            bucket.follow(now);
            bucket.full_at.since(now)
        });
        let room = self.room(weight);
        if spent <= room {
            return Ok(());
        }
        Err(Error::rate_limited(spent.saturating_sub(room).as_secs() + 1))
    }

    /// Returns how far from full a bucket may be that still has so many attempts.
    fn room(&self, weight: u32) -> Duration {
        self.refill.saturating_mul(self.burst.saturating_sub(weight))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    fn who_waits_goes_on_at_the_pace_of_the_refill() {
        let limit = limit();
        let waits: Vec<_> = (0..5).map(|_| limit.reserve("a", at(0)).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 6, 12]);
        assert_eq!(limit.reserve("b", at(0)), Duration::ZERO);
        assert_eq!(limit.reserve("a", at(60)), Duration::ZERO);
    }

    #[test]
    fn waits_grow_up_to_a_limit_and_shrink_again_when_it_is_quiet() {
        let limit = Limit::growing(3, Duration::from_secs(6), Duration::from_mins(1));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let began = now;
            while limit.take("a", at(now)).is_err() {
                now += 1;
            }
            waits.push(now - began);
        }
        assert_eq!(waits, [0, 0, 0, 6, 12, 24, 48, 60, 60]);
        let later = now + 3 * 86_400;
        for _ in 0..3 {
            limit.take("a", at(later)).unwrap();
        }
        limit.take("a", at(later)).unwrap_err();
        limit.take("a", at(later + 6)).unwrap();
    }

    #[test]
    fn who_got_it_right_waits_no_longer_for_that() {
        let limit = Limit::growing(3, Duration::from_secs(6), Duration::from_mins(10));
        for _ in 0..100 {
            limit.take("a", at(0)).unwrap();
            limit.give_back("a");
        }
        for _ in 0..3 {
            limit.take("a", at(0)).unwrap();
        }
        limit.take("a", at(0)).unwrap_err();
    }

    #[test]
    fn a_clock_that_was_ahead_and_is_set_right_locks_nobody_out() {
        const YEARS: i64 = 10 * 365 * 86_400;
        let limit = Limit::growing(3, Duration::from_secs(6), Duration::from_mins(10));
        while limit.take("a", at(YEARS)).is_ok() {}
        limit.take("a", at(0)).unwrap_err();
        limit.take("a", at(6)).unwrap();
        let reserved = limit.reserve("b", at(YEARS));
        assert_eq!((reserved, limit.reserve("b", at(1))), (Duration::ZERO, Duration::ZERO));
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
    fn what_counts_as_several_waits_for_several() {
        let limit = limit();
        limit.take_many("a", 2, at(0)).unwrap();
        assert!(limit.take_many("a", 2, at(0)).is_err());
        limit.take_many("a", 2, at(6)).unwrap();
        // More than there ever is room for: alone, and the others wait for it.
        assert!(limit.take_many("a", 5, at(7)).is_err());
        limit.take_many("a", 5, at(60)).unwrap();
        assert!(limit.take("a", at(60 + 17)).is_err());
        limit.take("a", at(60 + 18)).unwrap();
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

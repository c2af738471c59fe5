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
    /// Wrong passwords of all strangers, for one account: 14,410 a day. When they have spent it,
    /// only devices that have signed in before may try, and each has an allowance of its own.
    pub login_by_account: Limit,
    /// Of one address, for any accounts.
    pub login_by_address: Limit,
    /// Of one address, for one account: less than all strangers have together, so that nobody at a
    /// single address locks an owner out who comes with a new device.
    pub login_by_address_and_account: Limit,
    /// Wrong passwords of one known device.
    pub login_by_device: Limit,
    pub registration: Limit,
    /// Right passwords of one account: each costs as much as a wrong one, and leaves a session.
    pub login_success: Limit,
    /// Wrong codes of six digits, of those who know an account's password: a guess hits one in 333,000,
    /// and 298 guesses a day one in a thousand. Who is stopped has backup codes and passkeys.
    pub codes_by_account: Limit,
    /// Wrong backup codes: 60 bits each, so that this is for the database alone.
    pub backup_codes_by_account: Limit,
    /// Wrong passwords and factors at one sign-in, of somebody who is signed in already.
    pub confirmations: Limit,
    /// Questions for any passkey, of one address: a row each.
    pub passkey_questions: Limit,
    /// What one API key asks for.
    pub key_requests: Limit,
    /// Exchanges of refresh tokens from one address: a write each, by whoever asks.
    pub refresh: Limit,
    /// Sockets that one address opens.
    pub sockets: Limit,
    pub challenge: Limit,
    /// Wrong codes and secrets of one address.
    pub claim_by_address: Limit,
    /// Wrong codes of everybody, each counted as often as there are codes that it might hit: of
    /// 20^8 codes, 21,700 a day hit the one that is open with less than one in a million.
    pub claim_by_code: Limit,
    /// Cameras of one address that say that they are there: a picture is kept of each.
    pub announcements: Limit,
    /// Cameras of one address that ask whether somebody has taken them.
    pub announcement_questions: Limit,
    /// Wrong codes of cameras that one account tries, and of everybody's: with the 500 cameras that may
    /// show one, a day of guesses hits any of them with less than one in ten thousand.
    pub taking_by_account: Limit,
    pub taking_by_code: Limit,
    /// What one account asks for, and what it changes.
    pub account_reads: Limit,
    pub account_writes: Limit,
    /// What one camera sends over HTTP, and over MQTT, where it waits instead of being refused.
    pub camera_requests: Limit,
    pub camera_messages: Limit,
    /// Events of one camera. A day without a network with an
    /// event a minute passes at once, a week, which is all that a camera keeps, within eight minutes.
    pub camera_events: Limit,
    /// What one camera asks for to try its network: a place at the TURN server each.
    pub network_checks: Limit,
    /// How often one camera says how far it is with an update; each may be told to open apps.
    pub update_reports: Limit,
    pub commands: Limit,
    pub live: Limit,
    /// Messages with candidates.
    pub trickle: Limit,
    /// Clips of which it is written down each that one account, or one link, saw them.
    pub sights: Limit,
    /// Links that one account makes.
    pub shares: Limit,
    /// Invitations that one account makes.
    pub invitations: Limit,
    /// Invitations that one address opens and takes.
    pub invitation_opening: Limit,
    /// Links that one address opens: what the database is asked. Nobody guesses 128 bits, and a
    /// player of a clip that grows asks every 3 s.
    pub share_opening: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_by_account: Limit::new(10, Duration::from_secs(6)),
            login_by_address: Limit::new(10, Duration::from_secs(6)),
            login_by_address_and_account: Limit::new(8, Duration::from_secs(8)),
            login_by_device: Limit::new(10, Duration::from_secs(6)),
            registration: Limit::new(20, Duration::from_mins(1)),
            login_success: Limit::new(20, Duration::from_secs(6)),
            codes_by_account: Limit::new(10, Duration::from_mins(5)),
            backup_codes_by_account: Limit::new(10, Duration::from_secs(6)),
            confirmations: Limit::new(10, Duration::from_secs(30)),
            passkey_questions: Limit::new(60, Duration::from_secs(1)),
            key_requests: Limit::new(300, Duration::from_millis(100)),
            refresh: Limit::new(120, Duration::from_millis(500)),
            sockets: Limit::new(120, Duration::from_millis(250)),
            account_reads: Limit::new(1_000, Duration::from_millis(10)),
            account_writes: Limit::new(240, Duration::from_millis(50)),
            camera_requests: Limit::new(1_000, Duration::from_millis(20)),
            camera_messages: Limit::new(200, Duration::from_millis(10)),
            camera_events: Limit::new(1_500, Duration::from_millis(50)),
            network_checks: Limit::new(6, Duration::from_mins(1)),
            update_reports: Limit::new(60, Duration::from_secs(10)),
            challenge: Limit::new(600, Duration::from_millis(100)),
            claim_by_address: Limit::new(10, Duration::from_secs(30)),
            claim_by_code: Limit::new(100, Duration::from_secs(4)),
            announcements: Limit::new(20, Duration::from_secs(15)),
            announcement_questions: Limit::new(240, Duration::from_millis(100)),
            taking_by_account: Limit::new(10, Duration::from_secs(30)),
            taking_by_code: Limit::new(100, Duration::from_secs(4)),
            commands: Limit::new(60, Duration::from_secs(1)),
            live: Limit::new(60, Duration::from_secs(1)),
            trickle: Limit::new(200, Duration::from_millis(50)),
            sights: Limit::new(300, Duration::from_secs(6)),
            shares: Limit::new(30, Duration::from_secs(10)),
            invitations: Limit::new(30, Duration::from_secs(10)),
            invitation_opening: Limit::new(60, Duration::from_secs(1)),
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
            buckets.retain(|_, bucket| bucket.full_at > now);
            if buckets.len() >= KEYS_MAX {
                return Err(Error::rate_limited(self.refill.as_secs()));
            }
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket { full_at: now });
        bucket.full_at = bucket.full_at.max(now).plus(self.refill.saturating_mul(weight));
        Ok(())
    }

    /// Takes one attempt in any case, and returns how long to wait before it is made.
    pub fn reserve(&self, key: &str, now: UnixMillis) -> Duration {
        let mut buckets = self.lock();
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(key) {
            buckets.retain(|_, bucket| bucket.full_at > now);
            if buckets.len() >= KEYS_MAX {
                return self.refill;
            }
        }
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket { full_at: now });
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
            bucket.full_at = bucket.full_at.minus(self.refill.saturating_mul(weight));
        }
    }

    fn check(&self, key: &str, weight: u32, now: UnixMillis) -> Result<()> {
        let full_at = self.lock().get(key).map_or(now, |bucket| bucket.full_at);
        let spent = full_at.since(now);
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
    fn who_waits_goes_on_at_the_pace_of_the_refill() {
        let limit = limit();
        let waits: Vec<_> = (0..5).map(|_| limit.reserve("a", at(0)).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 6, 12]);
        assert_eq!(limit.reserve("b", at(0)), Duration::ZERO);
        assert_eq!(limit.reserve("a", at(60)), Duration::ZERO);
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
    fn a_day_of_guesses_at_codes_hits_one_with_less_than_one_in_a_million() {
        const CODES: f64 = 25_600_000_000.0;
        for open in [1_u32, 2, 7, 50, 300] {
            let limit = Limits::default().claim_by_code;
            let guesses =
                (0..86_400).filter(|second| limit.take_many("", open, at(*second)).is_ok()).count();
            let hits = f64::from(u32::try_from(guesses).unwrap()) * f64::from(open) / CODES;
            assert!(hits < 1e-6, "{guesses} guesses at {open} codes");
            assert!(guesses > 0);
        }
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

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
    /// Wrong passwords of all strangers, for one account. When they have spent it, only devices that have
    /// signed in before may try, and each has an allowance of its own. Its waits grow to a minute, no
    /// longer: many strangers together must not keep a new device of the owner's away for an hour.
    pub login_by_account: Limit,
    /// Of one address, for any accounts. A household or a school may be behind it.
    pub login_by_address: Limit,
    /// Of one address, for one account: less than all strangers have together, so that nobody at a
    /// single address locks an owner out who comes with a new device.
    pub login_by_address_and_account: Limit,
    /// Wrong passwords of one known device.
    pub login_by_device: Limit,
    pub registration: Limit,
    /// Links for a new password or an address that one address asks for or follows: nobody guesses 128 bits,
    /// this is what the database is asked.
    pub links_by_address: Limit,
    /// Times that one account takes all its data along.
    pub exports: Limit,
    /// Links for new passwords of others that one administrator makes.
    pub reset_links: Limit,
    /// Views of sites that one administrator asks owners for.
    pub views: Limit,
    /// Mails that strangers may bring about to one address, and news to one account.
    pub mails_by_recipient: Limit,
    /// Mails with a link for a new password, by recipient: others do not hold them up.
    pub reset_mails: Limit,
    pub news_by_account: Limit,
    /// Messages to see whether anything arrives, of one account.
    pub test_messages: Limit,
    /// Addresses in messages that one network opens: what the database is asked. Nobody guesses them.
    pub mute_links: Limit,
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
    /// Events that one key, or one account, tells of, and moments that it marks.
    pub opened_events: Limit,
    /// Clips that one account brings.
    pub imports: Limit,
    pub commands: Limit,
    pub live: Limit,
    /// Messages with candidates.
    pub trickle: Limit,
    /// Clips of which it is written down each that one account, or one link, saw them.
    pub sights: Limit,
    /// Browsers that one account has messages go to.
    pub push_subscriptions: Limit,
    /// Webhooks that one account writes down or changes, and messages by which it tries them.
    pub webhooks: Limit,
    pub webhook_trials: Limit,
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
            login_by_account: Limit::growing(10, Duration::from_secs(6), Duration::from_mins(1)),
            login_by_address: Limit::growing(10, Duration::from_secs(6), Duration::from_mins(5)),
            login_by_address_and_account: Limit::growing(
                8,
                Duration::from_secs(8),
                Duration::from_mins(15),
            ),
            login_by_device: Limit::growing(10, Duration::from_secs(6), Duration::from_mins(5)),
            registration: Limit::new(20, Duration::from_mins(1)),
            links_by_address: Limit::new(20, Duration::from_secs(6)),
            exports: Limit::new(5, Duration::from_mins(10)),
            reset_links: Limit::new(10, Duration::from_mins(1)),
            views: Limit::new(10, Duration::from_mins(1)),
            mails_by_recipient: Limit::new(5, Duration::from_mins(10)),
            reset_mails: Limit::new(5, Duration::from_mins(10)),
            news_by_account: Limit::new(10, Duration::from_mins(10)),
            test_messages: Limit::new(5, Duration::from_mins(2)),
            mute_links: Limit::new(60, Duration::from_secs(1)),
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
            opened_events: Limit::new(60, Duration::from_secs(2)),
            imports: Limit::new(30, Duration::from_secs(10)),
            commands: Limit::new(60, Duration::from_secs(1)),
            live: Limit::new(60, Duration::from_secs(1)),
            trickle: Limit::new(200, Duration::from_millis(50)),
            sights: Limit::new(300, Duration::from_secs(6)),
            push_subscriptions: Limit::new(30, Duration::from_secs(30)),
            webhooks: Limit::new(30, Duration::from_secs(10)),
            webhook_trials: Limit::new(10, Duration::from_secs(20)),
            shares: Limit::new(30, Duration::from_secs(10)),
            invitations: Limit::new(30, Duration::from_secs(10)),
            invitation_opening: Limit::new(60, Duration::from_secs(1)),
            share_opening: Limit::new(120, Duration::from_millis(250)),
        }
    }
}

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

/// What is remembered of attempts is forgotten one by one: whoever stops for a day begins anew.
const STRIKE_FORGOTTEN: Duration = Duration::from_mins(30);

impl Limit {
    fn new(burst: u32, refill: Duration) -> Self {
        Self::growing(burst, refill, refill)
    }

    /// Makes a limit whose waits grow.
    fn growing(burst: u32, refill: Duration, wait_max: Duration) -> Self {
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
    fn ten_thousand_guesses_at_an_account_are_looked_at_two_hundred_times_at_most() {
        let limits = Limits::default();
        // One each six seconds, from one address: as fast as a patient guesser may hope for.
        let looked_at = (0..10_000).filter(|guess| {
            let now = at(guess * 6);
            limits.login_by_address_and_account.take("a", now).is_ok()
        });
        assert!(looked_at.count() <= 200);
        // At once, from ten thousand addresses.
        let at_once = (0..10_000).filter(|_| limits.login_by_account.take("a", at(0)).is_ok());
        assert!(at_once.count() <= 10);
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

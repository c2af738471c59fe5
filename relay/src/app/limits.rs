//! How often somebody may try what: every limit of the relay.

mod bucket;

use std::{net::IpAddr, time::Duration};

pub use self::bucket::Limit;
use crate::network;

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
    /// Times that one account opens a clip, as its players report them.
    pub plays: Limit,
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
            plays: Limit::new(60, Duration::from_secs(6)),
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

/// Returns what counts as one address.
pub fn address_key(address: IpAddr) -> String {
    network::of(address).to_string()
}

#[cfg(test)]
mod tests {
    use nightjar_shared::time::UnixMillis;

    use super::*;

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1000)
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
}

//! How long a message waits for its next attempt: decisions only.

use std::time::Duration;

use nightjar_shared::notification::Channel;

/// What is told at once is of use for minutes: the first attempts follow each other quickly.
const QUICK: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
];
/// Mail servers take their time, and greylisting ones want it.
const SLOW: [Duration; 9] = [
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
    Duration::from_hours(12),
];
/// Whoever asks for more patience than that is asked again sooner.
const ASKED_MAX: Duration = Duration::from_hours(12);

/// Returns how long a message waits that was tried so often: nothing once it is given up. A server that says
/// when to come back is not asked before.
pub fn next_attempt(channel: Channel, attempts: u32, asked: Option<Duration>) -> Option<Duration> {
    let waits = if channel == Channel::Mail { &SLOW } else { &QUICK };
    let made = usize::try_from(attempts).unwrap_or(usize::MAX);
    let wait = waits.get(made.saturating_sub(1)).copied()?;
    Some(asked.map_or(wait, |asked| asked.clamp(wait, ASKED_MAX.max(wait))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        for channel in [Channel::Mail, Channel::WebPush] {
            let waits: Vec<_> =
                (1..20).map_while(|made| next_attempt(channel, made, None)).collect();
            assert_eq!(waits.len(), 9);
            assert!(waits.is_sorted());
        }
    }

    #[test]
    fn a_server_that_names_a_time_is_asked_then_and_not_in_a_week() {
        let wait = |asked| next_attempt(Channel::WebPush, 1, Some(asked));
        assert_eq!(wait(Duration::from_mins(5)), Some(Duration::from_mins(5)));
        assert_eq!(wait(Duration::ZERO), Some(Duration::from_secs(5)));
        assert_eq!(wait(Duration::from_hours(168)), Some(ASKED_MAX));
    }
}

//! What becomes of the codes that a camera sees. A code that is held before the lens for a minute is seen a
//! hundred times: it is followed once, and spoken of once.

use std::{collections::VecDeque, time::Duration};

use nightjar_shared::{
    pairing_qr::{PairingQr, QrRefusal},
    time::UnixMillis,
};

use super::Seen;
use crate::monotonic::MonotonicNanos;

/// Codes that are remembered; of more, the oldest is forgotten.
const KNOWN_MAX: usize = 16;
/// What is refused and still there is spoken of again after this time.
const SPOKEN_OF_AGAIN: Duration = Duration::from_mins(10);
/// The first pause before a code is followed again that failed for a reason which may go away; it doubles.
const AGAIN_FIRST: Duration = Duration::from_secs(15);
const AGAIN_LAST: Duration = Duration::from_mins(10);

/// What to do with what is in the picture.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Nothing,
    /// To be said: it is new, or still there.
    Refuse(QrRefusal),
    /// To be followed; [`Attempts::ended`] says how that went.
    Follow(PairingQr),
}

/// How following a code ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Paired,
    /// Showing the same code again cannot help.
    ForGood,
    /// The network or the relay may be there later.
    ForNow,
}

/// Remembers what was seen and what became of it.
#[derive(Debug, Default)]
pub struct Attempts {
    known: VecDeque<Known>,
    /// When it is said again that several codes are in the picture.
    several_again_at: Option<MonotonicNanos>,
}

#[derive(Debug)]
struct Known {
    seen: Seen,
    tries: u32,
    /// When it counts again; never when absent.
    again_at: Option<MonotonicNanos>,
}

impl Attempts {
    /// Judges what one look found. `time` is the time of day where it is known.
    pub fn consider(
        &mut self,
        seen: &[Seen],
        now: MonotonicNanos,
        time: Option<UnixMillis>,
    ) -> Verdict {
        let ours: Vec<&Seen> = seen.iter().filter(|it| is_ours(it)).collect();
        let code = match (ours.as_slice(), seen.first()) {
            // What else is in the picture is not meant for the camera.
            ([code], _) => *code,
            ([], Some(first)) => first,
            ([], None) => return Verdict::Nothing,
            ([_, ..], _) => return self.refuse_several(now),
        };
        if !self.counts(code, now) {
            return Verdict::Nothing;
        }
        match judge(code, time) {
            Ok(pairing) => {
                // Whatever happens, it is not followed twice at once.
                self.remember(code, None);
                Verdict::Follow(pairing)
            }
            Err(refusal) => {
                self.remember(code, Some(now.plus(SPOKEN_OF_AGAIN)));
                Verdict::Refuse(refusal)
            }
        }
    }

    /// Apart, each of the codes may be followed at once.
    fn refuse_several(&mut self, now: MonotonicNanos) -> Verdict {
        if self.several_again_at.is_some_and(|at| now < at) {
            return Verdict::Nothing;
        }
        self.several_again_at = Some(now.plus(SPOKEN_OF_AGAIN));
        Verdict::Refuse(QrRefusal::Several)
    }

    /// Notes how following the newest code ended.
    pub fn ended(&mut self, how: Ended, now: MonotonicNanos) {
        let Some(known) = self.known.back_mut() else { return };
        known.again_at = match how {
            Ended::Paired | Ended::ForGood => None,
            Ended::ForNow => {
                let pause = AGAIN_FIRST.saturating_mul(2_u32.saturating_pow(known.tries));
                known.tries = known.tries.saturating_add(1);
                Some(now.plus(pause.min(AGAIN_LAST)))
            }
        };
    }

    fn counts(&self, code: &Seen, now: MonotonicNanos) -> bool {
        let known = self.known.iter().find(|known| known.seen == *code);
        known.is_none_or(|known| known.again_at.is_some_and(|at| at <= now))
    }

    /// Moves a code to the end, where the newest stands.
    fn remember(&mut self, code: &Seen, again_at: Option<MonotonicNanos>) {
        let place = self.known.iter().position(|known| known.seen == *code);
        let before = place.and_then(|place| self.known.remove(place));
        let tries = before.map_or(0, |known| known.tries);
        if self.known.len() == KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back(Known { seen: code.clone(), tries, again_at });
    }
}

fn is_ours(seen: &Seen) -> bool {
    matches!(seen, Seen::Text(text) if PairingQr::is_meant(text))
}

fn judge(seen: &Seen, time: Option<UnixMillis>) -> Result<PairingQr, QrRefusal> {
    match seen {
        Seen::Text(text) => PairingQr::read(text, time),
        Seen::NotText => Err(QrRefusal::NotText),
        Seen::TooLong => Err(QrRefusal::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Option<UnixMillis> = Some(UnixMillis(1_790_000_000_000));

    fn at(seconds: u64) -> MonotonicNanos {
        MonotonicNanos(seconds * 1_000_000_000)
    }

    fn code(secret: &str) -> Seen {
        let text = format!("NIGHTJAR:V:1;R:https://a.example;S:{secret};E:1790000600;;");
        Seen::Text(text)
    }

    fn followed(verdict: &Verdict) -> Option<&str> {
        match verdict {
            Verdict::Follow(pairing) => Some(&pairing.secret),
            _ => None,
        }
    }

    #[test]
    fn a_code_that_stays_in_the_picture_is_followed_once() {
        let mut attempts = Attempts::default();
        assert_eq!(followed(&attempts.consider(&[code("a")], at(0), TIME)), Some("a"));
        attempts.ended(Ended::ForGood, at(1));
        for second in 1..100_000 {
            let verdict = attempts.consider(&[code("a")], at(second), TIME);
            assert_eq!(verdict, Verdict::Nothing, "{second}");
        }
        assert_eq!(followed(&attempts.consider(&[code("b")], at(2), TIME)), Some("b"));
    }

    #[test]
    fn a_relay_that_is_away_is_asked_later_and_later() {
        let mut attempts = Attempts::default();
        let mut tries = Vec::new();
        for second in 0..3_600 {
            if followed(&attempts.consider(&[code("a")], at(second), TIME)).is_some() {
                tries.push(second);
                attempts.ended(Ended::ForNow, at(second));
            }
        }
        assert_eq!(tries, [0, 15, 45, 105, 225, 465, 945, 1545, 2145, 2745, 3345]);
    }

    #[test]
    fn what_is_refused_is_spoken_of_once_in_ten_minutes() {
        let mut attempts = Attempts::default();
        let poster = [Seen::Text("https://example.org".to_owned())];
        assert_eq!(
            attempts.consider(&poster, at(0), TIME),
            Verdict::Refuse(QrRefusal::OtherProduct)
        );
        assert_eq!(attempts.consider(&poster, at(599), TIME), Verdict::Nothing);
        assert!(matches!(attempts.consider(&poster, at(600), TIME), Verdict::Refuse(_)));
        for (seen, refusal) in
            [(Seen::NotText, QrRefusal::NotText), (Seen::TooLong, QrRefusal::TooLong)]
        {
            assert_eq!(attempts.consider(&[seen], at(0), TIME), Verdict::Refuse(refusal));
        }
    }

    #[test]
    fn a_poster_beside_the_code_does_not_matter_and_a_second_code_does() {
        let mut attempts = Attempts::default();
        let poster = Seen::Text("https://example.org".to_owned());
        let two = [code("a"), poster.clone(), code("b")];
        assert_eq!(attempts.consider(&two, at(0), TIME), Verdict::Refuse(QrRefusal::Several));
        assert_eq!(attempts.consider(&two, at(1), TIME), Verdict::Nothing);
        assert_eq!(followed(&attempts.consider(&[poster, code("b")], at(2), TIME)), Some("b"));
    }

    #[test]
    fn many_codes_are_not_remembered_for_ever() {
        let mut attempts = Attempts::default();
        for number in 0..1_000 {
            attempts.consider(&[code(&format!("s{number}"))], at(number), TIME);
            attempts.ended(Ended::ForGood, at(number));
        }
        assert_eq!(attempts.known.len(), KNOWN_MAX);
    }
}

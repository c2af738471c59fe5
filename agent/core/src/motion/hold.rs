//! How long the detector looks away while the camera itself changes the picture: its exposure, its
//! gain, its infrared filter, a mask. Pure.

use std::time::Duration;

use crate::monotonic::MonotonicNanos;

/// A sensor needs this long to show what was set, and the driver tells at once.
const SETTLE: Duration = Duration::from_millis(700);
/// Changes that follow each other hold the detector for this long at most.
const LONGEST: Duration = Duration::from_secs(3);
/// After the longest hold the detector looks for this long, whatever the camera does: an exposure
/// that never settles must not blind it.
const LOOKS: Duration = Duration::from_secs(6);

#[derive(Debug, Default)]
pub struct Hold {
    stretch: Option<Stretch>,
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    began: MonotonicNanos,
    until: MonotonicNanos,
}

impl Hold {
    /// The camera changed its picture `at` that time. Says until when nothing new is to be
    /// believed; nothing when it has been held for long enough.
    pub fn changed(&mut self, at: MonotonicNanos) -> Option<MonotonicNanos> {
        let stretch = match self.stretch {
            Some(stretch) if at < stretch.began => Stretch { began: at, until: at },
            Some(stretch) if at <= stretch.until => stretch,
            Some(stretch) if stretch.is_used_up() && at.since(stretch.until) < LOOKS => {
                return None;
            }
            _ => Stretch { began: at, until: at },
        };
        let until = at.plus(SETTLE).min(stretch.began.plus(LONGEST));
        self.stretch = Some(Stretch { until, ..stretch });
        Some(until)
    }
}

impl Stretch {
    fn is_used_up(self) -> bool {
        self.until.since(self.began) >= LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonotonicNanos {
        MonotonicNanos(millis * 1_000_000)
    }

    #[test]
    fn one_change_holds_until_it_has_settled() {
        assert_eq!(Hold::default().changed(at(1_000)), Some(at(1_700)));
    }

    #[test]
    fn changes_that_follow_each_other_hold_on_but_not_for_ever() {
        let mut hold = Hold::default();
        let limits: Vec<_> = (0..12).map(|step| hold.changed(at(step * 500))).collect();
        assert_eq!(limits[1], Some(at(1_200)));
        assert_eq!(limits[5], Some(at(3_000)));
        assert_eq!(limits[6], Some(at(3_000)), "no further");
        assert_eq!(limits[7..], [None; 5], "now it looks");
        assert_eq!(hold.changed(at(9_000)), Some(at(9_700)));
    }

    #[test]
    fn whatever_the_camera_does_the_detector_looks_most_of_the_time() {
        let (mut hold, mut limit, mut away_ms) = (Hold::default(), at(0), 0);
        for millis in (0..120_000).step_by(100) {
            if let Some(until) = hold.changed(at(millis)) {
                assert!(until.since(at(millis)) <= SETTLE);
                limit = until;
            }
            away_ms += u64::from(at(millis) < limit) * 100;
        }
        assert!(away_ms < 45_000, "held for {away_ms} of 120,000 ms");
    }

    #[test]
    fn time_that_runs_backwards_begins_anew() {
        let mut hold = Hold::default();
        hold.changed(at(100_000));
        assert_eq!(hold.changed(at(1_000)), Some(at(1_700)));
    }
}

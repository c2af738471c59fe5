//! Whether a new version works: it must do what the version before it did, and go on doing it.

use std::time::Duration;

use nightjar_shared::release::UpdateProblem;
use serde::{Deserialize, Serialize};

use crate::monotonic::MonotonicNanos;

/// So often a good version may be started anew within its trial: once by the installer, and once by
/// somebody.
pub const RESTARTS_MAX: u32 = 3;
/// Who is not heard for longer does not work, whatever it did before: as long as systemd's watchdog waits.
const SILENT_MOST: Duration = Duration::from_secs(30);

/// What an agent did before, and must do after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    pub captures: bool,
    pub records: bool,
    pub connected: bool,
}

impl Expectation {
    /// Expects what either does.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            captures: self.captures || other.captures,
            records: self.records || other.records,
            connected: self.connected || other.connected,
        }
    }
}

/// What an agent says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Of its process.
    pub pid: u32,
    pub does: Expectation,
}

/// How long a trial takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Within it all must work.
    pub whole: Duration,
    /// Within it there must be pictures, and they must be recorded: each second more is lost footage.
    pub media: Duration,
    /// For so long it must go on working.
    pub settle: Duration,
}

impl Limits {
    /// Five minutes in all: a relay may be away for a moment, and cameras connect by turns. Pictures
    /// come within seconds, and within a minute on a slow board that has just booted.
    pub const PRODUCTION: Self = Self {
        whole: Duration::from_mins(5),
        media: Duration::from_mins(1),
        settle: Duration::from_secs(30),
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Wait,
    Works,
    Fails(UpdateProblem),
}

/// The trial of one agent.
#[derive(Debug, Clone)]
pub struct Trial {
    limits: Limits,
    expected: Expectation,
    began: MonotonicNanos,
    /// The process that did all, and since when.
    working: Option<(u32, MonotonicNanos)>,
    /// The last process that spoke, and how many did.
    process: Option<u32>,
    processes: u32,
    does: Option<Expectation>,
    /// When it spoke last; at first, when the trial began.
    heard: MonotonicNanos,
}

impl Trial {
    pub fn new(limits: Limits, expected: Expectation, now: MonotonicNanos) -> Self {
        Self {
            limits,
            expected,
            began: now,
            working: None,
            process: None,
            processes: 0,
            does: None,
            heard: now,
        }
    }

    /// Judges by what was seen now. `restarts` is how often systemd had to start the agent again.
    pub fn see(
        &mut self,
        now: MonotonicNanos,
        sighting: Option<Sighting>,
        restarts: u32,
    ) -> Verdict {
        if let Some(sighting) = sighting {
            self.note(now, sighting);
        } else {
            // It may hang, or have ended: what it did before does not count as going on.
            self.working = None;
        }
        if restarts.max(self.processes.saturating_sub(1)) >= RESTARTS_MAX {
            return Verdict::Fails(UpdateProblem::Crashes);
        }
        let took = now.since(self.began);
        if let Some((_, since)) = self.working
            && now.since(since) >= self.limits.settle
        {
            return Verdict::Works;
        }
        // One that works at the last moment is given the time to show that it goes on.
        let grace = if self.working.is_some() { self.limits.settle } else { Duration::ZERO };
        match self.lacks(now) {
            Some(problem) if is_of_media(problem) && took >= self.limits.media => {
                Verdict::Fails(problem)
            }
            lacks if took >= self.limits.whole + grace => {
                Verdict::Fails(lacks.unwrap_or(UpdateProblem::Crashes))
            }
            _ => Verdict::Wait,
        }
    }

    fn note(&mut self, now: MonotonicNanos, sighting: Sighting) {
        if self.process != Some(sighting.pid) {
            self.process = Some(sighting.pid);
            self.processes += 1;
        }
        (self.does, self.heard) = (Some(sighting.does), now);
        let before = self.working.filter(|(pid, _)| *pid == sighting.pid);
        let works = self.lacks(now).is_none();
        self.working = works.then(|| before.unwrap_or((sighting.pid, now)));
    }

    /// Returns what the agent did before and does not do now.
    fn lacks(&self, now: MonotonicNanos) -> Option<UpdateProblem> {
        if now.since(self.heard) >= SILENT_MOST {
            return Some(UpdateProblem::Silent);
        }
        let Some(does) = self.does else { return Some(UpdateProblem::Silent) };
        let lacks = |expected: bool, does: bool| expected && !does;
        if lacks(self.expected.captures, does.captures) {
            Some(UpdateProblem::NoPicture)
        } else if lacks(self.expected.records, does.records) {
            Some(UpdateProblem::NotRecording)
        } else if lacks(self.expected.connected, does.connected) {
            Some(UpdateProblem::NotConnected)
        } else {
            None
        }
    }
}

/// Returns whether footage is lost while it lasts.
fn is_of_media(problem: UpdateProblem) -> bool {
    use UpdateProblem::{NoPicture, NotRecording, Silent};
    matches!(problem, NoPicture | NotRecording | Silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Expectation = Expectation { captures: true, records: true, connected: true };

    fn at(seconds: u64) -> MonotonicNanos {
        MonotonicNanos(seconds * 1_000_000_000)
    }

    fn trial() -> Trial {
        Trial::new(Limits::PRODUCTION, ALL, at(0))
    }

    #[expect(clippy::unnecessary_wraps, reason = "a trial takes what may not be there")]
    fn of(pid: u32, does: Expectation) -> Option<Sighting> {
        Some(Sighting { pid, does })
    }

    /// What comes out, and after how many seconds.
    fn judge(mut see: impl FnMut(u64) -> (Option<Sighting>, u32)) -> (u64, Verdict) {
        let mut trial = trial();
        for second in 1..1_000 {
            let (sighting, restarts) = see(second);
            let verdict = trial.see(at(second), sighting, restarts);
            if verdict != Verdict::Wait {
                return (second, verdict);
            }
        }
        panic!("no verdict");
    }

    #[test]
    fn one_that_does_all_is_kept_once_it_has_gone_on_for_a_while() {
        assert_eq!(judge(|_| (of(1, ALL), 0)), (31, Verdict::Works));
    }

    #[test]
    fn one_that_crashes_is_taken_back_within_seconds() {
        let crashes = Verdict::Fails(UpdateProblem::Crashes);
        let restarts = |second: u64| u32::try_from(second / 2).unwrap();
        assert_eq!(judge(|second| (None, restarts(second))), (6, crashes));
        // Also where nobody counts its restarts.
        let pid = |second: u64| u32::try_from(second / 10).unwrap();
        assert_eq!(judge(|second| (of(pid(second), ALL), 0)), (30, crashes));
    }

    #[test]
    fn one_that_falls_silent_is_not_kept_for_what_it_did_before() {
        // It hangs after a few seconds.
        let hangs = |second| (if second < 13 { of(1, ALL) } else { None }, 0);
        assert_eq!(judge(hangs), (60, Verdict::Fails(UpdateProblem::Silent)));
        // The watchdog ends it each time.
        let again = |second: u64| {
            let (number, second) = (u32::try_from(second / 38).unwrap(), second % 38);
            (if (3..16).contains(&second) { of(number + 1, ALL) } else { None }, number)
        };
        assert_eq!(judge(again), (114, Verdict::Fails(UpdateProblem::Crashes)));
        // It ended once, and the next process has to go on for as long.
        let ends = |second| match second {
            0..25 => (of(1, ALL), 0),
            25..45 => (None, 1),
            _ => (of(2, ALL), 1),
        };
        assert_eq!(judge(ends), (75, Verdict::Works));
    }

    #[test]
    fn what_loses_footage_is_taken_back_within_a_minute() {
        let blind = Expectation { captures: false, ..ALL };
        let forgetful = Expectation { records: false, ..ALL };
        let fails = |problem| (60, Verdict::Fails(problem));
        assert_eq!(judge(|_| (of(1, blind), 0)), fails(UpdateProblem::NoPicture));
        assert_eq!(judge(|_| (of(1, forgetful), 0)), fails(UpdateProblem::NotRecording));
        assert_eq!(judge(|_| (None, 0)), fails(UpdateProblem::Silent));
        // It recorded for 20 s and then stopped.
        let stops = |second| if second < 20 { ALL } else { forgetful };
        assert_eq!(judge(|second| (of(1, stops(second)), 0)), fails(UpdateProblem::NotRecording));
    }

    #[test]
    fn one_that_does_not_reach_the_relay_has_five_minutes() {
        let alone = Expectation { connected: false, ..ALL };
        let fails = Verdict::Fails(UpdateProblem::NotConnected);
        assert_eq!(judge(|_| (of(1, alone), 0)), (300, fails));
        let late = |second| if second < 290 { alone } else { ALL };
        assert_eq!(judge(|second| (of(1, late(second)), 0)), (320, Verdict::Works));
    }

    #[test]
    fn what_it_did_not_do_before_it_need_not_do() {
        let nothing = Expectation::default();
        let mut trial = Trial::new(Limits::PRODUCTION, nothing, at(0));
        assert_eq!(trial.see(at(1), of(1, nothing), 0), Verdict::Wait);
        assert_eq!(trial.see(at(31), of(1, nothing), 0), Verdict::Works);
    }
}

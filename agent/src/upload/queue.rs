//! Decides which clip's turn it is. Pure: the index says what waits.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use nightjar_core::{backoff::Backoff, monotonic::MonotonicNanos};
use nightjar_shared::{ids::ClipId, time::UnixMillis};

use super::transfer::Load;
use crate::store::{ClipState, Held, UploadCandidate};

const SHORTEST_DELAY: Duration = Duration::from_secs(2);
const LONGEST_DELAY: Duration = Duration::from_mins(10);
/// How many failed clips are remembered. Beyond it the one whose time comes first is tried at once.
const DELAYED_MAX: usize = 256;
/// How long the footage of a clip that has just begun lets its picture go first.
const PICTURE_PATIENCE: Duration = Duration::from_secs(1);
/// What happened since then goes to the relay in quiet hours too: a camera that is stolen takes
/// everything else with it.
const FRESH: Duration = Duration::from_mins(10);

/// The moment of a decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) monotonic: MonotonicNanos,
    pub(super) unix: UnixMillis,
    /// Only what is small or fresh may be sent.
    pub(super) quiet: bool,
}

/// Whether it is a clip's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A step may begin.
    Begin(Load),
    /// Not yet; its time will come by itself.
    Wait,
    /// Not before the index has something new of it.
    Nothing,
}

/// How far the file of an open clip is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grown {
    pub(super) age: Duration,
    /// Footage that was not sent yet is on disk.
    pub(super) has_more: bool,
}

/// What is being sent, and what failed before.
#[derive(Debug, Default)]
pub(super) struct Queue {
    busy: HashSet<ClipId>,
    delayed: HashMap<ClipId, Delayed>,
    given_up: HashSet<ClipId>,
}

#[derive(Debug)]
struct Delayed {
    backoff: Backoff,
    until: MonotonicNanos,
}

impl Queue {
    /// Decides whether a clip's next step may begin. `grown` is there for an open clip that is being
    /// written.
    pub(super) fn judge(
        &self,
        candidate: &UploadCandidate,
        grown: Option<Grown>,
        now: Now,
    ) -> Turn {
        let clip_id = candidate.clip_id;
        let is_open = candidate.state == ClipState::Open;
        if self.busy.contains(&clip_id) {
            return Turn::Nothing;
        }
        if is_open && self.given_up.contains(&clip_id) {
            return Turn::Nothing;
        }
        if self.delayed.get(&clip_id).is_some_and(|delayed| now.monotonic < delayed.until) {
            return Turn::Wait;
        }
        if candidate.picture_waits {
            return Turn::Begin(Load::Picture);
        }
        let age = now.unix.since(candidate.started_at);
        match grown {
            Some(Grown { has_more: false, .. }) => Turn::Nothing,
            Some(grown) if !candidate.has_picture && grown.age < PICTURE_PATIENCE => Turn::Wait,
            None if is_open => Turn::Nothing,
            _ if now.quiet && !is_open && age > FRESH => Turn::Wait,
            _ => Turn::Begin(Load::Footage),
        }
    }

    /// Lists what [`Self::judge`] would let wait, so that the index offers other clips first.
    pub(super) fn held(&self, now: Now) -> Held {
        let waits = |(_, delayed): &(_, &Delayed)| now.monotonic < delayed.until;
        Held {
            delayed: self.delayed.iter().filter(waits).map(|(clip_id, _)| *clip_id).collect(),
            older_than: now.quiet.then(|| now.unix.minus(FRESH)),
        }
    }

    /// Notes that a step of a clip has begun.
    pub(super) fn began(&mut self, clip_id: ClipId) {
        self.busy.insert(clip_id);
    }

    /// Notes that a step of a clip has ended.
    pub(super) fn ended(&mut self, clip_id: ClipId) {
        self.busy.remove(&clip_id);
    }

    /// Lets a clip that failed wait, each time longer; others may go well.
    pub(super) fn delay(&mut self, clip_id: ClipId, now: MonotonicNanos, chance: f64) {
        let delayed = self.delayed.entry(clip_id).or_insert_with(|| Delayed {
            backoff: Backoff::new(SHORTEST_DELAY, LONGEST_DELAY),
            until: now,
        });
        delayed.until = now.plus(delayed.backoff.next_delay(chance));
        if self.delayed.len() > DELAYED_MAX {
            let first = self.delayed.iter().min_by_key(|(_, delayed)| delayed.until);
            let first = first.map(|(clip_id, _)| *clip_id);
            self.delayed.retain(|clip_id, _| Some(*clip_id) != first);
        }
    }

    /// Gives a clip up that the relay refuses. The index notes that of closed clips alone: when an
    /// open one is closed, it is offered once more.
    pub(super) fn give_up(&mut self, clip_id: ClipId) {
        self.given_up.insert(clip_id);
    }

    /// Forgets the clips that wait no longer. What is held is not always offered, so delayed clips
    /// stay until their time has come.
    pub(super) fn retain(&mut self, now: MonotonicNanos, waits: impl Fn(ClipId) -> bool) {
        self.delayed.retain(|clip_id, delayed| now < delayed.until || waits(*clip_id));
        self.given_up.retain(|clip_id| waits(*clip_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now =
        Now { monotonic: MonotonicNanos(1_000_000_000_000), unix: UnixMillis(0), quiet: false };

    fn candidate(state: ClipState) -> UploadCandidate {
        UploadCandidate {
            clip_id: ClipId::generate(),
            state,
            started_at: UnixMillis(0),
            picture_waits: false,
            has_picture: true,
        }
    }

    fn grown(age_ms: u64, has_more: bool) -> Grown {
        Grown { age: Duration::from_millis(age_ms), has_more }
    }

    #[test]
    fn a_picture_goes_before_the_footage_of_its_clip() {
        let queue = Queue::default();
        let open = UploadCandidate { has_picture: false, ..candidate(ClipState::Open) };
        assert_eq!(queue.judge(&open, Some(grown(100, true)), NOW), Turn::Wait);
        assert_eq!(queue.judge(&open, Some(grown(1_500, true)), NOW), Turn::Begin(Load::Footage));
        let open = UploadCandidate { has_picture: true, picture_waits: true, ..open };
        assert_eq!(queue.judge(&open, Some(grown(200, true)), NOW), Turn::Begin(Load::Picture));
    }

    #[test]
    fn an_open_clip_waits_for_its_next_segment() {
        let queue = Queue::default();
        let open = candidate(ClipState::Open);
        assert_eq!(queue.judge(&open, Some(grown(9_000, false)), NOW), Turn::Nothing);
        assert_eq!(queue.judge(&open, None, NOW), Turn::Nothing, "of an earlier run");
        assert_eq!(queue.judge(&open, Some(grown(9_000, true)), NOW), Turn::Begin(Load::Footage));
    }

    #[test]
    fn quiet_hours_hold_back_the_backlog_alone() {
        let queue = Queue::default();
        let later = UnixMillis(11 * 60_000);
        let quiet = Now { quiet: true, unix: later, ..NOW };
        let old = candidate(ClipState::Closed);
        assert_eq!(queue.judge(&old, None, quiet), Turn::Wait);
        assert_eq!(
            queue.judge(&old, None, Now { quiet: false, ..quiet }),
            Turn::Begin(Load::Footage)
        );
        let fresh =
            UploadCandidate { started_at: UnixMillis(5 * 60_000), ..candidate(ClipState::Closed) };
        assert_eq!(queue.judge(&fresh, None, quiet), Turn::Begin(Load::Footage));
        let open = candidate(ClipState::Open);
        assert_eq!(
            queue.judge(&open, Some(grown(3_600_000, true)), quiet),
            Turn::Begin(Load::Footage)
        );
        let pictured = UploadCandidate { picture_waits: true, ..old };
        assert_eq!(queue.judge(&pictured, None, quiet), Turn::Begin(Load::Picture));
        let gone = candidate(ClipState::Gone);
        assert_eq!(queue.judge(&gone, None, NOW), Turn::Begin(Load::Footage));
    }

    #[test]
    fn a_clip_is_sent_by_one_step_at_a_time_and_waits_longer_after_each_failure() {
        let mut queue = Queue::default();
        let clip = candidate(ClipState::Closed);
        queue.began(clip.clip_id);
        assert_eq!(queue.judge(&clip, None, NOW), Turn::Nothing);
        queue.ended(clip.clip_id);
        let mut last = Duration::ZERO;
        for _ in 0..5 {
            queue.delay(clip.clip_id, NOW.monotonic, 1.0);
            let until = queue.delayed[&clip.clip_id].until.since(NOW.monotonic);
            assert!(until > last);
            last = until;
            assert_eq!(queue.judge(&clip, None, NOW), Turn::Wait);
        }
        let later = Now { monotonic: NOW.monotonic.plus(last), ..NOW };
        assert_eq!(queue.judge(&clip, None, later), Turn::Begin(Load::Footage));
    }

    #[test]
    fn a_delay_is_remembered_though_its_clip_is_not_offered_and_so_many_are_no_more() {
        let mut queue = Queue::default();
        let clips = [(); DELAYED_MAX].map(|()| ClipId::generate());
        for clip_id in clips {
            queue.delay(clip_id, NOW.monotonic, 1.0);
        }
        queue.retain(NOW.monotonic, |_| false);
        assert_eq!(queue.held(NOW).delayed.len(), DELAYED_MAX);
        assert_eq!(queue.held(NOW).older_than, None);
        let later = NOW.monotonic.plus(Duration::from_millis(1));
        queue.delay(ClipId::generate(), later, 1.0);
        let held = queue.held(NOW).delayed;
        assert_eq!(held.len(), DELAYED_MAX);
        assert_eq!(clips.iter().filter(|clip_id| held.contains(clip_id)).count(), DELAYED_MAX - 1);
        queue.retain(NOW.monotonic.plus(LONGEST_DELAY), |_| false);
        assert!(queue.delayed.is_empty());
    }

    #[test]
    fn what_was_refused_while_open_is_offered_once_more_when_it_is_closed() {
        let mut queue = Queue::default();
        let mut clip = candidate(ClipState::Open);
        queue.give_up(clip.clip_id);
        assert_eq!(queue.judge(&clip, Some(grown(5_000, true)), NOW), Turn::Nothing);
        clip.state = ClipState::Closed;
        assert_eq!(queue.judge(&clip, None, NOW), Turn::Begin(Load::Footage));
    }
}

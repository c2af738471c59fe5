//! Stretches of one state each, and the gaps between and in them: decisions only.

use std::time::Duration;

use nightjar_shared::{event::Health, time::UnixMillis};

use super::{Gap, Reason};
use crate::engines::db::timeline::Stretch;

/// Health comes every 30 s and one may get lost: what was said last holds for so long.
const HOLDS: Duration = Duration::from_secs(90);
/// A camera that changes its mind faster than that makes no row of each change.
const SHORTEST: Duration = Duration::from_secs(1);

/// What is learned of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    Watching,
    Disarmed,
    ScheduledOff,
    Privacy,
    NoPicture,
    Offline,
}

impl Note {
    pub(super) fn of(health: &Health) -> Self {
        if health.privacy {
            Self::Privacy
        } else if !health.capture.running {
            Self::NoPicture
        } else if !health.armed {
            Self::Disarmed
        } else if health.scheduled_off {
            Self::ScheduledOff
        } else {
            Self::Watching
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Disarmed => "disarmed",
            Self::ScheduledOff => "scheduled_off",
            Self::Privacy => "privacy",
            Self::NoPicture => "no_picture",
            Self::Offline => "offline",
        }
    }
}

const OFFLINE: &str = "offline";

/// Why nothing was recorded in a stretch; nothing when the camera watched.
fn reason(state: &str) -> Option<Reason> {
    match state {
        "watching" => None,
        "disarmed" => Some(Reason::Disarmed),
        "scheduled_off" => Some(Reason::Schedule),
        "privacy" => Some(Reason::Privacy),
        "no_picture" => Some(Reason::NoPicture),
        OFFLINE => Some(Reason::Offline),
        _ => Some(Reason::Unexplained),
    }
}

/// The rows to write when this is learned now.
pub(super) fn note(last: Option<Stretch>, news: Note, now: UnixMillis) -> Vec<Stretch> {
    let state = news.as_str();
    let begin = |began_at: UnixMillis| Stretch { began_at, until_at: now, state: state.to_owned() };
    // A clock that was set back begins anew.
    let Some(last) = last.filter(|last| last.began_at <= now) else { return vec![begin(now)] };
    // A camera that is offline stays so until it is heard.
    let holds = last.state == OFFLINE || now.since(last.until_at) <= HOLDS;
    if !holds {
        return vec![begin(now)];
    }
    if last.state == state {
        return vec![Stretch { until_at: now, ..last }];
    }
    if news == Note::Offline {
        // It was heard at the end of the last stretch, and not since.
        return vec![begin(last.until_at)];
    }
    if now.since(last.began_at) < SHORTEST {
        return vec![begin(last.began_at)];
    }
    vec![Stretch { until_at: now, ..last }, begin(now)]
}

/// What is known of a camera.
pub(super) struct Known<'a> {
    /// Oldest first.
    pub(super) stretches: &'a [Stretch],
    pub(super) paired_at: UnixMillis,
    pub(super) now: UnixMillis,
}

/// Where nothing may have been recorded between two times, oldest first.
pub(super) fn gaps(known: &Known<'_>, from: UnixMillis, to: UnixMillis) -> Vec<Gap> {
    let (from, to) = (from.max(known.paired_at), to.min(known.now));
    let mut gaps = Vec::new();
    let mut add = |from: UnixMillis, to: UnixMillis, reason: Reason| {
        if from < to {
            gaps.push(Gap { from, to, reason });
        }
    };
    let mut at = from;
    // A camera that was just paired takes a moment to speak.
    if let Some(first) = known.stretches.first().filter(|_| from == known.paired_at)
        && first.began_at.since(from) <= HOLDS
    {
        at = at.max(first.began_at.min(to));
    }
    for stretch in known.stretches {
        add(at, stretch.began_at.min(to), Reason::Unexplained);
        let until = end_of(stretch, known).min(to);
        if let Some(reason) = reason(&stretch.state) {
            add(stretch.began_at.max(at), until, reason);
        }
        at = at.max(until);
    }
    add(at, to, Reason::Unexplained);
    joined(gaps)
}

/// The newest stretch lasts until something else is heard.
fn end_of(stretch: &Stretch, known: &Known<'_>) -> UnixMillis {
    let is_newest = known.stretches.last() == Some(stretch);
    let holds = stretch.state == OFFLINE || known.now.since(stretch.until_at) <= HOLDS;
    if is_newest && holds { known.now.max(stretch.until_at) } else { stretch.until_at }
}

fn joined(gaps: Vec<Gap>) -> Vec<Gap> {
    let mut joined: Vec<Gap> = Vec::new();
    for gap in gaps {
        match joined.last_mut() {
            Some(last) if last.reason == gap.reason && last.to == gap.from => last.to = gap.to,
            _ => joined.push(gap),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1_000)
    }

    /// Writes as the database would.
    fn history(news: &[(i64, Note)]) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (seconds, news) in news {
            for stretch in note(stretches.last().cloned(), *news, at(*seconds)) {
                stretches.retain(|old| old.began_at != stretch.began_at);
                stretches.push(stretch);
            }
        }
        stretches
    }

    fn gaps_of(news: &[(i64, Note)], from: i64, to: i64) -> Vec<(i64, i64, Reason)> {
        let stretches = history(news);
        let known = Known { stretches: &stretches, paired_at: at(0), now: at(to) };
        let seconds = |time: UnixMillis| time.0 / 1_000;
        gaps(&known, at(from), at(to))
            .into_iter()
            .map(|gap| (seconds(gap.from), seconds(gap.to), gap.reason))
            .collect()
    }

    #[test]
    fn a_camera_that_watches_has_no_gaps_and_one_row() {
        let news: Vec<_> = (0..100).map(|step| (step * 30, Note::Watching)).collect();
        assert_eq!(history(&news).len(), 1);
        assert_eq!(gaps_of(&news, 0, 99 * 30 + 60), []);
    }

    #[test]
    fn what_the_camera_declares_is_the_reason() {
        let news = [
            (0, Note::Watching),
            (30, Note::Disarmed),
            (60, Note::Privacy),
            (90, Note::ScheduledOff),
            (120, Note::NoPicture),
            (150, Note::Watching),
        ];
        let expected = [
            (30, 60, Reason::Disarmed),
            (60, 90, Reason::Privacy),
            (90, 120, Reason::Schedule),
            (120, 150, Reason::NoPicture),
        ];
        assert_eq!(gaps_of(&news, 0, 160), expected);
    }

    #[test]
    fn a_camera_is_offline_from_when_it_was_heard_last_until_it_is_heard_again() {
        let news = [(0, Note::Watching), (30, Note::Watching), (65, Note::Offline)];
        assert_eq!(gaps_of(&news, 0, 4_000), [(30, 4_000, Reason::Offline)]);
        let news = [&news[..], &[(5_000, Note::Watching)]].concat();
        assert_eq!(gaps_of(&news, 0, 5_010), [(30, 5_000, Reason::Offline)]);
    }

    #[test]
    fn where_nobody_listened_the_gap_is_unexplained() {
        // The relay was away for an hour.
        let news = [(0, Note::Watching), (30, Note::Watching), (3_630, Note::Watching)];
        assert_eq!(gaps_of(&news, 0, 3_640), [(30, 3_630, Reason::Unexplained)]);
        // The camera was never heard, or not any more.
        assert_eq!(gaps_of(&[], 0, 100), [(0, 100, Reason::Unexplained)]);
        let news = [(100, Note::Watching)];
        assert_eq!(gaps_of(&news, 0, 150), [(0, 100, Reason::Unexplained)]);
        assert_eq!(gaps_of(&news, 0, 190), [(0, 100, Reason::Unexplained)]);
        assert_eq!(gaps_of(&news, 0, 300), [(0, 300, Reason::Unexplained)]);
    }

    #[test]
    fn before_it_was_paired_and_in_the_future_nothing_is_missing() {
        let stretches = history(&[(100, Note::Watching)]);
        let known = Known { stretches: &stretches, paired_at: at(100), now: at(110) };
        assert_eq!(gaps(&known, at(0), at(10_000)), []);
        // The first words take a moment.
        assert_eq!(gaps_of(&[(20, Note::Watching)], 0, 30), []);
    }

    #[test]
    fn a_camera_that_flickers_makes_no_row_of_each_change() {
        let mut last = None;
        let mut rows = std::collections::BTreeSet::new();
        for step in 0..1_000_i64 {
            let news = if step % 2 == 0 { Note::Watching } else { Note::Disarmed };
            for stretch in note(last.take(), news, UnixMillis(step * 10)) {
                rows.insert(stretch.began_at);
                last = Some(stretch);
            }
        }
        assert!(rows.len() <= 20, "{} rows for 10 s", rows.len());
    }
}

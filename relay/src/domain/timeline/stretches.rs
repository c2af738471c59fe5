//! Stretches of one state each, and the gaps between and in them: decisions only.

use std::time::Duration;

use nightjar_shared::{
    camera::{CameraActivity, GapReason},
    event::Health,
    time::UnixMillis,
};

use super::Gap;
use crate::{app::heard::SILENCE_MAX, engines::db::timeline::Stretch};

/// What was said last holds for so long.
const HOLDS: Duration = SILENCE_MAX;
/// A camera that changes its mind faster than that makes no row of each change.
const SHORTEST: Duration = Duration::from_secs(1);

/// Reads what a camera does from its health.
pub(super) fn activity(health: &Health) -> CameraActivity {
    if health.privacy {
        CameraActivity::Privacy
    } else if !health.capture.running {
        CameraActivity::NoPicture
    } else if !health.armed {
        CameraActivity::Disarmed
    } else if health.scheduled_off {
        CameraActivity::ScheduledOff
    } else {
        CameraActivity::Watching
    }
}

/// Returns the rows to write when this is learned now.
pub(super) fn note(last: Option<Stretch>, news: CameraActivity, now: UnixMillis) -> Vec<Stretch> {
    let begin = |began_at: UnixMillis| Stretch { began_at, until_at: now, state: news };
    // A clock that was set back begins anew.
    let Some(last) = last.filter(|last| last.began_at <= now) else { return vec![begin(now)] };
    // A camera that is offline stays so until it is heard.
    let holds = last.state == CameraActivity::Offline || now.since(last.until_at) <= HOLDS;
    if !holds {
        return vec![begin(now)];
    }
    if last.state == news {
        return vec![Stretch { until_at: now, ..last }];
    }
    if news == CameraActivity::Offline {
        // It was heard at the end of the last stretch, and not since.
        return vec![begin(last.until_at)];
    }
    if now.since(last.began_at) < SHORTEST {
        return vec![begin(last.began_at)];
    }
    vec![Stretch { until_at: now, ..last }, begin(now)]
}

/// Returns the rows to write when a camera says this now, which said the same as in its last row until
/// `heard_at`.
pub(super) fn note_heard(
    last: Option<Stretch>,
    heard_at: Option<UnixMillis>,
    news: CameraActivity,
    now: UnixMillis,
) -> Vec<Stretch> {
    let Some(written) = last else { return note(None, news, now) };
    let last = heard_again(written.clone(), heard_at);
    let mut rows = note(Some(last.clone()), news, now);
    if last != written && rows.iter().all(|row| row.began_at != last.began_at) {
        rows.insert(0, last);
    }
    rows
}

/// Returns a camera's newest stretch as it is when it said the same again at `heard_at`.
pub(super) fn heard_again(newest: Stretch, heard_at: Option<UnixMillis>) -> Stretch {
    match heard_at {
        Some(at) if newest.state != CameraActivity::Offline && at > newest.until_at => {
            Stretch { until_at: at, ..newest }
        }
        _ => newest,
    }
}

/// What is known of a camera.
pub(super) struct Known<'a> {
    /// Oldest first.
    pub(super) stretches: &'a [Stretch],
    pub(super) paired_at: UnixMillis,
    pub(super) now: UnixMillis,
}

/// Finds where nothing may have been recorded between two times, oldest first.
pub(super) fn gaps(known: &Known<'_>, from: UnixMillis, to: UnixMillis) -> Vec<Gap> {
    let (from, to) = (from.max(known.paired_at), to.min(known.now));
    let mut gaps = Vec::new();
    let mut add = |from: UnixMillis, to: UnixMillis, reason: GapReason| {
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
        add(at, stretch.began_at.min(to), GapReason::Unexplained);
        let until = end_of(stretch, known).min(to);
        if let Some(reason) = stretch.state.gap_reason() {
            add(stretch.began_at.max(at), until, reason);
        }
        at = at.max(until);
    }
    add(at, to, GapReason::Unexplained);
    joined(gaps)
}

/// Returns the end of a stretch: the newest one lasts until something else is heard.
fn end_of(stretch: &Stretch, known: &Known<'_>) -> UnixMillis {
    let is_newest = known.stretches.last() == Some(stretch);
    let holds =
        stretch.state == CameraActivity::Offline || known.now.since(stretch.until_at) <= HOLDS;
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
    fn history(news: &[(i64, CameraActivity)]) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (seconds, news) in news {
            for stretch in note(stretches.last().cloned(), *news, at(*seconds)) {
                stretches.retain(|old| old.began_at != stretch.began_at);
                stretches.push(stretch);
            }
        }
        stretches
    }

    fn gaps_of(news: &[(i64, CameraActivity)], from: i64, to: i64) -> Vec<(i64, i64, GapReason)> {
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
        let news: Vec<_> = (0..100).map(|step| (step * 30, CameraActivity::Watching)).collect();
        assert_eq!(history(&news).len(), 1);
        assert_eq!(gaps_of(&news, 0, 99 * 30 + 60), []);
    }

    #[test]
    fn what_the_camera_declares_is_the_reason() {
        let news = [
            (0, CameraActivity::Watching),
            (30, CameraActivity::Disarmed),
            (60, CameraActivity::Privacy),
            (90, CameraActivity::ScheduledOff),
            (120, CameraActivity::NoPicture),
            (150, CameraActivity::Watching),
        ];
        let expected = [
            (30, 60, GapReason::Disarmed),
            (60, 90, GapReason::Privacy),
            (90, 120, GapReason::Schedule),
            (120, 150, GapReason::NoPicture),
        ];
        assert_eq!(gaps_of(&news, 0, 160), expected);
    }

    #[test]
    fn a_camera_is_offline_from_when_it_was_heard_last_until_it_is_heard_again() {
        let news = [
            (0, CameraActivity::Watching),
            (30, CameraActivity::Watching),
            (65, CameraActivity::Offline),
        ];
        assert_eq!(gaps_of(&news, 0, 4_000), [(30, 4_000, GapReason::Offline)]);
        let news = [&news[..], &[(5_000, CameraActivity::Watching)]].concat();
        assert_eq!(gaps_of(&news, 0, 5_010), [(30, 5_000, GapReason::Offline)]);
    }

    #[test]
    fn where_nobody_listened_the_gap_is_unexplained() {
        // The relay was away for an hour.
        let news = [
            (0, CameraActivity::Watching),
            (30, CameraActivity::Watching),
            (3_630, CameraActivity::Watching),
        ];
        assert_eq!(gaps_of(&news, 0, 3_640), [(30, 3_630, GapReason::Unexplained)]);
        // The camera was never heard, or not any more.
        assert_eq!(gaps_of(&[], 0, 100), [(0, 100, GapReason::Unexplained)]);
        let news = [(100, CameraActivity::Watching)];
        assert_eq!(gaps_of(&news, 0, 150), [(0, 100, GapReason::Unexplained)]);
        assert_eq!(gaps_of(&news, 0, 190), [(0, 100, GapReason::Unexplained)]);
        assert_eq!(gaps_of(&news, 0, 300), [(0, 300, GapReason::Unexplained)]);
    }

    #[test]
    fn what_was_said_again_and_not_written_is_no_gap_and_ends_where_it_was_heard_last() {
        let watching = |began, until| Stretch {
            began_at: at(began),
            until_at: at(until),
            state: CameraActivity::Watching,
        };
        let heard = |heard_at: i64, news, now| {
            note_heard(Some(watching(0, 0)), Some(at(heard_at)), news, at(now))
        };
        let goes_on = heard(270, CameraActivity::Watching, 300);
        assert_eq!(goes_on, [watching(0, 300)]);
        let disarmed = heard(270, CameraActivity::Disarmed, 300);
        let next = Stretch { state: CameraActivity::Disarmed, ..watching(300, 300) };
        assert_eq!(disarmed, [watching(0, 300), next]);
        let after_a_silence = heard(150, CameraActivity::Watching, 300);
        assert_eq!(after_a_silence, [watching(0, 150), watching(300, 300)]);
    }

    #[test]
    fn before_it_was_paired_and_in_the_future_nothing_is_missing() {
        let stretches = history(&[(100, CameraActivity::Watching)]);
        let known = Known { stretches: &stretches, paired_at: at(100), now: at(110) };
        assert_eq!(gaps(&known, at(0), at(10_000)), []);
        // The first words take a moment.
        assert_eq!(gaps_of(&[(20, CameraActivity::Watching)], 0, 30), []);
    }

    #[test]
    fn a_camera_that_flickers_makes_no_row_of_each_change() {
        let mut last = None;
        let mut rows = std::collections::BTreeSet::new();
        for step in 0..1_000_i64 {
            let news =
                if step % 2 == 0 { CameraActivity::Watching } else { CameraActivity::Disarmed };
            for stretch in note(last.take(), news, UnixMillis(step * 10)) {
                rows.insert(stretch.began_at);
                last = Some(stretch);
            }
        }
        assert!(rows.len() <= 20, "{} rows for 10 s", rows.len());
    }
}

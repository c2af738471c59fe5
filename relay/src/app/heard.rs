//! What connected cameras said of themselves last. The database is told when it changes, and else every
//! few minutes; until then it is here alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nightjar_shared::{ids::CameraId, time::UnixMillis};

/// How old what is written down of a camera that goes on saying the same may be.
pub const WRITTEN_EVERY: Duration = Duration::from_mins(5);
/// Health comes every 30 s; one may get lost. After a longer silence it is news even if it is the same.
pub const SILENCE_MAX: Duration = Duration::from_secs(90);
/// So many are remembered; what others say is written down each time.
const CAMERAS_MAX: usize = 100_000;

/// Of cameras whose connection stands. One that is forgotten is written down at its next word.
#[derive(Default)]
pub struct Heard(Mutex<HashMap<CameraId, Word>>);

struct Word {
    report: Report,
    /// Of what counts in it: see `domain::health`.
    essence: u64,
    written_at: UnixMillis,
}

/// A camera's health as it came.
#[derive(Debug, Clone)]
pub struct Report {
    /// JSON.
    pub health: Arc<str>,
    pub heard_at: UnixMillis,
}

impl Heard {
    /// Returns what a camera said last.
    pub(crate) fn last(&self, camera_id: CameraId) -> Option<Report> {
        self.lock().get(&camera_id).map(|word| word.report.clone())
    }

    /// Returns when a camera was heard last.
    pub(crate) fn at(&self, camera_id: CameraId) -> Option<UnixMillis> {
        self.lock().get(&camera_id).map(|word| word.report.heard_at)
    }

    /// Takes a report that need not be written down; says whether it is one.
    pub(crate) fn repeats(&self, camera_id: CameraId, essence: u64, report: &Report) -> bool {
        let mut words = self.lock();
        let Some(word) = words.get_mut(&camera_id) else { return false };
        let now = report.heard_at;
        // A clock that was set back writes anew.
        let is_within = |since: UnixMillis, most| since <= now && now.since(since) <= most;
        let repeats = word.essence == essence
            && is_within(word.written_at, WRITTEN_EVERY)
            && is_within(word.report.heard_at, SILENCE_MAX);
        if repeats {
            word.report = report.clone();
        }
        repeats
    }

    /// Notes a report that was written down.
    pub(crate) fn written(&self, camera_id: CameraId, essence: u64, report: Report) {
        let mut words = self.lock();
        if words.len() < CAMERAS_MAX || words.contains_key(&camera_id) {
            let written_at = report.heard_at;
            words.insert(camera_id, Word { report, essence, written_at });
        }
    }

    /// Forgets a camera; returns when it was heard last, if that is not written down.
    pub(crate) fn forget(&self, camera_id: CameraId) -> Option<UnixMillis> {
        let word = self.lock().remove(&camera_id)?;
        let heard_at = word.report.heard_at;
        (heard_at > word.written_at).then_some(heard_at)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CameraId, Word>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(second: i64) -> Report {
        Report { health: "{}".into(), heard_at: UnixMillis(second * 1_000) }
    }

    #[test]
    fn the_same_is_written_down_every_five_minutes_and_news_at_once() {
        let (heard, camera) = (Heard::default(), CameraId::generate());
        assert!(!heard.repeats(camera, 1, &report(0)), "nothing was heard before");
        heard.written(camera, 1, report(0));
        for second in (30..=300).step_by(30) {
            assert!(heard.repeats(camera, 1, &report(second)), "{second} s");
        }
        assert!(!heard.repeats(camera, 1, &report(330)), "five minutes are over");
        assert!(!heard.repeats(camera, 2, &report(310)), "it says something else");
        assert_eq!(heard.at(camera), Some(UnixMillis(300_000)));
    }

    #[test]
    fn a_silence_and_a_clock_that_was_set_back_are_news() {
        let (heard, camera) = (Heard::default(), CameraId::generate());
        heard.written(camera, 1, report(1_000));
        assert!(!heard.repeats(camera, 1, &report(1_091)));
        assert!(!heard.repeats(camera, 1, &report(999)));
    }

    #[test]
    fn who_is_forgotten_leaves_what_is_not_written_down() {
        let (heard, camera) = (Heard::default(), CameraId::generate());
        heard.written(camera, 1, report(0));
        assert!(heard.repeats(camera, 1, &report(30)));
        assert_eq!(heard.forget(camera), Some(UnixMillis(30_000)));
        heard.written(camera, 1, report(60));
        assert_eq!(heard.forget(camera), None);
        assert!(heard.last(camera).is_none());
    }
}

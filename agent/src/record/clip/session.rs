//! What is being recorded and why: one session for each event, and one for what is recorded all
//! the time; a clip or several in each.
//! Pure: it takes frames and the time, and says what is to be done.

use std::time::Duration;

use nightjar_core::{monotonic::MonotonicNanos, picture::EncodedFrame};
use nightjar_shared::{
    event::{EventEndReason, EventKind},
    ids::{ClipId, EventId},
};

use crate::record::clip::account::Account;

/// After this long without a frame the clip is closed: it is played as it is, and what comes
/// later opens the next one.
const LONGEST_GAP: Duration = Duration::from_secs(3);
/// After a clip could not be written, the next try waits this long.
const RETRY: Duration = Duration::from_secs(5);
/// The session ends this long after its last frame was due even if no frame comes to tell.
const GRACE: Duration = Duration::from_secs(1);

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum Step {
    /// Not part of any clip.
    Skip,
    /// The clip ends before it, and is the last one; the session goes on.
    Close,
    /// It opens a clip, after the open one, if any, is closed.
    Open,
    Append,
    /// The session is over without this frame.
    Finish,
}

/// What a clock tick asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) enum Tick {
    Nothing,
    /// No frames come: close the clip, keep the session.
    CloseClip,
    Finish,
}

/// Why and when a session's event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) struct End {
    pub(in crate::record) at: MonotonicNanos,
    pub(in crate::record) reason: EventEndReason,
}

/// What a session records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) struct Event {
    pub(in crate::record) event_id: EventId,
    pub(in crate::record) kind: EventKind,
}

#[derive(Debug)]
pub(in crate::record) struct Session {
    /// Nothing for what is recorded all the time: it has no beginning and no end to tell of.
    pub(in crate::record) event: Option<Event>,
    /// The first clip of the event: what its messages point to.
    pub(in crate::record) first_clip: ClipId,
    /// The newest clip of the event.
    pub(in crate::record) last_clip: ClipId,
    /// What its motion came to so far.
    pub(in crate::record) account: Account,
    max_clip: Duration,
    records: bool,
    /// No footage is taken from then on, however long the event lasts.
    records_until: Option<MonotonicNanos>,
    /// Opened so far.
    clips: u64,
    ends_at: Option<MonotonicNanos>,
    end: Option<End>,
    clip: Option<OpenClip>,
    /// No clip is opened before.
    retry_at: MonotonicNanos,
}

#[derive(Debug)]
struct OpenClip {
    clip_id: ClipId,
    begun_at: MonotonicNanos,
    last_frame_at: MonotonicNanos,
}

impl Session {
    pub(in crate::record) fn new(event: Option<Event>, max_clip: Duration) -> Self {
        let first_clip = ClipId::generate();
        Self {
            event,
            first_clip,
            last_clip: first_clip,
            account: Account::default(),
            max_clip,
            records: true,
            records_until: None,
            clips: 0,
            ends_at: None,
            end: None,
            clip: None,
            retry_at: MonotonicNanos::default(),
        }
    }

    /// The event ends at `end.at`, the footage `post_roll` later, unless it is extended.
    pub(in crate::record) fn end(&mut self, end: End, post_roll: Duration) {
        self.ends_at = Some(end.at.plus(post_roll));
        self.end = Some(end);
    }

    /// Motion has resumed within the post-roll: the event goes on.
    pub(in crate::record) fn extend(&mut self) {
        self.ends_at = None;
        self.end = None;
    }

    pub(in crate::record) fn ending(&self) -> Option<End> {
        self.end
    }

    pub(in crate::record) fn set_max_clip(&mut self, max_clip: Duration) {
        self.max_clip = max_clip;
    }

    pub(in crate::record) fn step(&self, frame: &EncodedFrame) -> Step {
        if self.ends_at.is_some_and(|ends_at| frame.captured_at >= ends_at) {
            return Step::Finish;
        }
        let is_over = self.records_until.is_some_and(|until| frame.captured_at >= until);
        match &self.clip {
            None if is_over => Step::Skip,
            Some(_) if is_over => Step::Close,
            None if self.records && frame.key_frame && frame.captured_at >= self.retry_at => {
                Step::Open
            }
            None => Step::Skip,
            Some(clip) => {
                let full = frame.captured_at.since(clip.begun_at) >= self.max_clip;
                if full && frame.key_frame { Step::Open } else { Step::Append }
            }
        }
    }

    /// Judged by the monotonic clock, for when no frame comes.
    pub(in crate::record) fn tick(&self, now: MonotonicNanos) -> Tick {
        if self.ends_at.is_some_and(|ends_at| now >= ends_at.plus(GRACE)) {
            return Tick::Finish;
        }
        match &self.clip {
            Some(clip) if now.since(clip.last_frame_at) > LONGEST_GAP => Tick::CloseClip,
            _ => Tick::Nothing,
        }
    }

    /// A clip begins with frames captured from `begun_at` to `last_frame_at`. Gives its id.
    pub(in crate::record) fn next_clip(
        &mut self,
        begun_at: MonotonicNanos,
        last_frame_at: MonotonicNanos,
    ) -> ClipId {
        let clip_id = if self.clips == 0 { self.first_clip } else { ClipId::generate() };
        self.clips += 1;
        self.last_clip = clip_id;
        self.clip = Some(OpenClip { clip_id, begun_at, last_frame_at });
        clip_id
    }

    /// An event that is told but not recorded.
    #[must_use]
    pub(in crate::record) fn without_footage(self) -> Self {
        Self { records: false, ..self }
    }

    /// An event that is recorded until then, and may last for longer.
    #[must_use]
    pub(in crate::record) fn with_footage_until(self, until: MonotonicNanos) -> Self {
        Self { records_until: Some(until), ..self }
    }

    pub(in crate::record) fn has_footage(&self) -> bool {
        self.records
    }

    pub(in crate::record) fn frame_appended(&mut self, captured_at: MonotonicNanos) {
        if let Some(clip) = &mut self.clip {
            clip.last_frame_at = clip.last_frame_at.max(captured_at);
        }
    }

    pub(in crate::record) fn clip_closed(&mut self) {
        self.clip = None;
    }

    /// The clip could not be written (any further).
    pub(in crate::record) fn clip_failed(&mut self, now: MonotonicNanos) {
        self.clip = None;
        self.retry_at = now.plus(RETRY);
    }

    pub(in crate::record) fn open_clip(&self) -> Option<ClipId> {
        self.clip.as_ref().map(|clip| clip.clip_id)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(seconds: u64) -> MonotonicNanos {
        MonotonicNanos(seconds * 1_000_000_000)
    }

    fn frame(seconds: u64, key_frame: bool) -> EncodedFrame {
        EncodedFrame { data: Bytes::new(), key_frame, captured_at: at(seconds) }
    }

    fn session() -> Session {
        let event = Event { event_id: EventId::generate(), kind: EventKind::Motion };
        Session::new(Some(event), Duration::from_mins(1))
    }

    fn open_session(seconds: u64) -> Session {
        let mut session = session();
        assert_eq!(session.next_clip(at(seconds), at(seconds)), session.first_clip);
        session
    }

    const STILL: End = End { at: MonotonicNanos(20_000_000_000), reason: EventEndReason::Still };

    #[test]
    fn a_clip_opens_with_a_key_frame_only() {
        let session = session();
        assert_eq!(session.step(&frame(1, false)), Step::Skip);
        assert_eq!(session.step(&frame(2, true)), Step::Open);
    }

    #[test]
    fn an_event_without_footage_opens_no_clip() {
        let session = session().without_footage();
        assert_eq!(session.step(&frame(2, true)), Step::Skip);
    }

    #[test]
    fn an_event_may_outlast_its_footage() {
        let mut session = session().with_footage_until(at(20));
        session.next_clip(at(10), at(12));
        assert_eq!(session.step(&frame(19, false)), Step::Append);
        assert_eq!(session.step(&frame(20, true)), Step::Close);
        session.clip_closed();
        assert_eq!(session.step(&frame(21, true)), Step::Skip);
        assert_eq!(session.tick(at(3_600)), Tick::Nothing);
        assert!(session.has_footage(), "it has its clip");
    }

    #[test]
    fn a_full_clip_is_followed_by_the_next_at_a_key_frame() {
        let session = open_session(100);
        assert_eq!(session.step(&frame(159, true)), Step::Append);
        assert_eq!(session.step(&frame(160, false)), Step::Append);
        assert_eq!(session.step(&frame(161, true)), Step::Open);
    }

    #[test]
    fn footage_goes_on_through_the_post_roll() {
        let mut session = open_session(10);
        session.end(STILL, Duration::from_secs(5));
        assert_eq!(session.step(&frame(24, false)), Step::Append);
        assert_eq!(session.step(&frame(25, false)), Step::Finish);
        assert_eq!(session.ending(), Some(STILL));
    }

    #[test]
    fn motion_within_the_post_roll_extends_the_event() {
        let mut session = open_session(10);
        session.end(STILL, Duration::from_secs(5));
        session.extend();
        assert_eq!(session.step(&frame(30, false)), Step::Append);
        assert_eq!(session.ending(), None);
    }

    #[test]
    fn a_source_that_falls_silent_closes_the_clip_but_not_the_event() {
        let mut session = open_session(10);
        session.frame_appended(at(12));
        assert_eq!(session.tick(at(15)), Tick::Nothing);
        assert_eq!(session.tick(at(16)), Tick::CloseClip);
        session.clip_closed();
        assert_eq!(session.tick(at(17)), Tick::Nothing);
        assert_eq!(session.step(&frame(30, true)), Step::Open);
    }

    #[test]
    fn an_event_ends_in_time_without_frames_too() {
        let mut session = open_session(10);
        session.end(STILL, Duration::from_secs(5));
        assert_eq!(session.tick(at(26)), Tick::Finish);
    }

    #[test]
    fn a_clip_that_failed_is_tried_again_after_a_while() {
        let mut session = open_session(10);
        session.clip_failed(at(12));
        assert_eq!(session.step(&frame(16, true)), Step::Skip);
        assert_eq!(session.step(&frame(17, true)), Step::Open);
    }
}

//! The recorder's loop: frames, motion and requests in, commands to the disk thread out.

mod tampering;

use std::{sync::Arc, time::Duration};

use nightjar_core::{monotonic::MonotonicNanos, mp4::VideoTrack, picture::EncodedFrame};
use nightjar_shared::{
    PROTOCOL_VERSION,
    event::{EventEndReason, EventKind, EventMessage, EventState},
    ids::{BootId, ClipId, EventId},
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, oneshot, watch,
    },
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::tampering::kept_for;
use super::{
    Controls, RecordError,
    clip::disk::{Begin, DiskCommand, Slot},
    clip::preroll::Preroll,
    clip::session::{End, Event, Session, Step, Tick},
};
use crate::{
    clock::Clock,
    motion_change::MotionChange,
    store::{ClipKind, NewClip},
    tamper_change::TamperChange,
};

/// Bound of the pre-roll in memory, whatever bitrate and span ask for.
const PREROLL_MAX_BYTES: usize = 48 * 1024 * 1024;
/// A manual recording that nobody stops ends by itself.
const LONGEST_MANUAL: Duration = Duration::from_hours(1);
/// The length of a piece of continuous footage.
const PIECE: Duration = Duration::from_mins(1);
const TICK: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) enum Request {
    StartManual(oneshot::Sender<Result<ClipId, RecordError>>),
    StopManual(oneshot::Sender<Result<ClipId, RecordError>>),
    ForgetPreroll,
}

/// The ends of the channels that the recorder works with.
pub(super) struct Ends {
    pub(super) frames: broadcast::Receiver<Arc<EncodedFrame>>,
    pub(super) motion: broadcast::Receiver<MotionChange>,
    pub(super) tampering: broadcast::Receiver<TamperChange>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) controls: watch::Receiver<Controls>,
    pub(super) failed: watch::Receiver<[Option<ClipId>; Slot::COUNT]>,
}

pub(super) struct Task {
    disk: mpsc::Sender<DiskCommand>,
    boot_id: BootId,
    clock: Clock,
    controls: Controls,
    preroll: Preroll,
    sessions: [Option<Session>; Slot::COUNT],
    track: Option<VideoTrack>,
    /// What happens between events is recorded now.
    records_all: bool,
    /// Frames were lost: those up to the next key frame cannot be decoded.
    awaits_key_frame: bool,
}

impl Task {
    pub(super) fn new(
        disk: mpsc::Sender<DiskCommand>,
        boot_id: BootId,
        clock: Clock,
        controls: Controls,
    ) -> Self {
        let span = kept_for(&controls);
        Self {
            records_all: controls.records_all_at(clock.trusted_unix()),
            disk,
            boot_id,
            clock,
            controls,
            preroll: Preroll::new(span, PREROLL_MAX_BYTES),
            sessions: [const { None }; Slot::COUNT],
            track: None,
            awaits_key_frame: true,
        }
    }

    /// Ends with the token, after all sessions are finished. The disk thread ends with it.
    pub(super) async fn run(mut self, mut ends: Ends, cancel: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut motion_ended, mut tampering_ended) = (false, false);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                change = ends.motion.recv(), if !motion_ended => match change {
                    Ok(change) => self.on_motion(change).await,
                    Err(RecvError::Lagged(lost)) => {
                        tracing::error!(lost, "motion changes were lost");
                    }
                    Err(RecvError::Closed) => motion_ended = true,
                },
                change = ends.tampering.recv(), if !tampering_ended => match change {
                    Ok(change) => self.on_tampering(change).await,
                    Err(RecvError::Lagged(lost)) => {
                        tracing::error!(lost, "news of tampering was lost");
                    }
                    Err(RecvError::Closed) => tampering_ended = true,
                },
                frame = ends.frames.recv() => match frame {
                    Ok(frame) => self.on_frame(frame, &ends.failed).await,
                    Err(RecvError::Lagged(lost)) => {
                        tracing::warn!(frames.lost = lost, "the disk is slower than the camera");
                        self.awaits_key_frame = true;
                    }
                    Err(RecvError::Closed) => break,
                },
                Some(request) = ends.requests.recv() => self.on_request(request).await,
                Ok(()) = ends.controls.changed() => {
                    let controls = ends.controls.borrow_and_update().clone();
                    self.apply(controls).await;
                }
                _ = ticks.tick() => self.on_tick().await,
            }
        }
        self.finish_all(EventEndReason::Stopped).await;
    }

    async fn on_frame(
        &mut self,
        frame: Arc<EncodedFrame>,
        failed: &watch::Receiver<[Option<ClipId>; Slot::COUNT]>,
    ) {
        if self.controls.private || (self.awaits_key_frame && !frame.key_frame) {
            return;
        }
        self.awaits_key_frame = false;
        let stream_changed = frame.key_frame && self.follow_stream(&frame);
        self.preroll.push(Arc::clone(&frame));
        for slot in Slot::ALL {
            let Some(session) = &mut self.sessions[slot as usize] else { continue };
            let lost = failed.borrow()[slot as usize];
            if lost.is_some() && session.open_clip() == lost {
                session.clip_failed(self.clock.monotonic());
            }
            let step = match session.step(&frame) {
                Step::Append if stream_changed => Step::Open,
                step => step,
            };
            match step {
                Step::Skip => {}
                Step::Open => self.open_clip(slot, vec![Arc::clone(&frame)], None).await,
                Step::Append => {
                    session.frame_appended(frame.captured_at);
                    self.send(DiskCommand::Append { slot, frame: Arc::clone(&frame) }).await;
                }
                Step::Finish => self.finish(slot).await,
                Step::Close => {
                    session.clip_closed();
                    self.send(DiskCommand::End { slot, message: None }).await;
                }
            }
        }
        self.fill_in().await;
    }

    /// Continuous footage covers the time in which nothing else is recorded, and no other: what is
    /// written twice is the pre-roll of an event, and the group of pictures in which it ends.
    async fn fill_in(&mut self) {
        let other = [Slot::Motion, Slot::Manual]
            .iter()
            .any(|slot| self.sessions[*slot as usize].as_ref().is_some_and(Session::has_footage));
        let wanted = self.records_all && !other;
        let place = Slot::Continuous as usize;
        match (wanted, self.sessions[place].is_some()) {
            (true, false) => {
                let frames = self.preroll.since(self.clock.monotonic());
                if !frames.is_empty() {
                    self.sessions[place] = Some(Session::new(None, PIECE));
                    self.open_clip(Slot::Continuous, frames, None).await;
                }
            }
            (false, true) => self.finish(Slot::Continuous).await,
            _ => {}
        }
    }

    /// Notes the parameter sets of a key frame. True when they are not those before: then it may
    /// go neither into the same file nor behind the same pre-roll.
    fn follow_stream(&mut self, key_frame: &EncodedFrame) -> bool {
        if self.track.as_ref().is_some_and(|track| track.matches(&key_frame.data)) {
            return false;
        }
        let first = self.track.is_none();
        self.track = VideoTrack::from_key_frame(&key_frame.data).ok();
        self.preroll.clear();
        !first
    }

    async fn on_motion(&mut self, change: MotionChange) {
        if self.controls.private {
            return;
        }
        match change.state {
            EventState::Started => self.motion_started(change).await,
            EventState::Ended => {
                let reason = change.reason.unwrap_or(EventEndReason::Still);
                let Some(session) = &mut self.sessions[Slot::Motion as usize] else { return };
                session.account.note(&change);
                let records = session.has_footage();
                let post_roll = if records && reason == EventEndReason::Still {
                    Duration::from_secs(self.controls.config.post_roll_s.into())
                } else {
                    Duration::ZERO
                };
                session.end(End { at: change.at, reason }, post_roll);
                if post_roll.is_zero() {
                    self.finish(Slot::Motion).await;
                }
            }
        }
    }

    async fn motion_started(&mut self, change: MotionChange) {
        if let Some(session) = &mut self.sessions[Slot::Motion as usize] {
            session.account.note(&change);
            session.extend();
            return;
        }
        let event = Event { event_id: change.event_id, kind: EventKind::Motion };
        let mut session = Session::new(Some(event), self.max_clip());
        session.account.note(&change);
        let records = self.controls.config.mode.records_events();
        let mut message = self.message(event, EventState::Started, change.at);
        message.clip_id = records.then_some(session.first_clip);
        message.boxes = change.boxes;
        message.zones = change.zones;
        if !records {
            self.sessions[Slot::Motion as usize] = Some(session.without_footage());
            return self.send(DiskCommand::Tell(Box::new(message))).await;
        }
        self.sessions[Slot::Motion as usize] = Some(session);
        let pre_roll = Duration::from_secs(self.controls.config.pre_roll_s.into());
        let frames = self.preroll.since(change.at.minus(pre_roll));
        self.open_clip(Slot::Motion, frames, Some(message)).await;
        self.fill_in().await;
    }

    async fn on_request(&mut self, request: Request) {
        match request {
            Request::ForgetPreroll => self.preroll.clear(),
            Request::StartManual(answer) => {
                let outcome = self.start_manual().await;
                // Whoever asked may have given up.
                let _ = answer.send(outcome);
            }
            Request::StopManual(answer) => {
                let outcome = match &mut self.sessions[Slot::Manual as usize] {
                    None => Err(RecordError::NotRecording),
                    Some(session) => {
                        let end =
                            End { at: self.clock.monotonic(), reason: EventEndReason::Stopped };
                        session.end(end, Duration::ZERO);
                        Ok(session.last_clip)
                    }
                };
                if outcome.is_ok() {
                    self.finish(Slot::Manual).await;
                }
                let _ = answer.send(outcome);
            }
        }
    }

    async fn start_manual(&mut self) -> Result<ClipId, RecordError> {
        if self.controls.private {
            return Err(RecordError::Private);
        }
        if self.sessions[Slot::Manual as usize].is_some() {
            return Err(RecordError::AlreadyRecording);
        }
        let now = self.clock.monotonic();
        let frames = self.preroll.since(now);
        if frames.is_empty() {
            return Err(RecordError::NoPicture);
        }
        let event = Event { event_id: EventId::generate(), kind: EventKind::Manual };
        let mut session = Session::new(Some(event), self.max_clip());
        session.end(
            End { at: now.plus(LONGEST_MANUAL), reason: EventEndReason::TimeLimit },
            Duration::ZERO,
        );
        let clip_id = session.first_clip;
        let mut message = self.message(event, EventState::Started, now);
        message.clip_id = Some(clip_id);
        self.sessions[Slot::Manual as usize] = Some(session);
        self.open_clip(Slot::Manual, frames, Some(message)).await;
        self.fill_in().await;
        Ok(clip_id)
    }

    async fn on_tick(&mut self) {
        let now = self.clock.monotonic();
        self.records_all = self.controls.records_all_at(self.clock.trusted_unix());
        for slot in Slot::ALL {
            let Some(session) = &mut self.sessions[slot as usize] else { continue };
            match session.tick(now) {
                Tick::Nothing => {}
                Tick::CloseClip => {
                    session.clip_closed();
                    self.send(DiskCommand::End { slot, message: None }).await;
                }
                Tick::Finish => self.finish(slot).await,
            }
        }
    }

    async fn apply(&mut self, controls: Controls) {
        self.controls = controls;
        self.records_all = self.controls.records_all_at(self.clock.trusted_unix());
        self.preroll.set_span(kept_for(&self.controls));
        let max_clip = self.max_clip();
        let events = self.sessions.iter_mut().flatten().filter(|session| session.event.is_some());
        events.for_each(|session| session.set_max_clip(max_clip));
        if self.controls.private {
            self.preroll.clear();
            self.awaits_key_frame = true;
            self.finish_all(EventEndReason::Privacy).await;
        }
        self.fill_in().await;
    }

    /// Opens a session's next clip with `frames`, or tells its message alone while there is no
    /// frame: the clip then opens with the next key frame.
    async fn open_clip(
        &mut self,
        slot: Slot,
        frames: Vec<Arc<EncodedFrame>>,
        message: Option<EventMessage>,
    ) {
        let longest = match slot {
            Slot::Continuous => PIECE,
            _ => self.max_clip() + Duration::from_secs(self.controls.config.pre_roll_s.into()),
        };
        let Some(session) = &mut self.sessions[slot as usize] else { return };
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            if let Some(message) = message {
                self.send(DiskCommand::Tell(Box::new(message))).await;
            }
            return;
        };
        let begun_at = first.captured_at;
        let clip_id = session.next_clip(begun_at, last.captured_at);
        let clip = NewClip {
            clip_id,
            event_id: session.event.map(|event| event.event_id),
            kind: match slot {
                Slot::Motion | Slot::Tamper => ClipKind::Motion,
                Slot::Manual => ClipKind::Manual,
                Slot::Continuous => ClipKind::Continuous,
            },
            started_at: self.clock.unix_time_of(begun_at),
            clock: self.clock.state(),
            boot_id: self.boot_id,
            started_uptime_ms: self.clock.uptime_ms_of(begun_at),
        };
        let begin = Begin { slot, clip, message, frames, longest };
        self.send(DiskCommand::Begin(Box::new(begin))).await;
    }

    async fn finish(&mut self, slot: Slot) {
        let Some(session) = self.sessions[slot as usize].take() else { return };
        let end = session
            .ending()
            .unwrap_or(End { at: self.clock.monotonic(), reason: EventEndReason::Stopped });
        let message = session.event.map(|event| {
            let mut message = self.message(event, EventState::Ended, end.at);
            message.clip_id = session.has_footage().then_some(session.first_clip);
            message.reason = Some(end.reason.into());
            session.account.tell(&mut message);
            Box::new(message)
        });
        self.send(DiskCommand::End { slot, message }).await;
    }

    async fn finish_all(&mut self, reason: EventEndReason) {
        for slot in Slot::ALL {
            if let Some(session) = &mut self.sessions[slot as usize] {
                if session.ending().is_none_or(|end| end.at > self.clock.monotonic()) {
                    session.end(End { at: self.clock.monotonic(), reason }, Duration::ZERO);
                }
                self.finish(slot).await;
            }
        }
    }

    fn message(&self, event: Event, state: EventState, at: MonotonicNanos) -> EventMessage {
        EventMessage {
            protocol: PROTOCOL_VERSION,
            event_id: event.event_id,
            kind: event.kind,
            state,
            at: self.clock.unix_time_of(at),
            clock: self.clock.state(),
            boot_id: self.boot_id,
            uptime_ms: self.clock.uptime_ms_of(at),
            clip_id: None,
            boxes: Vec::new(),
            zones: Vec::new(),
            reason: None,
            tamper: None,
            peak_area: None,
            duration_ms: None,
        }
    }

    fn max_clip(&self) -> Duration {
        Duration::from_secs(self.controls.config.max_clip_s.into())
    }

    /// Waits while the queue is full. The disk thread outlives the recorder, so a refusal can
    /// only mean that it panicked, which has been reported.
    async fn send(&self, command: DiskCommand) {
        let _ = self.disk.send(command).await;
    }
}

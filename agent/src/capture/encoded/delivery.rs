//! What becomes of the frames of a source that makes H.264: they are judged, placed in time, held
//! until somebody takes them, and given out.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer_app::AppSrc;
use nightjar_core::{
    h264::{Judge, Sequence, is_whole_key_frame},
    monotonic::MonotonicNanos,
    picture::{EncodedFrame, arrival::ArrivalClock, loss::LossGate, pace::PaceCheck},
};
use nightjar_shared::event::TranscodeReason;

use super::problem::least_pause;
use crate::{capture::Geometry, clock::monotonic_now, lock::lock};

/// A source is opened once its first key frame is there. What is wrong is told soon; from one try to
/// the next it is waited for twice as long, since some make one a minute.
const FIRST_KEY_FRAME_WITHIN: Duration = Duration::from_secs(8);
const DOUBLED_MAX: u32 = 3;

/// While nothing comes at all, nobody waits longer. An IP camera is asked three questions before.
const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(30);

/// The key frames of 4K cameras have up to a megabyte. What reads frames keeps up to 128 of them.
pub(super) const FRAME_BYTES_MAX: usize = 2 << 20;

/// What is held of a source that was opened, until its pipeline plays. When it is more, all of it is
/// given up, and the next key frame begins.
const HELD_FRAMES_MAX: usize = 128;

/// Frames that wait to be decoded; when there are more, those up to the next key frame are left out.
const DECODE_QUEUE: u64 = 32;

/// Takes a frame as it is; true when a key frame is wanted.
pub(crate) type PassFrame = Box<dyn FnMut(EncodedFrame) -> bool + Send>;

/// Where frames go.
pub(crate) struct Outlets {
    pub(crate) pass: Option<PassFrame>,
    pub(crate) decode: Option<DecodeFeed>,
    /// Tells the pipeline that the source failed.
    pub(crate) alarm: AppSrc,
}

/// The frames of one source.
#[derive(Default)]
pub(super) struct Delivery {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    judge: Judge,
    clock: ArrivalClock,
    loss: LossGate,
    obstacle: Option<TranscodeReason>,
    /// Of the newest key frame.
    sequence: Option<Sequence>,
    pace: PaceCheck,
    frames: u64,
    problem: Option<anyhow::Error>,
    /// It has failed, and nothing of it is taken any more.
    ended: bool,
    /// How long to leave the source alone at least after that.
    least_pause: Duration,
    held: Vec<EncodedFrame>,
    outlets: Option<Outlets>,
}

impl Delivery {
    /// Takes the next frame, which the source says was captured at `told`. True when a key frame is
    /// wanted.
    pub(super) fn take(&self, data: Bytes, told: Option<Duration>) -> bool {
        if data.len() > FRAME_BYTES_MAX {
            let problem =
                "the source gives frames of more than 2 MB; lower its bitrate or its size";
            self.fail(anyhow::anyhow!(problem));
            return false;
        }
        let mut state = lock(&self.state);
        if state.ended {
            return false;
        }
        if !state.loss.lets_through(is_whole_key_frame(&data)) {
            return false;
        }
        let captured_at = state.clock.place(told, monotonic_now());
        let Some(seen) = state.judge.see(&data, captured_at) else { return false };
        if let Some(unfit) = seen.unfit {
            drop(state);
            self.fail(unfit.into());
            return false;
        }
        state.frames += 1;
        state.obstacle = seen.obstacle;
        state.note(seen.sequence, captured_at);
        let first = state.frames == 1 || seen.sequence.is_some();
        let wanted = state.give(EncodedFrame { data, key_frame: seen.key_frame, captured_at });
        drop(state);
        if first {
            self.changed.notify_all();
        }
        wanted
    }

    /// Notes that so many packets are missing before the end of the next frame.
    pub(super) fn lose(&self, packets: u16) {
        if let Some(lost) = lock(&self.state).loss.lose(packets, monotonic_now()) {
            tracing::warn!(
                lost,
                "packets of the camera were lost; its pictures are held back up to the next key frame"
            );
        }
    }

    /// How many packets were lost, where some were of late.
    pub(super) fn lost(&self) -> Option<u64> {
        lock(&self.state).loss.lost(monotonic_now())
    }

    /// The source has ended; says why.
    pub(super) fn fail(&self, problem: anyhow::Error) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        state.least_pause = least_pause(&problem);
        state.held.clear();
        if let Some(outlets) = state.outlets.take() {
            gst::element_error!(outlets.alarm, gst::ResourceError::Read, ("{problem:#}"));
        }
        state.problem.get_or_insert(problem);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the source has said what it is.
    pub(super) fn wait_for_key_frame(&self, failures: u32) -> anyhow::Result<Sequence> {
        let patience = FIRST_KEY_FRAME_WITHIN * (1 << failures.min(DOUBLED_MAX));
        let mut began = Instant::now();
        let mut state = lock(&self.state);
        loop {
            if let Some(problem) = state.problem.take() {
                return Err(problem);
            }
            if let Some(sequence) = state.sequence {
                return Ok(sequence);
            }
            let silent = state.frames == 0;
            let limit = if silent { FIRST_FRAME_WITHIN } else { patience };
            let Some(left) = limit.checked_sub(began.elapsed()) else {
                bail!("{}", absence(silent, limit));
            };
            let waited = self.changed.wait_timeout(state, left.max(Duration::from_millis(10)));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if silent && state.frames > 0 {
                began = Instant::now();
            }
        }
    }

    pub(super) fn sequence(&self) -> Option<Sequence> {
        lock(&self.state).sequence
    }

    pub(super) fn obstacle(&self) -> Option<TranscodeReason> {
        lock(&self.state).obstacle
    }

    /// How long to leave a source alone at least that failed.
    pub(super) fn least_pause(&self) -> Duration {
        lock(&self.state).least_pause
    }

    pub(super) fn flow(&self, outlets: Outlets) {
        let mut state = lock(&self.state);
        let held = std::mem::take(&mut state.held);
        if let Some(problem) = state.problem.take() {
            gst::element_error!(outlets.alarm, gst::ResourceError::Read, ("{problem:#}"));
        }
        state.outlets = Some(outlets);
        for frame in held {
            state.give(frame);
        }
    }
}

fn absence(silent: bool, limit: Duration) -> String {
    let seconds = limit.as_secs();
    if silent {
        format!("the source gives no picture within {seconds} s; see that it works elsewhere")
    } else {
        format!(
            "the source gives pictures and no key frame with parameter sets within {seconds} s; set \
             it to a key frame each second or two, with parameter sets in each"
        )
    }
}

impl State {
    /// Notes what the stream is from now on, and says what is odd about it.
    fn note(&mut self, sequence: Option<Sequence>, at: MonotonicNanos) {
        if let Some(now) = sequence
            && let Some(before) = self.sequence.replace(now)
            && (before.width, before.height) != (now.width, now.height)
        {
            let (width, height) = (now.width, now.height);
            tracing::info!(
                width,
                height,
                "the source's own pictures have another size from now on"
            );
        }
        let told = self.sequence.and_then(|sequence| sequence.fps);
        let Some((pictures, seconds)) = told.filter(|(_, seconds)| *seconds > 0) else { return };
        let told = f64::from(pictures) / f64::from(seconds);
        if let Some(measured) = self.pace.see(told, at) {
            tracing::warn!(
                told = format!("{told:.1}"),
                measured = format!("{measured:.1}"),
                "the source does not give as many pictures a second as it says; what counts is when \
                 each comes"
            );
        }
    }

    fn give(&mut self, frame: EncodedFrame) -> bool {
        let Some(outlets) = &mut self.outlets else {
            self.hold(frame);
            return false;
        };
        let mut wanted = false;
        if let Some(decode) = &mut outlets.decode {
            wanted |= decode.push(&frame);
        }
        // What is no longer fit to be used as it is goes nowhere; the pipeline is made anew.
        if let Some(pass) = outlets.pass.as_mut().filter(|_| self.obstacle.is_none()) {
            wanted |= pass(frame);
        }
        wanted
    }

    fn hold(&mut self, frame: EncodedFrame) {
        if frame.key_frame || self.held.len() >= HELD_FRAMES_MAX {
            self.held.clear();
        }
        if frame.key_frame || !self.held.is_empty() {
            self.held.push(frame);
        }
    }
}

/// The way to the decoder.
pub(crate) struct DecodeFeed {
    sink: AppSrc,
    /// Nothing can be decoded up to the next key frame, which was asked for or not.
    skipping: bool,
    asked: bool,
    told: bool,
}

impl DecodeFeed {
    /// Makes the way, and the element at whose output the frames come out. The pace is said here: what
    /// the stream says of it is not always possible.
    pub(crate) fn new(geometry: Geometry) -> (Self, AppSrc) {
        let part = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let (pictures, seconds) = geometry.fps;
        let caps = gst::Caps::builder("video/x-h264")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .field("framerate", gst::Fraction::new(part(pictures), part(seconds)))
            .build();
        let sink = AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(true)
            // More than ever wait: see `push`.
            .name("camera")
            .max_buffers(DECODE_QUEUE * 2)
            .max_bytes(0)
            .build();
        (Self { sink: sink.clone(), skipping: true, asked: true, told: false }, sink)
    }

    /// True when a key frame is wanted.
    fn push(&mut self, frame: &EncodedFrame) -> bool {
        let full = self.sink.current_level_buffers() >= DECODE_QUEUE;
        if full && !std::mem::replace(&mut self.told, true) {
            tracing::warn!("the decoder does not keep up; motion is looked for in fewer pictures");
        }
        self.skipping = full || (self.skipping && !frame.key_frame);
        if self.skipping {
            // As soon as there is room again.
            return !full && !std::mem::replace(&mut self.asked, true);
        }
        self.asked = false;
        let mut buffer = gst::Buffer::from_slice(frame.data.clone());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(frame.captured_at.0));
            if !frame.key_frame {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        // An error means that the pipeline is being stopped.
        let _ = self.sink.push_buffer(buffer);
        false
    }
}

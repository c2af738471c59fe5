//! One layer's encoded frames, on their way to everybody who listens.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use gstreamer as gst;
use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::{
        EncodedFrame,
        key_frames::{KeyFrameGate, SHORTEST_INTERVAL},
        recent::RecentFrames,
    },
};
use tokio::sync::broadcast;

use crate::{clock::monotonic_now, lock::lock};

/// About four seconds at 30 fps. A reader that is further behind loses the oldest frames, is told
/// so, and must resume at a key frame.
const FRAME_QUEUE: usize = 128;

/// Stays the same while pipelines come and go.
pub(crate) struct FrameHub {
    frames: broadcast::Sender<Arc<EncodedFrame>>,
    /// After a gap, frames are held back up to the next key frame.
    gap: AtomicBool,
    key_frames: Mutex<KeyFrameGate>,
    /// Held while a frame is handed on, so that who joins misses none and gets none twice.
    recent: Mutex<RecentFrames<Arc<EncodedFrame>>>,
}

/// Encoded frames, those that were there before first.
pub struct Joined {
    /// From a young key frame on; none where there is no such key frame.
    pub(crate) before: Vec<Arc<EncodedFrame>>,
    pub(crate) frames: broadcast::Receiver<Arc<EncodedFrame>>,
}

impl FrameHub {
    pub(crate) fn new() -> Self {
        Self {
            frames: broadcast::Sender::new(FRAME_QUEUE),
            gap: AtomicBool::new(false),
            key_frames: Mutex::default(),
            // For an older key frame there can be a new one at once.
            recent: Mutex::new(RecentFrames::new(SHORTEST_INTERVAL)),
        }
    }

    /// Subscribes with what was encoded since the newest key frame, if that is young.
    pub(crate) fn join(&self) -> Joined {
        let recent = lock(&self.recent);
        let before = recent.for_joiner(monotonic_now()).to_vec();
        Joined { before, frames: self.frames.subscribe() }
    }

    /// Asks for a key frame where [`Self::join`] would find none.
    pub(crate) fn provide_key_frame(&self) {
        if lock(&self.recent).for_joiner(monotonic_now()).is_empty() {
            self.request_key_frame();
        }
    }

    /// Keeps nothing that was captured up to now for who joins later.
    pub(crate) fn forget_recent(&self) {
        lock(&self.recent).begin_at(monotonic_now());
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<EncodedFrame>> {
        self.frames.subscribe()
    }

    pub(crate) fn request_key_frame(&self) {
        lock(&self.key_frames).request();
    }

    /// Whether the picture captured then must become a key frame.
    pub(crate) fn wants_key_frame(&self, captured_at: MonotonicNanos) -> bool {
        lock(&self.key_frames).decide(captured_at)
    }

    /// A new encoder begins.
    pub(crate) fn reset(&self) {
        *lock(&self.key_frames) = KeyFrameGate::default();
        lock(&self.recent).clear();
    }

    /// Hands an encoded access unit on, unless nobody may see it; false when it is none.
    pub(crate) fn on_encoded(&self, sample: &gst::Sample, hidden: bool) -> bool {
        let frame = encoded_frame(sample);
        frame.map(|frame| self.on_frame(frame, hidden)).is_some()
    }

    /// Hands a frame on, unless nobody may see it.
    pub(crate) fn on_frame(&self, frame: EncodedFrame, hidden: bool) {
        if frame.key_frame {
            lock(&self.key_frames).encoded(frame.captured_at);
        }
        let mut recent = lock(&self.recent);
        if hidden {
            recent.clear();
            self.gap.store(true, Ordering::SeqCst);
            return;
        }
        if frame.key_frame {
            self.gap.store(false, Ordering::SeqCst);
        }
        if !self.gap.load(Ordering::SeqCst) {
            let frame = Arc::new(frame);
            recent.push(Arc::clone(&frame), frame.key_frame, frame.captured_at);
            // An error means that nobody listens.
            let _ = self.frames.send(frame);
        }
    }
}

fn encoded_frame(sample: &gst::Sample) -> Option<EncodedFrame> {
    let buffer = sample.buffer()?;
    // Encoders may count from far beyond zero (x264enc: from 1000 h) and say so in the segment.
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let captured_at = segment.to_running_time(buffer.pts())?;
    let map = buffer.map_readable().ok()?;
    Some(EncodedFrame {
        data: Bytes::copy_from_slice(&map),
        key_frame: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        captured_at: MonotonicNanos(captured_at.nseconds()),
    })
}

//! One layer's encoded frames, on their way to everybody who listens.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use gstreamer as gst;
use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::{EncodedFrame, key_frames::KeyFrameGate},
};
use tokio::sync::broadcast;

use crate::lock::lock;

/// About four seconds at 30 fps. A reader that is further behind loses the oldest frames, is told
/// so, and must resume at a key frame.
const FRAME_QUEUE: usize = 128;

/// Stays the same while pipelines come and go.
pub(crate) struct FrameHub {
    frames: broadcast::Sender<Arc<EncodedFrame>>,
    /// After a gap, frames are held back up to the next key frame.
    gap: AtomicBool,
    key_frames: Mutex<KeyFrameGate>,
}

impl FrameHub {
    pub(crate) fn new() -> Self {
        Self {
            frames: broadcast::Sender::new(FRAME_QUEUE),
            gap: AtomicBool::new(false),
            key_frames: Mutex::default(),
        }
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
    }

    /// Hands an encoded access unit on, unless the camera is private; false when it is none.
    pub(crate) fn on_encoded(&self, sample: &gst::Sample, private: bool) -> bool {
        let Some(frame) = encoded_frame(sample) else { return false };
        if frame.key_frame {
            lock(&self.key_frames).encoded(frame.captured_at);
        }
        if private {
            self.gap.store(true, Ordering::SeqCst);
            return true;
        }
        if frame.key_frame {
            self.gap.store(false, Ordering::SeqCst);
        }
        if !self.gap.load(Ordering::SeqCst) {
            // An error means that nobody listens.
            let _ = self.frames.send(Arc::new(frame));
        }
        true
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

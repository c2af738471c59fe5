//! Where pictures leave the pipeline. Everything here runs on its streaming threads, so nothing
//! waits: a full queue drops.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::{VideoFrameRef, VideoInfo, prelude::*};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    key_frames::KeyFrameGate,
    luma::{self, Limiter},
};
use crate::{
    clock::{MonotonicNanos, monotonic_now},
    frame::{EncodedFrame, LumaFrame},
};

/// About four seconds at 30 fps. A reader that is further behind loses the oldest frames, is told
/// so, and must resume at a key frame.
const FRAME_QUEUE: usize = 128;

/// When full, the newest luma frame is dropped: the detector sees fewer, never stale ones.
const LUMA_QUEUE: usize = 2;

/// More requests for a picture than this at a time are refused.
const MAX_PICTURE_REQUESTS: usize = 8;

/// One raw picture, copied out of the pipeline.
pub(crate) struct RawPicture {
    pub(crate) buffer: gst::Buffer,
    pub(crate) caps: gst::Caps,
}

/// The ends that stay the same while pipelines come and go.
pub(crate) struct Taps {
    frames: broadcast::Sender<Arc<EncodedFrame>>,
    luma: mpsc::Sender<LumaFrame>,
    private: AtomicBool,
    /// After a gap, frames are held back up to the next key frame.
    gap: AtomicBool,
    key_frames: Mutex<KeyFrameGate>,
    limiter: Mutex<Limiter>,
    pictures: Mutex<Vec<oneshot::Sender<RawPicture>>>,
    encoded: AtomicU64,
    /// Arrival of the newest encoded frame; 0 before the first.
    last_frame_at: AtomicU64,
}

impl Taps {
    pub(crate) fn new() -> (Self, mpsc::Receiver<LumaFrame>) {
        let (luma, luma_receiver) = mpsc::channel(LUMA_QUEUE);
        let taps = Self {
            frames: broadcast::Sender::new(FRAME_QUEUE),
            luma,
            private: AtomicBool::new(false),
            gap: AtomicBool::new(false),
            key_frames: Mutex::default(),
            limiter: Mutex::default(),
            pictures: Mutex::default(),
            encoded: AtomicU64::new(0),
            last_frame_at: AtomicU64::new(0),
        };
        (taps, luma_receiver)
    }

    pub(crate) fn frames(&self) -> broadcast::Receiver<Arc<EncodedFrame>> {
        self.frames.subscribe()
    }

    pub(crate) fn request_key_frame(&self) {
        lock(&self.key_frames).request();
    }

    /// A copy of the next raw picture; the sender is dropped when there are too many requests.
    pub(crate) fn request_picture(&self) -> oneshot::Receiver<RawPicture> {
        let (sender, receiver) = oneshot::channel();
        let mut pictures = lock(&self.pictures);
        pictures.retain(|request| !request.is_closed());
        if pictures.len() < MAX_PICTURE_REQUESTS {
            pictures.push(sender);
        }
        receiver
    }

    /// From now on nothing leaves, or everything does again.
    pub(crate) fn set_private(&self, private: bool) {
        self.private.store(private, Ordering::SeqCst);
        if private {
            lock(&self.pictures).clear();
        } else {
            self.request_key_frame();
        }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.private.load(Ordering::SeqCst)
    }

    /// A new pipeline begins.
    pub(crate) fn reset(&self) {
        *lock(&self.key_frames) = KeyFrameGate::default();
        *lock(&self.limiter) = Limiter::default();
    }

    /// How many frames were encoded so far.
    pub(crate) fn encoded_frames(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }

    pub(crate) fn last_frame_at(&self) -> Option<MonotonicNanos> {
        let at = self.last_frame_at.load(Ordering::Relaxed);
        (at != 0).then_some(MonotonicNanos(at))
    }

    /// Looks at a raw picture on its way to the encoder. True when the encoder is to be asked for
    /// a key frame.
    pub(crate) fn on_raw(&self, pad: &gst::Pad, buffer: &gst::BufferRef) -> bool {
        // The base time is zero and sources count from zero: a time stamp is CLOCK_MONOTONIC.
        let Some(pts) = buffer.pts() else { return false };
        let captured_at = MonotonicNanos(pts.nseconds());
        if !self.is_private() {
            self.offer_luma(pad, buffer, captured_at);
            self.answer_picture_requests(pad, buffer);
        }
        lock(&self.key_frames).decide(captured_at)
    }

    fn offer_luma(&self, pad: &gst::Pad, buffer: &gst::BufferRef, captured_at: MonotonicNanos) {
        if self.luma.capacity() == 0 || !lock(&self.limiter).admits(captured_at) {
            return;
        }
        let Some(small) = small_luma(pad, buffer, captured_at) else { return };
        // Full or nobody listens: either way this picture has no taker.
        let _ = self.luma.try_send(small);
    }

    fn answer_picture_requests(&self, pad: &gst::Pad, buffer: &gst::BufferRef) {
        let mut pictures = lock(&self.pictures);
        if pictures.is_empty() {
            return;
        }
        let Some(caps) = pad.current_caps() else { return };
        let Ok(copy) = buffer.copy_deep() else { return };
        for request in pictures.drain(..) {
            let _ = request.send(RawPicture { buffer: copy.clone(), caps: caps.clone() });
        }
    }

    /// Hands an encoded access unit to everybody who listens.
    pub(crate) fn on_encoded(&self, sample: &gst::Sample) {
        let Some(frame) = encoded_frame(sample) else { return };
        self.encoded.fetch_add(1, Ordering::Relaxed);
        self.last_frame_at.store(monotonic_now().0, Ordering::Relaxed);
        if frame.key_frame {
            lock(&self.key_frames).encoded(frame.captured_at);
        }
        if self.is_private() {
            self.gap.store(true, Ordering::SeqCst);
            return;
        }
        if frame.key_frame {
            self.gap.store(false, Ordering::SeqCst);
        }
        if !self.gap.load(Ordering::SeqCst) {
            // An error means that nobody listens.
            let _ = self.frames.send(Arc::new(frame));
        }
    }
}

/// Another thread's panic leaves these values whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn small_luma(
    pad: &gst::Pad,
    buffer: &gst::BufferRef,
    captured_at: MonotonicNanos,
) -> Option<LumaFrame> {
    let info = VideoInfo::from_caps(pad.current_caps()?.as_ref()).ok()?;
    let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info).ok()?;
    let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
    let size = (usize::try_from(frame.width()).ok()?, usize::try_from(frame.height()).ok()?);
    luma::downscale(frame.plane_data(0).ok()?, size, stride, captured_at)
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

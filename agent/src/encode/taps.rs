//! Where pictures leave the pipeline. Everything here runs on its streaming threads, so nothing
//! waits: a full queue drops.

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_video::{VideoFrameRef, VideoInfo, prelude::*};
use nightjar_core::{
    monotonic::MonotonicNanos,
    night::Light,
    orientation::Orientation,
    picture::{
        EncodedFrame, Layer, LumaFrame,
        luma::{self, Limiter},
    },
};
use nightjar_shared::{configuration::PrivacyMask, image::ImageControl};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    hub::{FrameHub, Joined},
    low_feed::LowFeed,
    masks::Masks,
};
use crate::{capture::image::ImageControls, clock::monotonic_now, lock::lock};

/// When full, the newest luma frame is dropped: the detector sees fewer, never stale ones.
const LUMA_QUEUE: usize = 2;

/// How often the picture's brightness is taken.
const LIGHT_EVERY: Duration = Duration::from_millis(900);

/// More requests for a picture than this at a time are refused.
const MAX_PICTURE_REQUESTS: usize = 8;

/// One raw picture, copied out of the pipeline.
pub(crate) struct RawPicture {
    pub(crate) buffer: gst::Buffer,
    pub(crate) caps: gst::Caps,
}

/// The ends that stay the same while pipelines come and go.
pub(crate) struct Taps {
    main: FrameHub,
    low: FrameHub,
    /// Where raw pictures go while the low layer is made.
    pub(crate) low_feed: LowFeed,
    luma: mpsc::Sender<LumaFrame>,
    private: AtomicBool,
    masks: Mutex<Masks>,
    /// A picture could not be covered; said once.
    uncovered: AtomicBool,
    /// When the camera last changed its own picture.
    camera_changes: watch::Sender<Option<MonotonicNanos>>,
    /// What the camera lets others set; nothing while it is away.
    image_controls: watch::Sender<Option<Vec<ImageControl>>>,
    /// The controls themselves, for as long as the camera is captured from.
    controls: Mutex<Weak<ImageControls>>,
    /// How bright the picture is, and how much of its gain the camera uses.
    light: watch::Sender<Option<(Light, MonotonicNanos)>>,
    gain: watch::Sender<Option<f32>>,
    limiter: Mutex<Limiter>,
    pictures: Mutex<Vec<oneshot::Sender<RawPicture>>>,
    encoded: AtomicU64,
    /// Arrival of the newest encoded frame, and of the newest picture; 0 before the first.
    last_frame_at: AtomicU64,
    last_picture_at: AtomicU64,
}

impl Taps {
    pub(crate) fn new() -> (Self, mpsc::Receiver<LumaFrame>) {
        let (luma, luma_receiver) = mpsc::channel(LUMA_QUEUE);
        let taps = Self {
            main: FrameHub::new(),
            low: FrameHub::new(),
            low_feed: LowFeed::default(),
            luma,
            private: AtomicBool::new(false),
            masks: Mutex::default(),
            uncovered: AtomicBool::new(false),
            camera_changes: watch::Sender::new(None),
            image_controls: watch::Sender::new(None),
            controls: Mutex::default(),
            light: watch::Sender::new(None),
            gain: watch::Sender::new(None),
            limiter: Mutex::default(),
            pictures: Mutex::default(),
            encoded: AtomicU64::new(0),
            last_frame_at: AtomicU64::new(0),
            last_picture_at: AtomicU64::new(0),
        };
        (taps, luma_receiver)
    }

    pub(crate) fn frames(&self, layer: Layer) -> broadcast::Receiver<Arc<EncodedFrame>> {
        self.hub(layer).subscribe()
    }

    pub(crate) fn join(&self, layer: Layer) -> Joined {
        self.hub(layer).join()
    }

    pub(crate) fn provide_key_frame(&self, layer: Layer) {
        self.hub(layer).provide_key_frame();
    }

    pub(crate) fn request_key_frame(&self, layer: Layer) {
        self.hub(layer).request_key_frame();
    }

    fn hub(&self, layer: Layer) -> &FrameHub {
        match layer {
            Layer::Main => &self.main,
            Layer::Low => &self.low,
        }
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
            self.main.forget_recent();
            self.low.forget_recent();
        } else {
            self.request_key_frame(Layer::Main);
        }
    }

    /// From the next picture on.
    pub(crate) fn set_masks(&self, masks: &[PrivacyMask], drawn: Orientation) {
        *lock(&self.masks) = Masks::new(masks, drawn);
        // Who joins must not see what is hidden from now on.
        self.main.forget_recent();
        self.low.forget_recent();
        self.request_key_frame(Layer::Main);
        self.request_key_frame(Layer::Low);
    }

    pub(crate) fn masks(&self) -> Vec<PrivacyMask> {
        lock(&self.masks).shapes().to_vec()
    }

    /// Fills what nobody may see. False when that was impossible: then nobody may see any of it.
    pub(crate) fn cover(
        &self,
        pad: &gst::Pad,
        buffer: &mut gst::Buffer,
        shown: Orientation,
    ) -> bool {
        let covered = lock(&self.masks).cover(pad, buffer, shown);
        if let Err(error) = &covered
            && !self.uncovered.swap(true, Ordering::Relaxed)
        {
            tracing::error!(
                error = format!("{error:#}"),
                "the privacy masks cannot be drawn; no picture is let through"
            );
        }
        covered.is_ok()
    }

    pub(crate) fn camera_changed(&self, at: MonotonicNanos) {
        self.camera_changes.send_replace(Some(at));
    }

    pub(crate) fn camera_changes(&self) -> watch::Receiver<Option<MonotonicNanos>> {
        self.camera_changes.subscribe()
    }

    pub(crate) fn tell_image_controls(&self, controls: Option<&Arc<ImageControls>>) {
        *lock(&self.controls) = controls.map(Arc::downgrade).unwrap_or_default();
        let offered = controls.map_or_else(Vec::new, |it| it.offered());
        self.image_controls.send_if_modified(|told| {
            let differs = told.as_ref() != Some(&offered);
            *told = Some(offered);
            differs
        });
    }

    /// The camera's controls, while it is captured from.
    pub(crate) fn controls(&self) -> Option<Arc<ImageControls>> {
        lock(&self.controls).upgrade()
    }

    pub(crate) fn image_controls(&self) -> watch::Receiver<Option<Vec<ImageControl>>> {
        self.image_controls.subscribe()
    }

    pub(crate) fn is_private(&self) -> bool {
        self.private.load(Ordering::SeqCst)
    }

    /// A new pipeline begins.
    pub(crate) fn reset(&self) {
        self.main.reset();
        *lock(&self.limiter) = Limiter::default();
    }

    /// A new low layer begins.
    pub(crate) fn reset_low(&self) {
        self.low.reset();
    }

    /// How many frames were encoded so far.
    pub(crate) fn encoded_frames(&self) -> u64 {
        self.encoded.load(Ordering::Relaxed)
    }

    /// When both a frame and a picture were last there: without the one nothing is recorded, without the
    /// other nothing is detected.
    pub(crate) fn last_seen_at(&self) -> Option<MonotonicNanos> {
        let frame = self.last_frame_at.load(Ordering::Relaxed);
        let at = frame.min(self.last_picture_at.load(Ordering::Relaxed));
        (at != 0).then_some(MonotonicNanos(at))
    }

    /// Whether places are hidden: then no picture may leave in which they were not covered.
    pub(crate) fn has_masks(&self) -> bool {
        !lock(&self.masks).shapes().is_empty()
    }

    /// Shows the motion detector what the camera sees, before a frame is put around it.
    pub(crate) fn on_scene(&self, pad: &gst::Pad, buffer: &gst::Buffer) {
        let Some(pts) = buffer.pts() else { return };
        if !self.is_private() {
            self.offer_luma(pad, buffer, MonotonicNanos(pts.nseconds()));
        }
    }

    /// Looks at a raw picture on its way to the encoder. True when the encoder is to be asked for
    /// a key frame.
    pub(crate) fn on_raw(&self, pad: &gst::Pad, buffer: &gst::Buffer) -> bool {
        let captured_at = self.on_picture(pad, buffer);
        captured_at.is_some_and(|captured_at| self.main.wants_key_frame(captured_at))
    }

    /// Looks at a raw picture, which is covered already. Gives when it was captured.
    pub(crate) fn on_picture(
        &self,
        pad: &gst::Pad,
        buffer: &gst::Buffer,
    ) -> Option<MonotonicNanos> {
        // The base time is zero and sources count from zero: a time stamp is CLOCK_MONOTONIC.
        let captured_at = MonotonicNanos(buffer.pts()?.nseconds());
        self.last_picture_at.store(monotonic_now().0, Ordering::Relaxed);
        if !self.is_private() {
            self.answer_picture_requests(pad, buffer);
            if self.low_feed.admits(captured_at) {
                self.low_feed.push(pad, buffer, self.low.wants_key_frame(captured_at));
            }
        }
        Some(captured_at)
    }

    fn offer_luma(&self, pad: &gst::Pad, buffer: &gst::BufferRef, captured_at: MonotonicNanos) {
        if self.luma.capacity() == 0 || !lock(&self.limiter).admits(captured_at) {
            return;
        }
        let Some(small) = small_luma(pad, buffer, captured_at) else { return };
        self.measure_light(&small);
        // Full or nobody listens: either way this picture has no taker.
        let _ = self.luma.try_send(small);
    }

    fn measure_light(&self, small: &LumaFrame) {
        let measured_at = self.light.borrow().map(|(_, at)| at);
        let is_fresh = |at| at <= small.captured_at && small.captured_at.since(at) < LIGHT_EVERY;
        if measured_at.is_some_and(is_fresh) {
            return;
        }
        let covered = lock(&self.masks).covered_share();
        let brightness = luma::brightness(small, covered);
        let light = Light { brightness, gain: *self.gain.borrow() };
        self.light.send_replace(Some((light, small.captured_at)));
    }

    pub(crate) fn light(&self) -> Option<(Light, MonotonicNanos)> {
        *self.light.borrow()
    }

    /// Notes which share of its gain the camera uses; nothing when its driver does not tell.
    pub(crate) fn tell_gain(&self, share: Option<f32>) {
        self.gain.send_replace(share);
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

    /// Hands an encoded access unit of the main layer to everybody who listens.
    pub(crate) fn on_encoded(&self, sample: &gst::Sample) {
        if self.main.on_encoded(sample, self.is_private()) {
            self.encoded.fetch_add(1, Ordering::Relaxed);
            self.last_frame_at.store(monotonic_now().0, Ordering::Relaxed);
        }
    }

    /// Hands on what the source encoded itself, in which nothing is covered. True when a key frame is
    /// wanted.
    pub(crate) fn on_own_frame(&self, frame: EncodedFrame) -> bool {
        let captured_at = frame.captured_at;
        self.main.on_frame(frame, self.is_private() || self.has_masks());
        self.encoded.fetch_add(1, Ordering::Relaxed);
        self.last_frame_at.store(monotonic_now().0, Ordering::Relaxed);
        self.main.wants_key_frame(captured_at)
    }

    /// Hands on an encoded access unit of the low layer.
    pub(crate) fn on_low_encoded(&self, sample: &gst::Sample) {
        self.low.on_encoded(sample, self.is_private());
    }
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

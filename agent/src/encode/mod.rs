//! From a source to encoded frames, grey pictures and snapshots: one pipeline, one encoder, for
//! everybody who listens.

pub(crate) mod elements;
pub(crate) mod encoder;
mod grey;
mod hub;
mod jpeg;
mod low;
mod low_feed;
mod masks;
mod pipeline;
mod plugins;
mod probe;
mod shapes;
mod speed;
mod status;
mod supervisor;
mod taps;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use nightjar_core::{
    monotonic::MonotonicNanos,
    night::Light,
    orientation::Orientation,
    picture::{EncodedFrame, Layer, LumaFrame},
};
use nightjar_shared::{
    configuration::PrivacyMask,
    image::{ImageControl, ImageSettings},
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::spawn_blocking,
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    encoder::EncoderKind,
    grey::Part,
    hub::Joined,
    plugins::{MissingPackage, missing_packages},
    probe::{Probe, ProbedCamera, ProbedEncoder, ProbedStream, probe},
    speed::SPEEDS_FILE,
    status::CaptureStatus,
};
use self::{
    speed::Speeds,
    supervisor::Supervisor,
    taps::{RawPicture, Taps},
};
use crate::{
    config::SourceConfig,
    stills::{StillSize, Stills},
};

/// A snapshot waits this long for the next picture.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(2);

const MEDIUM_WIDTH: u32 = 640;

/// What the camera sees. Clones share one pipeline, which restarts by itself when the source
/// stalls, fails or is missing: consumers see a gap, then frames that begin with a key frame.
#[derive(Clone)]
pub struct Media {
    shared: Arc<Shared>,
}

struct Shared {
    taps: Arc<Taps>,
    luma: Mutex<Option<mpsc::Receiver<LumaFrame>>>,
    status: watch::Receiver<CaptureStatus>,
    privacy: watch::Sender<bool>,
    bitrate: watch::Sender<Bitrate>,
    low_wanted: watch::Sender<bool>,
    image: watch::Sender<ImageSettings>,
}

/// The main encoder's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bitrate {
    configured_kbps: u32,
    /// What viewers' networks carry, when that is less.
    limit_kbps: Option<u32>,
}

impl Bitrate {
    fn kbps(self) -> u32 {
        self.limit_kbps.map_or(self.configured_kbps, |limit| limit.min(self.configured_kbps))
    }
}

impl Media {
    /// Starts to capture. Must be called inside a Tokio runtime. What the encoder keeps up with is kept
    /// below the data directory, where there is one.
    ///
    /// # Errors
    ///
    /// Only for what waiting cannot cure: `GStreamer` or an H.264 encoder is not installed. A
    /// missing camera is reported in [`Self::status`] and tried again.
    pub fn start(
        config: &SourceConfig,
        data_dir: Option<&Path>,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> anyhow::Result<Self> {
        gstreamer::init().context("GStreamer does not start")?;
        spare_memory();
        if EncoderKind::available().is_empty() {
            bail!("no H.264 encoder is installed; install gstreamer1.0-plugins-ugly (x264enc)");
        }
        let (taps, luma) = Taps::new();
        taps.set_masks(&config.masks, Orientation::of(&config.image));
        let taps = Arc::new(taps);
        let (status_sender, status) = watch::channel(CaptureStatus::default());
        let (privacy, privacy_receiver) = watch::channel(false);
        let bitrate = Bitrate { configured_kbps: config.bitrate_kbps, limit_kbps: None };
        let (bitrate, bitrate_receiver) = watch::channel(bitrate);
        let (low_wanted, low_receiver) = watch::channel(false);
        let (image, image_receiver) = watch::channel(config.image);
        let supervisor = Supervisor {
            config: config.clone(),
            speeds: Arc::new(Speeds::new(data_dir)),
            taps: Arc::clone(&taps),
            status: status_sender,
            privacy: privacy_receiver,
            bitrate: bitrate_receiver,
            low_wanted: low_receiver,
            image: image_receiver,
            cancel,
        };
        tracker.spawn(supervisor.run());
        let luma = Mutex::new(Some(luma));
        let shared = Shared { taps, luma, status, privacy, bitrate, low_wanted, image };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Encoded frames from now on. A reader that falls too far behind gets `Lagged` and must
    /// skip to the next key frame.
    pub fn frames(&self) -> broadcast::Receiver<Arc<EncodedFrame>> {
        self.shared.taps.frames(Layer::Main)
    }

    /// Subscribes to a layer's frames, for a viewer who does not want to wait: with what was encoded
    /// since the newest key frame, if that is young. The low layer is there whenever it is made: see
    /// [`Self::want_low`].
    pub fn join(&self, layer: Layer) -> Joined {
        self.shared.taps.join(layer)
    }

    /// Asks for a key frame of the main layer, unless [`Self::join`] begins with one.
    pub fn provide_key_frame(&self) {
        self.shared.taps.provide_key_frame(Layer::Main);
    }

    /// Whether the low layer is to be made beside the main one.
    pub fn want_low(&self, wanted: bool) {
        self.shared.low_wanted.send_if_modified(|known| std::mem::replace(known, wanted) != wanted);
    }

    /// Small grey pictures, 5 to 10 a second; `None` when somebody has taken them already.
    pub fn luma(&self) -> Option<mpsc::Receiver<LumaFrame>> {
        self.shared.luma.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Asks for a key frame at the next picture. Requests within 300 ms share one.
    pub fn force_key_frame(&self) {
        self.force_key_frame_of(Layer::Main);
    }

    /// The same for one of the layers.
    pub fn force_key_frame_of(&self, layer: Layer) {
        self.shared.taps.request_key_frame(layer);
    }

    /// Changes the encoder's target while it runs.
    pub fn set_bitrate_kbps(&self, kbps: u32) {
        self.change_bitrate(|bitrate| bitrate.configured_kbps = kbps);
    }

    /// Keeps the encoder below its target, for viewers whose networks carry less; `None` is the
    /// end of that.
    pub fn limit_bitrate_kbps(&self, limit: Option<u32>) {
        self.change_bitrate(|bitrate| bitrate.limit_kbps = limit);
    }

    /// The encoder's target as configured.
    pub fn bitrate_kbps(&self) -> u32 {
        self.shared.bitrate.borrow().configured_kbps
    }

    fn change_bitrate(&self, change: impl FnOnce(&mut Bitrate)) {
        self.shared.bitrate.send_if_modified(|bitrate| {
            let before = *bitrate;
            change(bitrate);
            *bitrate != before
        });
    }

    /// Gives the stills to parts that need nothing else of it.
    pub fn stills(&self) -> Stills {
        let media = self.clone();
        Stills::new(move |size| {
            let media = media.clone();
            async move { media.still(size).await }
        })
    }

    /// Takes a still of what the camera sees now, as a JPEG that carries its thumbnail.
    pub async fn still(&self, size: StillSize) -> anyhow::Result<Bytes> {
        let max_width = match size {
            StillSize::Medium => MEDIUM_WIDTH,
            StillSize::Full => u32::MAX,
        };
        let picture = self.picture().await?;
        spawn_blocking(move || jpeg::encode(&picture, max_width))
            .await
            .context("the JPEG encoder panicked")?
    }

    /// Takes a grey picture of what the camera sees now, at most so wide.
    pub async fn grey(&self, max_width: u32, part: Part) -> anyhow::Result<LumaFrame> {
        let picture = self.picture().await?;
        spawn_blocking(move || grey::of(&picture, max_width, part))
            .await
            .context("reading it panicked")?
    }

    async fn picture(&self) -> anyhow::Result<RawPicture> {
        if self.shared.taps.is_private() {
            bail!("no picture: privacy mode is on");
        }
        let request = self.shared.taps.request_picture();
        time::timeout(SNAPSHOT_PATIENCE, request)
            .await
            .context("no picture: the source gives none")?
            .context("no picture: privacy mode is on, or too many are asked for at once")
    }

    /// Fills these polygons in every picture from the next one on, for whoever sees it. They were drawn on
    /// a picture that was shown like this, and stay on the same part of the scene however it is shown.
    pub fn set_masks(&self, masks: &[PrivacyMask], drawn: Orientation) {
        self.shared.taps.set_masks(masks, drawn);
    }

    /// Sets the picture. Another orientation starts the source anew.
    pub fn set_image(&self, image: ImageSettings) {
        self.shared.image.send_if_modified(|known| std::mem::replace(known, image) != image);
    }

    /// What the camera lets others set, once it is open.
    pub fn image_controls(&self) -> watch::Receiver<Option<Vec<ImageControl>>> {
        self.shared.taps.image_controls()
    }

    /// The polygons that are filled.
    pub fn masks(&self) -> Vec<PrivacyMask> {
        self.shared.taps.masks()
    }

    /// When the camera last changed its own picture, as far as its driver tells: its exposure, its
    /// gain, its filter.
    pub fn camera_changes(&self) -> watch::Receiver<Option<MonotonicNanos>> {
        self.shared.taps.camera_changes()
    }

    /// Says that somebody else changed the camera's picture: what is seen next is no motion.
    pub fn disturbed(&self, at: MonotonicNanos) {
        self.shared.taps.camera_changed(at);
    }

    /// How bright the picture was when it was last looked at, and when that was.
    pub fn light(&self) -> Option<(Light, MonotonicNanos)> {
        self.shared.taps.light()
    }

    /// Switches one of the driver's controls by its name. Blocks.
    pub fn switch_control(&self, name: &str, on: bool) -> Result<(), String> {
        match self.shared.taps.controls() {
            Some(controls) => controls.switch(name, on),
            None => {
                Err(format!("control `{name}`: the camera is away; it is switched when it is back"))
            }
        }
    }

    /// What source and encoder are doing; changes at least twice a second.
    pub fn status(&self) -> watch::Receiver<CaptureStatus> {
        self.shared.status.clone()
    }

    pub fn is_private(&self) -> bool {
        self.shared.taps.is_private()
    }

    /// In privacy mode nothing leaves, at once, and the source is closed: a camera's light goes
    /// out.
    pub fn set_privacy(&self, private: bool) {
        self.shared.taps.set_private(private);
        self.shared.privacy.send_replace(private);
    }
}

/// The encoder asks for huge pages for each of its many buffers, of which it uses a part: a small
/// board has a better use for that memory. Holds for this process and its children.
fn spare_memory() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay enabled");
    }
}

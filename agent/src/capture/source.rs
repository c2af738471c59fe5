//! From `[source]` of agent.toml to a `GStreamer` bin that gives raw video, and to the source's own H.264
//! where that can be used as it is.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use nightjar_shared::event::TranscodeReason;

use super::{
    Geometry, Opening,
    choose::Objections,
    controls::{ControlWatch, Reading},
    discover::PixelFormat,
    encoded::{DecodeFeed, Intake, Outlets, PassFrame, decoder},
    feeder::{Feeder, SceneSupply, Supply},
    image::{ImageControls, Knobs},
    in_use::{Claim, Holders, holders},
    libcamera,
    reel::Reel,
    scene::Scene,
    upright::upright,
    v4l2,
};
use crate::{
    config::{SourceConfig, SourceKind},
    logging::printable,
};

/// Pictures waiting between feeder and pipeline; when full, the oldest is dropped.
const FEED_DEPTH: u64 = 4;

/// Name of the pad that gives small pictures of the scene, of a source that has it.
pub(crate) const SMALL_PAD: &str = "small";

/// A source that is ready to run.
pub(crate) struct Source {
    /// Its `src` pad gives raw video, progressive and upright, in whatever size it has at the time.
    pub(crate) bin: gst::Bin,
    /// What the source gives at first, which may differ from what was wanted.
    pub(crate) geometry: Geometry,
    /// Of the source's own H.264, where that is used as it is.
    pub(crate) passthrough: Option<Geometry>,
    /// Why the source's own H.264 is not, where it makes some.
    pub(crate) transcoded: Option<TranscodeReason>,
    feed: Option<Feed>,
    /// Of a camera whose driver can be asked.
    device: Option<PathBuf>,
    /// Of libcamera.
    camera: Option<gst::Element>,
    claim: Option<Claim>,
}

/// A camera for as long as a pipeline captures from it.
pub(crate) struct Hold {
    device: PathBuf,
    _claim: Claim,
}

impl Hold {
    /// Adds to what a driver says of a failure who else has the camera, if anybody has.
    pub(crate) fn explain(&self, failure: String) -> String {
        match holders(&self.device) {
            others if others.is_empty() => failure,
            others => format!("{failure}; {}", Holders(others)),
        }
    }
}

/// What gives the pictures, before it does.
enum Feed {
    Supply(Supply, AppSrc),
    Own { main: Intake, small: Option<Intake>, decode: DecodeFeed, alarm: AppSrc },
}

/// What gives the pictures, while it does.
pub(crate) enum Feeding {
    Thread(Feeder),
    Own { main: Intake, small: Option<Intake> },
}

impl Feeding {
    /// Why the source's own H.264 can no longer be used as it is.
    pub(crate) fn obstacle(&self) -> Option<TranscodeReason> {
        match self {
            Self::Thread(_) => None,
            Self::Own { main, .. } => main.obstacle(),
        }
    }

    /// How long to leave the source alone at least, once it has failed.
    pub(crate) fn least_pause(&self) -> Duration {
        match self {
            Self::Thread(_) => Duration::ZERO,
            Self::Own { main, small } => {
                let of_small = small.as_ref().map_or(Duration::ZERO, Intake::least_pause);
                main.least_pause().max(of_small)
            }
        }
    }

    /// How many packets of the source were lost, where some were of late.
    pub(crate) fn lost(&self) -> Option<u64> {
        match self {
            Self::Thread(_) => None,
            Self::Own { main, small } => {
                let of_small = small.as_ref().and_then(Intake::lost);
                main.lost().into_iter().chain(of_small).reduce(u64::saturating_add)
            }
        }
    }

    /// What the source's own H.264 is now.
    pub(crate) fn own_geometry(&self) -> Option<Geometry> {
        match self {
            Self::Thread(_) => None,
            Self::Own { main, .. } => Some(main.geometry()),
        }
    }

    /// Changes what the source's own encoder aims at, where that can be told.
    pub(crate) fn set_bitrate(&self, kbps: u32) {
        if let Self::Own { main, .. } = self {
            main.set_bitrate(kbps);
        }
    }

    /// Blocks until it has ended.
    pub(crate) fn stop(self) {
        if let Self::Thread(feeder) = self {
            feeder.stop();
        }
    }
}

impl Source {
    /// Opens the source. Blocks: a file is decoded up to its first picture, a camera is asked for
    /// its formats, one that makes H.264 gives its first key frame.
    pub(crate) fn open(config: &SourceConfig, opening: Opening) -> anyhow::Result<Self> {
        match config.kind {
            SourceKind::Synthetic => Self::synthetic(config),
            SourceKind::File => Self::file(config),
            SourceKind::V4l2 => Self::camera(config, opening),
            SourceKind::Libcamera => Self::libcamera(libcamera::chain(config)?),
            SourceKind::Rtsp => Self::ip_camera(config, opening),
        }
    }

    /// Hands over the camera, for as long as it is captured from.
    pub(crate) fn hold(&mut self) -> Option<Hold> {
        let (device, claim) = (self.device.clone()?, self.claim.take()?);
        Some(Hold { device, _claim: claim })
    }

    /// Starts what gives pictures by itself; call it once the pipeline plays. `pass` takes the source's
    /// own H.264, where that is used as it is.
    pub(crate) fn start_feeding(&mut self, pass: PassFrame) -> anyhow::Result<Option<Feeding>> {
        Ok(match self.feed.take() {
            None => None,
            Some(Feed::Supply(supply, sink)) => Some(Feeding::Thread(Feeder::start(supply, sink)?)),
            Some(Feed::Own { main, small, decode, alarm }) => {
                let pass = self.passthrough.map(|_| pass);
                let (of_main, of_small) =
                    if small.is_some() { (None, Some(decode)) } else { (Some(decode), None) };
                if let Some(small) = &small {
                    let alarm = alarm.clone();
                    small.flow(Outlets { pass: None, decode: of_small, alarm });
                }
                main.flow(Outlets { pass, decode: of_main, alarm });
                Some(Feeding::Own { main, small })
            }
        })
    }

    /// The camera's controls of its picture; nothing where it has none that can be set.
    pub(crate) fn image_controls(&self) -> Option<ImageControls> {
        if let Some(camera) = &self.camera {
            return Some(ImageControls::Libcamera(camera.clone()));
        }
        Knobs::open(self.device.as_deref()?).map_or_else(
            |error| {
                tracing::warn!(error = format!("{error:#}"), "the camera's picture cannot be set");
                None
            },
            |knobs| Some(ImageControls::V4l2(knobs)),
        )
    }

    /// Tells when the camera changes its own picture, and its gain; nothing where nobody can know. A
    /// driver that cannot be asked is no reason not to see.
    pub(crate) fn watch_controls(
        &self,
        tell: impl Fn(Reading) + Send + 'static,
    ) -> Option<ControlWatch> {
        let watch = match &self.camera {
            Some(camera) => ControlWatch::of_libcamera(camera, tell),
            None => ControlWatch::of_v4l2(self.device.as_deref()?, tell),
        };
        watch.unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "exposure and gain are not watched");
            None
        })
    }

    fn synthetic(config: &SourceConfig) -> anyhow::Result<Self> {
        // Rows without padding: see `Scene::new`.
        let (width, height) = (config.width / 8 * 8, config.height / 2 * 2);
        let geometry = Geometry { width, height, fps: (config.fps, 1) };
        let caps = raw_caps(geometry);
        let seconds = |number: u32| Duration::from_secs(u64::from(number));
        let scene = Scene::new(
            usize::try_from(width)?,
            usize::try_from(height)?,
            seconds(config.quiet_s),
            seconds(config.walk_s),
        );
        let width = usize::try_from(width)?;
        let supply = SceneSupply::new(scene, width, config.fps, config.stamp, &caps)?;
        Self::fed(Supply::Scene(supply), geometry, &caps)
    }

    fn file(config: &SourceConfig) -> anyhow::Result<Self> {
        let path = config.path.as_deref().context("source.path is absent")?;
        let reel = Reel::open(path)?;
        let (geometry, caps) = (reel.geometry(), reel.caps().clone());
        Self::fed(Supply::Reel(Box::new(reel)), geometry, &caps)
    }

    fn camera(config: &SourceConfig, opening: Opening) -> anyhow::Result<Self> {
        let Opening { against, failures, raw_failed } = opening;
        let objections = Objections { own: against, raw_failed };
        let v4l2::Found { camera, choice, claim } = v4l2::find(config, objections)?;
        if choice.mode.format != PixelFormat::H264 {
            let v4l2::Chain { mut elements, geometry } =
                v4l2::chain(config, &camera.path, &choice.mode)?;
            elements.extend(upright()?);
            let own = camera.modes.iter().any(|mode| mode.format == PixelFormat::H264);
            return Ok(Self {
                transcoded: against.filter(|_| own),
                device: Some(camera.path),
                claim: Some(claim),
                ..Self::raw(&elements, geometry)?
            });
        }
        let intake = Intake::capture(&camera.path, &choice.mode, config.bitrate_kbps, failures);
        let other = camera.modes.iter().any(|mode| mode.format != PixelFormat::H264);
        let refusal = match &intake {
            _ if against.is_some() || !other => None,
            Ok(intake) => intake.obstacle(),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "the camera's own H.264 does not come; another format may");
                Some(TranscodeReason::ParameterSets)
            }
        };
        if refusal.is_some() {
            drop((intake, claim));
            return Self::camera(config, Opening { against: refusal, ..opening });
        }
        let (device, claim) = (Some(camera.path), Some(claim));
        Ok(Self { device, claim, ..Self::own(intake?, None, against)? })
    }

    fn ip_camera(config: &SourceConfig, opening: Opening) -> anyhow::Result<Self> {
        let Opening { against, failures, .. } = opening;
        let rtsp = config.rtsp.as_ref().context("source.rtsp is absent")?;
        let main = Intake::connect(&rtsp.url, rtsp, failures)?;
        let passes = against.is_none() && main.obstacle().is_none();
        let small = match rtsp.small_url.as_ref().filter(|_| passes) {
            Some(address) => Intake::connect(address, rtsp, 0)
                .inspect_err(|error| {
                    let error = printable(format!("{error:#}"));
                    tracing::warn!(error, "there is no small stream; the large one is decoded");
                })
                .ok(),
            None => None,
        };
        Self::own(main, small, against)
    }

    /// A source that makes H.264 itself.
    fn own(
        main: Intake,
        small: Option<Intake>,
        against: Option<TranscodeReason>,
    ) -> anyhow::Result<Self> {
        let transcoded = against.or_else(|| main.obstacle());
        let decoded = small.as_ref().unwrap_or(&main).geometry();
        let (decode, alarm) = DecodeFeed::new(decoded);
        let mut elements = vec![alarm.clone().upcast()];
        elements.extend(decoder()?);
        elements.extend(upright()?);
        let passthrough = transcoded.is_none().then(|| main.geometry());
        let feed = Some(Feed::Own { main, small, decode, alarm });
        Ok(Self { passthrough, transcoded, feed, ..Self::raw(&elements, decoded)? })
    }

    fn raw(elements: &[gst::Element], geometry: Geometry) -> anyhow::Result<Self> {
        let chain: Vec<&gst::Element> = elements.iter().collect();
        Ok(Self {
            bin: bin_of(&chain)?,
            geometry,
            passthrough: None,
            transcoded: None,
            feed: None,
            device: None,
            camera: None,
            claim: None,
        })
    }

    fn libcamera(chain: libcamera::Chain) -> anyhow::Result<Self> {
        let libcamera::Chain { mut elements, small, geometry } = chain;
        elements.extend(upright()?);
        let source = Self::raw(&elements, geometry)?;
        let camera = elements.into_iter().next();
        if let (Some(small), Some(camera)) = (small, &camera) {
            source.bin.add(&small)?;
            libcamera::link_small(camera, &small)?;
            let output = small.static_pad("src").context("a filter without an output")?;
            let output = gst::GhostPad::builder_with_target(&output)?.name(SMALL_PAD).build();
            source.bin.add_pad(&output)?;
        }
        Ok(Self { camera, ..source })
    }

    fn fed(supply: Supply, geometry: Geometry, caps: &gst::Caps) -> anyhow::Result<Self> {
        let sink = AppSrc::builder()
            .caps(caps)
            .format(gst::Format::Time)
            .is_live(true)
            .max_buffers(FEED_DEPTH)
            .max_bytes(0)
            .leaky_type(gstreamer_app::AppLeakyType::Downstream)
            .build();
        let feed = Some(Feed::Supply(supply, sink.clone()));
        Ok(Self { feed, ..Self::raw(&[sink.upcast()], geometry)? })
    }
}

fn raw_caps(geometry: Geometry) -> gst::Caps {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", number(geometry.width))
        .field("height", number(geometry.height))
        .field("framerate", gst::Fraction::new(number(geometry.fps.0), number(geometry.fps.1)))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .field("interlace-mode", "progressive")
        .build()
}

/// A bin around a chain of elements, with the last one's output as its own.
fn bin_of(chain: &[&gst::Element]) -> anyhow::Result<gst::Bin> {
    let bin = gst::Bin::with_name("source");
    bin.add_many(chain)?;
    gst::Element::link_many(chain)?;
    let last = chain.last().and_then(|element| element.static_pad("src"));
    let target = last.context("a source without an output")?;
    bin.add_pad(&gst::GhostPad::with_target(&target)?)?;
    Ok(bin)
}

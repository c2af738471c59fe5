//! From `[source]` of agent.toml to a `GStreamer` bin that gives raw video.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use nightjar_core::monotonic::MonotonicNanos;

use super::{
    Geometry,
    controls::ControlWatch,
    feeder::{Feeder, SceneSupply, Supply},
    reel::Reel,
    scene::Scene,
    upright::upright,
    v4l2,
};
use crate::config::{SourceConfig, SourceKind};

/// Pictures waiting between feeder and pipeline; when full, the oldest is dropped.
const FEED_DEPTH: u64 = 4;

/// A source that is ready to run.
pub(crate) struct Source {
    /// Its `src` pad gives raw video, progressive and upright, in whatever size it has at the time.
    pub(crate) bin: gst::Bin,
    /// What the source gives at first, which may differ from what was wanted.
    pub(crate) geometry: Geometry,
    feed: Option<(Supply, AppSrc)>,
    /// Of a camera whose driver can be asked.
    device: Option<PathBuf>,
}

impl Source {
    /// Opens the source. Blocks: a file is decoded up to its first picture, a camera is asked for
    /// its formats.
    pub(crate) fn open(config: &SourceConfig) -> anyhow::Result<Self> {
        match config.kind {
            SourceKind::Synthetic => Self::synthetic(config),
            SourceKind::File => Self::file(config),
            SourceKind::V4l2 => Self::camera(config),
        }
    }

    /// Starts the pictures of a source that is fed by a thread; call it once the pipeline plays.
    pub(crate) fn start_feeding(&mut self) -> anyhow::Result<Option<Feeder>> {
        self.feed.take().map(|(supply, sink)| Feeder::start(supply, sink)).transpose()
    }

    /// Tells when the camera changes its own picture; nothing where nobody can know. A driver that
    /// cannot be asked is no reason not to see.
    pub(crate) fn watch_controls(
        &self,
        changed: impl Fn(MonotonicNanos) + Send + 'static,
    ) -> Option<ControlWatch> {
        ControlWatch::start(self.device.as_deref()?, changed).unwrap_or_else(|error| {
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

    fn camera(config: &SourceConfig) -> anyhow::Result<Self> {
        let v4l2::Chain { mut elements, geometry, device } = v4l2::chain(config)?;
        elements.extend(upright()?);
        let chain: Vec<&gst::Element> = elements.iter().collect();
        Ok(Self { bin: bin_of(&chain)?, geometry, feed: None, device: Some(device) })
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
        let bin = bin_of(&[sink.upcast_ref()])?;
        Ok(Self { bin, geometry, feed: Some((supply, sink)), device: None })
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

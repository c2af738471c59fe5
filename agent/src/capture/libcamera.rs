//! A camera of libcamera, as those on a board's ribbon cable, as a chain of elements.

use std::{fs, time::Duration};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::VideoInfo;
use nightjar_shared::image::{ImageControl, ImageControlKind};

use super::{
    Geometry,
    in_use::{Holders, lockers},
};
use crate::config::SourceConfig;

const ELEMENT: &str = "libcamerasrc";
/// What `[source] device` is when any camera will do.
const ANY_CAMERA: &str = "auto";
/// A sensor starts within a second; a board that is busy starting takes some more.
const FIRST_PICTURE_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(8);
/// As wide as the detector wants its pictures, twice.
const SMALL_WIDTH: u32 = 640;
/// What helps where it finds none.
const FIND_IT: &str =
    "see the ribbon cable, `cam --list`, and the user's rights to /dev/media* and /dev/dma_heap";
/// The raw formats that are best taken as they are.
const PLANES: [&str; 2] = ["NV12", "I420"];

/// A camera's elements in order, and the pictures that come out at their end.
pub(super) struct Chain {
    /// The first of them is the camera.
    pub(super) elements: Vec<gst::Element>,
    /// Gives small pictures of the same scene beside the others, where the camera makes them itself.
    pub(super) small: Option<gst::Element>,
    pub(super) geometry: Geometry,
}

/// How many sizes of a picture the camera is asked for at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Streams {
    One,
    /// A small one beside it.
    Two,
}

/// Looks for the camera and asks it for a picture: it says its size no sooner, and not before then whether it
/// makes a small one beside it.
pub(super) fn chain(config: &SourceConfig) -> anyhow::Result<Chain> {
    let (geometry, streams) = match try_out(config, Streams::Two) {
        Ok(geometry) => (geometry, Streams::Two),
        Err(Refusal::Final(error)) => return Err(error),
        Err(Refusal::Other(_)) => {
            let geometry = try_out(config, Streams::One);
            (geometry.map_err(Refusal::into_error)?, Streams::One)
        }
    };
    tracing::info!(
        width = geometry.width,
        height = geometry.height,
        fps = geometry.frames_per_second(),
        with_small_ones = streams == Streams::Two,
        "libcamera gives pictures"
    );
    let Elements { camera, filter, small } = Elements::make(config, streams)?;
    Ok(Chain { elements: vec![camera, filter], small, geometry })
}

/// Why a camera gives no pictures.
enum Refusal {
    /// However it is asked.
    Final(anyhow::Error),
    Other(anyhow::Error),
}

impl Refusal {
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Final(error) | Self::Other(error) => error,
        }
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

struct Elements {
    camera: gst::Element,
    filter: gst::Element,
    /// What is to be linked with the camera's second pad.
    small: Option<gst::Element>,
}

impl Elements {
    fn make(config: &SourceConfig, streams: Streams) -> anyhow::Result<Self> {
        let camera = camera(config)?;
        let filter = |caps| gst::ElementFactory::make("capsfilter").property("caps", caps).build();
        let small = match streams {
            Streams::One => None,
            Streams::Two => Some(filter(small_caps(config)?)?),
        };
        Ok(Self { camera, filter: filter(caps(config)?)?, small })
    }
}

/// Gives the camera its second pad, and links it. Both are in the same bin.
pub(super) fn link_small(camera: &gst::Element, small: &gst::Element) -> anyhow::Result<()> {
    let pad =
        camera.request_pad_simple("src_%u").context("libcamera's element has one pad alone")?;
    if pad.find_property("stream-role").is_some() {
        pad.set_property_from_str("stream-role", "view-finder");
    }
    pad.link(&small.static_pad("sink").context("a filter without an input")?)?;
    Ok(())
}

fn camera(config: &SourceConfig) -> anyhow::Result<gst::Element> {
    let source = gst::ElementFactory::make(ELEMENT).build().context(
        "GStreamer has no libcamerasrc: install gstreamer1.0-libcamera, or choose source.kind = \"v4l2\"",
    )?;
    if config.device != ANY_CAMERA {
        source.set_property("camera-name", &config.device);
    }
    if let Some(pad) = source.static_pad("src")
        && pad.find_property("stream-role").is_some()
    {
        pad.set_property_from_str("stream-role", "video-recording");
    }
    Ok(source)
}

/// Of the same shape, and wide enough for the detector.
fn small_caps(config: &SourceConfig) -> anyhow::Result<gst::Caps> {
    let width = config.width.min(SMALL_WIDTH);
    let height = (config.height * width / config.width.max(1)) / 2 * 2;
    Ok(gst::Caps::builder("video/x-raw")
        .field("format", gst::List::new(PLANES))
        .field("width", i32::try_from(width)?)
        .field("height", i32::try_from(height.max(2))?)
        .build())
}

/// The wanted pictures first, then whatever the camera gives: its pictures are scaled. Pace and colours
/// are stated, as libcamera guesses both where they are not; libraries before 0.4 say no pace.
fn caps(config: &SourceConfig) -> anyhow::Result<gst::Caps> {
    let fps = gst::Fraction::new(i32::try_from(config.fps)?, 1);
    let size = (i32::try_from(config.width)?, i32::try_from(config.height)?);
    let raw = || gst::Structure::builder("video/x-raw");
    let planes = || raw().field("format", gst::List::new(PLANES)).field("framerate", fps);
    let wanted = || planes().field("width", size.0).field("height", size.1);
    let any = [
        wanted().field("colorimetry", "bt709").build(),
        wanted().build(),
        planes().build(),
        raw().field("framerate", fps).build(),
        raw().build(),
    ];
    let mut caps = gst::Caps::new_empty();
    for structure in any {
        caps.make_mut().append_structure(structure);
    }
    Ok(caps)
}

/// Runs the camera up to its first picture.
fn try_out(config: &SourceConfig, streams: Streams) -> Result<Geometry, Refusal> {
    let Elements { camera, filter, small } =
        Elements::make(config, streams).map_err(Refusal::Final)?;
    let pipeline = gst::Pipeline::with_name("try-libcamera");
    let end = |filter: &gst::Element| -> anyhow::Result<()> {
        let sink = gst::ElementFactory::make("fakesink").property("num-buffers", 1_i32).build()?;
        pipeline.add_many([filter, &sink])?;
        Ok(filter.link(&sink)?)
    };
    pipeline.add(&camera).map_err(anyhow::Error::from)?;
    end(&filter)?;
    camera.link(&filter).map_err(anyhow::Error::from)?;
    if let Some(small) = &small {
        end(small)?;
        link_small(&camera, small)?;
    }
    let seen = first_picture(&pipeline);
    let caps = filter.static_pad("src").and_then(|pad| pad.current_caps());
    if pipeline.set_state(gst::State::Null).is_err() {
        tracing::warn!("libcamera does not let go of its camera");
    }
    seen?;
    let caps = caps.context("libcamera gives pictures of no format")?;
    let info = VideoInfo::from_caps(&caps).map_err(anyhow::Error::from)?;
    let geometry = Geometry::of(&info);
    // A library that says no pace goes by its own.
    let fps = if info.fps().numer() > 0 { geometry.fps } else { (config.fps, 1) };
    Ok(Geometry { fps, ..geometry })
}

fn first_picture(pipeline: &gst::Pipeline) -> Result<(), Refusal> {
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    // Why it does not start stands on the bus.
    let started = pipeline.set_state(gst::State::Playing).is_ok();
    let patience = if started { FIRST_PICTURE_WITHIN } else { gst::ClockTime::ZERO };
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    match bus.timed_pop_filtered(patience, &ends) {
        Some(message) => match message.view() {
            gst::MessageView::Error(error) => Err(refusal(error)),
            _ => Ok(()),
        },
        None if !started => {
            Err(Refusal::Final(anyhow::anyhow!("libcamera finds no camera ({FIND_IT})")))
        }
        None => Err(Refusal::Other(anyhow::anyhow!(
            "libcamera's camera gives no picture within {:?}; see its ribbon cable and that nothing else uses it",
            Duration::from(FIRST_PICTURE_WITHIN)
        ))),
    }
}

/// The element's properties for what can be set of a picture: what it reads last of a picture's metadata it
/// says there, too. Libraries before 0.4 have none of them.
struct Property {
    kind: ImageControlKind,
    name: &'static str,
    /// What libcamera documents for every camera; a camera's own limits it keeps to itself.
    minimum: f32,
    maximum: f32,
    /// The switch between a value and the camera's own choice, in newer libraries and older ones, each with
    /// its words for them.
    automatic: &'static [(&'static str, &'static str, &'static str)],
}

const PROPERTIES: [Property; 4] = [
    Property {
        kind: ImageControlKind::Exposure,
        name: "exposure-time",
        minimum: 1.0,
        maximum: 10_000_000.0,
        automatic: &[("exposure-time-mode", "auto", "manual"), ("ae-enable", "true", "false")],
    },
    Property {
        kind: ImageControlKind::Gain,
        name: "analogue-gain",
        minimum: 1.0,
        maximum: 64.0,
        automatic: &[("analogue-gain-mode", "auto", "manual"), ("ae-enable", "true", "false")],
    },
    Property {
        kind: ImageControlKind::WhiteBalance,
        name: "colour-temperature",
        minimum: 100.0,
        maximum: 100_000.0,
        automatic: &[("awb-enable", "true", "false")],
    },
    Property {
        kind: ImageControlKind::Brightness,
        name: "brightness",
        minimum: -1.0,
        maximum: 1.0,
        automatic: &[],
    },
];

/// What can be set of a camera's picture.
pub(super) fn offered(camera: &gst::Element) -> Vec<ImageControl> {
    let is_there = |property: &&Property| camera.find_property(property.name).is_some();
    let of = |Property { kind, minimum, maximum, .. }: &Property| ImageControl {
        control: *kind,
        minimum: *minimum,
        maximum: *maximum,
    };
    PROPERTIES.iter().filter(is_there).map(of).collect()
}

/// Sets a value that has been checked, or gives it back to the camera.
pub(super) fn set(camera: &gst::Element, kind: ImageControlKind, value: Option<f32>) {
    let known = PROPERTIES.iter().find(|it| it.kind == kind);
    let Some(property) = known.filter(|it| camera.find_property(it.name).is_some()) else { return };
    let has = |(name, ..): &&(&str, &str, &str)| camera.find_property(name).is_some();
    if let Some((name, on, off)) = property.automatic.iter().find(has) {
        camera.set_property_from_str(name, if value.is_some() { off } else { on });
    }
    // By its text, as some are whole numbers and some are not.
    match value {
        Some(value) => camera.set_property_from_str(property.name, &value.to_string()),
        None if property.automatic.is_empty() => camera.set_property_from_str(property.name, "0"),
        None => {}
    }
}

/// Exposure and gain of the last picture, where the library tells them: microseconds, and thousandths.
pub(super) fn exposure_and_gain(camera: &gst::Element) -> (Option<i64>, Option<i64>) {
    let exposure =
        camera.find_property("exposure-time").map(|_| camera.property_value("exposure-time"));
    let exposure = exposure.and_then(|value| value.get::<i32>().ok()).map(i64::from);
    let gain =
        camera.find_property("analogue-gain").map(|_| camera.property_value("analogue-gain"));
    let gain = gain.and_then(|value| value.get::<f32>().ok()).filter(|gain| gain.is_finite());
    #[expect(clippy::cast_possible_truncation, reason = "gains are small numbers")]
    let gain = gain.map(|gain| (gain * 1_000.0).round() as i64);
    (exposure.filter(|exposure| *exposure > 0), gain.filter(|gain| *gain > 0))
}

fn refusal(error: &gst::message::Error) -> Refusal {
    let told = error.error();
    let said = told.message();
    let step = match told.kind::<gst::ResourceError>() {
        Some(gst::ResourceError::NotFound) => FIND_IT,
        Some(gst::ResourceError::Busy) => {
            let text = format!("libcamera: {said} {}; it is taken over when it is free", holders());
            return Refusal::Final(anyhow::anyhow!(text));
        }
        _ => {
            let step = "choose another size or pace, or update libcamera";
            return Refusal::Other(anyhow::anyhow!("libcamera: {said} ({step})"));
        }
    };
    Refusal::Final(anyhow::anyhow!("libcamera: {said} ({step})"))
}

/// Who has one of libcamera's devices: the library locks those of the camera that it captures from.
fn holders() -> Holders {
    let names = fs::read_dir("/dev").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_media = |name: &str| name.starts_with("media");
    let media =
        names.filter(|path| path.file_name().and_then(|it| it.to_str()).is_some_and(is_media));
    Holders(media.flat_map(|path| lockers(&path)).collect())
}

/// Names the cameras that libcamera finds; nothing where GStreamer lacks it.
pub fn names() -> Option<Vec<String>> {
    gst::ElementFactory::find(ELEMENT)?;
    let provider = gst::DeviceProviderFactory::by_name("libcameraprovider")?;
    let devices = provider.devices();
    Some(devices.iter().map(|device| device.display_name().to_string()).collect())
}

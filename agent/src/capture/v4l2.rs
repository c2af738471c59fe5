//! A V4L2 camera as a chain of elements.

use std::path::Path;

use anyhow::{Context as _, bail};
use gstreamer as gst;

use super::{
    Geometry,
    choose::{Choice, Objections, Wanted, choose},
    discover::{Camera, Mode, PixelFormat, camera_at, camera_on, cameras},
    in_use::{Claim, ClaimError},
};
use crate::config::SourceConfig;

/// What `[source] device` is when any camera will do.
const ANY_DEVICE: &str = "auto";

/// A camera's elements in order, and the pictures that come out at their end.
pub(super) struct Chain {
    pub(super) elements: Vec<gst::Element>,
    pub(super) geometry: Geometry,
}

/// Reads a device in one of its modes.
pub(super) fn reader(device: &Path, mode: &Mode) -> anyhow::Result<Vec<gst::Element>> {
    Ok(vec![
        gst::ElementFactory::make("v4l2src")
            .property("device", device.to_string_lossy().as_ref())
            .build()
            .context("GStreamer has no v4l2src: install gstreamer1.0-plugins-good")?,
        gst::ElementFactory::make("capsfilter").property("caps", caps(mode)).build()?,
    ])
}

/// Raw pictures of a camera in a mode that gives no H.264.
pub(super) fn chain(config: &SourceConfig, device: &Path, mode: &Mode) -> anyhow::Result<Chain> {
    let pace = mode.fps.unwrap_or((config.fps, 1));
    // More pictures than wanted are dropped before they cost anything.
    let thinned = f64::from(pace.0) / f64::from(pace.1.max(1)) > f64::from(config.fps) * 1.1;
    let mut chain = reader(device, mode)?;
    if thinned {
        chain.push(
            gst::ElementFactory::make("videorate")
                .property("drop-only", true)
                .property("max-rate", i32::try_from(config.fps)?)
                .build()?,
        );
    }
    if mode.format == PixelFormat::Mjpeg {
        chain.push(gst::ElementFactory::make("jpegdec").build()?);
    }
    let fps = if thinned { (config.fps, 1) } else { pace };
    let geometry = Geometry { width: mode.width, height: mode.height, fps };
    Ok(Chain { elements: chain, geometry })
}

/// A camera, what is captured of it, and the claim that keeps other agents out.
pub(super) struct Found {
    pub(super) camera: Camera,
    pub(super) choice: Choice,
    pub(super) claim: Claim,
}

/// Finds the configured camera, or the first that can be used and that no other agent has, and its mode.
pub(super) fn find(config: &SourceConfig, objections: Objections) -> anyhow::Result<Found> {
    let wanted = Wanted { width: config.width, height: config.height, fps: config.fps };
    let choose = |modes: &[Mode]| choose(modes, wanted, objections);
    let found = match config.device.as_str() {
        ANY_DEVICE => find_any(choose)?,
        device => find_one(device, choose)?,
    };
    let Found { camera, choice, .. } = &found;
    tracing::info!(camera = camera.name, device = %camera.path.display(), "{}", choice.reason);
    Ok(found)
}

fn find_one(device: &str, choose: impl Fn(&[Mode]) -> Option<Choice>) -> anyhow::Result<Found> {
    let camera = if Path::new(device).is_absolute() {
        camera_at(Path::new(device))
            .with_context(|| {
                format!("source.device = {device}: `nightjar-agent probe` lists cameras")
            })?
            .with_context(|| format!("source.device = {device} is no camera"))?
    } else {
        camera_on(device).with_context(|| {
            format!("source.device = {device}: no camera there; `nightjar-agent probe` lists them")
        })?
    };
    if let Some(problem) = &camera.problem {
        bail!("source.device = {device}: {problem}");
    }
    let choice = choose(&camera.modes)
        .with_context(|| format!("source.device = {device} gives no pictures of a known format"))?;
    let claim = Claim::take(&camera.path)
        .map_err(|error| anyhow::anyhow!("source.device = {device}: {}", taken(&error)))?;
    Ok(Found { camera, choice, claim })
}

fn find_any(choose: impl Fn(&[Mode]) -> Option<Choice>) -> anyhow::Result<Found> {
    let mut complaint = None;
    for camera in cameras() {
        let Some(choice) = choose(&camera.modes) else {
            complaint = complaint.or_else(|| camera.problem.clone());
            continue;
        };
        match Claim::take(&camera.path) {
            Ok(claim) => return Ok(Found { camera, choice, claim }),
            Err(error) => {
                complaint.get_or_insert(format!("{}: {}", camera.path.display(), taken(&error)));
            }
        }
    }
    match complaint {
        Some(problem) => bail!("no camera can be used: {problem}"),
        None => bail!("no camera found: plug one in"),
    }
}

/// Says who has a camera, and what helps.
fn taken(error: &ClaimError) -> String {
    match error {
        ClaimError::Taken(holders) => format!(
            "{holders}; stop that one or give this agent another camera: it is taken over when it \
             is free"
        ),
        ClaimError::Io(error) => error.to_string(),
    }
}

fn caps(mode: &Mode) -> gst::Caps {
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let raw = |format: &str| gst::Caps::builder("video/x-raw").field("format", format);
    let caps = match mode.format {
        PixelFormat::Nv12 => raw("NV12"),
        PixelFormat::I420 => raw("I420"),
        PixelFormat::Yuyv => raw("YUY2"),
        PixelFormat::Uyvy => raw("UYVY"),
        PixelFormat::Mjpeg => gst::Caps::builder("image/jpeg"),
        PixelFormat::H264 => gst::Caps::builder("video/x-h264"),
    };
    let caps = caps.field("width", number(mode.width)).field("height", number(mode.height));
    match mode.fps {
        Some((frames, seconds)) => {
            caps.field("framerate", gst::Fraction::new(number(frames), number(seconds))).build()
        }
        None => caps.build(),
    }
}

//! Still pictures.

use anyhow::Context as _;
use bytes::Bytes;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::VideoInfo;
use nightjar_core::picture::jpeg::with_thumbnail;

use super::taps::RawPicture;

const QUALITY: i32 = 80;
const THUMBNAIL_WIDTH: u32 = 320;
/// A list of fifty is less than a megabyte.
const THUMBNAIL_BYTES_MAX: usize = 15_000;
/// The first that makes a thumbnail small enough is taken. Noise needs the last.
const THUMBNAIL_QUALITIES: [i32; 5] = [75, 60, 45, 30, 15];
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(3);

/// Encodes a picture, at most `max_width` wide, with its thumbnail inside. Blocks.
pub(crate) fn encode(picture: &RawPicture, max_width: u32) -> anyhow::Result<Bytes> {
    let still = encode_alone(picture, max_width, QUALITY)?;
    for quality in THUMBNAIL_QUALITIES {
        let thumbnail = encode_alone(picture, THUMBNAIL_WIDTH.min(max_width), quality)?;
        if thumbnail.len() <= THUMBNAIL_BYTES_MAX {
            return Ok(with_thumbnail(&still, &thumbnail).map_or(still, Bytes::from));
        }
    }
    // It is shown in lists itself.
    Ok(still)
}

/// Encodes a picture through a pipeline of its own.
fn encode_alone(picture: &RawPicture, max_width: u32, quality: i32) -> anyhow::Result<Bytes> {
    let info = VideoInfo::from_caps(&picture.caps).context("a picture in an unknown format")?;
    let (width, height) = scaled((info.width(), info.height()), max_width);
    let size = gst::Caps::builder("video/x-raw")
        .field("width", i32::try_from(width)?)
        .field("height", i32::try_from(height)?)
        .build();
    let source = AppSrc::builder().caps(&picture.caps).format(gst::Format::Time).build();
    let scaler = gst::ElementFactory::make("videoscale").build()?;
    let converter = gst::ElementFactory::make("videoconvert").build()?;
    let filter = gst::ElementFactory::make("capsfilter").property("caps", size).build()?;
    let encoder = gst::ElementFactory::make("jpegenc").property("quality", quality).build()?;
    let sink = AppSink::builder().sync(false).build();
    let chain = [source.upcast_ref(), &scaler, &converter, &filter, &encoder, sink.upcast_ref()];
    let pipeline = gst::Pipeline::new();
    pipeline.add_many(chain)?;
    gst::Element::link_many(chain)?;
    let picture = push_and_pull(&pipeline, &source, &sink, picture.buffer.clone());
    pipeline.set_state(gst::State::Null).context("the JPEG encoder does not stop")?;
    picture
}

fn push_and_pull(
    pipeline: &gst::Pipeline,
    source: &AppSrc,
    sink: &AppSink,
    mut buffer: gst::Buffer,
) -> anyhow::Result<Bytes> {
    buffer.make_mut().set_pts(gst::ClockTime::ZERO);
    pipeline.set_state(gst::State::Playing).context("the JPEG encoder does not start")?;
    source.push_buffer(buffer).context("the JPEG encoder takes no picture")?;
    source.end_of_stream().context("the JPEG encoder takes no end")?;
    let sample = sink.try_pull_sample(PATIENCE).context("the JPEG encoder gives no picture")?;
    let map = sample.buffer().context("a JPEG without data")?.map_readable()?;
    Ok(Bytes::copy_from_slice(&map))
}

/// The size of a picture that is at most `max_width` wide, in even numbers.
fn scaled((width, height): (u32, u32), max_width: u32) -> (u32, u32) {
    if width <= max_width {
        return (width, height);
    }
    let height = u64::from(height) * u64::from(max_width) / u64::from(width);
    (max_width, u32::try_from(height / 2 * 2).unwrap_or(2).max(2))
}

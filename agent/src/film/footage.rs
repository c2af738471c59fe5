//! The grey pictures of a recording, as the motion detector would have seen them live.

use std::{io::Read, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video::{VideoFrameExt as _, VideoFrameRef, VideoInfo};
use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::{
        LumaFrame,
        luma::{Limiter, downscale},
    },
};

use crate::{
    capture::{
        Geometry,
        timeline::{Gaps, Timeline},
        upright::upright,
    },
    progress::{Progress, Stage},
};

/// A file that gives nothing for this long is not decoded any further.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// Decoded pictures waiting for their turn.
const AHEAD: u32 = 4;

/// Grey pictures of one size at a steady rate: `WxH@FPS`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawFormat {
    pub width: usize,
    pub height: usize,
    pub fps: f64,
}

impl std::str::FromStr for RawFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let format = || {
            let (size, fps) = text.split_once('@')?;
            let (width, height) = size.split_once('x')?;
            let (width, height) = (width.parse().ok()?, height.parse().ok()?);
            let fps = fps.parse().ok()?;
            let fits = (1..=7680).contains(&width) && (1..=4320).contains(&height);
            (fits && fps > 0.0 && fps <= 1_000.0).then_some(Self { width, height, fps })
        };
        format().ok_or_else(|| format!("`{text}` is not of the form WxH@FPS, like 320x180@10"))
    }
}

/// Gives each picture of `input` to `look` as it is: one byte a pixel, no padding. What is left
/// at the end and makes no whole picture is ignored. `length` is that of the input in bytes, where
/// it is known.
pub fn raw_pictures(
    mut input: impl Read,
    format: RawFormat,
    length: Option<u64>,
    progress: &Progress,
    mut look: impl FnMut(&LumaFrame) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let RawFormat { width, height, fps } = format;
    let mut plane = vec![0; width * height];
    let pictures = length.map(|length| length / plane.len() as u64);
    for index in 0_u32.. {
        match input.read_exact(&mut plane) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error).context("the pictures cannot be read"),
        }
        progress.tell(Stage::Looking, index.into(), pictures);
        let captured_at = MonotonicNanos(0).plus(Duration::from_secs_f64(f64::from(index) / fps));
        let data = Bytes::from(plane);
        let frame = LumaFrame { data, width, height, stride: width, captured_at };
        look(&frame)?;
        // The bytes come back without a copy, unless `look` kept the frame.
        plane = Vec::from(frame.data);
    }
    Ok(())
}

/// Decodes a file in any format that `GStreamer` knows, as fast as it goes, and gives each
/// picture to `look`.
pub fn file_pictures(
    path: &Path,
    progress: &Progress,
    mut look: impl FnMut(&LumaFrame) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    gst::init().context("GStreamer does not start")?;
    let sink = AppSink::builder()
        .caps(&gst::Caps::new_empty_simple("video/x-raw"))
        .sync(false)
        .max_buffers(AHEAD)
        .build();
    let pipeline = build(path, &sink)?;
    pipeline.set_state(gst::State::Playing).context("the file cannot be opened")?;
    let looked = look_at_all(&pipeline, &sink, progress, &mut look);
    pipeline.set_state(gst::State::Null).context("the decoder does not stop")?;
    looked.with_context(|| format!("{} cannot be looked at", path.display()))
}

fn build(path: &Path, sink: &AppSink) -> anyhow::Result<gst::Pipeline> {
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build()?;
    let decoder = gst::ElementFactory::make("decodebin").build()?;
    let mut chain = upright()?;
    chain.push(sink.clone().upcast());
    pipeline.add_many([&source, &decoder])?;
    pipeline.add_many(&chain)?;
    source.link(&decoder)?;
    gst::Element::link_many(&chain)?;
    let target = chain[0].static_pad("sink").context("an element without an input")?;
    decoder.connect_pad_added(move |_, pad| {
        if !target.is_linked()
            && let Err(error) = pad.link(&target)
        {
            tracing::debug!(%error, "a stream of the file is not used");
        }
    });
    Ok(pipeline)
}

fn look_at_all(
    pipeline: &gst::Pipeline,
    sink: &AppSink,
    progress: &Progress,
    look: &mut impl FnMut(&LumaFrame) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    let mut limiter = Limiter::default();
    let mut timeline = Timeline::new(Gaps::Kept);
    let mut empty = true;
    let mut length_ms = None;
    while let Some(sample) = sink.try_pull_sample(PATIENCE) {
        let buffer = sample.buffer().context("a sample without a buffer")?;
        let info = VideoInfo::from_caps(sample.caps().context("a sample without caps")?)?;
        empty = false;
        // Nobody knows it before the first picture; some containers never say it.
        length_ms =
            length_ms.or_else(|| Some(pipeline.query_duration::<gst::ClockTime>()?.mseconds()));
        timeline.set_pace(Geometry::of(&info).fps);
        let pts = buffer.pts().map(|pts| Duration::from_nanos(pts.nseconds()));
        let done_ms = buffer.pts().map_or(0, gst::ClockTime::mseconds);
        progress.tell(Stage::Looking, done_ms, length_ms);
        let at = MonotonicNanos(0).plus(timeline.place(pts));
        let frame = VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
        let stride = usize::try_from(frame.plane_stride()[0]).context("a negative stride")?;
        let (width, height) = (info.width() as usize, info.height() as usize);
        if limiter.admits(at)
            && let Some(frame) = downscale(frame.plane_data(0)?, (width, height), stride, at)
        {
            look(&frame)?;
        }
    }
    if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
        && let gst::MessageView::Error(error) = message.view()
    {
        bail!("{}", error.error());
    }
    if empty {
        bail!("it holds no pictures");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_pictures_are_counted_and_timed_by_their_format() {
        let format: RawFormat = "4x2@5".parse().unwrap();
        let bytes = [7; 4 * 2 * 3 + 5];
        let mut times = Vec::new();
        raw_pictures(&bytes[..], format, None, &Progress::unheard(), |frame| {
            assert_eq!((frame.width, frame.height, frame.data[0]), (4, 2, 7));
            times.push(frame.captured_at.since(MonotonicNanos(0)).as_millis());
            Ok(())
        })
        .unwrap();
        assert_eq!(times, [0, 200, 400]);
    }

    #[test]
    fn a_raw_format_is_width_height_and_pace() {
        for wrong in ["", "320x180", "320@10", "0x180@10", "320x180@0", "320x180@-1", "9999x1@1"] {
            assert!(wrong.parse::<RawFormat>().is_err(), "{wrong}");
        }
    }
}

//! Writes drawn pictures into an MP4 file, to look at.

use std::path::Path;

use anyhow::{Context as _, bail};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use nightjar_core::monotonic::MonotonicNanos;

use crate::{
    capture::Geometry,
    encode::{elements::raw_caps, encoder::Encoder},
};

const BITRATE_KBPS: u32 = 1_500;
/// Pictures waiting for the encoder. When full, the drawer waits.
const WAITING: u64 = 4;
/// An encoder that does not end within this time has failed.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// A film in the making; without [`Self::finish`] the file does not play.
pub struct Film {
    pipeline: gst::Pipeline,
    source: AppSrc,
}

impl Film {
    /// Pictures are `width` by `height`, both even, 3 bytes a pixel: red, green, blue.
    pub fn create(path: &Path, (width, height): (u32, u32)) -> anyhow::Result<Self> {
        gst::init().context("GStreamer does not start")?;
        let geometry = Geometry { width, height, fps: (10, 1) };
        let encoder = Encoder::in_software(geometry, BITRATE_KBPS)?;
        let caps = picture_caps((width, height))?;
        let source = AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .block(true)
            .max_buffers(WAITING)
            .build();
        let make = |name: &str| gst::ElementFactory::make(name).build();
        let (converter, scaler) = (make("videoconvert")?, make("videoscale")?);
        let input = make("capsfilter")?;
        let (output, parser, muxer) = (make("capsfilter")?, make("h264parse")?, make("mp4mux")?);
        let file = gst::ElementFactory::make("filesink").property("location", path).build()?;
        input.set_property("caps", &raw_caps(&encoder, geometry)?);
        output.set_property("caps", &encoder.output);
        let pipeline = gst::Pipeline::new();
        let chain = [
            source.upcast_ref(),
            &converter,
            &scaler,
            &input,
            &encoder.element,
            &output,
            &parser,
            &muxer,
            &file,
        ];
        pipeline.add_many(chain)?;
        gst::Element::link_many(chain)?;
        pipeline
            .set_state(gst::State::Playing)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { pipeline, source })
    }

    /// Adds a picture; one of another size than the first is framed in that.
    pub fn add(
        &self,
        picture: Vec<u8>,
        size: (u32, u32),
        at: MonotonicNanos,
    ) -> anyhow::Result<()> {
        self.source.set_caps(Some(&picture_caps(size)?));
        let mut buffer = gst::Buffer::from_mut_slice(picture);
        let buffer_mut = buffer.get_mut().context("a buffer that others hold")?;
        buffer_mut.set_pts(gst::ClockTime::from_nseconds(at.0));
        self.source.push_buffer(buffer).context("the film takes no more pictures")?;
        Ok(())
    }

    /// Waits until everything is written.
    pub fn finish(self) -> anyhow::Result<()> {
        self.source.end_of_stream().context("the film does not end")?;
        let bus = self.pipeline.bus().context("a pipeline without a bus")?;
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        match bus.timed_pop_filtered(PATIENCE, &ends).as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => Ok(()),
            Some(gst::MessageView::Error(error)) => bail!("the film failed: {}", error.error()),
            _ => bail!("the film does not end"),
        }
    }
}

fn picture_caps((width, height): (u32, u32)) -> anyhow::Result<gst::Caps> {
    Ok(gst::Caps::builder("video/x-raw")
        .field("format", "RGB")
        .field("width", i32::try_from(width)?)
        .field("height", i32::try_from(height)?)
        .field("framerate", gst::Fraction::new(0, 1))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build())
}

impl Drop for Film {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::warn!(%error, "the film's pipeline does not stop");
        }
    }
}

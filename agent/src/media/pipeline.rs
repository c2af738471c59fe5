//! One run of capture: source -> raw pictures (seen by the taps) -> encoder -> frames.

use std::sync::Arc;

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::{AppSink, AppSinkCallbacks};
use tokio::sync::mpsc;

use super::{encoder::Encoder, taps::Taps};
use crate::{
    capture::{Geometry, Source, controls::ControlWatch, feeder::Feeder},
    config::SourceConfig,
};

/// Raw pictures waiting for the encoder; when it cannot keep up, the oldest is dropped.
const RAW_QUEUE: u32 = 2;

/// Only the first failure of a pipeline matters; later ones are dropped.
const FAILURE_QUEUE: usize = 4;

/// A playing pipeline. Dropping it stops it, which may block.
pub(crate) struct Pipeline {
    graph: gst::Pipeline,
    encoder: Arc<Encoder>,
    feeder: Option<Feeder>,
    controls: Option<ControlWatch>,
    /// The size of the encoded pictures, and the source's nominal pace.
    pub(crate) geometry: Geometry,
}

impl Pipeline {
    /// Opens the source and starts. Blocks. Failures after the start arrive on the channel.
    pub(crate) fn start(
        config: &SourceConfig,
        bitrate_kbps: u32,
        taps: &Arc<Taps>,
    ) -> anyhow::Result<(Self, mpsc::Receiver<String>)> {
        let mut source = Source::open(config)?;
        let geometry = encoded_geometry(source.geometry, config);
        let encoder = Arc::new(Encoder::best(geometry, bitrate_kbps)?);
        let pipeline = assemble(&source, geometry, &encoder, taps)?;
        let failures = watch_bus(&pipeline)?;
        // With the system's clock and a base time of zero, running times are CLOCK_MONOTONIC.
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(gst::ClockTime::ZERO);
        taps.reset();
        let mut this = Self { graph: pipeline, encoder, feeder: None, controls: None, geometry };
        if this.graph.set_state(gst::State::Playing).is_err() {
            anyhow::bail!("{}", first_failure(failures));
        }
        this.feeder = source.start_feeding()?;
        let taps = Arc::clone(taps);
        this.controls = source.watch_controls(move |at| taps.camera_changed(at));
        Ok((this, failures))
    }

    pub(crate) fn encoder_name(&self) -> &'static str {
        self.encoder.name()
    }

    pub(crate) fn set_bitrate(&self, kbps: u32) {
        self.encoder.set_bitrate(kbps);
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // A pipeline that is freed while it plays crashes.
        if self.graph.set_state(gst::State::Null).is_err() {
            tracing::warn!("the capture pipeline did not stop");
        }
        if let Some(bus) = self.graph.bus() {
            bus.unset_sync_handler();
        }
        if let Some(feeder) = self.feeder.take() {
            feeder.stop();
        }
        if let Some(controls) = self.controls.take() {
            controls.stop();
        }
    }
}

fn first_failure(mut failures: mpsc::Receiver<String>) -> String {
    failures.try_recv().unwrap_or_else(|_| "the capture pipeline does not start".to_owned())
}

fn assemble(
    source: &Source,
    geometry: Geometry,
    encoder: &Arc<Encoder>,
    taps: &Arc<Taps>,
) -> anyhow::Result<gst::Pipeline> {
    let raw = caps_filter(&raw_caps(encoder, geometry)?)?;
    let queue = gst::ElementFactory::make("queue")
        .property_from_str("leaky", "downstream")
        .property("max-size-buffers", RAW_QUEUE)
        .property("max-size-bytes", 0_u32)
        .property("max-size-time", 0_u64)
        .build()?;
    let profile = caps_filter(&encoder.output)?;
    let parser = make("h264parse")?;
    parser.set_property("config-interval", -1_i32);
    let sink = {
        let taps = Arc::clone(taps);
        frame_sink(move |sample| taps.on_encoded(sample))
    };
    let chain = [
        source.bin.upcast_ref(),
        &make("videoconvert")?,
        &make("videoscale")?,
        &raw,
        &queue,
        &encoder.element,
        &profile,
        &parser,
        sink.upcast_ref(),
    ];
    let pipeline = gst::Pipeline::with_name("capture");
    pipeline.add_many(chain)?;
    gst::Element::link_many(chain)?;
    tap_raw(&raw, encoder, taps)?;
    Ok(pipeline)
}

pub(super) fn make(name: &str) -> anyhow::Result<gst::Element> {
    gst::ElementFactory::make(name).build().with_context(|| {
        format!("GStreamer has no {name}: install gstreamer1.0-plugins-{{base,good,bad}}")
    })
}

pub(super) fn caps_filter(caps: &gst::Caps) -> anyhow::Result<gst::Element> {
    Ok(gst::ElementFactory::make("capsfilter").property("caps", caps).build()?)
}

pub(super) fn raw_caps(encoder: &Encoder, geometry: Geometry) -> anyhow::Result<gst::Caps> {
    let mut caps = encoder.input.clone();
    caps.make_mut().set("width", i32::try_from(geometry.width)?);
    caps.make_mut().set("height", i32::try_from(geometry.height)?);
    Ok(caps)
}

/// Covers what nobody may see, then lets the taps see every raw picture.
fn tap_raw(raw: &gst::Element, encoder: &Arc<Encoder>, taps: &Arc<Taps>) -> anyhow::Result<()> {
    let (encoder, taps) = (Arc::clone(encoder), Arc::clone(taps));
    let pad = raw.static_pad("src").context("a caps filter without an output")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer_mut()
            && !taps.cover(pad, buffer)
        {
            return gst::PadProbeReturn::Drop;
        }
        if let Some(buffer) = info.buffer()
            && taps.on_raw(pad, buffer)
        {
            encoder.force_key_frame();
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Hands every access unit to `on_frame`.
pub(super) fn frame_sink(on_frame: impl Fn(&gst::Sample) + Send + 'static) -> AppSink {
    let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        on_frame(&sample);
        Ok(gst::FlowSuccess::Ok)
    });
    let caps = gst::Caps::builder("video/x-h264")
        .field("stream-format", "byte-stream")
        .field("alignment", "au")
        .build();
    AppSink::builder().caps(&caps).sync(false).callbacks(callbacks.build()).build()
}

/// Errors and the end of the stream, as sentences.
pub(super) fn watch_bus(pipeline: &gst::Pipeline) -> anyhow::Result<mpsc::Receiver<String>> {
    let (sender, receiver) = mpsc::channel(FAILURE_QUEUE);
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    bus.set_sync_handler(move |_, message| {
        let failure = match message.view() {
            gst::MessageView::Error(error) => Some(describe(error)),
            gst::MessageView::Eos(_) => Some("the source ended".to_owned()),
            _ => None,
        };
        if let Some(failure) = failure {
            let _ = sender.try_send(failure);
        }
        gst::BusSyncReply::Drop
    });
    Ok(receiver)
}

fn describe(error: &gst::message::Error) -> String {
    let source = error.src().map(|source| source.name().to_string()).unwrap_or_default();
    format!("{} ({source})", error.error().message())
}

/// Pictures larger than wanted are shrunk, keeping their shape; H.264 wants even sizes.
fn encoded_geometry(source: Geometry, wanted: &SourceConfig) -> Geometry {
    let (width, height) = fit((source.width, source.height), (wanted.width, wanted.height));
    Geometry { width, height, ..source }
}

/// The largest even size of the same shape that is not larger than `most`.
pub(super) fn fit(size: (u32, u32), most: (u32, u32)) -> (u32, u32) {
    let (width, height) = (u64::from(size.0), u64::from(size.1));
    let (most_width, most_height) = (u64::from(most.0), u64::from(most.1));
    let (width, height) = if width <= most_width && height <= most_height {
        (width, height)
    } else if width * most_height >= height * most_width {
        (most_width, height * most_width / width)
    } else {
        (width * most_height / height, most_height)
    };
    let even = |pixels: u64| u32::try_from(pixels / 2 * 2).unwrap_or(2).max(2);
    (even(width), even(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(width: u32, height: u32) -> (u32, u32) {
        let wanted = SourceConfig { width: 1280, height: 720, ..SourceConfig::default() };
        let source = Geometry { width, height, fps: (30, 1) };
        let geometry = encoded_geometry(source, &wanted);
        (geometry.width, geometry.height)
    }

    #[test]
    fn pictures_are_never_enlarged_and_keep_their_shape() {
        assert_eq!(encoded(1280, 720), (1280, 720));
        assert_eq!(encoded(768, 576), (768, 576));
        assert_eq!(encoded(641, 361), (640, 360));
        assert_eq!(encoded(3840, 2160), (1280, 720));
        assert_eq!(encoded(1600, 1200), (960, 720));
        assert_eq!(encoded(720, 1280), (404, 720));
    }
}

//! One run of capture: source -> raw pictures (seen by the taps) -> encoder -> frames.

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::VideoInfo;
use tokio::sync::mpsc;

use super::{
    elements::{caps_filter, encoded_geometry, frame_sink, make, raw_caps, watch_bus},
    encoder::Encoder,
    shapes::{Shape, Shapes},
    taps::Taps,
};
use crate::{
    capture::{Geometry, Source, controls::ControlWatch, feeder::Feeder},
    config::SourceConfig,
    lock::lock,
};

/// Raw pictures waiting for the encoder; when it cannot keep up, the oldest is dropped.
const RAW_QUEUE: u32 = 2;

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
    let convert = make("videoconvert")?;
    let chain = [
        source.bin.upcast_ref(),
        &convert,
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
    tap_scene(&convert, taps)?;
    tell_changes(&convert, geometry)?;
    tap_raw(&raw, encoder, taps)?;
    Ok(pipeline)
}

fn output(element: &gst::Element) -> anyhow::Result<gst::Pad> {
    element.static_pad("src").context("an element without an output")
}

/// Covers what nobody may see while the picture has the size and shape of what the camera sees:
/// masks and zones are shares of that, whatever frame is put around it later.
fn tap_scene(convert: &gst::Element, taps: &Arc<Taps>) -> anyhow::Result<()> {
    let taps = Arc::clone(taps);
    output(convert)?.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        if !taps.cover(pad, buffer) {
            return gst::PadProbeReturn::Drop;
        }
        taps.on_scene(pad, buffer);
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Logs that the pictures are others than before.
fn tell_changes(convert: &gst::Element, encoded: Geometry) -> anyhow::Result<()> {
    let shapes = Mutex::new(Shapes::default());
    output(convert)?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view())
            && let Ok(video) = VideoInfo::from_caps(event.caps())
        {
            lock(&shapes).see(Shape::of(&video), encoded);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Lets the taps see every raw picture as it is encoded.
fn tap_raw(raw: &gst::Element, encoder: &Arc<Encoder>, taps: &Arc<Taps>) -> anyhow::Result<()> {
    let (encoder, taps) = (Arc::clone(encoder), Arc::clone(taps));
    output(raw)?.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer()
            && taps.on_raw(pad, buffer)
        {
            encoder.force_key_frame();
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

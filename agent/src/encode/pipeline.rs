//! One run of capture: source -> raw pictures (seen by the taps) -> encoder -> frames. Where the source
//! makes H.264 that is used as it is, the frames come from there, and the pictures end at the taps.

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::VideoInfo;
use nightjar_shared::event::TranscodeReason;
use tokio::sync::mpsc;

use super::{
    elements::{caps_filter, encoded_geometry, frame_sink, make, raw_caps, watch_bus},
    encoder::Encoder,
    shapes::{Shape, Shapes},
    taps::Taps,
};
use crate::{
    capture::{Feeding, Geometry, Opening, Source, controls::ControlWatch},
    config::SourceConfig,
    lock::lock,
};

/// Raw pictures waiting for the encoder; when it cannot keep up, the oldest is dropped.
const RAW_QUEUE: u32 = 2;

/// What stands for the encoder where there is none.
const PASSTHROUGH: &str = "passthrough";

/// A playing pipeline. Dropping it stops it, which may block.
pub(crate) struct Pipeline {
    graph: gst::Pipeline,
    /// None where the source's own H.264 is used as it is.
    encoder: Option<Arc<Encoder>>,
    feeding: Option<Feeding>,
    controls: Option<ControlWatch>,
    /// Why the source's own H.264 is not used as it is, where it makes some.
    pub(crate) transcoded: Option<TranscodeReason>,
    /// The size of the encoded pictures, and the source's nominal pace.
    pub(crate) geometry: Geometry,
    /// Of the pictures that the low layer is made of.
    pub(crate) seen: Geometry,
}

impl Pipeline {
    /// Opens the source and starts. Blocks. Failures after the start arrive on the channel.
    pub(crate) fn start(
        config: &SourceConfig,
        bitrate_kbps: u32,
        opening: Opening,
        taps: &Arc<Taps>,
    ) -> anyhow::Result<(Self, mpsc::Receiver<String>)> {
        let mut source = Source::open(config, opening)?;
        let scaled = encoded_geometry(source.geometry, config);
        let (geometry, seen) = match source.passthrough {
            Some(own) => (own, source.geometry),
            None => (scaled, scaled),
        };
        let encoder = match source.passthrough {
            Some(_) => None,
            None => Some(Arc::new(Encoder::best(geometry, bitrate_kbps)?)),
        };
        let pipeline = assemble(&source, geometry, encoder.as_ref(), taps)?;
        let failures = watch_bus(&pipeline)?;
        // With the system's clock and a base time of zero, running times are CLOCK_MONOTONIC.
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(gst::ClockTime::ZERO);
        taps.reset();
        let mut this = Self {
            graph: pipeline,
            encoder,
            feeding: None,
            controls: None,
            transcoded: source.transcoded,
            geometry,
            seen,
        };
        if this.graph.set_state(gst::State::Playing).is_err() {
            anyhow::bail!("{}", first_failure(failures));
        }
        let own = Arc::clone(taps);
        this.feeding = source.start_feeding(Box::new(move |frame| own.on_own_frame(frame)))?;
        let taps = Arc::clone(taps);
        this.controls = source.watch_controls(move |at| taps.camera_changed(at));
        Ok((this, failures))
    }

    pub(crate) fn encoder_name(&self) -> &'static str {
        self.encoder.as_ref().map_or(PASSTHROUGH, |encoder| encoder.name())
    }

    /// Whether the source's own H.264 is used as it is.
    pub(crate) fn passes_through(&self) -> bool {
        self.encoder.is_none()
    }

    /// The size of the encoded pictures now: a source may change that of its own.
    pub(crate) fn size(&self) -> (u32, u32) {
        let own = self.feeding.as_ref().filter(|_| self.passes_through());
        let Geometry { width, height, .. } =
            own.and_then(Feeding::own_geometry).unwrap_or(self.geometry);
        (width, height)
    }

    /// Why it can be no longer.
    pub(crate) fn obstacle(&self) -> Option<TranscodeReason> {
        self.feeding.as_ref().filter(|_| self.passes_through()).and_then(Feeding::obstacle)
    }

    /// Changes the target of whatever encodes; a source that cannot be told keeps to its own.
    pub(crate) fn set_bitrate(&self, kbps: u32) {
        match &self.encoder {
            Some(encoder) => encoder.set_bitrate(kbps),
            None => self.feeding.iter().for_each(|source| source.set_bitrate(kbps)),
        }
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
        if let Some(feeding) = self.feeding.take() {
            feeding.stop();
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
    encoder: Option<&Arc<Encoder>>,
    taps: &Arc<Taps>,
) -> anyhow::Result<gst::Pipeline> {
    let convert = make("videoconvert")?;
    let mut chain = vec![source.bin.clone().upcast(), convert.clone()];
    match encoder {
        Some(encoder) => chain.extend(encoding(geometry, encoder, taps)?),
        None => chain.push(gst::ElementFactory::make("fakesink").property("sync", false).build()?),
    }
    let pipeline = gst::Pipeline::with_name("capture");
    pipeline.add_many(&chain)?;
    gst::Element::link_many(&chain)?;
    tap_scene(&convert, taps)?;
    tell_changes(&convert, geometry)?;
    if encoder.is_none() {
        tap_pictures(&convert, taps)?;
    }
    Ok(pipeline)
}

/// Everything from the scaler to the frames.
fn encoding(
    geometry: Geometry,
    encoder: &Arc<Encoder>,
    taps: &Arc<Taps>,
) -> anyhow::Result<Vec<gst::Element>> {
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
    tap_raw(&raw, encoder, taps)?;
    let element = encoder.element.clone();
    Ok(vec![make("videoscale")?, raw, queue, element, profile, parser, sink.upcast()])
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

/// Lets the taps see every picture where none is encoded.
fn tap_pictures(convert: &gst::Element, taps: &Arc<Taps>) -> anyhow::Result<()> {
    let taps = Arc::clone(taps);
    output(convert)?.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer() {
            taps.on_picture(pad, buffer);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

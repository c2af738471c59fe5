//! The low layer: a second, small encoder beside the main one, for viewers whose networks carry
//! no more. A pipeline of its own, fed with references to the main one's raw pictures, so that
//! it comes and goes without touching the main one.

use std::sync::Arc;

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::{AppLeakyType, AppSrc};
use tokio::sync::mpsc;

use super::{
    elements::{caps_filter, fit, frame_sink, make, raw_caps, watch_bus},
    encoder::{Encoder, EncoderKind},
    taps::Taps,
};
use crate::capture::Geometry;

/// Both sides of a picture fit into this, whichever way it is turned.
const LONGER_SIDE: u32 = 480;
const SHORTER_SIDE: u32 = 270;

/// With its packets' headers it stays below 300 kbit/s.
const BITRATE_KBPS: u32 = 250;

/// Raw pictures that wait for the low encoder; when it cannot keep up, the oldest is dropped.
const RAW_QUEUE: u64 = 2;

/// A running low encoder. Dropping it stops it, which may block.
pub(crate) struct LowLayer {
    graph: gst::Pipeline,
    taps: Arc<Taps>,
}

impl LowLayer {
    /// Begins to make the low layer of pictures of this size. Blocks. Failures after the start
    /// arrive on the channel.
    pub(crate) fn start(
        raw: Geometry,
        kind: EncoderKind,
        taps: &Arc<Taps>,
    ) -> anyhow::Result<(Self, mpsc::Receiver<String>)> {
        let geometry = low_geometry(raw);
        let encoder = Arc::new(Encoder::new(kind, geometry, BITRATE_KBPS)?);
        let source = AppSrc::builder()
            .format(gst::Format::Time)
            .is_live(true)
            .max_buffers(RAW_QUEUE)
            .max_bytes(0)
            .leaky_type(AppLeakyType::Downstream)
            .build();
        let scaler = make("videoscale")?;
        let raw = caps_filter(&raw_caps(&encoder, geometry)?)?;
        let profile = caps_filter(&encoder.output)?;
        let parser = make("h264parse")?;
        parser.set_property("config-interval", -1_i32);
        let sink = {
            let taps = Arc::clone(taps);
            frame_sink(move |sample| taps.on_low_encoded(sample))
        };
        let convert = make("videoconvert")?;
        let chain = [
            source.upcast_ref(),
            &scaler,
            &convert,
            &raw,
            &encoder.element,
            &profile,
            &parser,
            sink.upcast_ref(),
        ];
        let graph = gst::Pipeline::with_name("low");
        graph.add_many(chain)?;
        gst::Element::link_many(chain)?;
        let failures = watch_bus(&graph)?;
        // As in the main pipeline: time stamps are CLOCK_MONOTONIC.
        graph.use_clock(Some(&gst::SystemClock::obtain()));
        graph.set_start_time(gst::ClockTime::NONE);
        graph.set_base_time(gst::ClockTime::ZERO);
        let this = Self { graph, taps: Arc::clone(taps) };
        this.graph.set_state(gst::State::Playing).context("the low layer does not start")?;
        taps.reset_low();
        taps.low_feed.open(source, encoder);
        Ok((this, failures))
    }
}

impl Drop for LowLayer {
    fn drop(&mut self) {
        self.taps.low_feed.close();
        // A pipeline that is freed while it plays crashes.
        if self.graph.set_state(gst::State::Null).is_err() {
            tracing::warn!("the low layer did not stop");
        }
        if let Some(bus) = self.graph.bus() {
            bus.unset_sync_handler();
        }
    }
}

fn low_geometry(raw: Geometry) -> Geometry {
    let most = if raw.width >= raw.height {
        (LONGER_SIDE, SHORTER_SIDE)
    } else {
        (SHORTER_SIDE, LONGER_SIDE)
    };
    let (width, height) = fit((raw.width, raw.height), most);
    // For its key frames: the feed leaves pictures out.
    let fps = if raw.frames_per_second() > 15.0 { (15, 1) } else { raw.fps };
    Geometry { width, height, fps }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn low(width: u32, height: u32) -> (u32, u32) {
        let geometry = low_geometry(Geometry { width, height, fps: (30, 1) });
        (geometry.width, geometry.height)
    }

    #[test]
    fn the_low_layer_keeps_the_shape_and_is_never_larger_than_the_main_one() {
        assert_eq!(low(1280, 720), (480, 270));
        assert_eq!(low(768, 576), (360, 270));
        assert_eq!(low(720, 1280), (270, 480));
        assert_eq!(low(320, 240), (320, 240));
    }
}

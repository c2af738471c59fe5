//! A V4L2 device that gives H.264.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::{AppSink, AppSinkCallbacks};

use super::{super::v4l2, codec_controls::CodecControls, delivery::Delivery};
use crate::capture::discover::Mode;

/// Reads one device. It stops as this is dropped.
pub(super) struct DeviceReader {
    pipeline: gst::Pipeline,
    controls: Arc<CodecControls>,
}

impl DeviceReader {
    pub(super) fn start(
        device: &Path,
        mode: &Mode,
        bitrate_kbps: u32,
        delivery: &Arc<Delivery>,
    ) -> anyhow::Result<Self> {
        let controls = Arc::new(CodecControls::open(device)?);
        controls.prepare(bitrate_kbps);
        let parser = gst::ElementFactory::make("h264parse")
            // Parameter sets come with every key frame, also where the device gives them once.
            .property("config-interval", -1_i32)
            .build()
            .context("GStreamer has no h264parse: install gstreamer1.0-plugins-bad")?;
        let sink = frame_sink(delivery, &controls);
        let mut chain = v4l2::reader(device, mode)?;
        chain.extend([parser, sink.upcast()]);
        let pipeline = gst::Pipeline::with_name("device");
        pipeline.add_many(&chain)?;
        gst::Element::link_many(&chain)?;
        tell_failures(&pipeline, delivery)?;
        // As in the main pipeline: time stamps are CLOCK_MONOTONIC.
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(gst::ClockTime::ZERO);
        let this = Self { pipeline, controls };
        if this.pipeline.set_state(gst::State::Playing).is_err() {
            delivery.wait_for_key_frame(0)?;
            bail!("{} does not start", device.display());
        }
        Ok(this)
    }

    pub(super) fn set_bitrate(&self, kbps: u32) {
        self.controls.set_bitrate(kbps);
    }
}

impl Drop for DeviceReader {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("the camera did not stop");
        }
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
    }
}

fn frame_sink(delivery: &Arc<Delivery>, controls: &Arc<CodecControls>) -> AppSink {
    let (delivery, controls) = (Arc::clone(delivery), Arc::clone(controls));
    let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        if let Some(buffer) = sample.buffer()
            && let Ok(map) = buffer.map_readable()
        {
            let told = buffer.pts().map(|pts| Duration::from_nanos(pts.nseconds()));
            if delivery.take(Bytes::copy_from_slice(&map), told) {
                controls.force_key_frame();
            }
        }
        Ok(gst::FlowSuccess::Ok)
    });
    let caps = gst::Caps::builder("video/x-h264")
        .field("stream-format", "byte-stream")
        .field("alignment", "au")
        .build();
    AppSink::builder().caps(&caps).sync(false).callbacks(callbacks.build()).build()
}

fn tell_failures(pipeline: &gst::Pipeline, delivery: &Arc<Delivery>) -> anyhow::Result<()> {
    let delivery = Arc::clone(delivery);
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    bus.set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Error(error) => {
                delivery.fail(anyhow::anyhow!("{}", error.error().message()));
            }
            gst::MessageView::Eos(_) => delivery.fail(anyhow::anyhow!("the camera ended")),
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
    Ok(())
}

//! The one H.264 encoder that serves recording and every viewer: constrained baseline, no B
//! frames, at least a key frame a second.

use anyhow::{Context as _, bail};
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::UpstreamForceKeyUnitEvent;

use crate::capture::Geometry;

/// The encoders that the agent knows, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderKind {
    /// x264 in software.
    X264,
    /// Cisco's `OpenH264` in software.
    OpenH264,
    /// A V4L2 memory-to-memory encoder, as of the Raspberry Pi up to model 4.
    V4l2,
}

impl EncoderKind {
    const ALL: [Self; 3] = [Self::X264, Self::OpenH264, Self::V4l2];

    /// The name of the `GStreamer` element.
    pub fn element(self) -> &'static str {
        match self {
            Self::X264 => "x264enc",
            Self::OpenH264 => "openh264enc",
            Self::V4l2 => "v4l2h264enc",
        }
    }

    /// Those that this machine has, best first.
    pub fn available() -> Vec<Self> {
        let exists = |kind: &Self| gst::ElementFactory::find(kind.element()).is_some();
        Self::ALL.into_iter().filter(exists).collect()
    }

    /// The raw formats that it takes, for a caps filter in front of it.
    fn raw_formats(self) -> gst::List {
        match self {
            Self::OpenH264 => gst::List::new(["I420"]),
            Self::X264 | Self::V4l2 => gst::List::new(["I420", "NV12"]),
        }
    }
}

/// An encoder element with the caps that must stand before and after it.
pub(crate) struct Encoder {
    kind: EncoderKind,
    pub(crate) element: gst::Element,
    pub(crate) input: gst::Caps,
    pub(crate) output: gst::Caps,
}

impl Encoder {
    /// The best encoder of this machine.
    pub(crate) fn best(geometry: Geometry, bitrate_kbps: u32) -> anyhow::Result<Self> {
        match EncoderKind::available().first() {
            Some(kind) => Self::new(*kind, geometry, bitrate_kbps),
            None => bail!(
                "no H.264 encoder: install gstreamer1.0-plugins-ugly (x264enc) or \
                 gstreamer1.0-plugins-bad (openh264enc)"
            ),
        }
    }

    pub(crate) fn new(
        kind: EncoderKind,
        geometry: Geometry,
        bitrate_kbps: u32,
    ) -> anyhow::Result<Self> {
        let factory = gst::ElementFactory::make(kind.element()).name("encoder");
        let key_interval = frames_per_key_frame(geometry);
        let element = match kind {
            EncoderKind::X264 => factory
                .property_from_str("tune", "zerolatency")
                .property_from_str("speed-preset", "ultrafast")
                .property("key-int-max", key_interval)
                .property("threads", 1_u32)
                .property("bitrate", bitrate_kbps),
            EncoderKind::OpenH264 => factory
                .property_from_str("complexity", "low")
                .property_from_str("rate-control", "bitrate")
                .property("gop-size", key_interval)
                .property("bitrate", bitrate_kbps * 1_000),
            // An i_frame_period of 1 hangs the Raspberry Pi's encoder.
            EncoderKind::V4l2 => factory.property(
                "extra-controls",
                gst::Structure::builder("controls")
                    .field("repeat_sequence_header", 1_i32)
                    .field("video_bitrate", i32::try_from(bitrate_kbps * 1_000)?)
                    .field("h264_i_frame_period", i32::try_from(key_interval.max(2))?)
                    .build(),
            ),
        }
        .build()
        .with_context(|| format!("cannot make {}", kind.element()))?;
        Ok(Self { kind, element, input: input_caps(kind), output: output_caps(kind) })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.element()
    }

    /// Asks for a key frame at the next picture.
    pub(crate) fn force_key_frame(&self) {
        let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        // The encoder's base class takes upstream events on its source pad.
        if let Some(pad) = self.element.static_pad("src") {
            pad.send_event(event);
        }
    }

    /// Changes the target of a running encoder. A V4L2 encoder keeps the old one until the
    /// pipeline is started again.
    pub(crate) fn set_bitrate(&self, kbps: u32) {
        match self.kind {
            EncoderKind::X264 => self.element.set_property("bitrate", kbps),
            EncoderKind::OpenH264 => self.element.set_property("bitrate", kbps * 1_000),
            EncoderKind::V4l2 => {}
        }
    }
}

/// Frames in a second, so that key frames are at most that far apart.
fn frames_per_key_frame(geometry: Geometry) -> u32 {
    (geometry.fps.0 / geometry.fps.1.max(1)).max(1)
}

fn input_caps(kind: EncoderKind) -> gst::Caps {
    gst::Caps::builder("video/x-raw").field("format", kind.raw_formats()).build()
}

fn output_caps(kind: EncoderKind) -> gst::Caps {
    let caps = gst::Caps::builder("video/x-h264").field("profile", "constrained-baseline");
    match kind {
        // Without a level the Raspberry Pi's driver refuses to start.
        EncoderKind::V4l2 => caps.field("level", "4").build(),
        EncoderKind::X264 | EncoderKind::OpenH264 => caps.build(),
    }
}

//! The one H.264 encoder that serves recording and every viewer: constrained baseline, no B
//! frames, at least a key frame a second.

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::UpstreamForceKeyUnitEvent;

use crate::capture::Geometry;

/// The encoders that the agent knows, in the order in which they are tried: hardware first, where it is
/// found to work, as it leaves the processor to everything else. See decision 0052.
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
    const ALL: [Self; 3] = [Self::V4l2, Self::X264, Self::OpenH264];

    /// The name of the `GStreamer` element.
    pub fn element(self) -> &'static str {
        match self {
            Self::X264 => "x264enc",
            Self::OpenH264 => "openh264enc",
            Self::V4l2 => "v4l2h264enc",
        }
    }

    /// Lists those that this machine has, in the order in which they are tried.
    pub fn available() -> Vec<Self> {
        let exists = |kind: &Self| gst::ElementFactory::find(kind.element()).is_some();
        Self::ALL.into_iter().filter(exists).collect()
    }

    /// Returns whether it works beside the processor.
    pub fn is_hardware(self) -> bool {
        matches!(self, Self::V4l2)
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
    pub(crate) kind: EncoderKind,
    pub(crate) element: gst::Element,
    pub(crate) input: gst::Caps,
    pub(crate) output: gst::Caps,
}

impl Encoder {
    /// The first that works on the processor: for what need not be done while it is seen.
    pub(crate) fn in_software(geometry: Geometry, bitrate_kbps: u32) -> anyhow::Result<Self> {
        let software = EncoderKind::available().into_iter().find(|kind| !kind.is_hardware());
        let kind = software.context(
            "no H.264 encoder: install gstreamer1.0-plugins-ugly (x264enc) or \
             gstreamer1.0-plugins-bad (openh264enc)",
        )?;
        Self::new(kind, geometry, bitrate_kbps)
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

    pub(crate) fn is_hardware(&self) -> bool {
        self.kind.is_hardware()
    }

    /// Asks for a key frame at the next picture.
    pub(crate) fn force_key_frame(&self) {
        let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        // The encoder's base class takes upstream events on its source pad.
        if let Some(pad) = self.element.static_pad("src") {
            pad.send_event(event);
        }
    }

    /// Changes the target of a running encoder.
    pub(crate) fn set_bitrate(&self, kbps: u32) {
        match self.kind {
            EncoderKind::X264 => self.element.set_property("bitrate", kbps),
            EncoderKind::OpenH264 => self.element.set_property("bitrate", kbps * 1_000),
            // A property of its own would be too easy: the element sets controls as it gets them.
            EncoderKind::V4l2 => {
                let bits = i32::try_from(kbps.saturating_mul(1_000)).unwrap_or(i32::MAX);
                let controls = gst::Structure::builder("controls").field("video_bitrate", bits);
                self.element.set_property("extra-controls", controls.build());
            }
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

#[cfg(test)]
mod tests {
    use gstreamer_app::AppSink;

    use super::*;

    const GEOMETRY: Geometry = Geometry { width: 320, height: 240, fps: (10, 1) };

    /// Encodes three seconds of a test picture; tells which frames are key frames.
    fn key_frames(kind: EncoderKind) -> Vec<bool> {
        let encoder = Encoder::new(kind, GEOMETRY, 500).unwrap();
        let mut input = encoder.input.clone();
        input.make_mut().set("width", 320);
        input.make_mut().set("height", 240);
        input.make_mut().set("framerate", gst::Fraction::new(10, 1));
        let filter = |caps: &gst::Caps| {
            gst::ElementFactory::make("capsfilter").property("caps", caps).build().unwrap()
        };
        let source =
            gst::ElementFactory::make("videotestsrc").property("num-buffers", 30).build().unwrap();
        let sink = AppSink::builder().sync(false).build();
        let (before, after) = (filter(&input), filter(&encoder.output));
        let chain = [&source, &before, &encoder.element, &after, sink.upcast_ref()];
        let pipeline = gst::Pipeline::new();
        pipeline.add_many(chain).unwrap();
        gst::Element::link_many(chain).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        encoder.set_bitrate(800);
        let mut keys = Vec::new();
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(10)) {
            let flags = sample.buffer().unwrap().flags();
            keys.push(!flags.contains(gst::BufferFlags::DELTA_UNIT));
        }
        pipeline.set_state(gst::State::Null).unwrap();
        keys
    }

    #[test]
    fn every_encoder_here_makes_constrained_baseline_with_a_key_frame_a_second() {
        gst::init().unwrap();
        let kinds = EncoderKind::available();
        assert!(!kinds.is_empty(), "no encoder is installed");
        // A V4L2 encoder is hardware: its element may exist where the driver is busy.
        for kind in kinds.into_iter().filter(|kind| *kind != EncoderKind::V4l2) {
            let keys = key_frames(kind);
            assert_eq!(keys.len(), 30, "{kind:?}");
            assert!(keys[0], "{kind:?} begins with a key frame");
            assert!(keys.chunks(10).all(|second| second.contains(&true)), "{kind:?}: {keys:?}");
        }
    }
}

//! One run of capture: source -> raw pictures (seen by the taps) -> encoder -> frames. Where the source
//! makes H.264 that is used as it is, the frames come from there, and the pictures end at the taps.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::VideoInfo;
use nightjar_core::orientation::{Orientation, Turn};
use nightjar_shared::{event::TranscodeReason, image::ImageSettings};
use tokio::sync::mpsc;

use super::{
    elements::{caps_filter, encoded_geometry, frame_sink, make, raw_caps, watch_bus},
    encoder::{Encoder, EncoderKind},
    shapes::{Shape, Shapes},
    speed::{Best, Speeds},
    taps::Taps,
};
use crate::{
    capture::{
        Feeding, Geometry, Hold, Opening, SMALL_PAD, Source,
        controls::{ControlWatch, Reading},
        image::ImageControls,
    },
    config::{SourceConfig, SourceKind},
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
    hold: Option<Hold>,
    /// What of the picture can be set.
    pub(crate) image: Option<Arc<ImageControls>>,
    /// What was wanted of it at the start.
    pub(crate) settings: ImageSettings,
    /// How the source's pictures are shown.
    pub(crate) shown: Orientation,
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
        speeds: &Speeds,
        taps: &Arc<Taps>,
    ) -> anyhow::Result<(Self, mpsc::Receiver<String>)> {
        let Opened { mut source, config, best } = open(config, opening, speeds)?;
        let shown = Orientation::of(&config.image);
        let scaled = shown_geometry(encoded_geometry(source.geometry, &config), shown);
        let (geometry, seen) = match source.passthrough {
            Some(own) => (own, source.geometry),
            None => (scaled, scaled),
        };
        let encoder = match best {
            Some(best) => Some(Arc::new(Encoder::new(best.kind, geometry, bitrate_kbps)?)),
            None => None,
        };
        let pipeline = assemble(&source, shown, geometry, encoder.as_ref(), taps)?;
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
            hold: source.hold(),
            image: None,
            settings: config.image,
            shown,
            geometry,
            seen,
        };
        if this.graph.set_state(gst::State::Playing).is_err() {
            anyhow::bail!("{}", this.explain(first_failure(failures)));
        }
        let own = Arc::clone(taps);
        this.feeding = source.start_feeding(Box::new(move |frame| own.on_own_frame(frame)))?;
        this.image = source.image_controls().map(Arc::new);
        taps.tell_image_controls(this.image.as_ref());
        let taps = Arc::clone(taps);
        this.controls = source.watch_controls(move |reading| match reading {
            Reading::Changed(at) => taps.camera_changed(at),
            Reading::Gain(share) => taps.tell_gain(share),
        });
        Ok((this, failures))
    }

    /// Adds to a failure who else has the camera, if anybody has. Blocks.
    pub(crate) fn explain(&self, failure: String) -> String {
        match &self.hold {
            Some(hold) => hold.explain(failure),
            None => failure,
        }
    }

    pub(crate) fn encoder_name(&self) -> &'static str {
        self.encoder.as_ref().map_or(PASSTHROUGH, |encoder| encoder.name())
    }

    /// What encodes; nothing where the source does.
    pub(crate) fn encoder_kind(&self) -> Option<EncoderKind> {
        self.encoder.as_ref().map(|encoder| encoder.kind)
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

    /// How long to leave the source alone at least, once it has failed.
    pub(crate) fn least_pause(&self) -> Duration {
        self.feeding.as_ref().map_or(Duration::ZERO, Feeding::least_pause)
    }

    /// How many packets of the source were lost, where some were of late.
    pub(crate) fn lost(&self) -> Option<u64> {
        self.feeding.as_ref().and_then(Feeding::lost)
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

/// A source with what was asked of it, and what encodes its pictures.
struct Opened {
    source: Source,
    config: SourceConfig,
    /// None where the source's own H.264 is used as it is.
    best: Option<Best>,
}

/// Opens a source. What is to be encoded is no more than the encoder keeps up with, which is known only when
/// the source has said whether it encodes itself.
fn open(config: &SourceConfig, opening: Opening, speeds: &Speeds) -> anyhow::Result<Opened> {
    let may_encode_itself = matches!(config.kind, SourceKind::V4l2 | SourceKind::Rtsp);
    if may_encode_itself {
        let source = Source::open(config, opening)?;
        if source.passthrough.is_some() {
            return Ok(Opened { source, config: config.clone(), best: None });
        }
        let best = speeds.best()?;
        let limited = speeds.limit(config, best);
        // Of an IP camera the size alone can be less, and the scaler sees to that.
        if limited == *config || config.kind == SourceKind::Rtsp {
            return Ok(Opened { source, config: limited, best: Some(best) });
        }
    }
    let best = speeds.best()?;
    let limited = speeds.limit(config, best);
    let source = Source::open(&limited, opening)?;
    let best = source.passthrough.is_none().then_some(best);
    Ok(Opened { source, config: limited, best })
}

fn assemble(
    source: &Source,
    shown: Orientation,
    geometry: Geometry,
    encoder: Option<&Arc<Encoder>>,
    taps: &Arc<Taps>,
) -> anyhow::Result<gst::Pipeline> {
    let convert = make("videoconvert")?;
    let mut chain = vec![source.bin.clone().upcast()];
    chain.extend(turner(shown)?);
    chain.push(convert.clone());
    match encoder {
        Some(encoder) => chain.extend(encoding(geometry, encoder, taps)?),
        None => chain.push(gst::ElementFactory::make("fakesink").property("sync", false).build()?),
    }
    let pipeline = gst::Pipeline::with_name("capture");
    pipeline.add_many(&chain)?;
    gst::Element::link_many(&chain)?;
    let small = source.bin.static_pad(SMALL_PAD);
    if let Some(small) = &small {
        watch_small(&pipeline, small, shown, taps)?;
    }
    tap_scene(&convert, shown, small.is_none(), taps)?;
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

/// What turns the source's pictures as their owner wants them; nothing where they are shown as they are.
fn turner(shown: Orientation) -> anyhow::Result<Option<gst::Element>> {
    let direction = match shown.turn() {
        Turn::Identity => return Ok(None),
        Turn::Right => "90r",
        Turn::Half => "180",
        Turn::Left => "90l",
        Turn::Mirror => "horiz",
        Turn::MirrorOfRight => "ul-lr",
        Turn::MirrorOfHalf => "vert",
        Turn::MirrorOfLeft => "ur-ll",
    };
    let turner = make("videoflip")?;
    turner.set_property_from_str("video-direction", direction);
    Ok(Some(turner))
}

fn shown_geometry(geometry: Geometry, shown: Orientation) -> Geometry {
    let Geometry { width, height, .. } = geometry;
    let (width, height) = if shown.is_on_its_side() { (height, width) } else { (width, height) };
    Geometry { width, height, ..geometry }
}

fn output(element: &gst::Element) -> anyhow::Result<gst::Pad> {
    element.static_pad("src").context("an element without an output")
}

/// Covers what nobody may see while the picture has the size and shape of what the camera sees:
/// masks and zones are shares of that, whatever frame is put around it later.
fn tap_scene(
    convert: &gst::Element,
    shown: Orientation,
    is_watched: bool,
    taps: &Arc<Taps>,
) -> anyhow::Result<()> {
    let taps = Arc::clone(taps);
    output(convert)?.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        if !taps.cover(pad, buffer, shown) {
            return gst::PadProbeReturn::Drop;
        }
        if is_watched {
            taps.on_scene(pad, buffer);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Shows the motion detector the small pictures that the camera makes beside the others, covered and turned
/// like them.
fn watch_small(
    pipeline: &gst::Pipeline,
    small: &gst::Pad,
    shown: Orientation,
    taps: &Arc<Taps>,
) -> anyhow::Result<()> {
    let convert = make("videoconvert")?;
    let planes =
        gst::Caps::builder("video/x-raw").field("format", gst::List::new(["I420", "NV12"]));
    let planes = caps_filter(&planes.build())?;
    // Without a thread of its own: the camera's is not held up by what takes microseconds.
    let sink = make("fakesink")?;
    let turned = turner(shown)?;
    let mut chain: Vec<&gst::Element> = turned.iter().collect();
    chain.extend([&convert, &planes, &sink]);
    pipeline.add_many(&chain)?;
    gst::Element::link_many(&chain)?;
    let input = chain.first().and_then(|first| first.static_pad("sink"));
    small.link(&input.context("an element without an input")?)?;
    tap_scene(&planes, shown, true, taps)
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

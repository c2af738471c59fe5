//! A video file as an endless sequence of pictures.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video::VideoInfo;

use super::{
    Geometry,
    timeline::{Gaps, Timeline},
    upright::upright,
};

/// A file that gives nothing for this long cannot be decoded in real time.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(5);

/// Decoded pictures waiting for their turn.
const AHEAD: u32 = 4;

/// A file that leaves out pictures for longer is played as if it did for this long: nobody waits for
/// the end of what cannot be seen.
const LONGEST_GAP: Duration = Duration::from_secs(2);

/// Gaps that are told of; a file may be nothing else.
const GAPS_TOLD: u32 = 8;

/// Decodes a file over and over. Time goes on from one pass to the next: the first picture of a
/// pass is due one frame after the last of the pass before.
pub(crate) struct Reel {
    pipeline: gst::Pipeline,
    sink: AppSink,
    name: String,
    /// As the decoder gives its pictures now, and as they are handed on.
    decoded: gst::Caps,
    caps: gst::Caps,
    /// Of the first picture.
    geometry: Geometry,
    timeline: Timeline,
    gaps_told: u32,
    /// The picture whose turn is next, and when it is due.
    next: Option<(Duration, Picture)>,
}

/// A picture and its format, which may be another one for each.
pub(crate) type Picture = (gst::Buffer, gst::Caps);

impl Reel {
    /// Opens a file in any format that `GStreamer` decodes.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let sink = AppSink::builder()
            .caps(&gst::Caps::new_empty_simple("video/x-raw"))
            .sync(false)
            .max_buffers(AHEAD)
            .build();
        let pipeline = build(path, &sink)?;
        let mut reel = Self {
            pipeline,
            sink,
            name,
            decoded: gst::Caps::new_empty(),
            caps: gst::Caps::new_empty(),
            geometry: Geometry { width: 0, height: 0, fps: (0, 1) },
            timeline: Timeline::new(Gaps::Shortened(LONGEST_GAP)),
            gaps_told: 0,
            next: None,
        };
        reel.rewind()?;
        let first = reel.pull()?.with_context(|| format!("{} holds no pictures", reel.name))?;
        reel.keep(&first)?;
        let info = VideoInfo::from_caps(&reel.caps).context("pictures in an unknown format")?;
        reel.geometry = Geometry::of(&info);
        Ok(reel)
    }

    pub(crate) fn caps(&self) -> &gst::Caps {
        &self.caps
    }

    /// Size and pace of the first picture.
    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// When the next picture is due, counted from the first of the first pass.
    pub(crate) fn due(&mut self) -> anyhow::Result<Duration> {
        if let Some((due, _)) = &self.next {
            return Ok(*due);
        }
        let sample = if let Some(sample) = self.pull()? {
            sample
        } else {
            self.timeline.end_pass();
            self.rewind()?;
            self.pull()?.with_context(|| format!("{} cannot be played again", self.name))?
        };
        self.keep(&sample)
    }

    pub(crate) fn take(&mut self) -> anyhow::Result<Picture> {
        self.due()?;
        self.next.take().map(|(_, picture)| picture).context("a picture vanished")
    }

    fn keep(&mut self, sample: &gst::Sample) -> anyhow::Result<Duration> {
        let mut buffer = sample.buffer_owned().context("a picture without data")?;
        self.learn(&sample.caps_owned().context("pictures without a format")?)?;
        let pts = buffer.pts().map(|pts| Duration::from_nanos(pts.nseconds()));
        let due = self.timeline.place(pts);
        self.tell_gap();
        let metadata = buffer.make_mut();
        metadata.set_dts(gst::ClockTime::NONE);
        metadata.set_duration(gst::ClockTime::NONE);
        self.next = Some((due, (buffer, self.caps.clone())));
        Ok(due)
    }

    /// Reads the format of the next picture where it is another one.
    fn learn(&mut self, decoded: &gst::Caps) -> anyhow::Result<()> {
        if *decoded == self.decoded {
            return Ok(());
        }
        let info = VideoInfo::from_caps(decoded).context("pictures in an unknown format")?;
        let part = |number: i32| u32::try_from(number).unwrap_or(0);
        self.timeline.set_pace((part(info.fps().numer()), part(info.fps().denom())));
        let first =
            self.caps.structure(0).and_then(|first| first.get::<gst::Fraction>("framerate").ok());
        self.decoded = decoded.clone();
        self.caps = decoded.clone();
        // An encoder starts over for another pace on paper, and times are what is gone by.
        if let Some(first) = first {
            self.caps.make_mut().set("framerate", first);
        }
        Ok(())
    }

    fn tell_gap(&mut self) {
        let Some(gap) = self.timeline.take_shortened() else { return };
        if self.gaps_told < GAPS_TOLD {
            tracing::info!(
                gap_s = gap.as_secs(),
                "the file has no pictures for a while; the gap is shortened"
            );
        }
        self.gaps_told += 1;
    }

    /// The next decoded picture; `None` at the end of the file.
    fn pull(&self) -> anyhow::Result<Option<gst::Sample>> {
        let sample = self.sink.try_pull_sample(PATIENCE);
        // First: pictures that are refused come all the same, and the end after them.
        let message =
            self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        if message.is_none() && (sample.is_some() || self.sink.is_eos()) {
            return Ok(sample);
        }
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => bail!(
                "cannot decode {}: {}; gstreamer1.0-libav knows many older codecs",
                self.name,
                error.error().message()
            ),
            _ => bail!("{} gave no picture for {} s", self.name, PATIENCE.seconds()),
        }
    }

    /// Starts from the first picture. Not every container can seek: those are opened anew.
    fn rewind(&self) -> anyhow::Result<()> {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT;
        let running = self.pipeline.current_state() == gst::State::Playing;
        if running && self.pipeline.seek_simple(flags, gst::ClockTime::ZERO).is_ok() {
            return Ok(());
        }
        for state in [gst::State::Null, gst::State::Playing] {
            self.pipeline.set_state(state).with_context(|| format!("cannot play {}", self.name))?;
        }
        Ok(())
    }
}

impl Drop for Reel {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Raw video with whatever caps feature: decoders of the libav plug-in also offer interlaced
/// pictures, and decodebin discards a decoder that offers more than it was asked for.
fn raw_video() -> gst::Caps {
    gst::Caps::builder("video/x-raw").any_features().build()
}

fn build(path: &Path, sink: &AppSink) -> anyhow::Result<gst::Pipeline> {
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build()?;
    let decoder = gst::ElementFactory::make("decodebin")
        .property("caps", raw_video())
        .property("expose-all-streams", false)
        .build()?;
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
    // A decoder thread per core would hold several pictures each, for no gain at real-time pace.
    pipeline.connect_deep_element_added(|_, _, element| {
        if element.has_property("max-threads") {
            element.set_property("max-threads", 1_i32);
        }
    });
    Ok(pipeline)
}

//! A video file as an endless sequence of pictures.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video::VideoInfo;

use super::Geometry;

/// A file that gives nothing for this long cannot be decoded in real time.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(5);

/// Decoded pictures waiting for their turn.
const AHEAD: u32 = 4;

/// Files that do not say how fast they run are played at this pace.
const DEFAULT_PACE: Duration = Duration::from_millis(40);

/// Decodes a file over and over. Time goes on from one pass to the next: the first picture of a
/// pass is due one frame after the last of the pass before.
pub(crate) struct Reel {
    pipeline: gst::Pipeline,
    sink: AppSink,
    name: String,
    caps: gst::Caps,
    geometry: Geometry,
    timeline: Timeline,
    /// The picture whose turn is next, and when it is due.
    next: Option<(Duration, gst::Buffer)>,
}

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
            caps: gst::Caps::new_empty(),
            geometry: Geometry { width: 0, height: 0, fps: (0, 1) },
            timeline: Timeline::new(DEFAULT_PACE),
            next: None,
        };
        reel.rewind()?;
        let first = reel.pull()?.with_context(|| format!("{} holds no pictures", reel.name))?;
        reel.learn(&first)?;
        reel.keep(&first)?;
        Ok(reel)
    }

    pub(crate) fn caps(&self) -> &gst::Caps {
        &self.caps
    }

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

    pub(crate) fn take(&mut self) -> anyhow::Result<gst::Buffer> {
        self.due()?;
        self.next.take().map(|(_, buffer)| buffer).context("a picture vanished")
    }

    fn keep(&mut self, sample: &gst::Sample) -> anyhow::Result<Duration> {
        let mut buffer = sample.buffer_owned().context("a picture without data")?;
        let pts = buffer.pts().map(|pts| Duration::from_nanos(pts.nseconds()));
        let due = self.timeline.place(pts);
        let metadata = buffer.make_mut();
        metadata.set_dts(gst::ClockTime::NONE);
        metadata.set_duration(gst::ClockTime::NONE);
        self.next = Some((due, buffer));
        Ok(due)
    }

    fn learn(&mut self, first: &gst::Sample) -> anyhow::Result<()> {
        let caps = first.caps_owned().context("pictures without a format")?;
        let info = VideoInfo::from_caps(&caps).context("pictures in an unknown format")?;
        let part = |number: i32| u32::try_from(number).unwrap_or(0);
        let fps = (part(info.fps().numer()), part(info.fps().denom()));
        if fps.0 > 0 && fps.1 > 0 {
            self.timeline.pace = Duration::from_secs(u64::from(fps.1)) / fps.0;
        }
        let fps = if fps.0 == 0 || fps.1 == 0 { (25, 1) } else { fps };
        self.geometry = Geometry { width: info.width(), height: info.height(), fps };
        self.caps = caps;
        Ok(())
    }

    /// The next decoded picture; `None` at the end of the file.
    fn pull(&self) -> anyhow::Result<Option<gst::Sample>> {
        if let Some(sample) = self.sink.try_pull_sample(PATIENCE) {
            return Ok(Some(sample));
        }
        if self.sink.is_eos() {
            return Ok(None);
        }
        let message =
            self.pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
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
    pipeline.add_many([&source, &decoder, sink.upcast_ref()])?;
    source.link(&decoder)?;
    let target = sink.static_pad("sink").context("appsink without a pad")?;
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

/// Places the time stamps of repeated passes on one line that never goes back.
#[derive(Debug)]
struct Timeline {
    pace: Duration,
    pass_starts: Duration,
    first_pts: Option<Duration>,
    last: Option<Duration>,
}

impl Timeline {
    fn new(pace: Duration) -> Self {
        Self { pace, pass_starts: Duration::ZERO, first_pts: None, last: None }
    }

    /// A picture without a time stamp follows the last one at the file's pace.
    fn place(&mut self, pts: Option<Duration>) -> Duration {
        let follows = self.last.map_or(Duration::ZERO, |last| last + self.pace);
        let placed = match pts {
            Some(pts) => {
                let first = *self.first_pts.get_or_insert(pts);
                self.pass_starts + pts.saturating_sub(first)
            }
            None => follows,
        };
        let placed = match self.last {
            Some(last) if placed <= last => follows,
            _ => placed,
        };
        self.last = Some(placed);
        placed
    }

    fn end_pass(&mut self) {
        self.pass_starts = self.last.map_or(Duration::ZERO, |last| last + self.pace);
        self.first_pts = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_second_pass_goes_on_where_the_first_ended() {
        let mut timeline = Timeline::new(ms(100));
        let pass = [40, 140, 240].map(|pts| Some(ms(pts)));
        let first: Vec<Duration> = pass.iter().map(|pts| timeline.place(*pts)).collect();
        timeline.end_pass();
        let second: Vec<Duration> = pass.iter().map(|pts| timeline.place(*pts)).collect();
        assert_eq!(first, [ms(0), ms(100), ms(200)]);
        assert_eq!(second, [ms(300), ms(400), ms(500)]);
    }

    #[test]
    fn missing_and_backward_time_stamps_never_turn_time_back() {
        let mut timeline = Timeline::new(ms(40));
        let placed: Vec<Duration> = [Some(ms(0)), None, Some(ms(10)), Some(ms(500))]
            .into_iter()
            .map(|pts| timeline.place(pts))
            .collect();
        assert_eq!(placed, [ms(0), ms(40), ms(80), ms(500)]);
    }
}

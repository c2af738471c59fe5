//! What the encoders of this machine keep up with: measured once, and kept beside the index. An encoder
//! that makes no picture of what it is given is found out here, before anything is to be recorded.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::{VideoCapsBuilder, VideoFormat};
use nightjar_core::encoding::{Demand, Throughput};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::{
    elements::{caps_filter, frame_sink},
    encoder::{Encoder, EncoderKind},
};
use crate::{capture::Geometry, config::SourceConfig, lock::lock, private_file};

/// Name of the file below the data directory.
pub const SPEEDS_FILE: &str = "encoders.json";

/// What software is measured with. Its time grows with the pixels.
const SMALL: Geometry = Geometry { width: 640, height: 360, fps: (30, 1) };
/// What hardware is measured with: it takes its time for each picture, however small.
const LARGE: Geometry = Geometry { width: 1_280, height: 720, fps: (30, 1) };
/// As many pixels share a bit of the stream as in 2 Mbit/s of 1280x720 at 30 fps.
const PIXELS_A_BIT: u32 = 14;
/// Pictures that an encoder is given, and for how long at most.
const PICTURES: usize = 24;
const LONGEST: Duration = Duration::from_millis(500);
/// How long hardware may take for those that it was given.
const LAST_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(2);
/// Of a processor with several cores an encoder has nearly one for itself; of a single one, half. What
/// remains is for conversion, motion, recording and viewers.
const SHARE_OF_MANY_CORES: f64 = 0.7;
const SHARE_OF_ONE_CORE: f64 = 0.4;
/// Runs of a hardware encoder that may end without a picture before software takes its place.
const FAILURES_MAX: u32 = 2;

/// What is known of this machine's encoders. Measures each once.
#[derive(Debug, Default)]
pub(crate) struct Speeds {
    file: Option<PathBuf>,
    is_kept: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Nothing of those that make no pictures.
    measured: BTreeMap<&'static str, Option<Throughput>>,
    /// Runs of hardware that gave nothing, one after the other.
    failures: u32,
    /// What was said last of a limit, to say it once.
    told: Option<String>,
}

/// What is kept. It holds for one machine, and one version of all that takes part.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    machine: String,
    pixels_per_s: BTreeMap<String, u64>,
}

/// The encoder to use, and what it keeps up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Best {
    pub(crate) kind: EncoderKind,
    pub(crate) throughput: Throughput,
}

impl Speeds {
    /// Keeps what is measured below a data directory, where there is one.
    pub(crate) fn new(data_dir: Option<&Path>) -> Self {
        let file = data_dir.map(|path| path.join(SPEEDS_FILE));
        Self { file, is_kept: true, known: Mutex::default() }
    }

    /// Reads what is kept below a data directory, and keeps nothing there.
    pub(crate) fn known_in(data_dir: Option<&Path>) -> Self {
        Self { is_kept: false, ..Self::new(data_dir) }
    }

    /// The first encoder that makes pictures. Blocks, once, for less than a second.
    pub(crate) fn best(&self) -> anyhow::Result<Best> {
        let failed = lock(&self.known).failures >= FAILURES_MAX;
        let kinds = EncoderKind::available().into_iter();
        for kind in kinds.filter(|kind| !(failed && kind.is_hardware())) {
            if let Some(throughput) = self.of(kind) {
                return Ok(Best { kind, throughput });
            }
        }
        bail!(
            "no H.264 encoder that works: install gstreamer1.0-plugins-ugly (x264enc) or \
             gstreamer1.0-plugins-bad (openh264enc)"
        )
    }

    /// What an encoder keeps up with; nothing when it makes no pictures.
    pub(crate) fn of(&self, kind: EncoderKind) -> Option<Throughput> {
        let mut known = lock(&self.known);
        if let Some(measured) = known.measured.get(kind.element()) {
            return *measured;
        }
        let kept = self.read().and_then(|kept| kept.pixels_per_s.get(kind.element()).copied());
        if let Some(pixels_per_s) = kept {
            let throughput = Throughput { pixels_per_s };
            known.measured.insert(kind.element(), Some(throughput));
            return Some(throughput);
        }
        let measured = match measure(kind) {
            Ok(throughput) => Some(throughput),
            Err(error) => {
                let (encoder, error) = (kind.element(), format!("{error:#}"));
                tracing::warn!(encoder, error, "this encoder does not work; the next one is taken");
                None
            }
        };
        known.measured.insert(kind.element(), measured);
        if let Some(throughput) = measured {
            self.keep(kind, throughput);
        }
        measured
    }

    /// Lowers what is wanted to what the encoder keeps up with, and says why, once.
    pub(crate) fn limit(&self, wanted: &SourceConfig, best: Best) -> SourceConfig {
        let (limited, reason) = limit(wanted, best);
        let mut known = lock(&self.known);
        if known.told != reason {
            if let Some(reason) = &reason {
                tracing::warn!("{reason}");
            }
            known.told = reason;
        }
        limited
    }

    /// Notes how a run of a hardware encoder ended: without a single picture, or not.
    pub(crate) fn ended(&self, kind: EncoderKind, with_pictures: bool) {
        if !kind.is_hardware() {
            return;
        }
        let mut known = lock(&self.known);
        known.failures = if with_pictures { 0 } else { known.failures + 1 };
        if known.failures == FAILURES_MAX {
            let encoder = kind.element();
            tracing::warn!(encoder, "this encoder gives nothing; software takes its place");
        }
    }

    fn read(&self) -> Option<Kept> {
        let text = fs::read(self.file.as_ref()?).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        (kept.machine == machine()).then_some(kept)
    }

    fn keep(&self, kind: EncoderKind, throughput: Throughput) {
        let Some(file) = self.file.as_ref().filter(|_| self.is_kept) else { return };
        let nothing = || Kept { machine: machine(), pixels_per_s: BTreeMap::new() };
        let mut kept = self.read().unwrap_or_else(nothing);
        kept.pixels_per_s.insert(kind.element().to_owned(), throughput.pixels_per_s);
        let written = serde_json::to_vec_pretty(&kept).map_err(Into::into);
        if let Err(error) = written.and_then(|text| private_file::replace(file, &text)) {
            tracing::debug!(%error, "what the encoder keeps up with is measured at each start");
        }
    }
}

/// What is captured and encoded in place of what is wanted, and why that is less.
pub(crate) fn limit(wanted: &SourceConfig, best: Best) -> (SourceConfig, Option<String>) {
    if !wanted.fit_to_encoder {
        return (wanted.clone(), None);
    }
    let SourceConfig { width, height, fps, .. } = *wanted;
    let demand = Demand { width, height, fps };
    let Demand { width, height, fps } = best.throughput.limit(demand);
    let limited = Demand { width, height, fps };
    let reason = (limited != demand).then(|| {
        format!(
            "{} keeps up with {limited} on this board and not with {demand}: less is captured; \
             source.fit_to_encoder = false captures all of it",
            best.kind.element()
        )
    });
    (SourceConfig { width, height, fps, ..wanted.clone() }, reason)
}

/// What all figures depend on.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map(|(_, model)| model.to_owned());
    let model = model.unwrap_or_else(|| read("/proc/device-tree/model"));
    let model = model.trim_matches(['\0', ' ', '\n']);
    let (gstreamer, agent) = (gst::version_string(), env!("CARGO_PKG_VERSION"));
    format!("{model}, {} cores, {gstreamer}, agent {agent}", cores())
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

fn measure(kind: EncoderKind) -> anyhow::Result<Throughput> {
    let geometry = if kind.is_hardware() { LARGE } else { SMALL };
    let bitrate_kbps = geometry.width * geometry.height / PIXELS_A_BIT * geometry.fps.0 / 1_000;
    let taken = time_taken(&Encoder::new(kind, geometry, bitrate_kbps)?, geometry)?;
    let share =
        if kind.is_hardware() || cores() > 1 { SHARE_OF_MANY_CORES } else { SHARE_OF_ONE_CORE };
    let pixels = f64::from(geometry.width) * f64::from(geometry.height);
    let per_second = pixels / taken.as_secs_f64().max(1e-6) * share;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and far below 2^53"
    )]
    let pixels_per_s = per_second as u64;
    let throughput = Throughput { pixels_per_s };
    tracing::info!(
        encoder = kind.element(),
        fps_at_1280x720 = throughput.fps(1_280, 720),
        "measured what the encoder keeps up with"
    );
    Ok(throughput)
}

/// Encodes some pictures; gives the time that one of them takes. In software that is processor time, as
/// what else the machine does at the moment says nothing of the encoder.
fn time_taken(encoder: &Encoder, geometry: Geometry) -> anyhow::Result<Duration> {
    let (made, counted) = std::sync::mpsc::sync_channel(4 * PICTURES);
    let sink = frame_sink(move |_| {
        // Full: more than enough.
        let _ = made.try_send(());
    });
    let chain = [&encoder.element, &caps_filter(&encoder.output)?, sink.upcast_ref()];
    let pipeline = gst::Pipeline::with_name("measure");
    pipeline.add_many(chain)?;
    gst::Element::link_many(chain)?;
    let source = gst::Pad::builder(gst::PadDirection::Src).name("src").build();
    source.set_active(true)?;
    source.link(&encoder.element.static_pad("sink").context("an encoder without an input")?)?;
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    let outcome = run(&pipeline, &source, &bus, encoder.is_hardware(), geometry);
    let stopped = pipeline.set_state(gst::State::Null);
    let taken = outcome?;
    stopped.context("the encoder does not stop")?;
    if counted.try_iter().count() == 0 {
        bail!("it made no frame of the pictures that it was given");
    }
    Ok(taken)
}

fn run(
    pipeline: &gst::Pipeline,
    source: &gst::Pad,
    bus: &gst::Bus,
    is_hardware: bool,
    geometry: Geometry,
) -> anyhow::Result<Duration> {
    pipeline.set_state(gst::State::Playing).context("the encoder does not start")?;
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let caps = VideoCapsBuilder::new()
        .format(VideoFormat::I420)
        .width(number(geometry.width))
        .height(number(geometry.height))
        .framerate(gst::Fraction::new(number(geometry.fps.0), number(geometry.fps.1)))
        .pixel_aspect_ratio(gst::Fraction::new(1, 1))
        .build();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    source.push_event(gst::event::StreamStart::new("measure"));
    source.push_event(gst::event::Caps::new(&caps));
    source.push_event(gst::event::Segment::new(&segment));
    let push = |number: usize| {
        let number = u32::try_from(number)?;
        let mut buffer = picture(geometry, number);
        let time = gst::ClockTime::from_nseconds(geometry.interval().as_nanos().try_into()?)
            * number.into();
        buffer.get_mut().context("a shared picture")?.set_pts(time);
        source.push(buffer).map_err(|flow| anyhow::anyhow!("it refuses pictures ({flow})"))?;
        anyhow::Ok(())
    };
    // The first picture opens it.
    push(0)?;
    let began = Instant::now();
    let mut each = Vec::new();
    while each.len() < PICTURES && began.elapsed() < LONGEST {
        let before = thread_time();
        push(each.len() + 1)?;
        each.push(thread_time().saturating_sub(before));
    }
    source.push_event(gst::event::Eos::new());
    let end =
        bus.timed_pop_filtered(LAST_WITHIN, &[gst::MessageType::Eos, gst::MessageType::Error]);
    match end.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => {}
        Some(gst::MessageView::Error(error)) => bail!("{}", error.error().message()),
        _ => bail!("it does not come to an end"),
    }
    if is_hardware {
        return Ok(began.elapsed() / u32::try_from(each.len()).unwrap_or(1).max(1));
    }
    // The middle one: some fall into a moment in which the machine did something else.
    each.sort_unstable();
    each.get(each.len() / 2).copied().context("it takes too long for each picture")
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A picture with edges that move, and noise as of a sensor: neither the cheapest nor the dearest.
fn picture(geometry: Geometry, number: u32) -> gst::Buffer {
    let (width, height) = (geometry.width as usize, geometry.height as usize);
    let mut bytes = vec![128_u8; width * height * 3 / 2];
    let mut noise = number.wrapping_mul(0x9e37_79b9) | 1;
    // A quarter of it moves.
    let shift = |y: usize| if y < height / 4 { number as usize * 4 } else { 0 };
    for (y, row) in bytes[..width * height].chunks_exact_mut(width).enumerate() {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        for (x, pixel) in row.iter_mut().enumerate() {
            let edge = if ((x + shift(y)) / 64 + y / 48).is_multiple_of(2) { 60 } else { 170 };
            *pixel = edge + ((noise >> (x % 24)) & 1) as u8;
        }
    }
    gst::Buffer::from_mut_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(width: u32, height: u32, fps: u32) -> SourceConfig {
        SourceConfig { width, height, fps, ..SourceConfig::default() }
    }

    #[test]
    fn an_encoder_is_measured_once_and_again_on_another_machine() {
        gst::init().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let first = Speeds::new(Some(directory.path())).best().unwrap();
        assert!(first.throughput.fps(640, 360) > 5, "{first:?}");
        let file = directory.path().join(SPEEDS_FILE);
        let text = fs::read_to_string(&file).unwrap();

        let mut kept: Kept = serde_json::from_str(&text).unwrap();
        kept.pixels_per_s.insert(first.kind.element().to_owned(), 4_711);
        fs::write(&file, serde_json::to_vec(&kept).unwrap()).unwrap();
        let again = Speeds::new(Some(directory.path())).best().unwrap();
        assert_eq!(again.throughput.pixels_per_s, 4_711, "it was measured again");

        for other in [&b"{ torn"[..], br#"{"machine": "other", "pixels_per_s": {"x264enc": 1}}"#] {
            fs::write(&file, other).unwrap();
            let anew = Speeds::new(Some(directory.path())).best().unwrap();
            assert!(anew.throughput.fps(640, 360) > 5, "{anew:?}");
        }
    }

    #[test]
    fn an_encoder_that_makes_nothing_of_pictures_is_found_out() {
        gst::init().unwrap();
        let real = Encoder::new(EncoderKind::available()[0], SMALL, 500).unwrap();
        let element = gst::ElementFactory::make("identity").property("drop-probability", 1.0_f32);
        let deaf =
            Encoder { element: element.build().unwrap(), output: gst::Caps::new_any(), ..real };
        let error = format!("{:#}", time_taken(&deaf, SMALL).unwrap_err());
        assert!(!error.is_empty(), "{error}");
    }

    #[test]
    fn more_than_the_encoder_keeps_up_with_is_not_captured_and_the_reason_is_said() {
        let throughput = Throughput { pixels_per_s: 1_280 * 720 * 17 };
        let best = Best { kind: EncoderKind::X264, throughput };
        let (limited, reason) = limit(&wanted(1_920, 1_080, 30), best);
        assert_eq!((limited.width, limited.height, limited.fps), (1_280, 720, 17));
        let reason = reason.unwrap();
        assert!(reason.contains("x264enc keeps up with 1280x720 at 17 fps"), "{reason}");
        assert!(reason.contains("not with 1920x1080 at 30 fps"), "{reason}");
        assert_eq!(limit(&wanted(1_280, 720, 15), best).1, None);
    }

    #[test]
    fn hardware_that_gives_nothing_twice_is_left_alone_and_software_never() {
        let speeds = Speeds::default();
        let failures = || lock(&speeds.known).failures;
        speeds.ended(EncoderKind::V4l2, false);
        speeds.ended(EncoderKind::V4l2, true);
        assert_eq!(failures(), 0, "it works");
        for _ in 0..3 {
            speeds.ended(EncoderKind::X264, false);
            speeds.ended(EncoderKind::V4l2, false);
        }
        assert_eq!(failures(), 3);
        gst::init().unwrap();
        assert!(!speeds.best().unwrap().kind.is_hardware());
    }
}

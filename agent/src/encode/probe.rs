//! What this machine can capture and encode, for `nightjar-agent probe`.

use std::{fmt, path::Path};

use anyhow::Context as _;
use nightjar_core::orientation::Orientation;
use nightjar_shared::event::TranscodeReason;
use serde::Serialize;

use super::{
    encoder::EncoderKind,
    speed::{Best, Speeds, limit},
};
use crate::{
    capture::{
        self,
        choose::{Objections, Wanted, choose},
        discover::{Camera, Mode, PixelFormat, cameras},
        libcamera,
    },
    config::SourceConfig,
};

/// Cameras, each with what would be captured, and encoders, best first.
#[derive(Debug, Serialize)]
pub struct Probe {
    pub cameras: Vec<ProbedCamera>,
    /// Of the configured IP camera.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<ProbedStream>,
    /// Names of those that libcamera finds; `None` where GStreamer lacks its element.
    pub libcamera: Option<Vec<String>>,
    /// Names of their elements, best first.
    pub encoders: Vec<&'static str>,
    /// What the first that makes pictures keeps up with, after those that make none.
    pub speeds: Vec<ProbedEncoder>,
    /// Why less is captured than is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

/// An encoder, and how many pictures a second it takes on this machine; nothing when it makes none.
#[derive(Debug, Serialize)]
pub struct ProbedEncoder {
    pub encoder: &'static str,
    pub fps_at_1280x720: Option<u32>,
    pub fps_at_1920x1080: Option<u32>,
}

impl fmt::Display for ProbedEncoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.fps_at_1280x720, self.fps_at_1920x1080) {
            (Some(hd), Some(full_hd)) => write!(
                formatter,
                "{} keeps up with 1280x720 at {hd} fps, 1920x1080 at {full_hd} fps",
                self.encoder
            ),
            _ => write!(formatter, "{} makes no pictures on this machine", self.encoder),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct ProbedCamera {
    #[serde(rename = "camera")]
    pub found: Camera,
    /// The mode that would be captured, and why; `None` when none can be.
    pub choice: Option<String>,
}

/// A stream of an IP camera.
#[derive(Debug, Serialize)]
pub struct ProbedStream {
    /// Without what may hold a secret.
    pub address: String,
    /// What it gives, and what becomes of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<String>,
    /// Why it gives nothing, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Looks at every camera, without capturing, with the wanted size and pace of `config`, and at what the
/// encoders keep up with: as it stands in a data directory, or measured. Asks the IP camera that `config`
/// names.
pub fn probe(config: &SourceConfig, data_dir: Option<&Path>) -> anyhow::Result<Probe> {
    gstreamer::init().context("GStreamer does not start")?;
    let known = Speeds::known_in(data_dir);
    let kinds = EncoderKind::available();
    // The next one is looked at where one makes no pictures, and not else.
    let mut speeds = Vec::new();
    for kind in &kinds {
        speeds.push((*kind, known.of(*kind)));
        if speeds.last().is_some_and(|(_, throughput)| throughput.is_some()) {
            break;
        }
    }
    let best = speeds.iter().find_map(|(kind, throughput)| {
        throughput.map(|throughput| Best { kind: *kind, throughput })
    });
    let (limited, limit) = best.map_or_else(|| (config.clone(), None), |best| limit(config, best));
    let against = (!config.masks.is_empty()).then_some(TranscodeReason::Masks);
    let turned = Orientation::of(&config.image) != Orientation::default();
    let against = against.or(turned.then_some(TranscodeReason::Turned));
    let choose = |modes: &[Mode], config: &SourceConfig| {
        let wanted = Wanted { width: config.width, height: config.height, fps: config.fps };
        choose(modes, wanted, Objections { own: against, raw_failed: false })
    };
    let cameras = cameras()
        .into_iter()
        .map(|found| {
            // What the camera encodes itself is limited by nothing.
            let own = choose(&found.modes, config);
            let own = own.filter(|choice| choice.mode.format == PixelFormat::H264);
            let choice = own.or_else(|| choose(&found.modes, &limited));
            let choice = choice.map(|choice| choice.reason);
            ProbedCamera { found, choice }
        })
        .collect();
    let streams = config.rtsp.iter().flat_map(capture::ask_ip_camera);
    let streams = streams.map(|(address, found)| {
        let (choice, problem) = match found {
            Ok(choice) => (Some(choice), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        ProbedStream { address, choice, problem }
    });
    let streams = streams.collect();
    let encoders = kinds.into_iter().map(EncoderKind::element).collect();
    let speeds = speeds.into_iter().map(|(kind, throughput)| ProbedEncoder {
        encoder: kind.element(),
        fps_at_1280x720: throughput.map(|it| it.fps(1_280, 720)),
        fps_at_1920x1080: throughput.map(|it| it.fps(1_920, 1_080)),
    });
    let (libcamera, speeds) = (libcamera::names(), speeds.collect());
    Ok(Probe { cameras, streams, libcamera, encoders, speeds, limit })
}

impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_libcamera = self.libcamera.as_deref().unwrap_or_default();
        if self.cameras.is_empty() && self.streams.is_empty() && by_libcamera.is_empty() {
            writeln!(formatter, "no camera found: plug one in, or use a source of kind `file`")?;
        }
        for name in by_libcamera {
            writeln!(formatter, "by libcamera: {name}")?;
        }
        if self.libcamera.is_none() {
            writeln!(
                formatter,
                "cameras on the board's ribbon cable need libcamera: install gstreamer1.0-libcamera"
            )?;
        }
        for camera in &self.cameras {
            camera.fmt(formatter)?;
        }
        for ProbedStream { address, choice, problem } in &self.streams {
            let found = choice.as_ref().or(problem.as_ref()).map_or("", String::as_str);
            writeln!(formatter, "{address}: {found}")?;
        }
        if let Some(limit) = &self.limit {
            writeln!(formatter, "{limit}")?;
        }
        for speed in &self.speeds {
            writeln!(formatter, "{speed}")?;
        }
        match self.encoders.as_slice() {
            [] => write!(
                formatter,
                "no H.264 encoder found: install gstreamer1.0-plugins-ugly (x264enc)"
            ),
            encoders => write!(formatter, "encoders, best first: {}", encoders.join(", ")),
        }
    }
}

impl fmt::Display for ProbedCamera {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Camera { path, stable_path, id_path, bus, name, modes, holders, problem } = &self.found;
        writeln!(formatter, "{}: {name}", path.display())?;
        for stable in [stable_path, id_path].into_iter().flatten() {
            writeln!(formatter, "  stable name: {}", stable.display())?;
        }
        if let Some(bus) = bus {
            writeln!(formatter, "  plugged in at: {bus}")?;
        }
        for holder in holders {
            let has = if holder.captures { "captured from by" } else { "open in" };
            writeln!(formatter, "  {has} {holder}")?;
        }
        if let Some(problem) = problem {
            writeln!(formatter, "  {problem}")?;
        }
        for modes in modes.chunk_by(Mode::same_but_for_pace) {
            writeln!(formatter, "  {}", one_line(modes))?;
        }
        match &self.choice {
            Some(choice) => writeln!(formatter, "  would capture {choice}"),
            None => writeln!(formatter, "  cannot be used: no picture format that is known"),
        }
    }
}

/// One format in one size, with all its frame rates.
fn one_line(modes: &[Mode]) -> String {
    let Some(Mode { format, width, height, .. }) = modes.first() else { return String::new() };
    let paces: Vec<String> = modes
        .iter()
        .filter_map(Mode::frames_per_second)
        .map(|fps| ((fps * 100.0).round() / 100.0).to_string())
        .collect();
    match paces.as_slice() {
        [] => format!("{format} {width}x{height}"),
        paces => format!("{format} {width}x{height} at {} fps", paces.join(", ")),
    }
}

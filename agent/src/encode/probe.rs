//! What this machine can capture and encode, for `nightjar-agent probe`.

use std::fmt;

use anyhow::Context as _;
use nightjar_shared::event::TranscodeReason;
use serde::Serialize;

use super::encoder::EncoderKind;
use crate::{
    capture::{
        self,
        choose::{Wanted, choose},
        discover::{Camera, Mode, cameras},
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
    pub encoders: Vec<&'static str>,
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

/// Looks at every camera, without capturing, with the wanted size and pace of `config`; asks the IP
/// camera that it names.
pub fn probe(config: &SourceConfig) -> anyhow::Result<Probe> {
    gstreamer::init().context("GStreamer does not start")?;
    let wanted = Wanted { width: config.width, height: config.height, fps: config.fps };
    let against = (!config.masks.is_empty()).then_some(TranscodeReason::Masks);
    let cameras = cameras()
        .into_iter()
        .map(|found| {
            let choice = choose(&found.modes, wanted, against).map(|choice| choice.reason);
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
    let encoders = EncoderKind::available().into_iter().map(EncoderKind::element).collect();
    Ok(Probe { cameras, streams, encoders })
}

impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cameras.is_empty() && self.streams.is_empty() {
            writeln!(formatter, "no camera found: plug one in, or use a source of kind `file`")?;
        }
        for camera in &self.cameras {
            camera.fmt(formatter)?;
        }
        for ProbedStream { address, choice, problem } in &self.streams {
            let found = choice.as_ref().or(problem.as_ref()).map_or("", String::as_str);
            writeln!(formatter, "{address}: {found}")?;
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
        let Camera { path, stable_path, name, modes, problem } = &self.found;
        writeln!(formatter, "{}: {name}", path.display())?;
        if let Some(stable) = stable_path {
            writeln!(formatter, "  stable name: {}", stable.display())?;
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

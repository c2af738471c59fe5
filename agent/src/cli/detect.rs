//! `detect`: what the motion detector finds in a recording, one JSON object a line; on request
//! also what it saw, as masks and as a film. Or when somebody tampered with the camera.

use std::{
    ffi::OsString,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use nightjar_core::{
    monotonic::MonotonicNanos,
    motion::{MotionInterval, Offline},
    picture::LumaFrame,
    tamper::{TamperChange, TamperConfig, TamperDetector},
};
use nightjar_shared::event::TamperKind;

use super::{Failure, output::say, progress::ProgressLine};
use crate::{
    config::{Config, LogFormat, MotionConfig},
    film::{Film, RawFormat, file_pictures, raw_pictures},
    logging,
    progress::Progress,
};

#[derive(Args)]
pub(super) struct DetectArguments {
    /// A video file; with --raw also `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file holds raw grey pictures, one byte a pixel, for instance 320x180@10
    #[arg(long, value_name = "WxH@FPS")]
    raw: Option<RawFormat>,
    /// 0.0 (only large, clear motion) to 1.0 (the slightest); 0.5 unless the configuration says otherwise
    #[arg(long, value_parser = parse_sensitivity, allow_negative_numbers = true)]
    sensitivity: Option<f32>,
    /// An agent's configuration, to go by its zones and its sensitivity
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write a picture of the moving pixels for each picture looked at: DIR/000000.pgm and on.
    /// An empty DIR, as scripts give, writes none
    #[arg(long, value_name = "DIR", default_value = "", hide_default_value = true)]
    masks: OsString,
    /// Write a film that shows what was seen: objects green, candidates yellow, zones blue,
    /// moving pixels red, a red frame while motion goes on
    #[arg(long, value_name = "OUT.mp4")]
    overlay: Option<PathBuf>,
    /// Say when somebody tampered with the camera, instead of what moved
    #[arg(long, conflicts_with_all = ["overlay"])]
    tamper: bool,
}

pub(super) fn detect(arguments: &DetectArguments) -> Result<ExitCode, Failure> {
    logging::start(LogFormat::Text);
    let own = arguments.config.as_ref().map(|path| Config::load(path)).transpose()?;
    if arguments.tamper {
        let config = own.map(|own| own.tamper).unwrap_or_default();
        return detect_tampering(arguments, &config);
    }
    let mut config = own.map_or_else(MotionConfig::default, |own| own.motion);
    config.sensitivity = arguments.sensitivity.unwrap_or(config.sensitivity);
    let mut offline = Offline::new(&config);
    let mut drawings = Drawings::new(arguments)?;
    let line = ProgressLine::new();
    let look = |frame: &LumaFrame| {
        if let Some(interval) = offline.observe(frame) {
            line.beside(|| tell(interval));
        }
        drawings.draw(&offline, frame)
    };
    look_at_all(arguments, &line.progress(), look)?;
    drop(line);
    if let Some(interval) = offline.finish() {
        tell(interval);
    }
    drawings.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Says when somebody tampered with the camera.
fn detect_tampering(
    arguments: &DetectArguments,
    config: &TamperConfig,
) -> Result<ExitCode, Failure> {
    let sensitivity = arguments.sensitivity.unwrap_or(config.sensitivity);
    let mut detector = TamperDetector::new(&TamperConfig { sensitivity, enabled: true });
    let line = ProgressLine::new();
    let mut told: Option<(TamperKind, MonotonicNanos)> = None;
    let mut last = MonotonicNanos(0);
    let look = |frame: &LumaFrame| {
        last = frame.captured_at;
        match detector.observe(frame) {
            Some(TamperChange::Started { kind, began_at }) => told = Some((kind, began_at)),
            Some(TamperChange::Ended { .. }) => {
                line.beside(|| tell_tampering(told.take(), frame.captured_at));
            }
            None => {}
        }
        Ok(())
    };
    look_at_all(arguments, &line.progress(), look)?;
    drop(line);
    tell_tampering(told, last);
    Ok(ExitCode::SUCCESS)
}

fn tell_tampering(told: Option<(TamperKind, MonotonicNanos)>, end: MonotonicNanos) {
    let Some((kind, began_at)) = told else { return };
    let [start_s, end_s] = [began_at, end].map(|at| at.since(MonotonicNanos(0)).as_secs_f64());
    say(format_args!("{{\"tamper\":\"{kind}\",\"start_s\":{start_s:.3},\"end_s\":{end_s:.3}}}"));
}

/// Has every picture looked at.
fn look_at_all(
    arguments: &DetectArguments,
    progress: &Progress,
    look: impl FnMut(&LumaFrame) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let path = &arguments.file;
    match arguments.raw {
        Some(format) if path == Path::new("-") => {
            raw_pictures(io::stdin().lock(), format, None, progress, look)?;
        }
        Some(format) => {
            let file = open(path)?;
            let length = file.metadata().map(|metadata| metadata.len()).ok();
            raw_pictures(io::BufReader::new(file), format, length, progress, look)?;
        }
        None => {
            open(path)?;
            file_pictures(path, progress, look)?;
        }
    }
    Ok(())
}

/// What is drawn on request.
struct Drawings {
    masks: Option<PathBuf>,
    overlay: Option<PathBuf>,
    film: Option<Film>,
    drawn: u64,
}

impl Drawings {
    fn new(arguments: &DetectArguments) -> anyhow::Result<Self> {
        let masks = (!arguments.masks.is_empty()).then(|| PathBuf::from(&arguments.masks));
        if let Some(directory) = &masks {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let overlay = arguments.overlay.clone();
        Ok(Self { masks, overlay, film: None, drawn: 0 })
    }

    fn draw(&mut self, offline: &Offline, frame: &LumaFrame) -> anyhow::Result<()> {
        if let Some(directory) = &self.masks {
            let path = directory.join(format!("{:06}.pgm", self.drawn));
            write_mask(&path, frame, &offline.mask())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.drawn += 1;
        if let Some(path) = &self.overlay {
            let overlay = offline.overlay(frame);
            let size = (u32::try_from(overlay.width)?, u32::try_from(overlay.height)?);
            let film = match self.film.take() {
                Some(film) => film,
                None => Film::create(path, size)?,
            };
            self.film.insert(film).add(overlay.pixels, size, frame.captured_at)?;
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        self.film.map_or(Ok(()), Film::finish)
    }
}

/// Writes a binary PGM: white where something moves.
fn write_mask(path: &Path, frame: &LumaFrame, mask: &[u8]) -> io::Result<()> {
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    write!(file, "P5\n{} {}\n255\n", frame.width, frame.height)?;
    file.write_all(mask)?;
    file.flush()
}

fn parse_sensitivity(text: &str) -> Result<f32, String> {
    let sensitivity = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    sensitivity.ok_or_else(|| "choose a value between 0.0 and 1.0".to_owned())
}

fn open(path: &Path) -> Result<fs::File, Failure> {
    fs::File::open(path).map_err(|error| {
        Failure::Configuration(format!("FILE = {}: {error}; name a readable file", path.display()))
    })
}

fn tell(interval: MotionInterval) {
    let MotionInterval { start_s, end_s } = interval;
    say(format_args!("{{\"start_s\":{start_s:.3},\"end_s\":{end_s:.3}}}"));
}

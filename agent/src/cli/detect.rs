//! `detect`: what the motion detector finds in a recording, one JSON object a line.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{Failure, output::say};
use crate::{
    config::MotionConfig,
    frame::LumaFrame,
    logging,
    media::footage::{RawFormat, file_pictures, raw_pictures},
    motion::{MotionInterval, Offline},
};

#[derive(Args)]
pub(super) struct DetectArguments {
    /// A video file; with --raw also `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file holds raw grey pictures, one byte a pixel, for instance 320x180@10
    #[arg(long, value_name = "WxH@FPS")]
    raw: Option<RawFormat>,
    /// 0.0 (only large, clear motion) to 1.0 (the slightest)
    #[arg(long, default_value_t = MotionConfig::default().sensitivity)]
    sensitivity: f32,
}

pub(super) fn detect(arguments: &DetectArguments) -> Result<ExitCode, Failure> {
    logging::start();
    let config = MotionConfig { sensitivity: arguments.sensitivity, ..MotionConfig::default() };
    let mut offline = Offline::new(&config);
    let look = |frame: &LumaFrame| {
        if let Some(interval) = offline.observe(frame) {
            tell(interval);
        }
    };
    let path = &arguments.file;
    match arguments.raw {
        Some(format) if path == Path::new("-") => raw_pictures(io::stdin().lock(), format, look)?,
        Some(format) => raw_pictures(io::BufReader::new(open(path)?), format, look)?,
        None => {
            open(path)?;
            file_pictures(path, look)?;
        }
    }
    if let Some(interval) = offline.finish() {
        tell(interval);
    }
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> Result<std::fs::File, Failure> {
    std::fs::File::open(path).map_err(|error| {
        Failure::Configuration(format!("FILE = {}: {error}; name a readable file", path.display()))
    })
}

fn tell(interval: MotionInterval) {
    let MotionInterval { start_s, end_s } = interval;
    say(format_args!("{{\"start_s\":{start_s:.3},\"end_s\":{end_s:.3}}}"));
}

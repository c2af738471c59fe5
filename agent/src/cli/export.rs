//! `export`: footage of a span of time as one file.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use nightjar_shared::time::UnixMillis;

use super::{
    DataDir, Failure, open_store,
    output::{complain, say},
    progress::ProgressLine,
    small_runtime,
    time::{parse_time, show_time},
};
use crate::record::{export as join, recordings_dir};

#[derive(Args)]
pub(super) struct ExportArguments {
    #[command(flatten)]
    data: DataDir,
    /// As 2026-11-20T13:00:00Z; without Z in UTC too
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: UnixMillis,
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: UnixMillis,
    #[arg(long, value_name = "FILE", default_value = "export.mp4")]
    out: PathBuf,
}

/// Writes the footage of a span of time into one file. May run beside a working agent.
pub(super) fn export(arguments: &ExportArguments) -> Result<ExitCode, Failure> {
    let ExportArguments { data, from, to, out } = arguments;
    if from >= to {
        return Err(Failure::Configuration("--to must be later than --from".to_owned()));
    }
    let store = open_store(&data.path)?;
    let recordings = recordings_dir(&data.path);
    let line = ProgressLine::new();
    let exported = small_runtime()?
        .block_on(join(&store, &recordings, *from, *to, out, &line.progress()))
        .context("nothing was exported")?;
    drop(line);
    for (from, to) in &exported.gaps {
        complain(format_args!("no footage from {} to {}", show_time(*from), show_time(*to)));
    }
    tell(out, exported.started_at, exported.duration_ms, exported.length);
    Ok(ExitCode::SUCCESS)
}

fn tell(out: &Path, started_at: UnixMillis, duration_ms: u64, length: u64) {
    say(format_args!(
        "{}: {} s from {}, {} kB",
        out.display(),
        duration_ms / 1_000,
        show_time(started_at),
        length / 1_000
    ));
}

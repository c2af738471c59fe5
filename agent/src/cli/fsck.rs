//! `fsck`: whether the index and the recordings agree. It repairs nothing: the agent does, when
//! it starts.

use std::{path::Path, process::ExitCode};

use anyhow::Context;

use super::{Failure, output::say, small_runtime};
use crate::{
    record::{FsckReport, fsck as compare, recordings_dir},
    store::{INDEX_FILE, Store},
};

pub(super) fn fsck(data_dir: &Path, json: bool) -> Result<ExitCode, Failure> {
    let index = data_dir.join(INDEX_FILE);
    if !index.exists() {
        return Err(Failure::Configuration(format!(
            "--data-dir = {}: no index here; name the agent's data directory",
            data_dir.display()
        )));
    }
    let store = Store::open(&index).map_err(anyhow::Error::new)?;
    let report = small_runtime()?
        .block_on(compare(&store, &recordings_dir(data_dir)))
        .context("the recordings cannot be compared with the index")?;
    if json {
        say(serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        tell(&report);
    }
    Ok(if report.damages.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(report: &FsckReport) {
    say(format_args!(
        "{} clips, {} MB; {} still open",
        report.clips,
        report.bytes / 1_000_000,
        report.open_clips
    ));
    for damage in &report.damages {
        say(format_args!("{:?}: {} (clip {})", damage.kind, damage.path.display(), damage.clip_id));
    }
}

//! `fsck`: whether the index and the recordings agree; with `--repair`, makes them agree.

use std::{path::Path, process::ExitCode};

use anyhow::Context;

use super::{
    Failure, open_store,
    output::{complain, say},
    progress::ProgressLine,
    small_runtime,
};
use crate::{
    clock::{Clock, boot_id},
    data_dir::DataDir,
    record::{Damage, FsckReport, fsck as compare, recordings_dir, repair},
};

pub(super) fn fsck(data_dir: &Path, mend: bool, json: bool) -> Result<ExitCode, Failure> {
    let store = open_store(data_dir)?;
    let recordings = recordings_dir(data_dir);
    let runtime = small_runtime()?;
    let line = ProgressLine::new();
    if mend {
        // Nobody else may write meanwhile: a running agent holds the lock.
        let _lock = DataDir::open(data_dir, &[])?;
        let boot_id = boot_id().context("cannot read the kernel's boot id")?;
        let before = runtime
            .block_on(repair(&store, &recordings, boot_id, &Clock::default(), &line.progress()))
            .context("the recordings cannot be repaired")?;
        line.beside(|| {
            for damage in &before.damages {
                complain(format_args!("was wrong: {}", describe(damage)));
            }
        });
    }
    let report = runtime
        .block_on(compare(&store, &recordings, &line.progress()))
        .context("the recordings cannot be compared with the index")?;
    drop(line);
    if json {
        say(serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        tell(&report);
    }
    Ok(if report.damages.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(damage: &Damage) -> String {
    format!("{:?}: {} (clip {})", damage.kind, damage.path.display(), damage.clip_id)
}

fn tell(report: &FsckReport) {
    say(format_args!(
        "{} clips, {} MB; {} still open",
        report.clips,
        report.bytes / 1_000_000,
        report.open_clips
    ));
    for damage in &report.damages {
        say(describe(damage));
    }
}

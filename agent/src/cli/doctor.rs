//! `doctor`: shows what is missing, and the next step.

use std::{path::Path, process::ExitCode};

use nightjar_shared::finding::{Finding, Verdict};
use serde::Serialize;

use super::output::say;
use crate::{board::SystemRoot, doctor};

#[derive(Serialize)]
struct Report {
    healthy: bool,
    checks: Vec<Finding>,
}

pub(super) fn doctor(config: &Path, data_dir: &Path, system: &SystemRoot, json: bool) -> ExitCode {
    let checks = doctor::examine(config, data_dir, system);
    let healthy = checks.iter().all(|check| check.verdict != Verdict::Bad);
    let report = Report { healthy, checks };
    if json {
        say(serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        report.checks.iter().for_each(show);
    }
    if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(finding: &Finding) {
    let word = match finding.verdict {
        Verdict::Good => "ok  ",
        Verdict::Warning | Verdict::Unknown => "note",
        Verdict::Bad => "BAD ",
    };
    say(format_args!("{word} {}: {}", finding.name, finding.found));
    if let Some(step) = &finding.next_step {
        say(format_args!("     next: {step}"));
    }
}

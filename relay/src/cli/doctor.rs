//! `doctor`: looks at everything that a relay needs, as far as this machine can see it from outside, and names
//! the next step. Changes nothing.

mod finding;
mod look;
mod network;
mod server;

use std::{io::Write as _, process::ExitCode};

use clap::Args;
use nightjar_shared::finding::{Finding, Verdict};
use serde::Serialize;

use crate::config::{Config, ConfigError};

#[derive(Args)]
pub(super) struct DoctorArguments {
    /// Writes JSON.
    #[arg(long)]
    json: bool,
    /// A server by whose clock this machine's is judged, asked over https; without it that of `tls.acme`.
    #[arg(long, value_name = "HOST")]
    time_from: Option<String>,
}

#[derive(Serialize)]
struct Report {
    healthy: bool,
    checks: Vec<Finding>,
}

/// Looks, and writes what was found; fails where something does not work.
pub(super) async fn run(
    config: Result<Config, ConfigError>,
    arguments: DoctorArguments,
) -> anyhow::Result<ExitCode> {
    let found = look::at(config, arguments.time_from).await;
    let checks: Vec<Finding> = found.into_iter().map(Finding::from).collect();
    let healthy = checks.iter().all(|check| check.verdict != Verdict::Bad);
    let report = Report { healthy, checks };
    let mut output = std::io::stdout().lock();
    if arguments.json {
        writeln!(output, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        for check in &report.checks {
            show(&mut output, check)?;
        }
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(output: &mut impl std::io::Write, finding: &Finding) -> std::io::Result<()> {
    let word = match finding.verdict {
        Verdict::Good => "ok  ",
        Verdict::Warning | Verdict::Unknown => "note",
        Verdict::Bad => "BAD ",
    };
    writeln!(output, "{word} {}: {}", finding.name, finding.found)?;
    match &finding.next_step {
        Some(step) => writeln!(output, "     next: {step}"),
        None => Ok(()),
    }
}

//! `smoke`: walks once through an installed relay, as its people and cameras do: sign-in, a camera that is paired
//! for the walk, MQTT, a command, a clip, a socket, TURN. It cleans up after itself; and should it be
//! killed, the relay removes its camera a quarter of an hour later.

mod camera;
mod client;
mod look;
mod walk;

use std::{
    io::{self, BufRead as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use nightjar_shared::ids::SiteId;
use serde::Serialize;

use self::walk::{Account, Walk};
use crate::{engines::tls, shutdown::Signals};

#[derive(Args)]
pub(super) struct SmokeArguments {
    /// Where people reach the relay, like `https://cam.example.org`.
    #[arg(value_name = "URL")]
    url: String,
    /// Signs in with this address; its password is the first line of the standard input. Without it that line
    /// is an API key with the rights `see_cameras`, `see_pictures`, `control` and `pair`.
    #[arg(long)]
    email: Option<String>,
    /// The site of the temporary camera; without it the first at which one may be paired.
    #[arg(long, value_name = "SITE_ID")]
    site: Option<SiteId>,
    /// Trusts this authority and no other, in PEM: a relay with a certificate of its own offers one at /ca.pem.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Writes JSON.
    #[arg(long)]
    json: bool,
    /// How long one step may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 15,
        value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

const LOG: &str = "read the relay's log: journalctl -u nightjar-relay";

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok,
    Failed,
    /// What it needs was not there.
    Skipped,
}

#[derive(Debug, Serialize)]
struct StepReport {
    step: &'static str,
    outcome: Outcome,
    ms: u64,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    url: &'a str,
    steps: &'a [StepReport],
}

/// Why a step failed, and what to do.
#[derive(Debug)]
struct Failure {
    found: String,
    remedy: &'static str,
}

impl Failure {
    fn new(found: impl Into<String>, remedy: &'static str) -> Self {
        Self { found: found.into(), remedy }
    }
}

/// Walks, and writes how each step went; fails where one did.
pub(super) async fn run(arguments: SmokeArguments) -> anyhow::Result<ExitCode> {
    tls::install_crypto_provider();
    let ca_pem = arguments.ca_file.as_ref().map(std::fs::read_to_string).transpose();
    let ca_pem = ca_pem.context("--ca-file: cannot read")?;
    let account = account(arguments.email)?;
    let within = Duration::from_secs(arguments.timeout);
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let mut walk = Walk::new(&arguments.url, ca_pem, within)?;
    tokio::select! {
        () = walk.go(account, arguments.site) => {}
        () = signals.until_stop() => {}
    }
    // Also of a walk that was broken off.
    walk.clean_up().await;
    let steps = walk.steps();
    let ok = walk.is_complete() && steps.iter().all(|step| step.outcome != Outcome::Failed);
    let mut output = io::stdout().lock();
    if arguments.json {
        let report = Report { ok, url: &arguments.url, steps };
        writeln!(output, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        for step in steps {
            show(&mut output, step)?;
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads who walks.
fn account(email: Option<String>) -> anyhow::Result<Account> {
    let mut secret = String::new();
    io::stdin().lock().read_line(&mut secret).context("cannot read the standard input")?;
    let secret = secret.trim_end_matches(['\r', '\n']).to_owned();
    anyhow::ensure!(
        !secret.is_empty(),
        "the standard input is empty: write a password there (with --email) or an API key"
    );
    Ok(match email {
        Some(email) => Account::Password { email, password: secret },
        None => Account::Key(secret),
    })
}

fn show(output: &mut impl io::Write, step: &StepReport) -> io::Result<()> {
    let word = match step.outcome {
        Outcome::Ok => "ok  ",
        Outcome::Failed => "BAD ",
        Outcome::Skipped => "-   ",
    };
    writeln!(output, "{word} {:<10} {:>6} ms  {}", step.step, step.ms, step.found)?;
    match step.remedy {
        Some(remedy) => writeln!(output, "                           next: {remedy}"),
        None => Ok(()),
    }
}

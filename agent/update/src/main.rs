//! The installer's command line. Exit codes: 0 done or nothing to do, 1 failed, 2 a usage that cannot
//! work, 3 refused, 4 taken back, 75 put off: the same again later.

use std::{fmt, io::Write, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use nightjar_update::{Failure, Installer, Layout, Outcome};

const REFUSED: u8 = 3;
const TAKEN_BACK: u8 = 4;
/// `EX_TEMPFAIL`, by which the unit starts again.
const LATER: u8 = 75;

#[derive(Parser)]
#[command(
    name = "nightjar-update",
    version,
    about = "Installs signed updates of the Nightjar agent, and takes back what does not work"
)]
struct Cli {
    /// Work below another directory, as tests do
    #[arg(long, global = true, hide = true, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Finish what was interrupted, then install what an agent has downloaded
    Run,
    /// Install a package file that has its .release.json beside it
    Install {
        #[arg(value_name = "FILE")]
        package: PathBuf,
        /// Also one that was tried here before and did not work
        #[arg(long)]
        again: bool,
    },
}

fn main() -> ExitCode {
    let Cli { root, verb } = Cli::parse();
    let installer = Installer::new(Layout::at(root));
    let outcome = match verb {
        Verb::Run => installer.run(),
        Verb::Install { package, again } => installer.install(&package, again),
    };
    match outcome {
        Ok(Outcome::Idle) => ExitCode::SUCCESS,
        Ok(Outcome::Installed(version)) => {
            say(format_args!("version {version} is installed and works"));
            ExitCode::SUCCESS
        }
        Ok(Outcome::TakenBack(failure)) => failed("taken back", &failure, TAKEN_BACK.into()),
        Ok(Outcome::Refused(failure)) => failed("refused", &failure, REFUSED.into()),
        Ok(Outcome::Later(failure)) => failed("put off", &failure, LATER.into()),
        Err(failure) => failed("failed", &failure, ExitCode::FAILURE),
    }
}

fn failed(what: &str, failure: &Failure, code: ExitCode) -> ExitCode {
    say(format_args!("update {what}: {}: {}", failure.problem, failure.detail));
    code
}

/// Writes a line for people and the journal. Where nobody listens any more, nothing is lost.
fn say(line: fmt::Arguments<'_>) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

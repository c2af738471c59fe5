use std::process::ExitCode;

use clap::Parser as _;
use nightjar_relay::{cli::Arguments, config::ConfigError};

fn main() -> ExitCode {
    // Before anything is written: database, clips and keys are for the relay's own user.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            // Whoever wrote the configuration must do something; trying again does not help.
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let telemetry = arguments.begin_logging()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(arguments.run(telemetry));
    // Statements on the blocking pool end by themselves; nobody waits for their answers.
    runtime.shutdown_timeout(std::time::Duration::from_millis(300));
    outcome
}

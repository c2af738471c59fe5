use std::{io::IsTerminal as _, process::ExitCode};

use clap::Parser as _;
use nightjar_relay::{cli::Arguments, config::ConfigError};
use tracing_subscriber::EnvFilter;

/// The TURN protocol's own words are about single packets of strangers.
const LOGGED: &str = "info,stun_proto=off,stun_types=off,turn_server_proto=off,turn_types=off";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            // Whoever wrote the configuration must do something; trying again does not help.
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = arguments.config()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(arguments.run(config));
    // Statements on the blocking pool end by themselves; nobody waits for their answers.
    runtime.shutdown_timeout(std::time::Duration::from_millis(300));
    outcome
}

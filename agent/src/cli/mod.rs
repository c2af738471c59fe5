//! The command line.
//!
//! Exit codes: 0 done, 1 failed, 2 a configuration or usage that cannot work.

mod detect;
mod doctor;
mod documents;
mod export;
mod fsck;
mod output;
mod owner;
mod pair;
mod progress;
mod provision;
mod run;
mod time;
mod trust;
mod update;
mod wifi;

use std::{
    error::Error as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    Args, Parser, Subcommand,
    error::{ContextKind, ErrorKind},
};
use nightjar_shared::ids::ClipId;

use self::output::{complain, say};
use crate::{
    board::SystemRoot,
    config::{Config, ConfigError, SourceConfig},
    encode, lens, live, logging,
    store::{INDEX_FILE, Store},
};

const CONFIGURATION_ERROR: u8 = 2;

#[derive(Parser)]
#[command(
    name = "nightjar-agent",
    version,
    about = "Turns a Linux board with a camera into a security camera"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Capture, detect, record and stream, until told to stop
    Run {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        data: DataDir,
        #[command(flatten)]
        system: System,
    },
    /// Make this camera part of a site
    Pair(pair::PairArguments),
    /// Take nightjar.toml from the boot partition, and show on the console what there is to say; a
    /// privileged unit runs this
    #[command(hide = true)]
    Provision {
        #[command(flatten)]
        data: DataDir,
        #[command(flatten)]
        system: System,
    },
    /// Let the owner of this key, as the app shows it, watch past the relay
    Trust {
        #[arg(value_name = "KEY")]
        owner_key: String,
        #[command(flatten)]
        data: DataDir,
    },
    /// Join a Wi-Fi network
    Wifi(wifi::WifiArguments),
    /// Check the configuration
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Hold the viewers' connections; the agent starts this itself
    #[command(hide = true)]
    LiveWorker,
    /// Write man pages and completions of shells, for a package
    #[command(hide = true)]
    Documents {
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Look for QR codes; the agent starts this itself
    #[command(hide = true)]
    QrReader,
    /// List cameras, what they can do, and encoders
    Probe {
        #[command(flatten)]
        config: ConfigFile,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Say what is missing, and what to do next
    Doctor {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        data: DataDir,
        #[command(flatten)]
        system: System,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Find motion in a recording
    Detect(detect::DetectArguments),
    /// Compare index and recordings; exit code 1 on damage
    Fsck {
        #[command(flatten)]
        data: DataDir,
        /// Mend what can be mended; the agent must not run
        #[arg(long)]
        repair: bool,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Join the footage of a span of time into one MP4, without encoding it again
    Export(export::ExportArguments),
    /// Updates: what there is, how the last one went, installing one by hand
    Update {
        #[command(subcommand)]
        verb: update::UpdateVerb,
    },
    /// Have a clip deleted last, when room is needed
    Protect {
        #[command(flatten)]
        data: DataDir,
        clip_id: ClipId,
        /// Like any other clip again
        #[arg(long)]
        off: bool,
    },
}

#[derive(Args)]
struct System {
    /// Read the kernel's files below another directory, as tests do
    #[arg(
        id = "system_root",
        long = "system-root",
        hide = true,
        value_name = "DIR",
        default_value = "/"
    )]
    path: PathBuf,
}

impl System {
    fn root(self) -> SystemRoot {
        SystemRoot::at(self.path)
    }
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration
    #[arg(
        id = "config",
        long = "config",
        value_name = "FILE",
        default_value = "/etc/nightjar/agent.toml"
    )]
    path: PathBuf,
}

#[derive(Args)]
struct DataDir {
    /// Where recordings, index and identity lie
    #[arg(
        id = "data-dir",
        long = "data-dir",
        value_name = "DIR",
        default_value = "/var/lib/nightjar-agent"
    )]
    path: PathBuf,
}

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// Only a change of configuration helps.
    Configuration(String),
    Other(anyhow::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) if usage.kind() == ErrorKind::ValueValidation => {
            complain(refused_value(&usage));
            return CONFIGURATION_ERROR.into();
        }
        Err(usage) => {
            // Also how help and version are shown.
            drop(usage.print());
            return if usage.use_stderr() { CONFIGURATION_ERROR.into() } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(cli.verb) {
        Ok(code) => code,
        Err(Failure::Configuration(message)) => {
            complain(message);
            CONFIGURATION_ERROR.into()
        }
        Err(Failure::Other(error)) => {
            complain(in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// Says in one line which value of which option cannot be, as for a configuration.
fn refused_value(usage: &clap::Error) -> String {
    let context = |kind| usage.get(kind).map(ToString::to_string).unwrap_or_default();
    let (option, value) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue));
    let option = option.split(' ').next().unwrap_or_default();
    let remedy = usage.source().map(ToString::to_string).unwrap_or_default();
    format!("{option} = {value}: {remedy}")
}

fn dispatch(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Run { config, data, system } => run::run(&config.path, &data.path, system.root()),
        Verb::Pair(arguments) => pair::pair(&arguments),
        Verb::Provision { data, system } => {
            provision::provision(&data.path, &system.root());
            Ok(ExitCode::SUCCESS)
        }
        Verb::Trust { owner_key, data } => {
            owner::become_owner_of(&data.path)?;
            trust::trust(&data.path, &owner_key)
        }
        Verb::Wifi(arguments) => wifi::join(&arguments),
        Verb::Check { config } => check(&config.path),
        Verb::Detect(arguments) => detect::detect(&arguments),
        Verb::Fsck { data, repair, json } => {
            owner::become_owner_of(&data.path)?;
            fsck::fsck(&data.path, repair, json)
        }
        Verb::Export(arguments) => export::export(&arguments),
        Verb::Protect { data, clip_id, off } => {
            owner::become_owner_of(&data.path)?;
            protect(&data.path, clip_id, !off)
        }
        Verb::Update { verb } => update::update(verb),
        Verb::LiveWorker => live_worker(),
        Verb::Documents { directory } => documents::write(&directory),
        Verb::QrReader => qr_reader(),
        Verb::Probe { config, json } => probe(&config.path, json),
        Verb::Doctor { config, data, system, json } => {
            Ok(doctor::doctor(&config.path, &data.path, &system.root(), json))
        }
    }
}

fn check(path: &Path) -> Result<ExitCode, Failure> {
    let config = Config::load(path)?;
    let source = &config.source;
    source.check_device()?;
    say(format_args!(
        "{}: fine ({}, {}x{} at {} fps)",
        path.display(),
        source.kind.as_str(),
        source.width,
        source.height,
        source.fps
    ));
    Ok(ExitCode::SUCCESS)
}

/// Protects a clip, or no longer. May run beside a working agent.
fn protect(data_dir: &Path, clip_id: ClipId, protected: bool) -> Result<ExitCode, Failure> {
    let store = open_store(data_dir)?;
    let known = small_runtime()?
        .block_on(store.protect_clip(clip_id, protected))
        .map_err(anyhow::Error::new)?;
    if !known {
        return Err(Failure::Configuration(format!("{clip_id}: no such clip on this camera")));
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the index of a data directory; a directory without one is not an agent's.
fn open_store(data_dir: &Path) -> Result<Store, Failure> {
    let index = data_dir.join(INDEX_FILE);
    if !index.exists() {
        return Err(Failure::Configuration(format!(
            "--data-dir = {}: no index here; name the agent's data directory",
            data_dir.display()
        )));
    }
    Ok(Store::open(&index).map_err(anyhow::Error::new)?)
}

/// Lists cameras and encoders. It needs no configuration, since one is written by what it shows.
fn probe(config: &Path, json: bool) -> Result<ExitCode, Failure> {
    let source =
        Config::load(config).map_or_else(|_| SourceConfig::default(), |config| config.source);
    let probe = encode::probe(&source, None)?;
    if json {
        say(serde_json::to_string_pretty(&probe).map_err(anyhow::Error::from)?);
    } else {
        say(probe);
    }
    Ok(ExitCode::SUCCESS)
}

fn live_worker() -> Result<ExitCode, Failure> {
    logging::start_in_child();
    live::worker::run()?;
    Ok(ExitCode::SUCCESS)
}

fn qr_reader() -> Result<ExitCode, Failure> {
    logging::start_in_child();
    lens::worker::run()?;
    Ok(ExitCode::SUCCESS)
}

/// Writes an error with its causes, without those that its own text names already.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| {
        match text.contains(&cause) {
            true => text,
            false if text.is_empty() => cause,
            false => format!("{text}: {cause}"),
        }
    })
}

/// Makes a runtime for commands that ask the network.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(error.into()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! The command line.

mod audit;
mod backup;
mod config;
mod doctor;
mod documents;
mod healthcheck;
mod keys;
mod manage;
mod people;
mod progress;
mod provision;
mod release;
mod smoke;

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{
    Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use nightjar_shared::{ids::PairingId, role::AccountRole};

use self::{
    backup::{BackupArguments, RestoreArguments},
    doctor::DoctorArguments,
    progress::ProgressLine,
    provision::ProvisionArguments,
    smoke::SmokeArguments,
};
use crate::{
    clock::now,
    config::{Config, ConfigError, LogConfig, LogFormat, StoreEngine},
    domain::{backups, factors},
    doors::router,
    engines::{
        db::{Db, DbReserve},
        metrics::Metrics,
        private_file, tls,
    },
    logging,
    shutdown::{self, Asked, Signals},
    telemetry::{self, Telemetry},
    wiring::{Relay, s3_store},
};

const CONFIG_DEFAULT: &str = "/etc/nightjar/relay.toml";

/// The meeting point of a fleet of cameras.
#[derive(Parser)]
#[command(name = "nightjar-relay", version)]
pub struct Arguments {
    /// Every key of the file has a default; without a file at the default place, all apply.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Serves until SIGTERM or SIGINT (the default).
    Serve,
    /// Looks at everything that the relay needs, from outside too, and names what is missing.
    Doctor(DoctorArguments),
    /// Walks once through an installed relay as its people and cameras do, and says what does not work.
    Smoke(SmokeArguments),
    /// Asks whether the relay of this configuration answers; for containers.
    Healthcheck,
    /// Brings the database's schema up to date.
    Migrate,
    /// Writes all that a relay needs to come back into one file, while it serves.
    Backup(BackupArguments),
    /// Puts a backup back. The relay must be stopped.
    Restore(RestoreArguments),
    /// Works on the database directly, without signing in.
    Admin {
        #[command(subcommand)]
        task: AdminTask,
    },
    /// Looks after the trail of who did what.
    Audit {
        #[command(subcommand)]
        task: audit::AuditTask,
    },
    /// Looks at `relay.toml`.
    Config {
        #[command(subcommand)]
        task: config::ConfigTask,
    },
    /// Lists keys and secrets, and exchanges them.
    Keys {
        #[command(subcommand)]
        task: keys::KeysTask,
    },
    /// Looks after an external object store.
    Store {
        #[command(subcommand)]
        task: StoreTask,
    },
    /// Writes the description of the HTTP doors.
    Openapi,
    /// Writes man pages and completions of shells, for a package.
    #[command(hide = true)]
    Documents {
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Subcommand)]
enum AdminTask {
    /// Makes an account; its password is the first line of the standard input.
    CreateAccount {
        email: String,
        #[arg(long, value_parser = role_parser(), default_value = AccountRole::User.as_str())]
        role: AccountRole,
    },
    /// Removes all second factors of an account and signs it out everywhere: for somebody who has lost
    /// them, once you know that it is they.
    RemoveFactors { email: String },
    /// Makes a link by which the owner of an account sets a new password: it works once, for a day.
    ResetLink { email: String },
    /// Lists mails that have not left, and why.
    Mails,
    /// Signs packages for cameras and offers them.
    Release {
        #[command(subcommand)]
        task: release::ReleaseTask,
    },
    /// Makes files for the boot partitions of many cameras, from a table (CSV).
    Provision(ProvisionArguments),
    /// Lists all sites: id, owner and name.
    Sites,
    /// Lists the files of `provision` that no camera has used.
    Pairings,
    /// Takes back a file that no camera has used.
    TakeBack {
        #[arg(value_name = "PAIRING_ID")]
        pairing_id: PairingId,
    },
    #[command(flatten)]
    Manage(manage::ManageTask),
}

#[derive(Subcommand)]
enum StoreTask {
    /// Makes the bucket, its CORS rule and its lifecycle, and says what the store does not enforce.
    /// May be done again.
    Prepare,
}

/// Reads a role, and lists all of them in the help.
fn role_parser() -> impl TypedValueParser<Value = AccountRole> {
    PossibleValuesParser::new(AccountRole::ALL.iter().map(|role| role.as_str()))
        .try_map(|word| word.parse())
}

impl Arguments {
    fn config(&self) -> Result<Config, ConfigError> {
        let mut config = match &self.config {
            Some(path) => Config::load(path)?,
            None if PathBuf::from(CONFIG_DEFAULT).is_file() => {
                Config::load(CONFIG_DEFAULT.as_ref())?
            }
            None => Config::default(),
        };
        if let Some(credentials) = config::credentials_directory() {
            config.use_credentials(&credentials);
        }
        Ok(config)
    }

    /// Begins logging, as the configuration says where the relay serves; whoever types other commands
    /// reads lines. A configuration that cannot be used is told in lines, too.
    pub fn begin_logging(&self) -> anyhow::Result<Option<Telemetry>> {
        let config = self.config().ok().filter(|_| matches!(self.task, None | Some(Task::Serve)));
        let Some(config) = config else {
            logging::start(LogConfig::default(), None);
            return Ok(None);
        };
        tls::install_crypto_provider();
        let (spans, telemetry, problem) = match telemetry::prepare(&config.telemetry) {
            Ok(Some((layer, telemetry))) => (Some(layer), Some(telemetry), None),
            Ok(None) => (None, None, None),
            Err(problem) => (None, None, Some(problem)),
        };
        logging::start(config.log, spans);
        problem.map_or(Ok(telemetry), Err)
    }

    /// Does what was asked for, and says how the program ends.
    pub async fn run(self, telemetry: Option<Telemetry>) -> anyhow::Result<ExitCode> {
        let config = self.config();
        match self.task.unwrap_or(Task::Serve) {
            Task::Config { task } => return config::run(task, self.config),
            Task::Doctor(arguments) => return doctor::run(config, arguments).await,
            Task::Healthcheck => return healthcheck::run(&config?).await,
            Task::Smoke(arguments) => return smoke::run(arguments).await,
            Task::Serve => serve(config?, telemetry).await?,
            Task::Migrate => open_database(&config?).await.map(drop)?,
            Task::Keys { task } => keys::run(task, &config?).await?,
            Task::Backup(arguments) => backup::backup(&config?, arguments).await?,
            Task::Restore(arguments) => backup::restore(&config?, arguments).await?,
            Task::Admin { task } => administrate(&config?, task).await?,
            Task::Audit { task } => audit::run(task, &config?).await?,
            Task::Store { task: StoreTask::Prepare } => prepare_store(&config?).await?,
            Task::Documents { directory } => documents::write(&directory)?,
            Task::Openapi => {
                let description = serde_json::to_string_pretty(&router::description()?)?;
                writeln!(std::io::stdout(), "{description}")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn administrate(config: &Config, task: AdminTask) -> anyhow::Result<()> {
    match task {
        AdminTask::CreateAccount { email, role } => {
            people::create_account(config, email, role).await
        }
        AdminTask::RemoveFactors { email } => {
            factors::remove_all(&open_database(config).await?, &email, now()).await?;
            Ok(writeln!(std::io::stdout(), "{email} has no second factor any more")?)
        }
        AdminTask::ResetLink { email } => people::make_reset_link(config, &email).await,
        AdminTask::Mails => people::list_mails(config).await,
        AdminTask::Release { task } => release::run(task, config).await,
        AdminTask::Provision(arguments) => provision::provision(config, arguments).await,
        AdminTask::Sites => provision::list_sites(config).await,
        AdminTask::Pairings => provision::list_prepared(config).await,
        AdminTask::TakeBack { pairing_id } => provision::take_back(config, pairing_id).await,
        AdminTask::Manage(task) => manage::run(config, task).await,
    }
}

async fn serve(config: Config, telemetry: Option<Telemetry>) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let relay = Relay::start(config).await?;
    if let Some(telemetry) = telemetry {
        relay.send_spans(telemetry);
    }
    let config = &relay.app().config;
    tracing::info!(
        url = config.public_url,
        mqtt = config.mqtt.public_url,
        store = config.store.public_url,
        "the relay serves"
    );
    show_first_admin_link(&relay)?;
    shutdown::notify_ready();
    let watchdog = relay.app().tracker.spawn(feed_watchdog(relay.app().cancel.clone()));
    let failed = relay.app().failed.clone();
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::LookAgain => {
                    relay.app().certificates.look_again();
                    relay.app().objects.look_again();
                }
                Asked::Stop => {
                    tracing::info!("stopping; a second signal stops at once");
                    break;
                }
            },
            () = failed.cancelled() => {
                tracing::error!("stopping, since a part of the relay is gone");
                break;
            }
        }
    }
    shutdown::notify_stopping();
    tokio::select! {
        () = relay.stop() => {}
        () = signals.until_stop() => std::process::exit(130),
    }
    watchdog.await.context("the watchdog's task failed")?;
    anyhow::ensure!(!failed.is_cancelled(), "a part of the relay ended early");
    Ok(())
}

/// Prints the link by which the first administrator is made, past the log: logs are kept and passed on.
fn show_first_admin_link(relay: &Relay) -> anyhow::Result<()> {
    let Some(link) = relay.first_admin() else { return Ok(()) };
    let text = "There is no account yet. Make the first administrator here, within an hour:";
    let shown = match relay.app().config.log.format {
        LogFormat::Text => {
            format!("{text}\n\n  {}\n\nThe link works once; a restart makes another.", link.url)
        }
        // Who reads lines as objects reads this one, too.
        LogFormat::Json => {
            let timestamp = logging::timestamp();
            serde_json::json!({"timestamp": timestamp, "level": "INFO", "message": text, "link": link.url})
                .to_string()
        }
    };
    writeln!(std::io::stderr(), "{shown}")
        .context("cannot print the link of the first administrator")
}

async fn feed_watchdog(cancel: tokio_util::sync::CancellationToken) {
    let Some(interval) = shutdown::watchdog_interval() else { return };
    let mut ticks = tokio::time::interval(interval);
    while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
        shutdown::notify_alive();
    }
}

async fn open_database(config: &Config) -> anyhow::Result<Db> {
    backups::settle(config).await?;
    let db = unmigrated_database(config).await?;
    let line = ProgressLine::new();
    backups::migrate(config, &db, now(), &line.progress()).await?;
    Ok(db)
}

/// Opens the database with the schema that it has.
async fn unmigrated_database(config: &Config) -> anyhow::Result<Db> {
    private_file::prepare_data_directory(&config.data_dir)?;
    let metrics = Metrics::default();
    Ok(Db::open(&config.database, &config.data_dir, DbReserve::NONE, &metrics).await?)
}

async fn prepare_store(config: &Config) -> anyhow::Result<()> {
    let mut output = std::io::stdout();
    if config.store.engine == StoreEngine::Embedded {
        return Ok(writeln!(output, "the embedded store needs no preparation")?);
    }
    tls::install_crypto_provider();
    for line in s3_store(config).await?.prepare().await? {
        writeln!(output, "{line}")?;
    }
    Ok(())
}

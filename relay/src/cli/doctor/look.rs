//! The looks at the relay's own things: configuration, disk, database, external store, clock.

use std::path::Path;

use nightjar_shared::role::Registration;

use super::{
    finding::{
        ClockFinding, DataFinding, DatabaseFinding, MailFinding, RelayFinding, StoreFinding,
    },
    network::{self, Network},
};
use crate::{
    blocking::blocking,
    clock::now,
    config::{Config, ConfigError, MailEngine, StoreEngine},
    engines::{
        db::{Db, DbReserve},
        metrics::Metrics,
        objects::Objects,
        private_file, tls,
    },
    space,
    wiring::{mailer, s3_store},
};

/// Below the data directory, where the database is no server.
const DATABASE_FILE: &str = "relay.db";
const MEGABYTE: u64 = 1_000_000;

/// Looks at everything; at nothing more where the configuration cannot be used.
pub(super) async fn at(
    config: Result<Config, ConfigError>,
    time_from: Option<String>,
) -> Vec<RelayFinding> {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            return vec![RelayFinding::Configuration { problem: Some(error.to_string()) }];
        }
    };
    tls::install_crypto_provider();
    let mut found = vec![RelayFinding::Configuration { problem: None }, registration(&config)];
    found.push(RelayFinding::Data(data(&config)));
    found.push(RelayFinding::Database(database(&config).await));
    if config.store.engine == StoreEngine::S3 {
        found.push(RelayFinding::Store(external_store(&config).await));
    }
    found.push(RelayFinding::Mail(mail(&config).await));
    let authority = private_file::read(&config.data_dir.join("ca.pem")).ok().flatten();
    let looked = blocking(move || {
        let network = Network::new(&config, authority);
        let mut found = network.look();
        found.push(RelayFinding::Clock(clock(&config, time_from)));
        found
    });
    found.extend(looked.await.unwrap_or_default());
    found
}

fn registration(config: &Config) -> RelayFinding {
    let registration = config.registration;
    RelayFinding::Registration {
        is_open: registration == Registration::Open,
        word: registration.as_str(),
    }
}

fn data(config: &Config) -> DataFinding {
    let unreadable = |cause: String| DataFinding::Unreadable {
        cause: format!("{}: {cause}", config.data_dir.display()),
    };
    if let Err(error) = std::fs::read_dir(&config.data_dir) {
        return unreadable(error.to_string());
    }
    match space::space_at(&config.data_dir) {
        Ok(space) => {
            let limits = &config.limits;
            let share = (space.total / 100).saturating_mul(limits.free_percent.into());
            let kept = share.max(limits.free_bytes()) / MEGABYTE;
            let megabytes = space.free / MEGABYTE;
            let is_low = config.store.engine == StoreEngine::Embedded && megabytes <= kept;
            if is_low {
                DataFinding::Low { megabytes, kept }
            } else {
                DataFinding::Free { megabytes }
            }
        }
        Err(error) => unreadable(error.to_string()),
    }
}

async fn database(config: &Config) -> DatabaseFinding {
    let is_file = !crate::config::is_postgres(&config.database.url);
    if is_file && !Path::new(&config.data_dir).join(DATABASE_FILE).exists() {
        return DatabaseFinding::NotYet;
    }
    let metrics = Metrics::default();
    let opened = Db::open(&config.database, &config.data_dir, DbReserve::NONE, &metrics).await;
    let answered = match opened {
        Ok(db) => db.ping().await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(()) => DatabaseFinding::Answers,
        Err(error) => DatabaseFinding::Silent { cause: error.to_string() },
    }
}

async fn external_store(config: &Config) -> StoreFinding {
    let checked = match s3_store(config).await {
        Ok(store) => Objects::from(store).check().await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match checked {
        Ok(()) => StoreFinding::Answers,
        Err(error) => StoreFinding::Silent { cause: format!("{error:#}") },
    }
}

/// Asks the mail server whether it would take mail; none is sent.
async fn mail(config: &Config) -> MailFinding {
    if config.mail.engine == MailEngine::None {
        return MailFinding::NotConfigured;
    }
    let checked = match mailer(config).await {
        Ok(mailer) => mailer.check().await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match checked {
        Ok(()) => MailFinding::Answers,
        Err(error) => MailFinding::Silent { cause: format!("{error:#}") },
    }
}

/// Compares with the clock of a server that this relay has to do with anyhow, or of one that the operator names.
fn clock(config: &Config, time_from: Option<String>) -> ClockFinding {
    /// Codes of second factors, and certificates, bear no more.
    const APART_MAX_S: u64 = 30;
    let acme = config.tls.acme.as_ref();
    let named = time_from.map(|host| format!("https://{host}/"));
    let Some(url) = named.or_else(|| acme.map(|acme| acme.directory.clone())) else {
        let cause = "not compared: this relay has to do with no server outside".to_owned();
        return ClockFinding::Unknown { cause };
    };
    match network::server_time(&url, acme.and_then(|acme| acme.ca_file.as_deref())) {
        Ok((by, server)) => {
            let own = now();
            let seconds = own.since(server).max(server.since(own)).as_secs();
            if seconds > APART_MAX_S {
                ClockFinding::Apart { by, seconds, is_ahead: own > server }
            } else {
                ClockFinding::Right { by }
            }
        }
        Err(cause) => ClockFinding::Unknown { cause },
    }
}

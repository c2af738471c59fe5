//! `relay.toml`: every key has a default, an unknown key is an error.

mod audit;
mod backup;
mod faults;
mod limits;
mod log;
mod mail;
mod metrics;
mod mqtt;
mod outgoing;
mod proxies;
mod secrets;
mod security;
mod shown;
mod store;
mod telemetry;
mod tls;
mod turn;
mod urls;

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use nightjar_shared::{role::Registration, text_file};
use serde::{Deserialize, Serialize};

pub use self::{
    audit::AuditConfig,
    backup::BackupConfig,
    faults::{Fault, faults, key_line},
    limits::{Amount, LimitsConfig},
    log::{LogConfig, LogFormat},
    mail::{MailConfig, MailEngine, MailTls},
    metrics::MetricsConfig,
    mqtt::MqttConfig,
    outgoing::OutgoingConfig,
    proxies::Proxies,
    secrets::SecretFile,
    security::SecurityConfig,
    shown::{Origin, Setting},
    store::{ServerSideEncryption, StoreConfig, StoreCredentials, StoreEngine},
    telemetry::TelemetryConfig,
    tls::{AcmeConfig, ChallengeKind, ExternalAccountConfig, TlsConfig},
    turn::{TurnConfig, TurnEngine},
};

/// Why a configuration cannot be used. One line: the key, its value, the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}; create the file or pass --config FILE")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {message}")]
    Parse { path: PathBuf, message: String },
    #[error("{key} = {value}: {remedy}")]
    Value { key: &'static str, value: String, remedy: String },
}

impl ConfigError {
    fn value(key: &'static str, value: impl std::fmt::Display, remedy: impl Into<String>) -> Self {
        // A value with a line break stays one line.
        let value = value.to_string().replace(char::is_control, "\u{fffd}");
        Self::Value { key, value, remedy: remedy.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where browsers and cameras reach the relay: for links, QR codes, cookies, the same-origin
    /// check. https off localhost.
    pub public_url: String,
    /// Port 0 takes any free port; `public_url` then gets it too.
    pub listen: SocketAddr,
    /// Addresses and networks of the proxies in front of the relay, which say on whose behalf they
    /// ask. Absent where nothing was said of proxies.
    pub trusted_proxies: Option<Vec<String>>,
    pub tls: TlsConfig,
    /// Whether connections to `listen` begin with the PROXY protocol's header.
    pub proxy_protocol: bool,
    pub data_dir: PathBuf,
    /// Where the source of this relay is offered. Without it the relay offers what it was built from.
    pub source_url: Option<String>,
    pub security: SecurityConfig,
    /// Where readiness, metrics and the API's description are served, without TLS. Without it they stand
    /// beside the app, open to all.
    pub operations_listen: Option<SocketAddr>,
    pub registration: Registration,
    pub database: DatabaseConfig,
    pub mqtt: MqttConfig,
    pub store: StoreConfig,
    pub turn: TurnConfig,
    pub mail: MailConfig,
    pub outgoing: OutgoingConfig,
    pub limits: LimitsConfig,
    pub audit: AuditConfig,
    pub log: LogConfig,
    pub telemetry: TelemetryConfig,
    pub metrics: MetricsConfig,
    pub backup: BackupConfig,
    /// Where it was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// The keys that were said, like `limits.site_clips`: other values are defaults.
    #[serde(skip)]
    pub said: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite` (a file in the data directory) or `postgres://…`.
    pub url: String,
    /// Holds the password of PostgreSQL's user, where `url` has none.
    pub password_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: "http://localhost:8080".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            trusted_proxies: None,
            tls: TlsConfig::default(),
            proxy_protocol: false,
            data_dir: PathBuf::from("/var/lib/nightjar-relay"),
            source_url: None,
            security: SecurityConfig::default(),
            operations_listen: None,
            registration: Registration::Invitation,
            database: DatabaseConfig::default(),
            mqtt: MqttConfig::default(),
            store: StoreConfig::default(),
            turn: TurnConfig::default(),
            mail: MailConfig::default(),
            outgoing: OutgoingConfig::default(),
            limits: LimitsConfig::default(),
            audit: AuditConfig::default(),
            log: LogConfig::default(),
            telemetry: TelemetryConfig::default(),
            metrics: MetricsConfig::default(),
            backup: BackupConfig::default(),
            file: None,
            said: BTreeSet::new(),
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: "sqlite".to_owned(), password_file: None }
    }
}

/// The URL may hold a password.
impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engine = self.url.split(':').next().unwrap_or_default();
        formatter.debug_struct("DatabaseConfig").field("url", &engine).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes =
            fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let text = text_file::decode(&bytes).map_err(|problem| ConfigError::Parse {
            path: path.to_owned(),
            message: problem.to_string(),
        })?;
        Ok(Self { file: Some(path.to_owned()), ..Self::parse(&text, path)? })
    }

    /// Reads and checks a text. `path` names its origin in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: one_line(&error, text),
        })?;
        config.normalize()?;
        config.said = keys_of(text);
        Ok(config)
    }

    /// Gives each address its one spelling, and checks everything.
    pub fn normalize(&mut self) -> Result<(), ConfigError> {
        self.public_url = urls::web_origin("public_url", &self.public_url)?;
        self.store.normalize()?;
        let mqtt = &mut self.mqtt.public_url;
        *mqtt = urls::mqtt("mqtt.public_url", mqtt)?;
        self.check()
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.check_proxies()?;
        self.check_tls()?;
        if self.store.public_url == self.public_url && !self.public_url.ends_with(":0") {
            let remedy = "the store has an origin of its own, so that no stored object can run as \
                          the app: give it another port or name";
            return Err(ConfigError::value("store.public_url", &self.store.public_url, remedy));
        }
        if self.store_shares_listener() {
            let is_told_apart = self.is_https()
                && self.tls.enabled
                && self.store.public_url.starts_with("https:")
                && self.store_host().parse::<std::net::IpAddr>().is_err()
                && self.store_host() != self.host();
            if !is_told_apart {
                let remedy = "at the app's address the store is told apart by the name in TLS: give \
                              store.public_url another host, both with https and without tls = false, \
                              or let the store listen at another port";
                return Err(ConfigError::value("store.listen", self.store.listen, remedy));
            }
        }
        if let Some(url) = self.source_url.as_ref().filter(|url| !is_link(url)) {
            let remedy = "write an address like https://git.example.org/nightjar";
            return Err(ConfigError::value("source_url", url, remedy));
        }
        let database = &self.database.url;
        if database != "sqlite" && !is_postgres(database) {
            return Err(ConfigError::value(
                "database.url",
                database.split(':').next().unwrap_or_default(),
                "write \"sqlite\" or \"postgres://user@host/name\"",
            ));
        }
        if ["sslmode=require", "sslmode=verify"].iter().any(|mode| database.contains(mode)) {
            return Err(ConfigError::value(
                "database.url",
                "postgres with sslmode",
                "TLS to PostgreSQL is not yet supported; use a Unix socket or a tunnel",
            ));
        }
        self.security.validate()?;
        self.limits.validate()?;
        self.audit.validate()?;
        self.backup.validate()?;
        self.mail.check()?;
        self.outgoing.check()?;
        self.telemetry.check()?;
        self.turn.check(self.turn_engine())
    }

    /// Returns whether app and store share a listener.
    pub fn store_shares_listener(&self) -> bool {
        self.store.engine == StoreEngine::Embedded
            && self.listen.port() != 0
            && self.store.listen == self.listen
    }

    /// Returns the host of the store's own address.
    pub fn store_host(&self) -> &str {
        host_in(&self.store.public_url)
    }

    /// Returns whether TURN over TCP and TLS is served at the port of the app.
    pub fn turn_at_web_port(&self) -> bool {
        self.turn_engine() == TurnEngine::Embedded
            && self.turn.web_port.unwrap_or_else(|| self.shows_own_certificate())
    }

    /// Returns the port of `public_url`.
    pub fn port(&self) -> u16 {
        let default = if self.is_https() { 443 } else { 80 };
        self.public_url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(default)
    }

    /// Returns whether what reaches `public_url` sees the relay's own certificate.
    pub fn shows_own_certificate(&self) -> bool {
        self.is_https() && self.tls.enabled
    }

    /// Returns whether browsers of this address of ours may be told to use https alone from now on. On
    /// localhost other programs have no https.
    pub fn is_https_alone(&self, url: &str) -> bool {
        url.starts_with("https:") && !urls::is_localhost(host_in(url))
    }

    /// Returns whether an `Origin` header, in any spelling, is that of the app.
    pub fn is_own_origin(&self, origin: &str) -> bool {
        urls::is_origin(origin, &self.public_url)
    }

    /// Returns the TURN engine in use: without a setting, none on localhost, where all are in one
    /// network.
    pub fn turn_engine(&self) -> TurnEngine {
        let off_localhost = !urls::is_localhost(self.host());
        self.turn.engine.unwrap_or(if off_localhost {
            TurnEngine::Embedded
        } else {
            TurnEngine::None
        })
    }

    /// Returns the host of `public_url`; an IPv6 address has no brackets.
    pub fn host(&self) -> &str {
        host_in(&self.public_url)
    }

    /// Returns whether browsers reach the relay by https.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// Returns the cookie's name. `__Host-` cookies need https, which a browser does not ask of
    /// localhost.
    pub fn cookie_name(&self) -> &'static str {
        if self.is_https() { "__Host-session" } else { "session" }
    }

    /// Returns the name of the cookie by which a browser is known at its next sign-in.
    pub fn known_device_cookie_name(&self) -> &'static str {
        if self.is_https() { "__Host-known-device" } else { "known-device" }
    }
}

pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Gives `url` the port that a listener on port 0 got.
pub fn with_port(url: &str, port: u16) -> String {
    match url.strip_suffix(":0") {
        Some(head) => format!("{head}:{port}"),
        None => url.to_owned(),
    }
}

/// Lists the keys of a text that can be read.
fn keys_of(text: &str) -> BTreeSet<String> {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    let mut keys = BTreeSet::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => {
                keys.extend(inner.keys().map(|key| format!("{name}.{key}")));
            }
            _ => drop(keys.insert(name)),
        }
    }
    keys
}

/// Returns whether people can follow `url` from a page.
fn is_link(url: &str) -> bool {
    let is_web = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    is_web && !url.contains(|character: char| character.is_whitespace() || character.is_control())
}

fn host_in(url: &str) -> &str {
    let (_, authority) = url.split_once("://").unwrap_or_default();
    host_of(authority).trim_matches(['[', ']'])
}

fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

/// Writes a TOML error on one line, with the line number and the text it points at.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
            let value: String = text.get(span).unwrap_or_default().chars().take(40).collect();
            format!("line {line}: `{value}`: {message}")
        }
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("relay.toml"))
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_is_named() {
        let message = parse("[store]\nengin = \"s3\"\n").unwrap_err().to_string();
        assert!(message.contains("engin") && message.contains("line 2"), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn plain_http_off_localhost_is_refused() {
        let message = parse("public_url = \"http://cam.example.org\"").unwrap_err().to_string();
        assert!(message.contains("public_url = http://cam.example.org"), "{message}");
        assert!(message.contains("https"), "{message}");
    }

    #[test]
    fn a_public_url_with_a_path_is_refused() {
        parse("public_url = \"https://example.org/cameras\"").unwrap_err();
    }

    #[test]
    fn a_source_that_no_link_can_lead_to_is_refused() {
        parse("source_url = \"https://git.example.org/?p=nightjar\"").unwrap();
        for url in ["javascript:alert(1)", "git@example.org:nightjar", "https://a b"] {
            let message = parse(&format!("source_url = \"{url}\"")).unwrap_err().to_string();
            assert!(message.starts_with("source_url = "), "{message}");
        }
    }

    #[test]
    fn engines_that_are_not_there_yet_say_so() {
        let store = parse("[store]\nengine = \"ftp\"").unwrap_err().to_string();
        assert!(store.contains("ftp") && store.contains("`embedded`"), "{store}");
    }

    #[test]
    fn turn_is_embedded_where_the_relay_is_reached_from_elsewhere() {
        let engine = |text: &str| parse(text).unwrap().turn_engine();
        assert_eq!(engine(""), TurnEngine::None);
        assert_eq!(engine("public_url = \"https://[2001:db8::1]:8443\""), TurnEngine::Embedded);
        let off = "public_url = \"https://cam.example.org\"\n[turn]\nengine = \"none\"";
        assert_eq!(engine(off), TurnEngine::None);
    }

    #[test]
    fn turn_settings_that_cannot_be_right_are_named() {
        for (text, key) in [
            ("[turn]\nrelay_ports = [80, 90]", "turn.relay_ports"),
            ("[turn]\nrelay_ports = [50000, 49152]", "turn.relay_ports"),
            ("[turn]\nengine = \"external\"", "turn.urls"),
            ("[turn]\nengine = \"external\"\nurls = [\"http://x\"]", "turn.urls"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with(key), "{message}");
        }
    }

    #[test]
    fn a_database_password_stays_out_of_errors_and_debug_output() {
        let message = parse("[database]\nurl = \"mysql://u:hunter2@h/d\"").unwrap_err();
        assert!(!message.to_string().contains("hunter2"));
        let config = parse("[database]\nurl = \"postgres://u:hunter2@h/d\"").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_public_url_with_port_0_gets_the_bound_port() {
        assert_eq!(with_port("http://localhost:0", 4711), "http://localhost:4711");
        assert_eq!(with_port("https://cam.example.org", 4711), "https://cam.example.org");
    }
}

//! `config`: what is wrong with `relay.toml`, and what is in use.

use std::{
    env, fs,
    io::{Write as _, stdout},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use nightjar_shared::text_file;

use super::CONFIG_DEFAULT;
use crate::{
    config::{self, Config, Fault, SecretFile, StoreEngine, TurnEngine},
    engines::{data_lock::DataLock, private_file},
};

/// Who wrote the configuration must do something.
const FAULTY: u8 = 2;
/// What a mode grants to all but the owner.
const OTHERS: u32 = 0o077;

#[derive(Subcommand)]
pub(super) enum ConfigTask {
    /// Names all faults of a configuration at once, each with its line; exit code 2 if there are any.
    Check {
        /// Without it the one that the relay reads
        file: Option<PathBuf>,
    },
    /// Lists the values in use and where each comes from; no secrets.
    Show,
}

/// Returns where systemd has put what `LoadCredential=` names.
pub(super) fn credentials_directory() -> Option<PathBuf> {
    env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute())
}

pub(super) fn run(task: ConfigTask, given: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    match task {
        ConfigTask::Check { file } => check(file.or(given).as_deref()),
        ConfigTask::Show => show(given),
    }
}

/// Reads the file; nothing where none is named and none lies at its default place.
fn read(path: Option<&Path>) -> anyhow::Result<Option<String>> {
    let default = Path::new(CONFIG_DEFAULT);
    let Some(path) = path.or_else(|| default.is_file().then_some(default)) else {
        return Ok(None);
    };
    let named = || format!("cannot read {}", path.display());
    anyhow::ensure!(
        fs::metadata(path).with_context(named)?.is_file(),
        "{} is no plain file",
        path.display()
    );
    Ok(Some(text_file::decode(&fs::read(path).with_context(named)?).with_context(named)?))
}

fn check(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut output = stdout();
    let name = file.unwrap_or(Path::new(CONFIG_DEFAULT)).display();
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => {
            writeln!(output, "BAD  {error:#}")?;
            return Ok(ExitCode::from(FAULTY));
        }
    };
    let text = text.unwrap_or_default();
    let mut faults = config::faults(&text);
    let mut notes = Vec::new();
    if let Some(config) = usable(&text) {
        let mut around =
            Around { text: &text, config: &config, faults: Vec::new(), notes: Vec::new() };
        around.look();
        faults.append(&mut around.faults);
        notes = around.notes;
    }
    for Fault { line, message } in &faults {
        match line {
            Some(line) => writeln!(output, "BAD  {name}:{line}: {message}")?,
            None => writeln!(output, "BAD  {name}: {message}")?,
        }
    }
    for note in &notes {
        writeln!(output, "note {note}")?;
    }
    if faults.is_empty() {
        writeln!(output, "ok   {name}")?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(FAULTY))
}

fn usable(text: &str) -> Option<Config> {
    let mut config = Config::parse(text, Path::new(CONFIG_DEFAULT)).ok()?;
    if let Some(credentials) = credentials_directory() {
        config.use_credentials(&credentials);
    }
    Some(config)
}

fn show(given: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let text = read(given.as_deref())?.unwrap_or_default();
    let path = given.unwrap_or_else(|| PathBuf::from(CONFIG_DEFAULT));
    let mut config = Config::parse(&text, &path)?;
    let credentials = credentials_directory();
    if let Some(directory) = &credentials {
        config.use_credentials(directory);
    }
    let mut output = stdout();
    for setting in config.settings(&text, credentials.as_deref())? {
        writeln!(output, "{} = {}  # {}", setting.key, setting.value, setting.origin)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a configuration meets on this machine.
struct Around<'a> {
    text: &'a str,
    config: &'a Config,
    faults: Vec<Fault>,
    notes: Vec<String>,
}

impl Around<'_> {
    fn look(&mut self) {
        for secret in self.config.secret_files() {
            self.look_at_secret(&secret);
        }
        self.look_at_file();
        self.look_at_data_dir();
        self.look_at_ports();
    }

    fn fault(&mut self, key: &str, message: String) {
        self.faults.push(Fault { line: config::key_line(self.text, key), message });
    }

    fn look_at_secret(&mut self, secret: &SecretFile) {
        let SecretFile { key, credential, path } = secret;
        let path_text = path.display();
        let remedy = format!("write it there, or give it as the credential {credential}");
        match fs::metadata(path) {
            Err(error) => self.fault(key, format!("{key} = {path_text}: {error}; {remedy}")),
            Ok(found) if !found.is_file() => {
                self.fault(key, format!("{key} = {path_text}: it is no plain file; {remedy}"));
            }
            Ok(found) if found.len() == 0 => {
                self.fault(key, format!("{key} = {path_text}: it is empty; {remedy}"));
            }
            Ok(found) => {
                if let Err(error) = fs::File::open(path) {
                    self.fault(
                        key,
                        format!("{key} = {path_text}: {error}; give it to the relay's user"),
                    );
                }
                let given = credentials_directory();
                let is_given = given.is_some_and(|directory| path.starts_with(directory));
                if !is_given && found.permissions().mode() & OTHERS != 0 {
                    self.notes.push(format!(
                        "{key} = {path_text}: others may read it; chmod 600 {path_text}"
                    ));
                }
            }
        }
    }

    /// A password in the file itself is for whoever may read it.
    fn look_at_file(&mut self) {
        let url = &self.config.database.url;
        let has_password = url.contains("password=")
            || url.rsplit_once('@').is_some_and(|(head, _)| head.matches(':').count() > 1);
        if has_password {
            self.notes.push(
                "database.url holds a password: put it into database.password_file, or give it as the \
                 credential database-password"
                    .to_owned(),
            );
        }
    }

    fn look_at_data_dir(&mut self) {
        let data_dir = &self.config.data_dir;
        let path = data_dir.display();
        match fs::metadata(data_dir) {
            Err(_) => self.notes.push(format!("data_dir = {path}: it is made at the first start")),
            Ok(found) if !found.is_dir() => {
                let message = format!("data_dir = {path}: it is no directory; name another one");
                self.fault("data_dir", message);
            }
            Ok(found) => {
                if found.permissions().mode() & OTHERS != 0 {
                    self.notes.push(format!(
                        "data_dir = {path}: others may look into it; the relay closes it at its start"
                    ));
                }
                let me = rustix::process::geteuid().as_raw();
                if private_file::owner(data_dir).is_some_and(|owner| owner != me) {
                    self.notes.push(format!(
                        "data_dir = {path}: it belongs to somebody else than who asks: check as sudo -u \
                         nightjar-relay"
                    ));
                }
            }
        }
    }

    fn look_at_ports(&mut self) {
        let server = DataLock::server_of(&self.config.data_dir);
        for (key, address) in listeners(self.config) {
            let Err(error) = TcpListener::bind(address) else { continue };
            match server {
                Some(process) => {
                    self.notes.push(format!(
                        "{key} = {address}: in use, as it should be by the relay that runs (process {process})"
                    ));
                }
                None => self.fault(
                    key,
                    format!(
                        "{key} = {address}: {error}; stop what listens there, or choose another"
                    ),
                ),
            }
        }
    }
}

fn listeners(config: &Config) -> Vec<(&'static str, SocketAddr)> {
    let is_embedded = config.store.engine == StoreEngine::Embedded;
    let store = is_embedded && !config.store_shares_listener();
    let turn = config.turn_engine() == TurnEngine::Embedded;
    [
        ("listen", Some(config.listen)),
        ("store.listen", store.then_some(config.store.listen)),
        ("mqtt.listen", Some(config.mqtt.listen)),
        ("operations_listen", config.operations_listen),
        ("tls.http_listen", config.tls.http_listen),
        ("turn.listen", config.turn.listen.filter(|_| turn)),
        ("turn.tls_listen", config.turn.tls_listen.filter(|_| turn)),
    ]
    .into_iter()
    .filter_map(|(key, address)| Some((key, address?)))
    .filter(|(_, address)| address.port() != 0)
    .collect()
}

//! A relay of one's own: its own ports, its own data directory.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{api::Api, process::Process, programs, wait};

const START_LIMIT: Duration = Duration::from_secs(20);
/// Written by the relay below its data directory.
const CA_FILE: &str = "ca.pem";

/// The relay's three listeners.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub web: u16,
    pub store: u16,
    pub mqtt: u16,
}

impl Ports {
    /// Three that are free now.
    pub fn free() -> Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free");
        // All three at once, so that they differ.
        let listeners = [listen()?, listen()?, listen()?];
        let port = |index: usize| listeners[index].local_addr().map(|address| address.port());
        Ok(Self { web: port(0)?, store: port(1)?, mqtt: port(2)? })
    }

    /// The demo's: one that people type, and the two after it.
    pub fn from(web: u16) -> Result<Self> {
        ensure!(web <= u16::MAX - 3, "DEMO_PORT={web}: three more ports must follow it");
        Ok(Self { web, store: web + 1, mqtt: web + 2 })
    }
}

/// Where a relay listens, and the name by which others reach it.
#[derive(Debug, Clone)]
pub struct Place {
    pub ports: Ports,
    pub listen: IpAddr,
    pub scheme: &'static str,
    pub host: String,
    /// Who may make an account.
    pub registration: &'static str,
    /// The section `[turn]` of its configuration.
    pub turn: String,
    /// The section `[mail]`.
    pub mail: String,
    /// The section `[database]`: SQLite where it is empty.
    pub database: String,
    /// The section `[store]`, where that is not the embedded one.
    pub store: Option<String>,
    /// Further sections.
    pub more: String,
}

impl Place {
    /// Plain http on loopback; a browser treats localhost as secure.
    pub fn loopback(ports: Ports) -> Self {
        let listen = IpAddr::from(Ipv4Addr::LOCALHOST);
        Self {
            ports,
            listen,
            scheme: "http",
            host: "localhost".to_owned(),
            registration: "open",
            turn: String::new(),
            mail: String::new(),
            database: String::new(),
            store: None,
            more: String::new(),
        }
    }

    /// The same by IPv6, with https: in addresses, at listeners and in the certificate.
    pub fn loopback_v6(ports: Ports) -> Self {
        Self {
            listen: IpAddr::from(Ipv6Addr::LOCALHOST),
            scheme: "https",
            host: "[::1]".to_owned(),
            ..Self::loopback(ports)
        }
    }

    /// Where browsers go.
    pub fn web_url(&self) -> String {
        self.url(self.scheme, self.ports.web)
    }

    fn url(&self, scheme: &str, port: u16) -> String {
        format!("{scheme}://{}:{port}", self.host)
    }

    /// Leaves no share of the disk free: it is a developer's, and may be large and nearly full.
    fn config(&self, data_dir: &Path) -> String {
        let Ports { web, store, mqtt } = self.ports;
        let [web_listen, store_listen, mqtt_listen] =
            [web, store, mqtt].map(|port| SocketAddr::new(self.listen, port));
        let embedded = format!(
            "[store]\nlisten = \"{store_listen}\"\npublic_url = \"{}\"\n",
            self.url(self.scheme, store)
        );
        format!(
            "public_url = \"{web_url}\"\n\
             listen = \"{web_listen}\"\n\
             data_dir = \"{data_dir}\"\n\
             registration = \"{registration}\"\n\
             [mqtt]\n\
             listen = \"{mqtt_listen}\"\n\
             public_url = \"{mqtt_url}\"\n\
             [limits]\n\
             free_percent = 0\n\
             {store_section}{turn}{mail}{database}{more}",
            registration = self.registration,
            turn = self.turn,
            mail = self.mail,
            database = self.database,
            more = self.more,
            store_section = self.store.as_ref().unwrap_or(&embedded),
            web_url = self.web_url(),
            mqtt_url = self.url("mqtts", mqtt),
            data_dir = data_dir.display(),
        )
    }
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    place: Place,
    directory: PathBuf,
    /// Whom browsers trust, where that is not the relay's own authority.
    public_ca: Option<PathBuf>,
    process: Process,
}

impl Relay {
    /// Starts one below `directory` and waits until it is ready.
    pub async fn start(directory: &Path, place: Place) -> Result<Self> {
        let data_dir = directory.join("relay");
        fs::create_dir_all(&data_dir).context("cannot make the relay's data directory")?;
        fs::write(directory.join("relay.toml"), place.config(&data_dir))
            .context("cannot write relay.toml")?;
        let process = launch(directory)?;
        let mut relay = Self { place, directory: directory.to_owned(), public_ca: None, process };
        relay.ready().await?;
        Ok(relay)
    }

    /// Where browsers go.
    pub fn url(&self) -> String {
        self.place.web_url()
    }

    pub fn mqtt_url(&self) -> String {
        self.place.url("mqtts", self.place.ports.mqtt)
    }

    /// Calls from now on as somebody who trusts this authority, and no other.
    pub fn trust(&mut self, ca: PathBuf) {
        self.public_ca = Some(ca);
    }

    /// The relay's own authority, PEM.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("relay").join(CA_FILE)
    }

    pub fn ports(&self) -> Ports {
        self.place.ports
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn log_text(&self) -> String {
        self.process.log_text()
    }

    /// A caller without an account.
    pub fn api(&self) -> Result<Api> {
        let ca = || self.public_ca.clone().unwrap_or_else(|| self.ca());
        let ca = (self.place.scheme == "https").then(ca);
        Api::new(&self.url(), ca.as_deref())
    }

    /// SIGKILL, then a new process on the same data.
    pub async fn crash_and_restart(&mut self) -> Result<()> {
        self.process.kill();
        self.process = launch(&self.directory)?;
        self.ready().await
    }

    pub async fn stop(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.stop(within).await
    }

    /// Fails when it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        self.process.check_running()
    }

    async fn ready(&mut self) -> Result<()> {
        // With https the authority is made in the first moments.
        wait::until("the relay is ready", START_LIMIT, async || {
            let ready = match self.api() {
                Ok(api) => api.get("/readyz").await,
                Err(error) => Err(error),
            };
            Ok(ready.is_ok_and(|answer| answer.status.is_success()).then_some(()))
        })
        .await
        .or_else(|error| self.process.check_running().and(Err(error)))
    }
}

fn launch(directory: &Path) -> Result<Process> {
    let program = programs::find("nightjar-relay")?;
    let config = directory.join("relay.toml");
    let arguments = ["serve".as_ref(), "--config".as_ref(), config.as_os_str()];
    Process::start(&program, arguments, &directory.join("relay.log"))
}

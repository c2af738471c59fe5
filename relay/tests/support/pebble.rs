//! Pebble, the ACME server that Let's Encrypt tests clients with, on loopback; and its DNS, which leads every name
//! there.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{
    issuer::Issuer,
    support::{self, PATIENCE, client},
};

pub(crate) struct Pebble {
    /// The server and its DNS, which end with it.
    _programs: [Child; 2],
    directory: TempDir,
    port: u16,
    management: u16,
}

/// At which ports it looks for proofs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) tls: u16,
}

/// A port that nobody listens at now, below those that the kernel gives to others.
pub(crate) fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + u16::try_from((std::process::id() * 37 + count) % 9_000).unwrap();
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

impl Pebble {
    /// Starts one whose certificates live for years; says so where it is not installed.
    pub(crate) async fn start(ports: Ports) -> Option<Self> {
        Self::start_with(ports, Duration::from_hours(5 * 365 * 24)).await
    }

    /// The same, which takes those alone who show a key that it gave out.
    pub(crate) async fn start_for_customers(ports: Ports, key_id: &str, key: &str) -> Option<Self> {
        let mut keys = serde_json::Map::new();
        keys.insert(key_id.to_owned(), json!(key));
        let life = Duration::from_hours(90 * 24);
        Self::start_as(
            ports,
            life,
            json!({"externalAccountBindingRequired": true, "externalAccountMACKeys": keys}),
        )
        .await
    }

    /// The same, whose certificates live for so long.
    pub(crate) async fn start_with(ports: Ports, life: Duration) -> Option<Self> {
        Self::start_as(ports, life, json!({})).await
    }

    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    async fn start_as(ports: Ports, life: Duration, more: serde_json::Value) -> Option<Self> {
        // Shown with the output of a test that fails.
        let _ = tracing_subscriber::fmt().with_test_writer().with_env_filter("info").try_init();
        let directory = support::directory();
        let path = |name: &str| directory.path().join(name);
        let authority = Issuer::new("Pebble's own authority");
        let (chain, key) = authority.pair(&["localhost"]);
        fs::write(path("ca.pem"), authority.pem()).unwrap();
        fs::write(path("cert.pem"), chain).unwrap();
        fs::write(path("key.pem"), key).unwrap();
        let [port, management, dns, dns_management] = [(); 4].map(|()| free_port());
        let mut config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("cert.pem"),
            "privateKey": path("key.pem"),
            "httpPort": ports.http,
            "tlsPort": ports.tls,
            "domainBlocklist": ["refused.example"],
            "certificateValidityPeriod": life.as_secs(),
        }});
        let settings = config["pebble"].as_object_mut().unwrap();
        settings.extend(more.as_object().unwrap().clone());
        fs::write(path("config.json"), config.to_string()).unwrap();
        let start = |program: &str, arguments: &[String]| {
            let log = fs::File::create(path(program)).unwrap();
            Command::new(program)
                .args(arguments)
                .env("PEBBLE_VA_NOSLEEP", "1")
                // Some nonces, as a client must bear.
                .env("PEBBLE_WFE_NONCEREJECT", "10")
                .env("PEBBLE_AUTHZREUSE", "0")
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
        };
        let names = ["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""];
        let mut arguments: Vec<String> = names.map(str::to_owned).into();
        arguments.extend(["-dns01".to_owned(), format!("127.0.0.1:{dns}")]);
        arguments.extend(["-management".to_owned(), format!("127.0.0.1:{dns_management}")]);
        let Ok(names) = start("pebble-challtestsrv", &arguments) else {
            eprintln!("SKIPPED: pebble-challtestsrv of Debian's package pebble cannot be run");
            return None;
        };
        let config = path("config.json").display().to_string();
        let arguments =
            ["-config".to_owned(), config, "-dnsserver".to_owned(), format!("127.0.0.1:{dns}")];
        let pebble = start("pebble", &arguments).unwrap();
        let deadline = Instant::now() + PATIENCE;
        for port in [port, management, dns_management] {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                assert!(
                    Instant::now() < deadline,
                    "{}",
                    fs::read_to_string(path("pebble")).unwrap()
                );
                sleep(Duration::from_millis(20)).await;
            }
        }
        Some(Self { _programs: [pebble, names], directory, port, management })
    }

    pub(crate) fn directory_url(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The authority of the server's own certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The authority of what it gives out, in PEM.
    pub(crate) async fn root(&self) -> String {
        let ca = fs::read(self.ca_file()).unwrap();
        let ca = reqwest::Certificate::from_pem(&ca).unwrap();
        let client = client().tls_certs_only([ca]).build().unwrap();
        let url = format!("https://localhost:{}/roots/0", self.management);
        client.get(url).send().await.unwrap().text().await.unwrap()
    }
}

/// What an authority of our own leaves in a directory for a relay to read.
pub(crate) fn lay(directory: &Path, (chain, key): &(String, String)) {
    // As most tools do: each file by itself, the chain first.
    fs::write(directory.join("fullchain.pem"), chain).unwrap();
    fs::write(directory.join("privkey.pem"), key).unwrap();
}

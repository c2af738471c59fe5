//! The configurations that we give for nginx, Caddy and `HAProxy`, run by the programs themselves in
//! front of a relay: app, API, WebSocket, store, and limits by the client's address.

use std::{
    fs, iter,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use futures::StreamExt as _;
use nightjar_relay::engines::tls::Certificates;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{net::TcpStream, process::Command, time::Instant};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async, tungstenite::client::IntoClientRequest as _,
};

use crate::{
    clips::{FOOTAGE, fetch, upload},
    databases::Engine,
    issuer::trusting,
    person::{PASSWORD, Person},
    relay::TestRelay,
    support::{self, PATIENCE, within},
};

struct Program {
    name: &'static str,
    /// Beside the relay's sources.
    sample: &'static str,
    proxy_protocol: bool,
}

struct Ports {
    app: u16,
    store: u16,
    mqtt: u16,
    relay: u16,
    relay_store: u16,
    relay_mqtt: u16,
}

/// A port that was free a moment ago: what is to be served must be known before it is. Below those
/// that the kernel gives to others meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    let mut ports = iter::repeat_with(|| {
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        20_000 + u16::try_from((std::process::id() * 31 + count) % 12_000).unwrap()
    });
    ports.find(is_free).unwrap()
}

impl Program {
    /// The sample with this machine's ports and a certificate for localhost.
    fn adapted(&self, directory: &Path, ports: &Ports) -> (PathBuf, Vec<String>) {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxies").join(self.sample);
        let mut text = fs::read_to_string(sample).unwrap();
        let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "the sample has no {from}");
            text = text.replace(from, to);
        };
        replace("127.0.0.1:8080", &format!("127.0.0.1:{}", ports.relay));
        replace("127.0.0.1:8081", &format!("127.0.0.1:{}", ports.relay_store));
        let file = path(self.sample);
        let arguments = match self.name {
            "nginx" => {
                replace("listen 443", &format!("listen {}", ports.app));
                replace("listen [::]:443", &format!("listen [::]:{}", ports.app));
                replace("listen 8443", &format!("listen {}", ports.store));
                replace("listen [::]:8443", &format!("listen [::]:{}", ports.store));
                let certificates = "/etc/letsencrypt/live/cam.example.org";
                replace(&format!("{certificates}/fullchain.pem"), &path("server.pem"));
                replace(&format!("{certificates}/privkey.pem"), &path("server-key.pem"));
                let here = path("");
                text = format!(
                    "daemon off; master_process off; pid {here}pid; error_log stderr; events {{}}\n\
                     http {{ access_log off; client_body_temp_path {here}body;\n\
                     proxy_temp_path {here}proxy; fastcgi_temp_path {here}fastcgi;\n\
                     uwsgi_temp_path {here}uwsgi; scgi_temp_path {here}scgi;\n{text}\n}}"
                );
                vec!["-p".to_owned(), here, "-c".to_owned(), file.clone()]
            }
            "caddy" => {
                let tls = format!("{{\n\ttls {} {}", path("server.pem"), path("server-key.pem"));
                replace("org:8443 {", &format!("org:{} {tls}", ports.store));
                replace("org {", &format!("org:{} {tls}", ports.app));
                replace("cam.example.org:", "localhost:");
                text = format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}");
                ["run", "--adapter", "caddyfile", "--config"]
                    .map(str::to_owned)
                    .into_iter()
                    .chain([file.clone()])
                    .collect()
            }
            _ => {
                replace("bind :443", &format!("bind :{}", ports.app));
                replace("bind :8443", &format!("bind :{}", ports.store));
                replace("bind :8883", &format!("bind :{}", ports.mqtt));
                replace("127.0.0.1:8884", &format!("127.0.0.1:{}", ports.relay_mqtt));
                replace("/etc/haproxy/cam.example.org.pem", &path("both.pem"));
                vec!["-db".to_owned(), "-f".to_owned(), file.clone()]
            }
        };
        fs::write(&file, text).unwrap();
        (PathBuf::from(file), arguments)
    }
}

/// Tries one program; says so where it is not installed.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
async fn in_front(program: Program) {
    let directory = support::directory();
    let certificates =
        Certificates::load_or_create(directory.path(), &[], nightjar_relay::clock::now()).unwrap();
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    fs::write(directory.path().join("both.pem"), read("server.pem") + &read("server-key.pem"))
        .unwrap();
    let (app, store, mqtt) = (free_port(), free_port(), free_port());
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        config.public_url = format!("https://localhost:{app}");
        config.store.public_url = format!("https://localhost:{store}");
        config.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
        (config.tls.enabled, config.store.tls) = (false, false);
        config.proxy_protocol = program.proxy_protocol;
        config.store.proxy_protocol = program.proxy_protocol;
        config.mqtt.proxy_protocol = program.proxy_protocol;
        if program.proxy_protocol {
            config.mqtt.public_url = format!("mqtts://localhost:{mqtt}");
        }
    })
    .await;
    let config = &relay.app().config;
    let (relay_port, relay_store) = (config.listen.port(), config.store.listen.port());
    let relay_mqtt = relay.app().broker.address().port();
    let ports = Ports { app, store, mqtt, relay: relay_port, relay_store, relay_mqtt };
    let (_, arguments) = program.adapted(directory.path(), &ports);
    let log = fs::File::create(directory.path().join("log")).unwrap();
    let started = Command::new(program.name)
        .args(arguments)
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .env("HOME", directory.path())
        .env("XDG_DATA_HOME", directory.path())
        .env("XDG_CONFIG_HOME", directory.path())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            eprintln!("SKIPPED: {} cannot be run: {error}", program.name);
            return relay.stop().await;
        }
    };
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", app)).await.is_err() {
        let ended = running.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {}", read("log"));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    try_all(&relay, &certificates.ca_pem()).await;
    running.kill().await.unwrap();
    relay.stop().await;
}

fn browser_at(relay: &TestRelay, ca_pem: &str, address: &str) -> Person {
    let client = Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(ca_pem.as_bytes()).unwrap()])
        // The port is the URL's.
        .resolve("localhost", "127.0.0.1:0".parse().unwrap())
        .local_address(address.parse::<std::net::IpAddr>().unwrap())
        .build()
        .unwrap();
    Person { client, ..relay.stranger() }
}

async fn try_all(relay: &TestRelay, ca_pem: &str) {
    let mut alice = browser_at(relay, ca_pem, "127.0.0.3");
    let page = alice.client.get(alice.url("/")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("<!doctype html>"));
    let sign_up = json!({"email": "alice@example.org", "password": PASSWORD});
    let answer = alice.post("auth/register", sign_up.clone()).await;
    assert!(answer.cookie().starts_with("__Host-session="), "{}", answer.cookie());
    alice.cookie = Some(answer.cookie());
    // The proxy's certificate is not the relay's: a camera must not be told to look for that.
    let pairing = alice.open_pairing().await;
    assert_eq!(pairing["ca_sha256"], Value::Null);

    let mut camera = relay.device();
    camera.caller.client = browser_at(relay, ca_pem, "127.0.0.4").client;
    camera.claim_by("secret", pairing["secret"].as_str().unwrap()).await.body(200);
    camera.get_token().await;
    let clip_id = upload(&camera, None).await;
    let playback = alice.get(&format!("clips/{clip_id}/playback")).await.body(200);
    assert_eq!(fetch(&alice, &playback["parts"][0]["url"]).await, (200, FOOTAGE.to_vec()));
    hears_hello(&alice, ca_pem).await;
    // MQTT within https, and by its own port: subscribed, and heard.
    camera.connect_within_http(relay, ca_pem).await;
    camera.connect(relay).await;

    let guesser = browser_at(relay, ca_pem, "127.0.0.5");
    let guess = json!({"email": "nobody@example.org", "password": "x"});
    let mut let_in = 0;
    loop {
        let disguise = format!("198.51.100.{let_in}");
        let request = guesser
            .request(reqwest::Method::POST, "auth/login")
            .json(&guess)
            .header("x-forwarded-for", &disguise)
            .header("forwarded", format!("for={disguise}"));
        match request.send().await.unwrap().status().as_u16() {
            401 => let_in += 1,
            status => break assert_eq!(status, 429),
        }
        assert!(let_in < 20, "a guesser chooses his address");
    }
    let newcomer = browser_at(relay, ca_pem, "127.0.0.6");
    newcomer.post("auth/login", sign_up).await.body(200);
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Opens a WebSocket to a relay, or to a proxy before it, whose certificate this authority vouches for.
pub(crate) async fn hears_hello(person: &Person, ca_pem: &str) {
    open_socket(person, ca_pem).await;
}

/// The same, and keeps it.
pub(crate) async fn open_socket(person: &Person, ca_pem: &str) -> Socket {
    let ticket = person.post("ws/tickets", Value::Null).await.body(200);
    let url = person.url(&format!("ws?ticket={}", ticket["ticket"].as_str().unwrap()));
    let url = url.replace("https://", "wss://").into_client_request().unwrap();
    let port = url.uri().port_u16().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let config = Arc::new(trusting(ca_pem));
    let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    hears_of(&mut socket, "hello").await;
    socket
}

/// Waits until the socket tells of this.
pub(crate) async fn hears_of(socket: &mut Socket, kind: &str) {
    loop {
        let message = within(PATIENCE, socket.next()).await.unwrap().unwrap();
        let Ok(text) = message.into_text() else { continue };
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        if told["type"] == kind {
            return;
        }
    }
}

#[tokio::test]
async fn nginx_in_front_as_we_configure_it() {
    in_front(Program { name: "nginx", sample: "nginx.conf", proxy_protocol: false }).await;
}

#[tokio::test]
async fn caddy_in_front_as_we_configure_it() {
    in_front(Program { name: "caddy", sample: "Caddyfile", proxy_protocol: false }).await;
}

#[tokio::test]
async fn haproxy_in_front_as_we_configure_it() {
    in_front(Program { name: "haproxy", sample: "haproxy.cfg", proxy_protocol: true }).await;
}

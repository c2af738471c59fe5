//! A certificate that browsers know: from files, and by ACME. Cameras notice nothing of either.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use http::header;
use nightjar_relay::config::{AcmeConfig, ChallengeKind, Config, ExternalAccountConfig};
use reqwest::{Client, redirect};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    clips::{FOOTAGE, fetch, upload},
    databases::Engine,
    device::Device,
    issuer::{Issuer, pinning, trusting},
    pebble::{Pebble, Ports, free_port, lay},
    person::Person,
    relay::{TestRelay, eventually},
    support::{self, PATIENCE, within},
    turn::{credentials, with_turn},
    turn_client::binding,
};

const APP: &str = "localhost";
const STORE: &str = "store.localhost";

/// App and store at one port, by two names, with https.
fn at_one_port(config: &mut Config, port: u16) {
    config.listen = format!("127.0.0.1:{port}").parse().unwrap();
    config.public_url = format!("https://{APP}:{port}");
    config.store.listen = config.listen;
    config.store.public_url = format!("https://{STORE}:{port}");
}

fn by_acme(pebble: &Pebble, challenges: &[ChallengeKind]) -> AcmeConfig {
    AcmeConfig {
        directory: pebble.directory_url(),
        contact: vec!["mailto:operator@example.org".to_owned()],
        terms_agreed: true,
        ca_file: Some(pebble.ca_file()),
        challenges: challenges.to_vec(),
        external_account: None,
    }
}

/// Somebody whose browser trusts this authority alone.
fn browser(relay: &TestRelay, ca_pem: &str) -> Person {
    let config = trusting(ca_pem);
    Person { client: client(config), ..relay.stranger() }
}

fn client(config: rustls::ClientConfig) -> Client {
    Client::builder()
        .tls_backend_preconfigured(config)
        .resolve(STORE, "127.0.0.1:0".parse().unwrap())
        .redirect(redirect::Policy::none())
        .build()
        .unwrap()
}

/// A camera that pins the relay's own authority and says so, as the agent does.
async fn camera_of(relay: &TestRelay, owner: &Person) -> Device {
    let pairing = owner.open_pairing().await;
    assert_eq!(pairing["ca_sha256"], relay.app().certificates.ca_sha256(), "it is always pinned");
    let mut device = relay.device();
    device.caller.client = client(pinning(&relay.app().certificates.ca_pem()));
    device.claim_by("secret", pairing["secret"].as_str().unwrap()).await.body(200);
    device.get_token().await;
    device
}

/// The camera comes anew, over https and over MQTT within it, uploads a clip and is told to do something.
async fn works(relay: &TestRelay, camera: &mut Device, owner: &Person) {
    camera.get_token().await;
    let clip_id = upload(camera, None).await;
    let playback = owner.get(&format!("clips/{clip_id}/playback")).await.body(200);
    assert_eq!(fetch(owner, &playback["parts"][0]["url"]).await, (200, FOOTAGE.to_vec()));
    let ca_pem = relay.app().certificates.ca_pem();
    for within_https in [true, false] {
        let mut online = if within_https {
            camera.connect_within_http(relay, &ca_pem).await
        } else {
            camera.connect(relay).await
        };
        let door = format!("cameras/{}/commands", online.id);
        let issued = owner.post(&door, json!({"kind": "arm"})).await.body(202);
        // What it was told before and did not answer comes again.
        while json!(online.command().await.command_id) != issued["command_id"] {}
    }
}

/// What readiness says of the certificate.
async fn told(person: &Person) -> Value {
    person.get("/readyz").await.body(200)["certificate"].clone()
}

fn troubles(told: &Value) -> Vec<&str> {
    let troubles = told["troubles"].as_array().unwrap();
    troubles.iter().map(|it| it["code"].as_str().unwrap()).collect()
}

/// Whether a browser that trusts this authority alone takes what the relay shows at this name.
async fn issuer_at(relay: &TestRelay, ca_pem: &str, name: &'static str) -> bool {
    shows(relay.address().port(), ca_pem, name).await
}

/// Whether a browser that trusts this authority alone takes what is shown at a port of this machine.
async fn shows(port: u16, ca_pem: &str, name: &'static str) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let connector = TlsConnector::from(Arc::new(trusting(ca_pem)));
    connector.connect(name.try_into().unwrap(), stream).await.is_ok()
}

/// Whether STUN is answered within TLS, to who trusts this authority alone.
async fn answers_stun(port: u16, ca_pem: &str) -> bool {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let connector = TlsConnector::from(Arc::new(trusting(ca_pem)));
    let mut stream = connector.connect(APP.try_into().unwrap(), stream).await.unwrap();
    stream.write_all(&binding()).await.unwrap();
    let mut head = [0; 2];
    within(PATIENCE, stream.read_exact(&mut head)).await.unwrap();
    // A success of a binding (RFC 8489, 5).
    head == [0x01, 0x01]
}

/// A relay with a certificate in files, which an authority of somebody else signed.
struct WithFiles {
    relay: TestRelay,
    issuer: Issuer,
    files: TempDir,
}

fn use_files(config: &mut Config, directory: &std::path::Path) {
    config.tls.certificate = Some(directory.join("fullchain.pem"));
    config.tls.key = Some(directory.join("privkey.pem"));
}

impl WithFiles {
    async fn start() -> Self {
        let (issuer, files) = (Issuer::new("Somebody"), support::directory());
        lay(files.path(), &issuer.pair(&[APP, STORE]));
        let relay = TestRelay::start(Engine::Sqlite, |config| {
            at_one_port(config, free_port());
            use_files(config, files.path());
            with_turn(config);
            // At ports of its own.
            config.turn.web_port = Some(false);
        })
        .await;
        Self { relay, issuer, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Has the relay look at its files now, not in some seconds.
    fn look(&self) {
        self.relay.pass(Duration::ZERO);
    }
}

/// Whoever takes the file away wants another one: a key was stolen, for instance.
fn forget_certificate(relay: &TestRelay) {
    for file in fs::read_dir(relay.app().config.data_dir.join("acme")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|it| it == "pem") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn files_that_change_are_shown_at_once_and_to_browsers_alone() {
    let at = WithFiles::start().await;
    let relay = &at.relay;
    let mut alice = browser(relay, at.issuer.pem());
    alice.sign_up("alice@example.org").await;
    let mut camera = camera_of(relay, &alice).await;
    works(relay, &mut camera, &alice).await;
    let seen = told(&alice).await;
    assert_eq!((&seen["source"], troubles(&seen)), (&json!("files"), vec![]));
    let turn = credentials(&alice, &camera).await.tls_port.parse().unwrap();
    assert!(shows(turn, at.issuer.pem(), APP).await);
    // Who trusts the relay's own authority and does not say so is a browser.
    let own = relay.app().certificates.ca_pem();
    assert!(!issuer_at(relay, &own, APP).await && !issuer_at(relay, &own, STORE).await);

    let renewed = Issuer::new("Somebody else");
    lay(at.files.path(), &renewed.pair(&[STORE, APP]));
    at.look();
    for name in [APP, STORE] {
        let shown = async || issuer_at(relay, renewed.pem(), name).await;
        eventually(shown, |shown| *shown).await;
    }
    alice.client = browser(relay, renewed.pem()).client;
    works(relay, &mut camera, &alice).await;
    at.relay.stop().await;
}

#[tokio::test]
async fn what_cannot_be_shown_is_named_and_the_old_certificate_goes_on() {
    const DAY: Duration = Duration::from_hours(24);
    let at = WithFiles::start().await;
    let (relay, good) = (&at.relay, at.issuer.pair(&[APP, STORE]));
    let alice = browser(relay, at.issuer.pem());
    let now = relay.app().now();
    let names = [APP, STORE];
    let (chain, key) = good.clone();
    let half = chain[..chain.len() / 4].to_owned();
    let foreign_key = at.issuer.pair(&names).1;
    let old = at.issuer.pair_between(&names, now.minus(DAY * 90), now.minus(DAY));
    let early = at.issuer.pair_between(&names, now.plus(DAY), now.plus(DAY * 9));
    let wrong = [
        ("no_certificate", (String::new(), key.clone())),
        ("no_certificate", (half, key.clone())),
        ("no_key", (chain.clone(), "-----BEGIN PRIVATE KEY-----\n".to_owned())),
        ("no_key", (chain.clone(), chain.clone())),
        ("certificate_of_other_key", (chain.clone(), foreign_key)),
        ("certificate_of_other_host", at.issuer.pair(&[APP])),
        ("certificate_of_other_host", at.issuer.pair(&["elsewhere.example"])),
        ("certificate_expired", old),
        ("certificate_not_yet_valid", early),
        ("certificate_unreadable", ("x".repeat(300_000), key.clone())),
    ];
    for (code, pair) in wrong {
        lay(at.files.path(), &pair);
        at.look();
        let seen = eventually(async || told(&alice).await, |seen| troubles(seen) == [code]).await;
        assert!(seen["troubles"][0]["next_try_at"].is_i64(), "{seen}");
        assert!(issuer_at(relay, at.issuer.pem(), APP).await, "{code}");
    }
    for name in ["privkey.pem", "fullchain.pem"] {
        lay(at.files.path(), &good);
        fs::remove_file(at.path(name)).unwrap();
        fs::create_dir(at.path(name)).unwrap();
        at.look();
        let unreadable = |seen: &Value| troubles(seen) == ["certificate_unreadable"];
        eventually(async || told(&alice).await, unreadable).await;
        assert!(issuer_at(relay, at.issuer.pem(), APP).await);
        fs::remove_dir(at.path(name)).unwrap();
    }
    lay(at.files.path(), &good);
    at.look();
    eventually(async || told(&alice).await, |seen| troubles(seen).is_empty()).await;
    at.relay.stop().await;
}

#[tokio::test]
async fn without_a_good_one_at_the_start_and_after_its_end_the_relay_shows_its_own() {
    let at = WithFiles::start().await;
    fs::remove_file(at.path("privkey.pem")).unwrap();
    let at = WithFiles { relay: at.relay.restart().await, ..at };
    let own = at.relay.app().certificates.ca_pem();
    let alice = browser(&at.relay, &own);
    let seen = told(&alice).await;
    assert_eq!(troubles(&seen), ["certificate_unreadable"]);
    assert_eq!(seen["ends_at"], Value::Null);

    lay(at.files.path(), &at.issuer.pair(&[APP, STORE]));
    at.look();
    let public = async || issuer_at(&at.relay, at.issuer.pem(), APP).await;
    eventually(public, |public| *public).await;
    at.relay.pass(Duration::from_hours(24 * 10));
    let ended = async || issuer_at(&at.relay, &own, APP).await;
    eventually(ended, |own| *own).await;
    let expired = |seen: &Value| troubles(seen) == ["certificate_expired"];
    eventually(async || told(&browser(&at.relay, &own)).await, expired).await;
    at.relay.stop().await;
}

#[tokio::test]
async fn a_camera_works_on_from_the_own_certificate_over_acme_and_files_and_back() {
    let port = free_port();
    let Some(pebble) = Pebble::start(Ports { http: free_port(), tls: port }).await else { return };
    let files = support::directory();
    let issuer = Issuer::new("Somebody");
    lay(files.path(), &issuer.pair(&[APP, STORE]));
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        at_one_port(config, port);
        with_turn(config);
        config.turn.web_port = Some(true);
    })
    .await;
    let own = relay.app().certificates.ca_pem();
    let mut alice = browser(&relay, &own);
    alice.sign_up("alice@example.org").await;
    let mut camera = camera_of(&relay, &alice).await;
    works(&relay, &mut camera, &alice).await;

    let way = [ChallengeKind::TlsAlpn01];
    let relay = relay.restart_with(|config| config.tls.acme = Some(by_acme(&pebble, &way))).await;
    let root = pebble.root().await;
    for name in [APP, STORE] {
        eventually(async || issuer_at(&relay, &root, name).await, |shown| *shown).await;
    }
    alice.client = browser(&relay, &root).client;
    works(&relay, &mut camera, &alice).await;
    let page = alice.client.get(alice.url("/")).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("<!doctype html>"));
    crate::proxy_programs::hears_hello(&alice, &root).await;
    assert_eq!(credentials(&alice, &camera).await.tls_port, port.to_string());
    assert!(answers_stun(port, &root).await, "TURN is there, too");
    let mut second = camera_of(&relay, &alice).await;

    let relay = relay
        .restart_with(|config| {
            config.tls.acme = None;
            use_files(config, files.path());
        })
        .await;
    alice.client = browser(&relay, issuer.pem()).client;
    works(&relay, &mut camera, &alice).await;
    works(&relay, &mut second, &alice).await;

    let relay =
        relay.restart_with(|config| (config.tls.certificate, config.tls.key) = (None, None)).await;
    alice.client = browser(&relay, &own).client;
    works(&relay, &mut camera, &alice).await;
    works(&relay, &mut second, &alice).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_name_is_proven_at_the_port_of_plain_http_which_otherwise_leads_to_https() {
    let http = free_port();
    let Some(pebble) = Pebble::start(Ports { http, tls: free_port() }).await else { return };
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        at_one_port(config, free_port());
        config.tls.http_listen = Some(format!("127.0.0.1:{http}").parse().unwrap());
        config.tls.acme = Some(by_acme(&pebble, &[ChallengeKind::Http01]));
    })
    .await;
    let root = pebble.root().await;
    eventually(async || issuer_at(&relay, &root, APP).await, |shown| *shown).await;
    let kept = relay.app().config.data_dir.join("acme");
    for file in fs::read_dir(&kept).unwrap() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let plain = client(trusting(&root));
    let get = async |path: &str| {
        let url = format!("http://127.0.0.1:{http}{path}");
        let request = plain.get(url).header(header::HOST, "evil.example");
        let answer = request.send().await.unwrap();
        let target = answer.headers().get(header::LOCATION);
        (answer.status().as_u16(), target.map(|it| it.to_str().unwrap().to_owned()))
    };
    let origin = relay.origin();
    for path in ["/", "/cameras/1?x=y", "//evil.example/"] {
        assert_eq!(get(path).await, (308, Some(format!("{origin}{path}"))));
    }
    assert_eq!(get("/.well-known/acme-challenge/unknown").await, (404, None));
    relay.stop().await;
}

#[tokio::test]
async fn what_an_acme_server_gave_is_kept_over_a_restart_and_had_anew_where_it_was_taken_away() {
    let port = free_port();
    let Some(pebble) = Pebble::start(Ports { http: free_port(), tls: port }).await else { return };
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        at_one_port(config, port);
        config.tls.acme = Some(by_acme(&pebble, &[]));
    })
    .await;
    let root = pebble.root().await;
    eventually(async || issuer_at(&relay, &root, APP).await, |shown| *shown).await;
    let alice = browser(&relay, &root);
    let first = told(&alice).await;
    let kept = || {
        let files = fs::read_dir(relay.app().config.data_dir.join("acme")).unwrap();
        let mut all: Vec<_> =
            files.map(|it| fs::read_to_string(it.unwrap().path()).unwrap()).collect();
        all.sort();
        all
    };
    let had = kept();
    assert_eq!(had.len(), 2, "the account, and chain with key");
    assert!(first["ends_at"].as_i64().unwrap() > relay.app().now().0);
    drop(alice);
    let directory = relay.app().config.data_dir.clone();
    let relay = relay.restart().await;
    assert!(issuer_at(&relay, &root, APP).await, "it is shown from the first connection on");
    forget_certificate(&relay);
    relay.app().certificates.look_again();
    let renewed = async || {
        let files = fs::read_dir(directory.join("acme")).unwrap();
        let mut all: Vec<_> =
            files.filter_map(|it| fs::read_to_string(it.unwrap().path()).ok()).collect();
        all.sort();
        all
    };
    let now = eventually(renewed, |all| all.len() == 2 && *all != had).await;
    assert!(now.iter().any(|text| had.contains(text)), "the account is the same");
    relay.stop().await;
}

#[tokio::test]
async fn a_certificate_is_renewed_when_its_end_comes_near() {
    let port = free_port();
    let ports = Ports { http: free_port(), tls: port };
    let life = Duration::from_mins(20);
    let Some(pebble) = Pebble::start_with(ports, life).await else { return };
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        at_one_port(config, port);
        config.tls.acme = Some(by_acme(&pebble, &[]));
    })
    .await;
    let taken = async || changes(&relay, "acme");
    eventually(taken, |count| *count == 1).await;
    relay.pass(Duration::from_mins(12));
    relay.sweep().await;
    assert_eq!(taken().await, 1, "more than a third of its life is left");
    // Less than by what clocks may be apart: the server's goes on.
    relay.pass(Duration::from_secs(100));
    eventually(taken, |count| *count == 2).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_refused_name_a_wrong_proof_and_a_server_that_is_away_or_unknown_are_named() {
    let port = free_port();
    let elsewhere = Ports { http: free_port(), tls: free_port() };
    let Some(pebble) = Pebble::start(elsewhere).await else { return };
    let relay = TestRelay::start(Engine::Sqlite, |config| at_one_port(config, port)).await;
    let own = relay.app().certificates.ca_pem();
    let mut alice = browser(&relay, &own);
    alice.sign_up("alice@example.org").await;
    let mut camera = camera_of(&relay, &alice).await;

    let good = by_acme(&pebble, &[ChallengeKind::TlsAlpn01]);
    let nobody = format!("https://localhost:{}/dir", free_port());
    let cases = [
        ("acme_not_proven", good.clone()),
        ("acme_unreachable", AcmeConfig { directory: nobody, ..good.clone() }),
        ("acme_untrusted", AcmeConfig { ca_file: None, ..good.clone() }),
        ("certificate_unreadable", AcmeConfig { ca_file: Some("/nowhere".into()), ..good.clone() }),
        ("acme_nonsense", AcmeConfig { directory: pebble.directory_url() + "/x", ..good.clone() }),
    ];
    let mut relay = relay;
    for (code, acme) in cases {
        relay = relay.restart_with(|config| config.tls.acme = Some(acme)).await;
        let seen = eventually(async || told(&alice).await, |seen| troubles(seen) == [code]).await;
        let wait = seen["troubles"][0]["next_try_at"].as_i64().unwrap() - relay.app().now().0;
        assert!(wait > 60_000, "{code}: tried again after {wait} ms");
        works(&relay, &mut camera, &alice).await;
    }
    // What failed is tried again by itself, and an operator waits for nothing.
    let tries = || {
        let metrics = relay.app().metrics.render();
        let name = "nightjar_public_certificate_failures_total{source=\"acme\"} ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok());
        count.unwrap()
    };
    for act in [0, 1] {
        let before = tries();
        match act {
            0 => relay.pass(Duration::from_mins(6)),
            _ => relay.app().certificates.look_again(),
        }
        eventually(async || tries(), |count| *count > before).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_name_that_the_server_refuses_is_named() {
    let port = free_port();
    let Some(pebble) = Pebble::start(Ports { http: free_port(), tls: port }).await else { return };
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        at_one_port(config, port);
        config.public_url = format!("https://refused.example:{port}");
        config.turn.engine = Some(nightjar_relay::config::TurnEngine::None);
        config.tls.acme = Some(by_acme(&pebble, &[]));
    })
    .await;
    let seen = async || {
        let troubles = relay.app().certificates.public().troubles;
        troubles.first().map(|told| told.trouble.code())
    };
    eventually(seen, |code| *code == Some("acme_refused")).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_server_that_takes_its_customers_alone_is_shown_whose_customer_the_relay_is() {
    // As ZeroSSL and others ask (RFC 8555, 7.3.4).
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let port = free_port();
    let ports = Ports { http: free_port(), tls: port };
    let Some(pebble) = Pebble::start_for_customers(ports, "customer 7", KEY).await else { return };
    let stranger = by_acme(&pebble, &[]);
    let directory = support::directory();
    let key_file = directory.path().join("key");
    let customer = |key: &str| {
        fs::write(&key_file, format!("{key}\n")).unwrap();
        let external =
            ExternalAccountConfig { key_id: "customer 7".into(), key_file: key_file.clone() };
        AcmeConfig { external_account: Some(external), ..stranger.clone() }
    };
    let start = async |acme: AcmeConfig| {
        TestRelay::start(Engine::Sqlite, |config| {
            at_one_port(config, port);
            config.tls.acme = Some(acme);
        })
        .await
    };
    let wrong = format!("y{}", &KEY[1..]);
    for refused in [stranger.clone(), customer(&wrong)] {
        let relay = start(refused).await;
        let seen = async || {
            let troubles = relay.app().certificates.public().troubles;
            troubles.first().map(|told| told.trouble.code())
        };
        eventually(seen, |code| *code == Some("acme_refused")).await;
        relay.stop().await;
    }
    let relay = start(customer(&format!("{KEY}=="))).await;
    let root = pebble.root().await;
    eventually(async || issuer_at(&relay, &root, APP).await, |shown| *shown).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_taken_port_for_plain_http_is_named_and_opened_when_it_is_free() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        at_one_port(config, free_port());
        config.tls.http_listen = Some(address);
    })
    .await;
    let codes = async || {
        let troubles = relay.app().certificates.public().troubles;
        troubles.iter().map(|told| told.trouble.code()).collect::<Vec<_>>()
    };
    eventually(codes, |codes| *codes == ["http_port_taken"]).await;
    drop(taken);
    relay.pass(Duration::ZERO);
    eventually(codes, Vec::is_empty).await;
    assert!(TcpStream::connect(address).await.is_ok());
    relay.stop().await;
}

/// How many certificates were taken into use.
fn changes(relay: &TestRelay, source: &str) -> u64 {
    let metrics = relay.app().metrics.render();
    let name = format!("nightjar_public_certificate_changes_total{{source=\"{source}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_default()
}

/// How often a test changes what is shown: `make soak` does so for some minutes.
fn changes_wanted(few: usize) -> usize {
    if std::env::var_os("NIGHTJAR_SOAK").is_some() { few * 200 } else { few }
}

/// Changes the certificate again and again while others connect and are connected: a browser and a camera by one
/// new connection after the other, and a WebSocket and MQTT within https that stand all the time.
async fn change_under_load(
    relay: &TestRelay,
    (root, source): (&str, &str),
    wanted: usize,
    change: impl AsyncFn(),
) {
    // Shown with the output of a test that fails, or of a long one.
    let _ = tracing_subscriber::fmt().with_test_writer().with_env_filter("info").try_init();
    let mut alice = browser(relay, root);
    alice.sign_up("alice@example.org").await;
    let mut camera = camera_of(relay, &alice).await;
    let own = relay.app().certificates.ca_pem();
    let mut online = camera.connect_within_http(relay, &own).await;
    let mut socket = crate::proxy_programs::open_socket(&alice, root).await;

    let (stop, mut requests) = (tokio_util::sync::CancellationToken::new(), 0_u32);
    let knock = async {
        while !stop.is_cancelled() {
            assert_eq!(browser(relay, root).get("/healthz").await.status, 200);
            camera.caller.client = client(pinning(&own));
            assert_eq!(camera.caller.get("/healthz").await.status, 200);
            requests += 2;
        }
    };
    let taken = async || changes(relay, source);
    let change_all = async {
        for _ in 0..wanted {
            let before = taken().await;
            change().await;
            eventually(&taken, |count| *count > before).await;
        }
        stop.cancel();
    };
    tokio::join!(knock, change_all);
    tracing::info!(source, wanted, requests, "no request failed");
    assert!(requests > 4, "{requests} requests");
    // Both connections are those of before.
    let door = format!("cameras/{}/commands", online.id);
    let issued = alice.post(&door, json!({"kind": "arm"})).await.body(202);
    assert_eq!(json!(online.command().await.command_id), issued["command_id"]);
    crate::proxy_programs::hears_of(&mut socket, "command").await;
}

#[tokio::test]
async fn while_files_change_no_request_fails_and_no_connection_is_lost() {
    let at = WithFiles::start().await;
    let change = async || {
        lay(at.files.path(), &at.issuer.pair(&[APP, STORE]));
        at.look();
    };
    change_under_load(&at.relay, (at.issuer.pem(), "files"), changes_wanted(12), change).await;
    at.relay.stop().await;
}

#[tokio::test]
async fn while_a_certificate_is_renewed_no_request_fails_and_no_connection_is_lost() {
    let port = free_port();
    let Some(pebble) = Pebble::start(Ports { http: free_port(), tls: port }).await else { return };
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        at_one_port(config, port);
        config.tls.acme = Some(by_acme(&pebble, &[]));
    })
    .await;
    let root = pebble.root().await;
    eventually(async || issuer_at(&relay, &root, APP).await, |shown| *shown).await;
    let change = async || {
        forget_certificate(&relay);
        relay.app().certificates.look_again();
    };
    change_under_load(&relay, (&root, "acme"), changes_wanted(3), change).await;
    relay.stop().await;
}

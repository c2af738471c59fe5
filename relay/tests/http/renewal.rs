//! The relay's certificate is renewed while the relay runs, wherever it is shown.

use std::{sync::Arc, time::Duration};

use nightjar_shared::{time::UnixMillis, topic::Channel};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
    time_provider::TimeProvider,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    databases::Engine,
    device::{Device, health},
    person::Person,
    relay::{TestRelay, eventually},
    turn::{credentials, with_turn},
};

const DAY: Duration = Duration::from_hours(24);

/// A client's clock.
#[derive(Debug)]
struct At(UnixMillis);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.since(UnixMillis(0))))
    }
}

/// Whether somebody who trusts the relay's authority, and no other, takes what is shown at this
/// port for good at this time.
async fn is_good(relay: &TestRelay, port: u16, at: UnixMillis) -> bool {
    let mut roots = RootCertStore::empty();
    let authority = relay.app().certificates.ca_pem();
    let authority = authority.as_bytes();
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(At(at)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect("localhost".try_into().unwrap(), stream).await.is_ok()
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap()
}

async fn somebody_with_a_camera(relay: &TestRelay) -> (Person, Device) {
    let authority = relay.app().certificates.ca_pem();
    let authority = authority.as_bytes();
    let authority = reqwest::Certificate::from_pem(authority).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let mut alice = Person { client, ..relay.stranger() };
    alice.sign_up("alice@example.org").await;
    let pairing = alice.open_pairing().await;
    let mut device = relay.device();
    device.caller.client = alice.client.clone();
    device.claim_by("secret", pairing["secret"].as_str().unwrap()).await.body(200);
    device.get_token().await;
    (alice, device)
}

#[tokio::test]
async fn every_listener_shows_a_certificate_that_was_renewed_while_the_relay_ran() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        with_turn(config);
        "https://localhost:0".clone_into(&mut config.public_url);
        "https://localhost:0".clone_into(&mut config.store.public_url);
    })
    .await;
    let (alice, device) = somebody_with_a_camera(&relay).await;
    let mut camera = device.connect(&relay).await;
    let config = &relay.app().config;
    let urls = [&config.public_url, &config.store.public_url, &config.mqtt.public_url];
    let turn = credentials(&alice, &device).await.tls_port.parse().unwrap();
    let ports = [port_of(urls[0]), port_of(urls[1]), port_of(urls[2]), turn];
    let now = relay.app().now();
    for port in ports {
        assert!(is_good(&relay, port, now.plus(DAY * 360)).await);
        assert!(!is_good(&relay, port, now.plus(DAY * 370)).await);
    }

    relay.pass(DAY * 280);

    for port in ports {
        let later = now.plus(DAY * 640);
        eventually(async || is_good(&relay, port, later).await, |good| *good).await;
    }
    // Who is connected does not notice.
    camera.say(Channel::UpHealth, &health()).await;
    assert!(relay.app().broker.online(device.id()));
    relay.stop().await;
}

//! A server that wants a certificate renewed before its time, as it is going to revoke it (RFC 9773).

use std::time::Duration;

use nightjar_relay::config::AcmeConfig;

use crate::{
    acme_server::{ASK_AFTER, AcmeServer},
    databases::Engine,
    relay::{TestRelay, eventually},
};

const LONG_AGO: (&str, &str) = ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
const FAR_AWAY: (&str, &str) = ("2120-01-01T00:00:00Z", "2120-01-02T00:00:00Z");

async fn relay_of(server: &AcmeServer) -> TestRelay {
    let (directory, ca_file) = (server.directory_url(), Some(server.ca_file()));
    TestRelay::start(Engine::Sqlite, |config| {
        "https://localhost:0".clone_into(&mut config.public_url);
        config.tls.acme =
            Some(AcmeConfig { directory, terms_agreed: true, ca_file, ..AcmeConfig::default() });
    })
    .await
}

fn pass(relay: &TestRelay, server: &AcmeServer, duration: Duration) {
    server.pass(duration);
    relay.pass(duration);
}

#[tokio::test]
async fn a_server_that_wants_it_early_is_asked_once_and_told_what_is_replaced() {
    let server = AcmeServer::start(None).await;
    server.wants_renewal(FAR_AWAY);
    let relay = relay_of(&server).await;
    eventually(async || server.asked().len(), |count| *count == 1).await;
    assert_eq!(server.orders()[0].get("replaces"), None, "there was none before");

    // It changes its mind, and is asked when it said.
    server.wants_renewal(LONG_AGO);
    pass(&relay, &server, ASK_AFTER / 2);
    relay.sweep().await;
    assert_eq!(server.orders().len(), 1);
    pass(&relay, &server, ASK_AFTER / 2);
    eventually(async || server.orders().len(), |count| *count == 2).await;
    eventually(async || server.asked().len(), |count| *count == 3).await;
    let asked = server.asked();
    assert_eq!(asked[0], asked[1]);
    assert_ne!(asked[1], asked[2], "the new certificate is another");
    assert_eq!(server.orders()[1]["replaces"], asked[0]);
    assert!(relay.app().certificates.public().troubles.is_empty());

    // It wants that one renewed, too: not one after the other without end.
    pass(&relay, &server, Duration::from_mins(59));
    relay.sweep().await;
    assert_eq!(server.orders().len(), 2);
    pass(&relay, &server, Duration::from_mins(2));
    eventually(async || server.orders().len(), |count| *count == 3).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_say_when_is_no_trouble() {
    let server = AcmeServer::start(None).await;
    let relay = relay_of(&server).await;
    eventually(async || server.asked().len(), |count| *count == 1).await;
    pass(&relay, &server, ASK_AFTER);
    relay.sweep().await;
    assert_eq!(server.orders().len(), 1);
    assert!(relay.app().certificates.public().troubles.is_empty());
    relay.stop().await;
}

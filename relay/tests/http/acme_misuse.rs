//! ACME servers that limit, refuse, hang, lie about the time, or give what does not fit: each is named, is asked
//! again later, and leaves the relay with the certificate that it had.

use std::time::Duration;

use nightjar_relay::config::AcmeConfig;
use tokio::net::TcpListener;

use crate::{
    acme_server::{AcmeServer, Misuse},
    databases::Engine,
    relay::{TestRelay, eventually},
};

/// What the relay says after its first try, and in how many seconds it tries again.
async fn first_trouble(relay: &TestRelay) -> (&'static str, u64) {
    let told = async || relay.app().certificates.public().troubles.first().cloned();
    let told = eventually(told, Option::is_some).await.unwrap();
    assert!(!told.trouble.to_string().contains('\n'), "{}", told.trouble);
    assert!(!told.trouble.remedy().is_empty());
    let wait = told.next_try_at.unwrap().since(relay.app().now());
    (told.trouble.code(), wait.as_secs())
}

async fn relay_with(directory: String, ca_file: Option<std::path::PathBuf>) -> TestRelay {
    TestRelay::start(Engine::Sqlite, |config| {
        "https://localhost:0".clone_into(&mut config.public_url);
        config.tls.acme =
            Some(AcmeConfig { directory, terms_agreed: true, ca_file, ..AcmeConfig::default() });
    })
    .await
}

#[tokio::test]
async fn whatever_an_acme_server_does_is_named_and_asked_again_later() {
    for (misuse, code) in [
        (Misuse::LimitsOrders, "acme_rate_limited"),
        (Misuse::RefusesAccounts, "acme_refused"),
        (Misuse::LivesYesterday, "clock_apart"),
        (Misuse::GivesTheChainOfAnotherKey, "certificate_of_other_key"),
        (Misuse::GivesAChainForAnotherName, "certificate_of_other_key"),
        (Misuse::SendsNonsense, "acme_nonsense"),
        (Misuse::SendsAwayToAnotherServer, "acme_nonsense"),
        (Misuse::SendsWithoutEnd, "acme_nonsense"),
    ] {
        let server = AcmeServer::start(Some(misuse)).await;
        let relay = relay_with(server.directory_url(), Some(server.ca_file())).await;
        let (found, wait) = first_trouble(&relay).await;
        assert_eq!(found, code, "{misuse:?}");
        if misuse == Misuse::LimitsOrders {
            assert!(wait > 7_000, "it asked for two hours, and is asked after {wait} s");
        } else {
            assert!((120..7_200).contains(&wait), "{misuse:?}: {wait} s");
        }
        assert!(relay.app().certificates.public().certificate.is_none());
        relay.stop().await;
    }
}

#[tokio::test]
async fn an_acme_server_that_hangs_is_given_up() {
    // It accepts, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let relay = relay_with(format!("https://localhost:{port}/dir"), None).await;
    assert_eq!(first_trouble(&relay).await.0, "acme_no_answer");
    let began = tokio::time::Instant::now();
    relay.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "an attempt holds up the end");
}

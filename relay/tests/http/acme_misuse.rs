//! ACME servers that limit, refuse, hang, lie about the time, or give what does not fit: each is named, is asked
//! again later, and leaves the relay with the certificate that it had.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, Uri, header};
use nightjar_relay::{
    config::AcmeConfig,
    doors::server::{self, ServerLimits},
    engines::metrics::Metrics,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    databases::Engine,
    issuer::Issuer,
    relay::{TestRelay, eventually},
    server::options,
    support,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misuse {
    LimitsOrders,
    RefusesAccounts,
    LivesYesterday,
    GivesTheChainOfAnotherKey,
    GivesAChainForAnotherName,
    SendsNonsense,
    SendsAwayToAnotherServer,
    SendsWithoutEnd,
}

struct Server {
    origin: String,
    misuse: Misuse,
    issuer: Issuer,
    is_final: AtomicBool,
}

fn problem(status: StatusCode, kind: &str) -> Response {
    let problem =
        json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "no\nway"});
    (status, [(header::RETRY_AFTER, "7200")], problem.to_string()).into_response()
}

async fn answer(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let Server { origin, misuse, issuer, is_final } = &*server;
    let url = |path: &str| format!("{origin}{path}");
    let created = |path: &str, body: Value| {
        (StatusCode::CREATED, [(header::LOCATION, url(path))], body.to_string()).into_response()
    };
    let order = |status: &str| {
        json!({"status": status, "identifiers": [], "authorizations": [],
            "finalize": url("/finalize"), "certificate": url("/certificate")})
    };
    let mut response = match uri.path() {
        "/dir" if *misuse == Misuse::SendsNonsense => "hello".into_response(),
        "/dir" if *misuse == Misuse::SendsAwayToAnotherServer => {
            (StatusCode::FOUND, [(header::LOCATION, "https://localhost:1/dir")]).into_response()
        }
        "/dir" if *misuse == Misuse::SendsWithoutEnd => {
            let endless =
                futures::stream::repeat(Ok::<_, std::convert::Infallible>(vec![b' '; 4_096]));
            Body::from_stream(endless).into_response()
        }
        "/dir" => json!({"newNonce": url("/nonce"), "newAccount": url("/account"),
            "newOrder": url("/order"), "revokeCert": url("/revoke"), "keyChange": url("/key")})
        .to_string()
        .into_response(),
        "/nonce" => StatusCode::OK.into_response(),
        "/account" if *misuse == Misuse::RefusesAccounts => {
            problem(StatusCode::FORBIDDEN, "unauthorized")
        }
        "/account" => created("/account/1", json!({"status": "valid"})),
        "/order" if *misuse == Misuse::LimitsOrders => {
            problem(StatusCode::TOO_MANY_REQUESTS, "rateLimited")
        }
        "/order" => created("/order/1", order("ready")),
        "/order/1" => {
            let status = if is_final.load(Ordering::Relaxed) { "valid" } else { "ready" };
            order(status).to_string().into_response()
        }
        "/finalize" => {
            is_final.store(true, Ordering::Relaxed);
            order("valid").to_string().into_response()
        }
        // To a key of its own, which is not the relay's.
        "/certificate" => {
            let of_other_name = *misuse == Misuse::GivesAChainForAnotherName;
            let name = if of_other_name { "elsewhere.example" } else { "localhost" };
            issuer.pair(&[name]).0.into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert("replay-nonce", "bm9uY2U".parse().unwrap());
    if *misuse == Misuse::LivesYesterday {
        headers.insert(header::DATE, "Sun, 29 Nov 2026 08:00:00 GMT".parse().unwrap());
    }
    response
}

/// A server that misbehaves, until it is dropped.
struct Running {
    _ends: tokio_util::sync::DropGuard,
    directory: TempDir,
    url: String,
}

async fn start(misuse: Misuse) -> Running {
    let issuer = Issuer::new("An ACME server");
    let directory = support::directory();
    fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
    let (chain, key) = issuer.pair(&["localhost"]);
    nightjar_relay::engines::tls::install_crypto_provider();
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let url = format!("{origin}/dir");
    let server = Arc::new(Server { origin, misuse, issuer, is_final: AtomicBool::default() });
    let router = Router::new().fallback(answer).with_state(server);
    let cancel = CancellationToken::new();
    let options = options(Some(Arc::new(tls)), ServerLimits::default());
    let (metrics, tracker) = (Metrics::default(), TaskTracker::new());
    server::serve_router(listener, router, options, &metrics, &tracker, cancel.clone());
    Running { _ends: cancel.drop_guard(), directory, url }
}

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
        let server = start(misuse).await;
        let ca_file = server.directory.path().join("ca.pem");
        let relay = relay_with(server.url.clone(), Some(ca_file)).await;
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

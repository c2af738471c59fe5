//! An ACME server that proves nothing and gives certificates to whoever asks; it says when it wants them renewed
//! (RFC 9773), or misbehaves.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{StatusCode, Uri, header};
use nightjar_relay::{
    clock,
    doors::server::{self, ServerLimits},
    engines::metrics::Metrics,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{issuer::Issuer, server::options, support};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misuse {
    LimitsOrders,
    RefusesAccounts,
    LivesYesterday,
    GivesTheChainOfAnotherKey,
    GivesAChainForAnotherName,
    SendsNonsense,
    SendsAwayToAnotherServer,
    SendsWithoutEnd,
}

/// When it wants certificates renewed: the window's begin and end, as RFC 3339 writes them.
pub(crate) type Window = (&'static str, &'static str);

struct Server {
    origin: String,
    misuse: Option<Misuse>,
    issuer: Issuer,
    is_final: AtomicBool,
    chain: Mutex<String>,
    orders: Mutex<Vec<Value>>,
    window: Mutex<Option<Window>>,
    /// The certificates that somebody asked about.
    asked: Mutex<Vec<String>>,
    /// By how much its clock is ahead of the machine's.
    ahead: Mutex<Duration>,
}

/// One that runs until it is dropped.
pub(crate) struct AcmeServer {
    _ends: tokio_util::sync::DropGuard,
    directory: TempDir,
    server: Arc<Server>,
}

/// How long it wants to be left alone after it was asked when to renew.
pub(crate) const ASK_AFTER: Duration = Duration::from_hours(5);

fn problem(status: StatusCode, kind: &str) -> Response {
    let problem =
        json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "no\nway"});
    (status, [(header::RETRY_AFTER, "7200")], problem.to_string()).into_response()
}

/// Reads what is signed, whoever signed it.
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(signed["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap_or_default()
}

impl Server {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    fn created(&self, path: &str, body: &Value) -> Response {
        let place = [(header::LOCATION, self.url(path))];
        (StatusCode::CREATED, place, body.to_string()).into_response()
    }

    /// Writes the time as HTTP does (RFC 9110, 5.6.7).
    fn date(&self) -> String {
        let now = clock::now().plus(*self.ahead.lock().unwrap());
        let time = jiff::Timestamp::from_millisecond(now.0).unwrap();
        time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    fn order(&self) -> Value {
        let status = if self.is_final.load(Ordering::Relaxed) { "valid" } else { "ready" };
        let replaced = self.orders.lock().unwrap().last().map(|it| it["replaces"].clone());
        json!({"status": status, "identifiers": [], "replaces": replaced,
            "authorizations": [self.url("/authorization")],
            "finalize": self.url("/finalize"), "certificate": self.url("/certificate")})
    }

    fn directory(&self) -> Response {
        let url = |path| self.url(path);
        match self.misuse {
            Some(Misuse::SendsNonsense) => "hello".into_response(),
            Some(Misuse::SendsAwayToAnotherServer) => {
                (StatusCode::FOUND, [(header::LOCATION, "https://localhost:1/dir")]).into_response()
            }
            Some(Misuse::SendsWithoutEnd) => {
                let endless =
                    futures::stream::repeat(Ok::<_, std::convert::Infallible>(vec![b' '; 4_096]));
                Body::from_stream(endless).into_response()
            }
            _ => json!({"newNonce": url("/nonce"), "newAccount": url("/account"),
                "newOrder": url("/order"), "revokeCert": url("/revoke"), "keyChange": url("/key"),
                "renewalInfo": url("/renewal")})
            .to_string()
            .into_response(),
        }
    }

    fn sign(&self, body: &[u8]) {
        let request = payload(body)["csr"].as_str().unwrap().to_owned();
        let request = BASE64_URL_SAFE_NO_PAD.decode(request).unwrap();
        *self.chain.lock().unwrap() = match self.misuse {
            // To a key of its own, which is not the relay's.
            Some(Misuse::GivesAChainForAnotherName) => self.issuer.pair(&["elsewhere.example"]).0,
            Some(Misuse::GivesTheChainOfAnotherKey) => self.issuer.pair(&["localhost"]).0,
            _ => self.issuer.chain_for(&request),
        };
        self.is_final.store(true, Ordering::Relaxed);
    }

    fn renewal(&self, certificate: &str) -> Response {
        self.asked.lock().unwrap().push(certificate.to_owned());
        let Some((start, end)) = *self.window.lock().unwrap() else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let after = [(header::RETRY_AFTER, ASK_AFTER.as_secs().to_string())];
        let window = json!({"suggestedWindow": {"start": start, "end": end}});
        (after, window.to_string()).into_response()
    }
}

async fn answer(State(server): State<Arc<Server>>, uri: Uri, body: Bytes) -> Response {
    let mut response = match uri.path() {
        "/dir" => server.directory(),
        "/nonce" => StatusCode::OK.into_response(),
        "/account" if server.misuse == Some(Misuse::RefusesAccounts) => {
            problem(StatusCode::FORBIDDEN, "unauthorized")
        }
        "/account" => server.created("/account/1", &json!({"status": "valid"})),
        "/order" if server.misuse == Some(Misuse::LimitsOrders) => {
            problem(StatusCode::TOO_MANY_REQUESTS, "rateLimited")
        }
        "/order" => {
            server.orders.lock().unwrap().push(payload(&body));
            server.is_final.store(false, Ordering::Relaxed);
            server.created("/order/1", &server.order())
        }
        "/order/1" => server.order().to_string().into_response(),
        // Everybody is who they say.
        "/authorization" => json!({"status": "valid", "challenges": [],
            "identifier": {"type": "dns", "value": "localhost"}})
        .to_string()
        .into_response(),
        "/finalize" => {
            server.sign(&body);
            server.order().to_string().into_response()
        }
        "/certificate" => server.chain.lock().unwrap().clone().into_response(),
        path => match path.strip_prefix("/renewal/") {
            Some(certificate) => server.renewal(certificate),
            None => StatusCode::NOT_FOUND.into_response(),
        },
    };
    let headers = response.headers_mut();
    headers.insert("replay-nonce", "bm9uY2U".parse().unwrap());
    let date = if server.misuse == Some(Misuse::LivesYesterday) {
        "Sun, 29 Nov 2026 08:00:00 GMT".to_owned()
    } else {
        server.date()
    };
    headers.insert(header::DATE, date.parse().unwrap());
    response
}

impl AcmeServer {
    pub(crate) async fn start(misuse: Option<Misuse>) -> Self {
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
        let server = Arc::new(Server {
            origin,
            misuse,
            issuer,
            is_final: AtomicBool::default(),
            chain: Mutex::default(),
            orders: Mutex::default(),
            window: Mutex::default(),
            asked: Mutex::default(),
            ahead: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(server.clone());
        let cancel = CancellationToken::new();
        let options = options(Some(Arc::new(tls)), ServerLimits::default());
        let (metrics, tracker) = (Metrics::default(), TaskTracker::new());
        server::serve_router(listener, router, options, &metrics, &tracker, cancel.clone());
        Self { _ends: cancel.drop_guard(), directory, server }
    }

    pub(crate) fn directory_url(&self) -> String {
        self.server.url("/dir")
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    pub(crate) fn wants_renewal(&self, window: Window) {
        *self.server.window.lock().unwrap() = Some(window);
    }

    /// Lets its time pass, too.
    pub(crate) fn pass(&self, duration: Duration) {
        *self.server.ahead.lock().unwrap() += duration;
    }

    /// The orders so far, as they were placed.
    pub(crate) fn orders(&self) -> Vec<Value> {
        self.server.orders.lock().unwrap().clone()
    }

    /// The certificates that it was asked about.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.server.asked.lock().unwrap().clone()
    }
}

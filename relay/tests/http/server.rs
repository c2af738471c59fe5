//! The accept loop against clients that are slow, many, or stay too long.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    routing,
};
use futures::Stream;
use nightjar_relay::{
    clock,
    doors::server::{self, Front, Hosts, Neighbours, ServerLimits, ServerOptions},
    engines::{
        metrics::Metrics,
        tls::{self, Certificates},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::support::{self, PATIENCE, client, within};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Server {
    pub(crate) async fn start(limits: ServerLimits) -> Self {
        Self::start_with(options(None, limits)).await
    }

    pub(crate) async fn start_with(options: ServerOptions) -> Self {
        tls::install_crypto_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Metrics::default();
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let router = Router::new()
            .route(
                "/",
                routing::get(|peer: ConnectInfo<SocketAddr>| async move { peer.0.to_string() }),
            )
            .route("/length", routing::post(|body: Bytes| async move { body.len().to_string() }))
            .route("/page", routing::get(|| async { vec![b'x'; PAGE_BYTES] }))
            .route("/endless", routing::get(|| async { Body::from_stream(endless()) }))
            .route("/never", routing::get(|| async { std::future::pending::<()>().await }));
        server::serve_router(listener, router, options, &metrics, &tracker, cancel.clone());
        Self { address, metrics, tracker, cancel }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.tracker.close();
        within(PATIENCE, self.tracker.wait()).await;
    }
}

pub(crate) fn options(
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: ServerLimits,
) -> ServerOptions {
    ServerOptions {
        name: "test",
        tls,
        limits,
        front: Front::default(),
        hosts: Hosts::Any,
        neighbours: Neighbours::default(),
    }
}

/// A response that no client ever takes to its end.
fn endless() -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures::stream::repeat(Ok(Bytes::from_static(&[0; 4096])))
}

pub(crate) const SHORT: Duration = Duration::from_millis(300);
/// What `/page` answers with, each time in memory of its own.
pub(crate) const PAGE_BYTES: usize = 20_000;

/// Patient in everything that a test is not about.
pub(crate) fn patient() -> ServerLimits {
    ServerLimits::default()
}

async fn get(server: &Server) -> reqwest::Response {
    client().build().unwrap().get(server.url("/")).send().await.unwrap()
}

/// Everything the server still says until it closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is a close as well.
    let _ = within(PATIENCE, stream.read_to_end(&mut said)).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off_while_others_are_served() {
    let server = Server::start(ServerLimits { head: Duration::from_secs(1), ..patient() }).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        slow.push(stream);
    }
    let answer = get(&server).await;
    assert_eq!(answer.status(), 200);
    for stream in &mut slow {
        // Each further byte must not earn further time.
        let _ = stream.write_all(b"a").await;
        assert_eq!(until_closed(stream).await, "");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = Server::start(ServerLimits { head: SHORT, ..patient() }).await;
    assert_eq!(until_closed(&mut server.connect().await).await, "");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let server = Server::start(ServerLimits { body_idle: SHORT, ..patient() }).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        .await
        .unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_for_ever_is_given_up() {
    let server = Server::start(ServerLimits { body_total: SHORT, ..patient() }).await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    let drip = async {
        let head = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
        writer.write_all(head).await.unwrap();
        while writer.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = String::new();
    let closed = async {
        let _ = reader.read_to_string(&mut answer).await;
    };
    within(PATIENCE, async { tokio::join!(drip, closed) }).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_in_time_is_read_whole() {
    let server = Server::start(patient()).await;
    let client = client().build().unwrap();
    let answer = client.post(server.url("/length")).body(vec![0_u8; 100_000]).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "100000");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_response_is_dropped() {
    let server = Server::start(ServerLimits { write_stall: SHORT, ..patient() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first_taste = vec![0; 1 << 20];
    within(PATIENCE, stream.read_exact(&mut first_taste)).await.unwrap();
    support::until("the stalled connection is closed", || {
        server.metrics.render().contains("nightjar_http_connections{listener=\"test\"} 0")
            && server.metrics.render().contains("nightjar_http_timeouts_total{listener=\"test\"} 1")
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_and_then_closed() {
    let server =
        Server::start(ServerLimits { keep_alive: Duration::from_secs(1), ..patient() }).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = within(PATIENCE, stream.read(&mut answer)).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(until_closed(&mut stream).await, "");
    server.stop().await;
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_at_once() {
    let server = Server::start(ServerLimits { connections: 2, ..patient() }).await;
    let first = server.connect().await;
    let _second = server.connect().await;
    support::until("both connections are counted", || {
        server.metrics.render().contains("nightjar_http_connections{listener=\"test\"} 2")
    })
    .await;
    assert_eq!(until_closed(&mut server.connect().await).await, "");
    drop(first);
    support::until("a place is free", || {
        server.metrics.render().contains("nightjar_http_connections{listener=\"test\"} 1")
    })
    .await;
    assert_eq!(get(&server).await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_request_without_end() {
    let server = Server::start(ServerLimits { drain: SHORT, ..patient() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    support::until("the request's connection is counted", || {
        server.metrics.render().contains("nightjar_http_connections{listener=\"test\"} 1")
    })
    .await;
    server.stop().await;
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn with_tls_a_client_that_trusts_the_relays_authority_is_served() {
    let directory = support::directory();
    let certificates = Certificates::load_or_create(directory.path(), &[], clock::now()).unwrap();
    let tls = Some(certificates.server.clone());
    let server = Server::start_with(options(tls, patient())).await;
    let authority = reqwest::Certificate::from_pem(certificates.ca_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}/", server.address.port());
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_tls_handshake_that_never_begins_is_cut_off() {
    let directory = support::directory();
    let certificates = Certificates::load_or_create(directory.path(), &[], clock::now()).unwrap();
    let tls = Some(certificates.server);
    let limits = ServerLimits { head: SHORT, ..patient() };
    let server = Server::start_with(options(tls, limits)).await;
    assert_eq!(until_closed(&mut server.connect().await).await, "");
    server.stop().await;
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    let server = Server::start(patient()).await;
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost: x", "200"),
        ("GET / HTTP/1.1\r\nhOsT: [::1]:8080", "200"),
        ("GET http://y/ HTTP/1.1\r\nHost: x", "200"),
        ("GET / HTTP/1.0", "200"),
        ("GET / HTTP/1.1", "400"),
        ("GET http://x/ HTTP/1.1", "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y", "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x", "400"),
        ("GET / HTTP/1.0\r\nHost: x\r\nHost: x", "400"),
        ("GET / HTTP/1.1\r\nHost:", "400"),
        ("GET / HTTP/1.1\r\nHost: x, y", "400"),
        ("GET / HTTP/1.1\r\nHost: user@x", "400"),
        ("GET / HTTP/1.1\r\nHost: x/y", "400"),
    ] {
        let mut stream = server.connect().await;
        let request = format!("{head}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{head}: {answer}");
    }
    server.stop().await;
}

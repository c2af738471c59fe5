//! Spans at a collector, and collectors that take none.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use http::StatusCode;
use nightjar_shared::topic::{Channel, Topic};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value, trace::v1::Span,
};
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    clips::FOOTAGE,
    person::{Answer, PASSWORD, Person},
    relay::eventually,
    secrets::{Program, pair, text},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// What a collector does with what it gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Takes,
    Answers(StatusCode, &'static [u8]),
    Hangs,
}

/// A collector on a port of its own.
#[derive(Clone)]
struct Collector {
    url: String,
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    manner: Manner,
}

impl Collector {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let collector = Self { url, got: Arc::default(), manner };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        #[expect(clippy::disallowed_methods, reason = "the runtime of the test ends it")]
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        collector
    }

    fn section(&self, more: &str) -> String {
        format!("[telemetry]\notlp_url = \"{}\"\n{more}", self.url)
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.got.lock().unwrap();
        let requests = got.iter().map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()));
        requests
            .flat_map(|request| request.unwrap().resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// Waits for a span.
    async fn span(&self, what: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        let found =
            eventually(async || self.spans().into_iter().find(|span| is_it(span)), Option::is_some);
        found.await.unwrap_or_else(|| panic!("no span: {what}"))
    }
}

async fn take(
    State(collector): State<Collector>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static [u8]) {
    collector.got.lock().unwrap().push((headers, body));
    match collector.manner {
        Manner::Takes => (StatusCode::OK, b""),
        Manner::Answers(status, body) => (status, body),
        Manner::Hangs => std::future::pending().await,
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

async fn metric(relay: &Program, name: &str) -> u64 {
    let metrics = Person::new(&relay.origin).get("/metrics").await.text;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

fn traceparent() -> String {
    format!("00-{TRACE}-b7ad6b7169203331-01")
}

#[tokio::test]
async fn a_request_its_statements_its_command_and_the_answer_are_one_trace() {
    let collector = Collector::start(Manner::Takes).await;
    let settings = "trusted_proxies = [\"127.0.0.1\"]";
    let relay = Program::start_with("info", settings, &collector.section("")).await;
    let mut alice = Person::new(&relay.origin);
    alice.sign_up("alice@example.org").await;
    let (device, mut camera) = pair(&relay, &alice, &mut Vec::new()).await;
    let path = format!("cameras/{}/commands", device.id());
    let request = alice.request(reqwest::Method::POST, &path).json(&json!({"kind": "arm"}));
    let issued = Answer::of(request.header("traceparent", traceparent())).await.body(202);
    camera.message().await;
    let ack = json!({"command_id": issued["command_id"], "outcome": "acked"}).to_string();
    let topic = Topic::new(device.id(), Channel::UpAck).to_string();
    camera.publish(&topic, false, &ack).await;

    let is_of_trace = |span: &Span| hex::encode(&span.trace_id) == TRACE;
    let answer = |span: &Span| is_of_trace(span) && span.name == "command acked";
    collector.span("the camera's answer", answer).await;
    let http = |span: &Span| span.name == "POST /api/v1/cameras/{id}/commands";
    let http = collector.span("the request", http).await;
    assert!(is_of_trace(&http) && hex::encode(&http.parent_span_id) == "b7ad6b7169203331");
    assert_eq!(attribute(&http, "http.response.status_code").as_deref(), Some("202"));
    assert_eq!(attribute(&http, "request.id").as_deref(), Some(TRACE));
    let sent = |span: &Span| span.name == "send command arm" && is_of_trace(span);
    collector.span("the command", sent).await;
    let statement = |span: &Span| span.name == "insert commands" && is_of_trace(span);
    let statement = collector.span("its statement", statement).await;
    assert_eq!(statement.parent_span_id, http.span_id);
    let ack = |span: &Span| span.name == "receive ack";
    let ack = collector.span("the message", ack).await;
    assert_eq!(attribute(&ack, "camera.id"), Some(device.id().to_string()));
    relay.stop();
}

#[tokio::test]
async fn a_share_of_all_traces_is_sent_and_what_a_proxy_decided_goes_first() {
    let collector = Collector::start(Manner::Takes).await;
    let settings = "trusted_proxies = [\"127.0.0.1\"]";
    let section = collector.section("sample_ratio = 0.0\n");
    let relay = Program::start_with("info", settings, &section).await;
    let proxy = Person::new(&relay.origin);
    for _ in 0..20 {
        proxy.get("/healthz").await;
    }
    let request = proxy.request(reqwest::Method::GET, "/healthz");
    Answer::of(request.header("traceparent", traceparent())).await;
    collector.span("the sampled request", |span| hex::encode(&span.trace_id) == TRACE).await;
    relay.stop();
    assert!(collector.spans().iter().all(|span| hex::encode(&span.trace_id) == TRACE));
}

#[tokio::test]
async fn headers_for_the_collector_come_from_a_file_and_stand_in_no_log() {
    const SECRET: &str = "Basic c2VjcmV0LW9mLXRoZS1jb2xsZWN0b3I=";
    let collector = Collector::start(Manner::Takes).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("headers");
    std::fs::write(&file, format!("# of the collector\n\nAuthorization: {SECRET}\n")).unwrap();
    let section = collector.section(&format!("headers_file = \"{}\"\n", file.display()));
    let relay = Program::start_with("trace", "", &section).await;
    let mut alice = Person::new(&relay.origin);
    alice.sign_up("alice@example.org").await;
    eventually(async || collector.count(), |count| *count > 0).await;
    let log = relay.stop();
    let (headers, _) = collector.got.lock().unwrap()[0].clone();
    assert_eq!(headers["authorization"], SECRET);
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let secret = SECRET.trim_start_matches("Basic ");
    assert!(!log.contains(secret), "{:?}", log.lines().find(|line| line.contains(secret)));
}

#[tokio::test]
async fn no_word_of_a_request_and_no_value_of_a_statement_leaves() {
    let collector = Collector::start(Manner::Takes).await;
    let relay = Program::start_with("trace", "", &collector.section("")).await;
    let mut alice = Person::new(&relay.origin);
    alice.sign_up("alice@example.org").await;
    let mut secrets = Vec::new();
    let (device, _camera) = pair(&relay, &alice, &mut secrets).await;
    let camera = format!("cameras/{}?canary-query=canary-value", device.id());
    alice.patch(&camera, json!({"name": "canary-name"})).await.body(200);
    let odd = alice.request(reqwest::Method::GET, "auth/me").header("user-agent", "canary-agent");
    Answer::of(odd.header("x-request-id", "canary-id").header("traceparent", traceparent())).await;
    let wrong = json!({"email": "canary@example.org", "password": "canary-password"});
    alice.post("auth/login", wrong).await.is_problem(401, "invalid_credentials");
    let is_last = |span: &Span| span.name == "POST /api/v1/auth/login";
    collector.span("the last request", is_last).await;
    relay.stop();
    let got = collector.got.lock().unwrap();
    let all: Vec<u8> = got.iter().flat_map(|(_, body)| body.to_vec()).collect();
    let all = String::from_utf8_lossy(&all).into_owned();
    secrets.push(PASSWORD.to_owned());
    secrets.push(alice.cookie.clone().unwrap().split_once('=').unwrap().1.to_owned());
    secrets.extend(["canary", "alice@example.org", TRACE].map(str::to_owned));
    for secret in &secrets {
        assert!(!all.contains(secret.as_str()), "{secret} left");
    }
    assert!(all.contains("insert accounts"));
}

/// The relay answers as ever, and counts what it could not send.
async fn is_no_worse_for(manner: Option<Manner>, outcome: &str) {
    let url = match manner {
        Some(manner) => Collector::start(manner).await.section("timeout_ms = 300\n"),
        // Nobody listens there.
        None => "[telemetry]\notlp_url = \"http://127.0.0.1:1/v1/traces\"\n".to_owned(),
    };
    let relay = Program::start_with("info", "", &url).await;
    let mut alice = Person::new(&relay.origin);
    alice.sign_up("alice@example.org").await;
    for _ in 0..50 {
        alice.get("auth/me").await.body(200);
    }
    let name = format!("nightjar_telemetry_spans_total{{outcome=\"{outcome}\"}}");
    eventually(async || metric(&relay, &name).await, |count| *count > 0).await;
    let began = Instant::now();
    let log = relay.stop();
    assert!(began.elapsed() < Duration::from_secs(10), "it waits for its collector");
    let told = log.lines().filter(|line| line.contains("takes no spans")).count();
    assert_eq!(told, 1, "{log}");
}

#[tokio::test]
async fn a_collector_that_hangs_refuses_babbles_or_is_gone_stops_nothing() {
    for manner in [
        Some(Manner::Hangs),
        Some(Manner::Answers(StatusCode::TOO_MANY_REQUESTS, b"later")),
        Some(Manner::Answers(StatusCode::INTERNAL_SERVER_ERROR, b"\xff\x00garbage")),
        Some(Manner::Answers(StatusCode::TEMPORARY_REDIRECT, b"")),
        None,
    ] {
        is_no_worse_for(manner, "refused").await;
    }
}

#[tokio::test]
async fn garbage_with_a_good_status_is_no_matter() {
    let collector = Collector::start(Manner::Answers(StatusCode::OK, FOOTAGE)).await;
    let relay = Program::start_with("info", "", &collector.section("")).await;
    Person::new(&relay.origin).get("/healthz").await;
    eventually(async || collector.count(), |count| *count > 0).await;
    let name = "nightjar_telemetry_spans_total{outcome=\"sent\"}";
    eventually(async || metric(&relay, name).await, |count| *count > 0).await;
    assert!(!relay.stop().contains("panicked"));
}

#[tokio::test]
async fn what_a_full_queue_has_no_room_for_is_dropped_and_counted() {
    let collector = Collector::start(Manner::Hangs).await;
    let relay = Program::start_with("info", "", &collector.section("timeout_ms = 60000\n")).await;
    let stranger = Person::new(&relay.origin);
    // A batch is on its way, which never ends, and behind it the queue holds 4,096.
    let ask = async |_| stranger.get("/healthz").await.status;
    let all = futures::stream::iter(0..5_000);
    let statuses: BTreeSet<u16> = futures::StreamExt::collect(
        futures::StreamExt::buffer_unordered(futures::StreamExt::map(all, ask), 32),
    )
    .await;
    assert_eq!(statuses, BTreeSet::from([200]));
    let name = "nightjar_telemetry_spans_total{outcome=\"dropped\"}";
    eventually(async || metric(&relay, name).await, |count| *count > 0).await;
    relay.stop();
}

#[tokio::test]
async fn a_collector_that_cannot_be_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let odd = directory.path().join("odd");
    std::fs::write(&odd, "no header\n").unwrap();
    for (section, named) in [
        ("otlp_url = \"collector:4318\"".to_owned(), "telemetry.otlp_url"),
        ("sample_ratio = 2.0".to_owned(), "telemetry.sample_ratio"),
        (format!("headers_file = {missing:?}"), "telemetry.headers_file"),
        (format!("headers_file = {odd:?}"), "telemetry.headers_file"),
        (format!("ca_file = {missing:?}"), "telemetry.ca_file"),
    ] {
        let url = if section.contains("otlp_url") {
            ""
        } else {
            "otlp_url = \"http://localhost:1/v1/traces\"\n"
        };
        let config = directory.path().join("relay.toml");
        std::fs::write(
            &config,
            format!(
                "data_dir = {:?}\n[telemetry]\n{url}{section}\n",
                directory.path().join("data")
            ),
        )
        .unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_nightjar-relay"))
            .args(["serve", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        let errors = text(&json!(String::from_utf8(output.stderr).unwrap()));
        assert!(!output.status.success() && errors.contains(named), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

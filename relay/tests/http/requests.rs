//! Names of requests, and the lines of the log that have them.

use http::HeaderValue;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    databases::Engine,
    person::{Answer, Person},
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
    secrets::Program,
    support::{PATIENCE, within},
};

const X_REQUEST_ID: &str = "x-request-id";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn name_of(answer: &Answer) -> String {
    let name = answer.headers.get(X_REQUEST_ID).map(HeaderValue::to_str);
    name.unwrap_or_else(|| panic!("an answer without a name: {answer:?}")).unwrap().to_owned()
}

async fn ask(person: &Person, headers: &[(&str, &[u8])]) -> Answer {
    let request = person.request(reqwest::Method::GET, "/healthz");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, HeaderValue::from_bytes(value).unwrap())
    });
    Answer::of(request).await
}

fn traceparent() -> String {
    format!("00-{TRACE}-b7ad6b7169203331-01")
}

#[tokio::test]
async fn every_answer_has_a_name_which_no_stranger_chooses() {
    on_sqlite(async |relay: &TestRelay| {
        let stranger = relay.stranger();
        let (first, second) = (ask(&stranger, &[]).await, ask(&stranger, &[]).await);
        assert_ne!(name_of(&first), name_of(&second));
        let refused = stranger.get("auth/me").await;
        refused.is_problem(401, "unauthenticated");
        assert_eq!(name_of(&refused).len(), 32);
        let trace = traceparent();
        let said = [(X_REQUEST_ID, &b"mine"[..]), ("traceparent", trace.as_bytes())];
        let name = name_of(&ask(&stranger, &said).await);
        assert!(name != "mine" && name != TRACE, "{name}");
    })
    .await;
}

#[tokio::test]
async fn a_trusted_proxy_names_requests_by_its_own_header_or_by_their_trace() {
    let change = |config: &mut nightjar_relay::config::Config| {
        config.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    };
    let relay = TestRelay::start(Engine::Sqlite, change).await;
    let proxy = relay.stranger();
    let trace = traceparent();
    let both = [(X_REQUEST_ID, &b"edge-42"[..]), ("traceparent", trace.as_bytes())];
    assert_eq!(name_of(&ask(&proxy, &both).await), "edge-42");
    assert_eq!(name_of(&ask(&proxy, &both[1..]).await), TRACE);
    let long = vec![b'a'; 8_000];
    for odd in [&b"a b"[..], b"\xff\xfe", b"a\tb", b"\"}{", b"", &long] {
        let name = name_of(&ask(&proxy, &[(X_REQUEST_ID, odd)]).await);
        assert_eq!(name.len(), 32, "{name}");
    }
    for odd in [
        "00-0-0-01",
        "ff-",
        &"0".repeat(55),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    ] {
        let name = name_of(&ask(&proxy, &[("traceparent", odd.as_bytes())]).await);
        assert!(name.len() == 32 && name != "0".repeat(32), "{name}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_name_of_a_megabyte_or_of_two_lines_disturbs_nobody() {
    on_sqlite(async |relay: &TestRelay| {
        for value in
            [vec![b'a'; 1_000_000], b"a\r\n b".to_vec(), b"a\0b".to_vec(), b"a\x1b[2J".to_vec()]
        {
            let mut stream = TcpStream::connect(relay.address()).await.unwrap();
            let mut request =
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: ".to_vec();
            request.extend(value);
            request.extend(b"\r\nConnection: close\r\n\r\n");
            // What is too long is answered before it has all been sent.
            let _ = stream.write_all(&request).await;
            let mut answer = Vec::new();
            let _ = within(PATIENCE, stream.read_to_end(&mut answer)).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let status = answer.split(' ').nth(1).unwrap_or("closed").to_owned();
            assert!(["400", "431", "closed"].contains(&status.as_str()), "{answer}");
        }
        assert_eq!(ask(&relay.stranger(), &[]).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_command_has_the_name_of_the_request_that_brought_it_also_when_it_waits() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let path = format!("cameras/{}/commands", device.id());
        let queued = alice.post(&path, json!({"kind": "arm"})).await;
        let name = name_of(&queued);
        queued.body(202);
        let mut camera = device.connect(relay).await;
        assert_eq!(camera.command().await.request_id.unwrap().as_str(), name);
        let sent = alice.post(&path, json!({"kind": "disarm"})).await;
        let arrived = camera.command().await;
        assert_eq!(arrived.request_id.unwrap().as_str(), name_of(&sent));
    })
    .await;
}

/// The objects of a log, each of which must be one.
fn objects(log: &str) -> Vec<Value> {
    let object = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {line}"));
    log.lines().map(object).collect()
}

#[tokio::test]
async fn a_log_of_objects_is_one_for_each_line_whatever_strangers_send() {
    let relay = Program::start_with("nightjar_relay=trace", "", "[log]\nformat = \"json\"\n").await;
    let mut alice = Person::new(&relay.origin);
    alice.sign_up("alice@example.org").await;
    let name = "x\", \"level\": \"ERROR\"}\u{2028}{";
    let odd = alice.request(reqwest::Method::GET, "auth/me").header("user-agent", name.as_bytes());
    let answer = Answer::of(odd).await;
    let id = name_of(&answer);
    answer.body(200);
    let has_it = || objects(&relay.log()).iter().any(|line| line["spans"][0]["request_id"] == *id);
    eventually(async || has_it(), |has_it| *has_it).await;
    let log = objects(&relay.stop());
    assert!(log.iter().all(|line| line["level"] != "ERROR" && line["timestamp"].is_string()));
    let of_request: Vec<_> =
        log.iter().filter(|line| line["spans"][0]["request_id"] == *id).collect();
    let answered = of_request.iter().find(|line| line["message"] == "answered").unwrap();
    assert_eq!(
        (&answered["status"], &answered["spans"][0]["route"]),
        (&json!(200), &json!("/api/v1/auth/me"))
    );
}

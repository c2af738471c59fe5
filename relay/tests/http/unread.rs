//! Answers that nobody takes: they must not stay, and must not be many.

use std::{fs, time::Duration};

use nightjar_relay::doors::server::ServerLimits;
use nightjar_shared::ids::EventId;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    device::{Device, event},
    hostile_http2::Hostile,
    person::Person,
    relay::{TestRelay, eventually, on_sqlite},
    server::{PAGE_BYTES, SHORT, Server, patient},
    support::{PATIENCE, within},
};

const PAGE_BYTES_MAX: usize = 256 * 1024;

async fn hostile(server: &Server, window: u32) -> Hostile<TcpStream> {
    Hostile::begin(server.connect().await, window).await.unwrap()
}

#[tokio::test]
async fn an_http2_client_that_opens_no_window_is_dropped_although_it_answers_pings() {
    let server = Server::start(ServerLimits {
        write_stall: Duration::from_secs(1),
        body_idle: SHORT,
        ..patient()
    })
    .await;
    let mut client = hostile(&server, 0).await;
    for path in ["/", "/page", "/endless"] {
        client.get("x", path, &[]).await.unwrap();
    }
    within(PATIENCE, client.until_closed()).await;
    assert_eq!((client.seen.answers, client.seen.data_bytes), (3, 0));
    assert!(client.seen.pings > 0, "the connection was alive all the time");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_whose_end_nobody_takes_is_no_answer_that_went_out() {
    let server = Server::start(ServerLimits { write_stall: SHORT, ..patient() }).await;
    let mut client = hostile(&server, 1).await;
    client.get("x", "/", &[]).await.unwrap();
    within(PATIENCE, client.until_closed()).await;
    assert_eq!(client.seen.data_bytes, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_does_not_hide_behind_others_that_are() {
    let server = Server::start(ServerLimits { write_stall: SHORT, ..patient() }).await;
    let mut client = hostile(&server, 0).await;
    client.get("x", "/page", &[]).await.unwrap();
    let reading = async {
        loop {
            let stream = client.get("x", "/", &[]).await?;
            client.open_window(stream, 1 << 20).await?;
            let answers = client.seen.answers;
            while client.seen.answers == answers {
                client.turn().await?;
            }
        }
    };
    let ended: std::io::Result<()> = within(PATIENCE, reading).await;
    ended.unwrap_err();
    assert!(client.seen.answers > 3, "others were answered meanwhile: {:?}", client.seen);
    server.stop().await;
}

#[tokio::test]
async fn who_takes_an_answer_piece_by_piece_gets_all_of_it() {
    let server = Server::start(patient()).await;
    let mut client = hostile(&server, 0).await;
    let stream = client.get("x", "/page", &[]).await.unwrap();
    for taken in (0..PAGE_BYTES).step_by(1_000) {
        client.open_window(stream, 1_000).await.unwrap();
        while client.seen.data_bytes < taken + 1_000 {
            within(PATIENCE, client.turn()).await.unwrap();
        }
    }
    assert_eq!(client.seen.data_bytes, PAGE_BYTES);
    server.stop().await;
}

/// Resident memory of this process: server and clients together.
fn resident_kilobytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[tokio::test]
async fn four_hundred_connections_that_take_nothing_cost_little_and_are_all_closed() {
    const CONNECTIONS: usize = 400;
    let limits = ServerLimits { write_stall: Duration::from_secs(2), ..patient() };
    let streams = limits.streams;
    let server = Server::start(limits).await;
    let before = resident_kilobytes();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = hostile(&server, 0).await;
        for _ in 0..streams {
            client.get("x", "/page", &[]).await.unwrap();
        }
        clients.push(client);
    }
    let closing = clients.iter_mut().map(Hostile::until_closed);
    within(PATIENCE, futures::future::join_all(closing)).await;
    let grown = resident_kilobytes().saturating_sub(before);
    // The clients live in this process, too. `make attack` measures the relay alone, against 50 MB.
    assert!(grown < 64 << 10, "{grown} KB more");
    let metrics = server.metrics.render();
    let refused = metrics
        .lines()
        .find_map(|line| {
            line.strip_prefix("nightjar_http_answers_refused_total{listener=\"test\"} ")
        })
        .map(|count| count.parse::<usize>().unwrap());
    assert!(refused > Some(1_000), "400 connections ask for 128 MB: {refused:?}");
    server.stop().await;
}

/// Reports events that are as long as events may be.
async fn report_long_events(relay: &TestRelay, camera: &Device, count: usize) -> Vec<EventId> {
    let mut ids = Vec::new();
    for number in 0..count {
        let id = EventId::generate();
        let mut started = event(id, "started", 1_000 + i64::try_from(number).unwrap());
        let somewhere = json!({"x": 0.123_456_7, "y": 0.123_456_7, "width": 0.2, "height": 0.3});
        started["boxes"] = json!(vec![somewhere; 64]);
        started["zones"] = json!(vec!["z".repeat(200); 16]);
        camera.report(relay, started).await;
        ids.push(id);
    }
    ids.reverse();
    ids
}

#[tokio::test]
async fn a_page_has_256_kilobytes_at_most_and_its_cursor_leads_to_the_rest() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let reported = report_long_events(relay, &camera, 60).await;
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let answer = alice.get(&format!("events?limit=200{cursor}")).await;
            assert!(answer.text.len() < PAGE_BYTES_MAX + 1_024, "{} bytes", answer.text.len());
            let page = answer.body(200);
            let ids =
                page["items"].as_array().unwrap().iter().map(|event| event["event_id"].clone());
            found.extend(ids);
            pages += 1;
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert!(pages > 1, "{pages}");
        let reported: Vec<Value> = reported.into_iter().map(|id| json!(id)).collect();
        assert_eq!(found, reported);
    })
    .await;
}

#[tokio::test]
async fn what_one_account_does_not_take_is_bounded_and_costs_others_nothing() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        report_long_events(relay, &relay.camera_of(&alice).await, 30).await;
        let address = relay.origin().strip_prefix("http://").unwrap().to_owned();
        let cookie = [("cookie", alice.cookie.as_deref().unwrap())];
        let mut held = Vec::new();
        for _ in 0..2 {
            let stream = TcpStream::connect(&address).await.unwrap();
            let mut client = Hostile::begin(stream, 0).await.unwrap();
            for _ in 0..16 {
                client.get(&address, "/api/v1/events?limit=200", &cookie).await.unwrap();
            }
            while client.seen.answers < 16 {
                within(PATIENCE, client.turn()).await.unwrap();
            }
            held.push(client);
        }
        let list = async |person: &Person| person.get("events?limit=200").await;
        list(&alice).await.is_problem(429, "rate_limited");
        list(&bob).await.body(200);
        drop(held);
        eventually(async || list(&alice).await.status, |status| *status == 200).await;
    })
    .await;
}

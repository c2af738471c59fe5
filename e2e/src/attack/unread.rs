//! Answers that are asked for and never read.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use nightjar_shared::topic::Channel;
use tokio::{
    io::AsyncWriteExt,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    bystanders::Bystanders,
    slow::{CLOSED_GOAL_S, DRIP, closed_figure},
    target::{Target, connect},
};
use crate::{
    bench::Figure,
    fake_camera::{FakeCamera, large_event},
};

const WINDOW_CONNECTIONS: usize = 400;
const WINDOW_STREAMS: usize = 64;
const LIST_CONNECTIONS: usize = 8;
const LIST_STREAMS: usize = 60;
const PLAIN_CONNECTIONS: usize = 240;
/// As many as one page shows.
const EVENTS: usize = 200;
/// While the kernel still takes pieces of an answer, its half minute starts again.
const UNREAD_GOAL_S: f64 = 60.0;
const GROWTH_GOAL_MB: f64 = 50.0;
/// Longer than anything may be held, and an end to the run.
const WATCHED: Duration = Duration::from_secs(90);
/// Small, so that an answer is not kept in the kernel.
const RECEIVE_BUFFER: u32 = 4_096;

/// Strangers open HTTP/2 with a window of 0, ask, and answer every ping.
pub(super) async fn windows(directory: &Path) -> Result<Vec<Figure>> {
    let target = Target::start(directory).await?;
    let bystanders = Bystanders::sign_up(&target.relay).await?;
    let memory = target.memory()?;
    let held = hold(&target, WINDOW_CONNECTIONS, WINDOW_STREAMS, "/", None);
    let (held, experience) = bystanders.during(held).await?;
    let what = format!("HTTP/2, window 0, {WINDOW_CONNECTIONS} connections × {WINDOW_STREAMS}");
    Ok(vec![
        closed_figure(&what, &held, CLOSED_GOAL_S),
        Figure::new(format!("{what}: memory"), memory.growth_mb(), "MB more")
            .at_most(GROWTH_GOAL_MB),
        Figure::new(format!("{what}: others' p99"), experience.p99_ms, "ms"),
        Figure::count(format!("{what}: others' failures"), experience.failures).at_most(0.0),
    ])
}

/// An account asks for the longest lists it can have, and reads none.
pub(super) async fn lists(directory: &Path) -> Result<Vec<Figure>> {
    let target = Target::start(directory).await?;
    let camera = target.hostile_camera().await?;
    let list_mb = fill(&target, &camera).await?;
    let path = "/api/v1/events?limit=200";
    let token = target.hostile.token().context("the attacker has no token")?.to_owned();

    let memory = target.memory()?;
    let held = hold(&target, LIST_CONNECTIONS, LIST_STREAMS, path, Some(&token)).await?;
    let what = format!(
        "HTTP/2, lists of {list_mb:.1} MB unread, {LIST_CONNECTIONS} connections × {LIST_STREAMS}"
    );
    let mut figures = vec![
        closed_figure(&what, &held, UNREAD_GOAL_S),
        Figure::new(format!("{what}: memory"), memory.growth_mb(), "MB more")
            .at_most(GROWTH_GOAL_MB),
    ];

    let memory = target.memory()?;
    let mut connections = JoinSet::new();
    for _ in 0..PLAIN_CONNECTIONS {
        connections.spawn(hold_plain(target.web(), path, token.clone()));
    }
    let held = connections.join_all().await;
    let what = format!("HTTP/1, the same unread on {PLAIN_CONNECTIONS} connections");
    figures.push(closed_figure(&what, &held, UNREAD_GOAL_S));
    figures.push(
        Figure::new(format!("{what}: memory"), memory.growth_mb(), "MB more")
            .at_most(GROWTH_GOAL_MB),
    );
    Ok(figures)
}

/// Stores a page of events of the largest kind, as far as the relay lets; gives how long a page is.
async fn fill(target: &Target, camera: &FakeCamera) -> Result<f64> {
    let mut connected = camera.connect().await?;
    for number in 0..EVENTS {
        let at = i64::try_from(number).context("a time")? + 1;
        connected.say(Channel::UpEvent, &large_event(at)).await?;
    }
    let page = target.hostile.get("events?limit=200").await?.expect(200)?;
    Ok(f64::from(u32::try_from(page.text.len())?) / 1e6)
}

/// Opens connections with a window of 0 and asks on each; gives when each was closed, or nothing for
/// one that was held to the end.
async fn hold(
    target: &Target,
    connections: usize,
    streams: usize,
    path: &'static str,
    token: Option<&str>,
) -> Result<Vec<Option<Duration>>> {
    let mut held = JoinSet::new();
    for _ in 0..connections {
        let (address, token) = (target.web(), token.map(str::to_owned));
        held.spawn(async move {
            let began = Instant::now();
            let connection = hold_window(address, streams, path, token);
            timeout(WATCHED, connection).await.ok().map(|_| began.elapsed())
        });
    }
    let held = held.join_all().await;
    ensure!(!held.is_empty(), "no connection was made");
    Ok(held)
}

/// Returns when the connection has ended.
async fn hold_window(
    address: SocketAddr,
    streams: usize,
    path: &str,
    token: Option<String>,
) -> Result<()> {
    let stream = connect(address, None).await?;
    let (sender, connection) =
        h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(stream).await?;
    let asking = async {
        let mut sender = sender;
        // An answer that is dropped would be given up.
        let mut answers = Vec::new();
        for _ in 0..streams {
            let mut request = Request::get(format!("http://localhost{path}"));
            if let Some(token) = &token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            sender = sender.ready().await?;
            answers.push(sender.send_request(request.body(())?, true)?);
        }
        std::future::pending::<()>().await;
        anyhow::Ok(answers.len())
    };
    tokio::select! {
        ended = connection => ended.context("the connection was closed"),
        refused = asking => refused.map(|_| ()),
    }
}

/// Asks by HTTP/1 and does not read; gives when the connection was closed.
async fn hold_plain(address: SocketAddr, path: &'static str, token: String) -> Option<Duration> {
    let began = Instant::now();
    let held = async {
        let mut stream = connect(address, Some(RECEIVE_BUFFER)).await?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        // To write is the way to hear of the end without reading: empty lines before a request are
        // skipped (RFC 9112, 2.2).
        loop {
            sleep(DRIP).await;
            stream.write_all(b"\r\n").await?;
        }
    };
    let closed: std::result::Result<std::io::Result<()>, _> = timeout(WATCHED, held).await;
    closed.is_ok().then(|| began.elapsed())
}

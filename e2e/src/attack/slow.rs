//! Connections that say nothing, or say it slowly.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{interval, timeout},
};

use super::{
    bystanders::Bystanders,
    target::{Target, connect},
};
use crate::bench::Figure;

const CONNECTIONS: usize = 1_000;
pub(super) const CLOSED_GOAL_S: f64 = 30.0;
/// A stalled body may have its half minute, and its connection a moment.
const BODIES_GOAL_S: f64 = 35.0;
const CAMERA_GOAL_MS: f64 = 1_000.0;
const GROWTH_GOAL_MB: f64 = 50.0;
const WATCHED: Duration = Duration::from_mins(1);
pub(super) const DRIP: Duration = Duration::from_secs(1);

/// What is sent on a connection.
#[derive(Clone, Copy)]
struct Manner {
    what: &'static str,
    first: &'static str,
    /// Sent again and again, every second.
    then: &'static str,
    goal_s: f64,
}

const MANNERS: [Manner; 3] = [
    Manner { what: "idle", first: "", then: "", goal_s: CLOSED_GOAL_S },
    Manner {
        what: "slow heads",
        first: "GET /api/v1/auth/me HTTP/1.1\r\nHost: localhost\r\n",
        then: "x: y\r\n",
        goal_s: CLOSED_GOAL_S,
    },
    Manner {
        what: "stalled bodies",
        first: "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        then: "",
        goal_s: BODIES_GOAL_S,
    },
];

pub(super) async fn all(directory: &Path) -> Result<Vec<Figure>> {
    let target = Target::start(directory).await?;
    let bystanders = Bystanders::sign_up(&target.relay).await?;
    let mut figures = Vec::new();
    for manner in MANNERS {
        let memory = target.memory()?;
        let opened = open(target.web(), manner);
        let (held, experience) = bystanders.during(opened).await?;
        let what = format!("{CONNECTIONS} connections, {}", manner.what);
        figures.extend([
            closed_figure(&what, &held, manner.goal_s),
            Figure::new(format!("{what}: memory"), memory.growth_mb(), "MB more")
                .at_most(GROWTH_GOAL_MB),
            Figure::new(format!("{what}: others' p99"), experience.p99_ms, "ms"),
            Figure::count(format!("{what}: others' failures"), experience.failures).at_most(0.0),
        ]);
    }
    figures.extend(at_the_broker(&target).await?);
    Ok(figures)
}

/// Connections without a byte at the broker's port, and a camera that wants in.
async fn at_the_broker(target: &Target) -> Result<Vec<Figure>> {
    let camera = target.hostile_camera().await?;
    let idle = Manner { what: "idle at the broker", ..MANNERS[0] };
    let mut opened = JoinSet::new();
    opened.spawn(open(target.mqtt(), idle));
    let began = Instant::now();
    camera.connect().await?;
    let waited_ms = began.elapsed().as_secs_f64() * 1_000.0;
    let held = opened.join_all().await.pop();
    let held = held.ok_or_else(|| anyhow::anyhow!("nothing was opened"))??;
    Ok(vec![
        closed_figure(&format!("{CONNECTIONS} connections, {}", idle.what), &held, CLOSED_GOAL_S),
        Figure::new("a camera connects meanwhile after", waited_ms, "ms").at_most(CAMERA_GOAL_MS),
    ])
}

/// Opens the connections; gives when each was closed, or nothing for one that was held to the end.
async fn open(address: SocketAddr, manner: Manner) -> Result<Vec<Option<Duration>>> {
    let mut held = JoinSet::new();
    for _ in 0..CONNECTIONS {
        held.spawn(async move {
            let began = Instant::now();
            timeout(WATCHED, hold(address, manner)).await.ok().map(|_| began.elapsed())
        });
    }
    let held = held.join_all().await;
    ensure!(held.len() == CONNECTIONS, "connections were lost");
    Ok(held)
}

/// Returns when the connection has ended, however it did.
async fn hold(address: SocketAddr, manner: Manner) -> std::io::Result<()> {
    let mut stream = connect(address, None).await?;
    stream.write_all(manner.first.as_bytes()).await?;
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        let mut ticks = interval(DRIP);
        while !manner.then.is_empty() {
            ticks.tick().await;
            writer.write_all(manner.then.as_bytes()).await?;
        }
        std::future::pending::<std::io::Result<()>>().await
    };
    let mut rest = Vec::new();
    tokio::select! {
        read = reader.read_to_end(&mut rest) => read.map(|_| ()),
        failed = drip => failed,
    }
}

/// Returns how long the last connection was held; infinite when one outlived the run.
fn longest_s(held: &[Option<Duration>]) -> f64 {
    let seconds = |held: &Option<Duration>| held.map_or(f64::INFINITY, |held| held.as_secs_f64());
    held.iter().map(seconds).fold(0.0, f64::max)
}

/// Says when all were closed, and by when they should be.
pub(super) fn closed_figure(what: &str, held: &[Option<Duration>], goal_s: f64) -> Figure {
    Figure::new(format!("{what}: closed after"), longest_s(held), "s").at_most(goal_s)
}

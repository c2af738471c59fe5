//! How many cameras' words the relay takes in a second.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nightjar_shared::topic::Channel;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use super::{
    connection::{Broker, Connection},
    people::{People, Rows},
    per_second,
    postgres::Postgres,
    say,
};
use crate::{
    bench::Figure,
    fake_camera,
    relay::{Place, Ports, Relay},
};

const CAMERAS: usize = 200;
const LASTS: Duration = Duration::from_secs(10);
/// A camera speaks every 30 s and is written down every five minutes: one word of ten.
const SAME: u64 = 10;

pub(super) async fn health(directory: &Path) -> Result<Vec<Figure>> {
    let mut figures = on(directory, None).await?;
    match Postgres::start().await? {
        Some(postgres) => {
            let directory = directory.join("postgresql");
            std::fs::create_dir_all(&directory)?;
            figures.extend(on(&directory, Some(&postgres)).await?);
        }
        None => say("SKIPPED on PostgreSQL: Debian's package postgresql is not installed"),
    }
    Ok(figures)
}

async fn on(directory: &Path, postgres: Option<&Postgres>) -> Result<Vec<Figure>> {
    let people = People::new(10, CAMERAS / 10)?;
    let mut place = Place::loopback(Ports::free()?);
    let (name, rows) = match postgres {
        Some(postgres) => {
            place.database = postgres.section();
            ("PostgreSQL", Rows::Postgres(postgres))
        }
        None => ("SQLite", Rows::Sqlite),
    };
    let relay = people.move_in(directory, place, rows).await?;
    let usual = speak(&relay, &people, SAME).await?;
    let news = speak(&relay, &people, 1).await?;
    let figure = |what: &str, value| Figure::new(format!("health on {name}, {what}"), value, "/s");
    let usual = figure("one message of ten written down", usual);
    let usual = if postgres.is_some() { usual.at_least(2_000.0) } else { usual };
    Ok(vec![usual, figure("each written down", news)])
}

/// Lets all cameras speak one word after the other; each `nth` is news.
async fn speak(relay: &Relay, people: &People, nth: u64) -> Result<f64> {
    let broker = Broker::new(relay.ports().mqtt, &relay.ca())?;
    let mut connections = Vec::new();
    for camera in &people.cameras {
        connections.push(Connection::open(&broker, camera.clone()).await?);
    }
    let over = Arc::new(AtomicBool::new(false));
    let mut running = JoinSet::new();
    let begin = Instant::now();
    for (place, mut connection) in (0_u64..).zip(connections) {
        let over = over.clone();
        running.spawn(async move {
            let mut said = 0;
            while !over.load(Ordering::Relaxed) {
                let mut health = fake_camera::health();
                health["uptime_ms"] = json!(said);
                health["notes"] = json!([format!("note {}", (said + place) / nth)]);
                connection.say(Channel::UpHealth, &health).await?;
                said += 1;
            }
            anyhow::Ok(usize::try_from(said)?)
        });
    }
    sleep(LASTS).await;
    over.store(true, Ordering::Relaxed);
    let mut said = 0;
    while let Some(done) = running.join_next().await {
        said += done.context("a camera's task stopped")??;
    }
    Ok(per_second(said, begin))
}

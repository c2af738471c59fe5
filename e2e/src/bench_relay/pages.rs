//! What a relay takes that nobody uses, and how soon it answers.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::{
    milliseconds,
    people::{People, Rows},
    plain::Plain,
};
use crate::{
    api::Api,
    bench::{Figure, machine::resident_mb, percentile},
    relay::{Place, Ports, Relay},
};

const EVENTS: i64 = 100_000;
const REQUESTS: usize = 500;
const SETTLED: Duration = Duration::from_secs(5);

pub(super) async fn idle(directory: &Path) -> Result<Vec<Figure>> {
    let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
    let plain = Plain::start(directory).await?;
    sleep(SETTLED).await;
    Ok(vec![
        Figure::new("relay that nobody uses", resident_mb(relay.pid())?, "MB").at_most(60.0),
        Figure::new("plain axum server that nobody uses", resident_mb(plain.pid())?, "MB"),
    ])
}

pub(super) async fn events(directory: &Path) -> Result<Vec<Figure>> {
    let people = People::new(2, 1)?.with_events(EVENTS)?;
    let place = Place::loopback(Ports::free()?);
    let relay = people.move_in(directory, place, Rows::Sqlite).await?;
    let api = people.owners.first().context("nobody")?.api(&relay)?;
    let me = ask(&api, "auth/me").await?;
    let page = ask(&api, "events").await?;
    let plain = Plain::start(directory).await?;
    let nothing = ask(&Api::new(&plain.url(), None)?, "me").await?;
    let figure = |what: &str, percent, took: &[f64]| {
        Figure::new(format!("{what}, p{percent} of {REQUESTS}"), percentile(took, percent), "ms")
    };
    Ok(vec![
        figure("first page of 100,000 events", 50, &page),
        figure("first page of 100,000 events", 99, &page).at_most(10.0),
        figure("who one is (auth/me)", 50, &me),
        figure("who one is (auth/me)", 99, &me),
        figure("an answer of a plain axum server", 50, &nothing),
        figure("an answer of a plain axum server", 99, &nothing),
    ])
}

async fn ask(api: &Api, path: &str) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for _ in 0..REQUESTS {
        let begin = Instant::now();
        api.get(path).await?.expect(200)?;
        took.push(milliseconds(begin));
    }
    Ok(took)
}

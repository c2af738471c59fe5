//! Cameras by the thousand over TLS: what each costs the relay, and how soon all are back after a restart.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nightjar_shared::topic::Channel;
use rustix::process::{Resource, getrlimit};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use super::{
    connection::{Broker, Connection},
    milliseconds,
    mosquitto::Mosquitto,
    people::{Camera, Owner, People, Rows},
};
use crate::{
    api::Api,
    bench::{Figure, machine::resident_mb, percentile},
    fake_camera,
    relay::{Place, Ports, Relay},
    wait,
};

const WANTED: usize = 10_000;
/// Of the relay's descriptors a camera takes three, and other doors keep places: so many fit into as many
/// (`relay/src/wiring/descriptors.rs`).
const FITTING: (u64, u64) = (5, 20);
const SITES: usize = 100;
/// Connections that are opened at a time at first: cameras are switched on one by one.
const OPENED_AT_ONCE: usize = 64;
const CONNECT_LIMIT: Duration = Duration::from_mins(10);
const BACK_LIMIT: Duration = Duration::from_mins(5);
/// As the agent's: a random part of a wait that doubles.
const BACKOFF: (u64, u64) = (1_000, 300_000);
/// What was said is written, and buffers are given back.
const SETTLED: Duration = Duration::from_secs(5);

pub(super) async fn herd(directory: &Path) -> Result<Vec<Figure>> {
    let count = fitting();
    let people = People::new(SITES, count / SITES)?;
    let place = Place::loopback(Ports::free()?);
    let mut relay = people.move_in(directory, place.clone(), Rows::Sqlite).await?;
    let broker = Broker::new(relay.ports().mqtt, &relay.ca())?;
    let before = resident_mb(relay.pid())?;
    let herd = Herd::begin(&broker, &people.cameras, Protocol::Relay);
    let begin = Instant::now();
    herd.all_are_there(CONNECT_LIMIT).await?;
    let connected = begin.elapsed();
    sleep(SETTLED).await;
    let ours = kib_each(resident_mb(relay.pid())? - before, count);
    let name = |what: &str| format!("{count} cameras over TLS: {what}");
    let mut figures = vec![
        Figure::new(name("memory of each"), ours, "KiB").at_most(35.0),
        Figure::new(name("all connected, as many at once as take turns"), seconds(connected), "s"),
    ];
    relay.stop(Duration::from_secs(30)).await?;
    let begin = Instant::now();
    drop(relay);
    let relay = Relay::start(directory, place).await?;
    let (back, asked) = tokio::try_join!(
        async {
            herd.all_are_there(BACK_LIMIT).await?;
            anyhow::Ok(begin.elapsed())
        },
        ask_until_back(&relay, people.owners.first().context("nobody")?, &herd),
    )?;
    figures.extend([
        Figure::new(name("all back after a restart"), seconds(back), "s").at_most(60.0),
        Figure::new(name("the API's p50 meanwhile"), percentile(&asked, 50), "ms"),
        Figure::new(name("the API's p99 meanwhile"), percentile(&asked, 99), "ms").at_most(1_000.0),
    ]);
    drop(herd);
    let data = directory.join("relay");
    let Some(mosquitto) = Mosquitto::start(directory, &data).await? else { return Ok(figures) };
    let broker = Broker::new(mosquitto.port, &relay.ca())?;
    let before = resident_mb(mosquitto.pid())?;
    let begin = Instant::now();
    let herd = Herd::begin(&broker, &people.cameras, Protocol::Broker);
    herd.all_are_there(CONNECT_LIMIT).await?;
    let connected = begin.elapsed();
    sleep(SETTLED).await;
    let theirs = kib_each(resident_mb(mosquitto.pid())? - before, count);
    figures.extend([
        Figure::new("the same at mosquitto: memory of each", theirs, "KiB"),
        Figure::new("the same at mosquitto: all connected", seconds(connected), "s"),
    ]);
    Ok(figures)
}

/// How many cameras a relay lets in under this limit of open files.
fn fitting() -> usize {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let fitting = usize::try_from(limit / FITTING.1).unwrap_or(usize::MAX);
    WANTED.min(fitting.saturating_mul(usize::try_from(FITTING.0).unwrap_or(1))) / SITES * SITES
}

fn kib_each(megabytes: f64, count: usize) -> f64 {
    megabytes * 1_024.0 / f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Asks for what the app asks first, until all cameras are back.
async fn ask_until_back(relay: &Relay, owner: &Owner, herd: &Herd) -> Result<Vec<f64>> {
    let api: Api = owner.api(relay)?;
    let mut took = Vec::new();
    while !herd.is_complete() {
        let begin = Instant::now();
        api.get("cameras?limit=20").await?.expect(200)?;
        took.push(milliseconds(begin));
        // Within what one account may ask for.
        sleep(Duration::from_millis(25)).await;
    }
    Ok(took)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Protocol {
    /// Says how it is, as to a relay.
    Relay,
    /// Connects and listens.
    Broker,
}

struct Herd {
    count: usize,
    there: Arc<AtomicUsize>,
    _cameras: JoinSet<()>,
}

impl Herd {
    fn begin(broker: &Broker, cameras: &[Camera], protocol: Protocol) -> Self {
        let there = Arc::new(AtomicUsize::new(0));
        let turns = Arc::new(Semaphore::new(OPENED_AT_ONCE));
        let mut running = JoinSet::new();
        for camera in cameras {
            running.spawn(live(
                broker.clone(),
                camera.clone(),
                protocol,
                turns.clone(),
                there.clone(),
            ));
        }
        Self { count: cameras.len(), there, _cameras: running }
    }

    fn is_complete(&self) -> bool {
        self.there.load(Ordering::Relaxed) == self.count
    }

    async fn all_are_there(&self, within: Duration) -> Result<()> {
        let found = wait::until("all cameras are there", within, async || {
            Ok(self.is_complete().then_some(()))
        });
        let found = found.await;
        ensure!(
            found.is_ok(),
            "{} of {} cameras are there",
            self.there.load(Ordering::Relaxed),
            self.count
        );
        Ok(())
    }
}

/// Comes back whenever its connection ends, as an agent does.
async fn live(
    broker: Broker,
    camera: Camera,
    protocol: Protocol,
    turns: Arc<Semaphore>,
    there: Arc<AtomicUsize>,
) {
    let mut failures = 0_u32;
    // Only the first time: after that chance spreads them.
    let mut turn = turns.acquire().await.ok();
    loop {
        if let Ok(mut connection) = begin(&broker, &camera, protocol).await {
            there.fetch_add(1, Ordering::Relaxed);
            failures = 0;
            drop(turn.take());
            while connection.next().await.is_ok() {}
            there.fetch_sub(1, Ordering::Relaxed);
        }
        let most = BACKOFF.0.saturating_mul(1 << failures.min(20)).min(BACKOFF.1);
        failures += 1;
        sleep(Duration::from_millis(chance(most))).await;
    }
}

async fn begin(broker: &Broker, camera: &Camera, protocol: Protocol) -> Result<Connection> {
    let mut connection = Connection::open(broker, camera.clone()).await?;
    if protocol == Protocol::Relay {
        let mut health = fake_camera::health();
        let presence = json!({ "online": true, "boot_id": health["boot_id"].take() });
        connection.say(Channel::UpPresence, &presence).await?;
        connection.say(Channel::UpHealth, &fake_camera::health()).await?;
    }
    Ok(connection)
}

fn chance(below: u64) -> u64 {
    let mut bytes = [0; 8];
    // Where the system gives none, all wait alike.
    getrandom::fill(&mut bytes).ok();
    u64::from_le_bytes(bytes) % below.max(1)
}

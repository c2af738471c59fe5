//! From a person's command to the acknowledgement on the person's socket, by way of the camera.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nightjar_shared::{command::CommandMessage, topic::Channel};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval_at, timeout},
};

use super::{
    connection::{Broker, Connection},
    milliseconds,
    people::{People, Rows},
};
use crate::{
    bench::{Figure, percentile},
    fake_camera,
    feed::Feed,
    relay::{Place, Ports},
};

/// Each with a camera and an open app.
const PEOPLE: usize = 100;
/// Of each, twice a second: 200 commands a second in all.
const COMMANDS: u32 = 40;
const EVERY: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(10);

pub(super) async fn commands(directory: &Path) -> Result<Vec<Figure>> {
    let people = People::new(PEOPLE, 1)?;
    let place = Place::loopback(Ports::free()?);
    let relay = people.move_in(directory, place, Rows::Sqlite).await?;
    let broker = Broker::new(relay.ports().mqtt, &relay.ca())?;
    let mut cameras = JoinSet::new();
    for camera in &people.cameras {
        let mut connection = Connection::open(&broker, camera.clone()).await?;
        connection.say(Channel::UpHealth, &fake_camera::health()).await?;
        cameras.spawn(obey(connection));
    }
    let begin = tokio::time::Instant::now() + Duration::from_secs(1);
    let mut running = JoinSet::new();
    for (number, (owner, camera)) in (0_u32..).zip(people.owners.iter().zip(&people.cameras)) {
        let (api, path) = (owner.api(&relay)?, format!("cameras/{}/commands", camera.id));
        let mut feed = Feed::open(&api).await?;
        // Evenly spread.
        let first = begin + EVERY * number / u32::try_from(PEOPLE)?;
        running.spawn(async move {
            let mut ticks = interval_at(first, EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut took = Vec::new();
            for _ in 0..COMMANDS {
                ticks.tick().await;
                let begin = Instant::now();
                let is_acknowledged = |message: &Value| message["command"]["state"] == "acked";
                let (issued, told) =
                    tokio::try_join!(api.post(&path, json!({ "kind": "arm" })), async {
                        feed.next("the acknowledgement", SOON, is_acknowledged).await?;
                        Ok(milliseconds(begin))
                    })?;
                issued.expect(202)?;
                took.push(told);
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(done) = running.join_next().await {
        took.extend(done.context("a person's task stopped")??);
    }
    let name =
        |what: &str| format!("command, HTTP to camera to acknowledgement on the socket, {what}");
    Ok(vec![
        Figure::new(name("p50 at 200/s"), percentile(&took, 50), "ms").at_most(3.0),
        Figure::new(name("p99 at 200/s"), percentile(&took, 99), "ms").at_most(15.0),
        Figure::new(name("the longest"), percentile(&took, 100), "ms"),
    ])
}

/// Acknowledges each command at once.
async fn obey(mut connection: Connection) -> Result<()> {
    loop {
        let message = connection.next().await?;
        let Ok(command) = serde_json::from_slice::<CommandMessage>(&message) else { continue };
        let answer = json!({
            "protocol": 1, "command_id": command.command_id, "outcome": "acked",
        });
        timeout(SOON, connection.send(Channel::UpAck, &answer)).await??;
    }
}

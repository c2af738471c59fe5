//! How many uploads the relay permits in a second.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use nightjar_shared::ids::ClipId;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    people::{People, Rows},
    per_second,
};
use crate::{
    bench::{Figure, machine},
    relay::{Place, Ports, Relay},
};

/// Cameras that upload at once: each waits for its answer.
const CAMERAS: usize = 32;
/// Of each camera, in as many requests as one may make at once.
const REQUESTS: usize = 60;

pub(super) async fn presign(directory: &Path) -> Result<Vec<Figure>> {
    let people = People::new(CAMERAS, 1)?;
    let place = Place::loopback(Ports::free()?);
    let relay = people.move_in(directory, place, Rows::Sqlite).await?;
    let mut figures = Vec::new();
    for (parts, goal) in [(1, None), (16, Some(5_000.0))] {
        let rate = permits(&relay, &people, parts).await?;
        let figure =
            Figure::new(format!("presigned uploads on SQLite, {parts} in a request"), rate, "/s");
        figures.push(match goal {
            Some(goal) => figure.at_least(goal),
            None => figure,
        });
    }
    Ok(figures)
}

async fn permits(relay: &Relay, people: &People, parts: usize) -> Result<f64> {
    let mut running = JoinSet::new();
    let mut clips = Vec::new();
    for camera in &people.cameras {
        let api = relay.api()?.with_token(camera.token.clone());
        let clip = ClipId::generate();
        let body = json!({ "clip_id": clip, "started_at": machine::whole_unix_millis()? });
        api.post("agent/clips", body).await?.expect(200)?;
        clips.push((api, clip));
    }
    let begin = Instant::now();
    for (api, clip) in clips {
        running.spawn(async move {
            for request in 0..REQUESTS {
                let first = request * parts;
                let asked: Vec<Value> = (first..first + parts).map(part).collect();
                let path = format!("agent/clips/{clip}/parts");
                api.post(&path, json!(asked)).await?.expect(200)?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = running.join_next().await {
        done.context("a camera's task stopped")??;
    }
    Ok(per_second(CAMERAS * REQUESTS * parts, begin))
}

fn part(index: usize) -> Value {
    json!({
        "index": index, "kind": if index == 0 { "init" } else { "segment" }, "length": 100_000,
        "sha256": format!("{index:064x}"), "content_type": "video/mp4",
        "duration_ms": if index == 0 { Value::Null } else { json!(2_000) },
    })
}

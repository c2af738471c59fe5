//! How soon people are told of what a camera sees.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nightjar_shared::{ids::EventId, topic::Channel};
use serde_json::json;

use super::report::{Figure, percentile};
use crate::{
    fake_camera::{FakeCamera, event},
    feed::Feed,
    relay::{Place, Ports, Relay},
};

/// Each sees one thing: what a camera sees again a moment later is counted and not told.
const CAMERAS: usize = 60;
const LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn told(directory: &Path) -> Result<Vec<Figure>> {
    std::fs::create_dir_all(directory).context("cannot make the bench's directory")?;
    let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
    let (owner, site_id) =
        relay.api()?.register("owner@example.org", "twelve purple ladders").await?;
    let mut feed = Feed::open(&owner).await?;
    let mut in_list = Vec::new();
    for _ in 0..CAMERAS {
        let camera = FakeCamera::pair(&owner, &site_id).await?;
        let mut connected = camera.connect().await?;
        let event_id = EventId::generate();
        // A clock that was never set: it happened when it arrives.
        let mut started = event(event_id, "started", 0);
        started["clock"] = json!("unsynced");
        let begin = Instant::now();
        connected.say(Channel::UpEvent, &started).await?;
        let is_told = |message: &serde_json::Value| {
            message["type"] == "notification"
                && message["notification"]["event_id"] == json!(event_id)
        };
        let (_, arrived) = feed.next("the notification", LIMIT, is_told).await?;
        in_list.push(arrived.duration_since(begin).as_secs_f64() * 1_000.0);
    }
    Ok(vec![
        Figure::new("motion to the list of open apps, p50 of 60", percentile(&in_list, 50), "ms"),
        Figure::new("motion to the list of open apps, p95 of 60", percentile(&in_list, 95), "ms")
            .at_most(1_000.0),
    ])
}

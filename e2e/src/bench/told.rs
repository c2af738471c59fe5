//! How soon people are told of what a camera sees.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nightjar_shared::{ids::EventId, topic::Channel};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};
use tokio_util::task::TaskTracker;

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
    let mut place = Place::loopback(Ports::free()?);
    "[outgoing]\nallowed_networks = [\"127.0.0.1\"]\n".clone_into(&mut place.mail);
    let relay = Relay::start(directory, place).await?;
    let (owner, site_id) =
        relay.api()?.register("owner@example.org", "twelve purple ladders").await?;
    let mut feed = Feed::open(&owner).await?;
    let (push_service, mut pushes) = push_service().await?;
    owner.post("notifications/push", browser(&push_service)).await?.expect(201)?;
    let (mut in_list, mut at_service, mut cameras) = (Vec::new(), Vec::new(), Vec::new());
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
        let posted = tokio::time::timeout(LIMIT, pushes.recv()).await.context("no message")?;
        let posted = posted.context("the push service has gone")?;
        at_service.push(posted.duration_since(begin).as_secs_f64() * 1_000.0);
        // That one has gone is told as urgently.
        cameras.push(connected);
    }
    Ok(vec![
        Figure::new("motion to the list of open apps, p50 of 60", percentile(&in_list, 50), "ms"),
        Figure::new("motion to the list of open apps, p95 of 60", percentile(&in_list, 95), "ms")
            .at_most(1_000.0),
        Figure::new(
            "motion to the POST at a push service, p50 of 60",
            percentile(&at_service, 50),
            "ms",
        ),
        Figure::new(
            "motion to the POST at a push service, p95 of 60",
            percentile(&at_service, 95),
            "ms",
        )
        .at_most(1_000.0),
    ])
}

/// A browser whose messages nobody here can read: the keys are those of RFC 8291's example.
fn browser(push_service: &str) -> serde_json::Value {
    json!({
        "endpoint": format!("{push_service}/1"),
        "keys": {
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "auth": "BTBZMqHH6r4Tts7J_aSIgg",
        },
    })
}

/// Takes every message, and says when the urgent ones came: those of motion.
async fn push_service() -> Result<(String, mpsc::Receiver<Instant>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let (sender, receiver) = mpsc::channel(2 * CAMERAS);
    let tracker = TaskTracker::new();
    let connections = tracker.clone();
    tracker.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            connections.spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                // A message and its head are short: they come in one piece.
                while let Ok(count) = stream.read(&mut buffer).await {
                    if count == 0 {
                        return;
                    }
                    let text = String::from_utf8_lossy(&buffer[..count]).to_lowercase();
                    if text.contains("urgency: high") && sender.send(Instant::now()).await.is_err()
                    {
                        return;
                    }
                    if text.starts_with("post ") {
                        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
                        let _ = stream.write_all(answer).await;
                    }
                }
            });
        }
    });
    Ok((origin, receiver))
}

//! A clip's picture on its way: its thumbnail first, then the picture itself.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use nightjar_agent::{
    clock::{Clock, boot_id},
    cloud::{Cloud, Exchange, Visitor, Wire},
    config::UploadConfig,
    identity::Identity,
    store::{ClipKind, INDEX_FILE, NewClip, NewPart, Store},
    tls::TimeFloor,
    upload,
};
use nightjar_core::picture::jpeg;
use nightjar_shared::{
    api::PartKind,
    ids::{CameraId, ClipId},
    time::{ClockState, UnixMillis},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PATIENCE: Duration = Duration::from_secs(30);
const FOOTAGE: &[u8] = b"no MP4 of ours, so it is sent as it is";

/// A relay, as a camera's requests see it: of today, or of before there were stills.
#[derive(Default)]
struct Relay {
    knows_stills: bool,
    /// What was asked for, by its index.
    asked: BTreeMap<u64, Value>,
    /// What arrived, in its order.
    arrived: Vec<(u64, Vec<u8>)>,
    completed: Option<Value>,
}

impl Relay {
    fn answer(&mut self, exchange: &Exchange) -> (u16, Value) {
        let path = exchange.url.split("/api/v1/").nth(1).unwrap_or(&exchange.url);
        let body = || serde_json::from_slice::<Value>(&exchange.body).unwrap();
        match path.rsplit('/').next().unwrap() {
            "challenge" => (200, json!({"nonce": "n", "server_time": 0})),
            "token" => (200, json!({"token": "t", "expires_in_s": 3_600, "server_time": 0})),
            "parts" => self.permit(&body()),
            "stored" => (200, json!({"stored": body()["parts"], "missing": []})),
            "complete" => {
                self.completed = Some(body());
                (200, json!({}))
            }
            index if exchange.method == "PUT" => {
                self.arrived.push((index.parse().unwrap(), exchange.body.clone()));
                (200, json!({}))
            }
            _ => (200, json!({})),
        }
    }

    fn permit(&mut self, parts: &Value) -> (u16, Value) {
        let parts = parts.as_array().unwrap();
        if !self.knows_stills && parts.iter().any(|part| part["kind"] == "still") {
            let title = "The body is not the JSON that belongs here.";
            return (422, json!({"code": "invalid_json", "title": title, "status": 422}));
        }
        let permit = |part: &Value| {
            let url = format!("http://localhost/{}", part["index"]);
            json!({"index": part["index"], "url": url, "headers": {}, "expires_at": 0})
        };
        self.asked.extend(parts.iter().map(|it| (it["index"].as_u64().unwrap(), it.clone())));
        (200, parts.iter().map(permit).collect())
    }
}

async fn serve(relay: Arc<Mutex<Relay>>, mut exchanges: mpsc::Receiver<Exchange>) {
    while let Some(exchange) = exchanges.recv().await {
        let (status, body) = relay.lock().unwrap().answer(&exchange);
        let answer = http::Response::builder().status(status).body(body.to_string().into());
        drop(exchange.answer.send(answer.unwrap()));
    }
}

/// Lets a camera upload one clip with this picture, and returns what a relay has of it then.
async fn uploaded(knows_stills: bool, picture: &[u8]) -> Relay {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(&home.path().join(INDEX_FILE)).unwrap();
    let clip_id = ClipId::generate();
    let clip = NewClip {
        clip_id,
        event_id: None,
        kind: ClipKind::Motion,
        started_at: UnixMillis(1),
        clock: ClockState::Synced,
        boot_id: boot_id().unwrap(),
        started_uptime_ms: 1,
    };
    let part = |index, kind, name: &str, content_type, content: &[u8]| {
        let path = format!("{clip_id}.{name}");
        fs::write(home.path().join(&path), content).unwrap();
        let length = content.len() as u64;
        NewPart { index, kind, path, content_type, length, duration_ms: None }
    };
    let parts = vec![
        part(0, PartKind::File, "mp4", "video/mp4", FOOTAGE),
        part(1, PartKind::Thumbnail, "jpg", "image/jpeg", picture),
    ];
    store.begin_clip(clip, None).await.unwrap();
    store.close_clip(clip_id, 1_000, parts, None).await.unwrap();

    let relay = Arc::new(Mutex::new(Relay { knows_stills, ..Relay::default() }));
    let (wire, exchanges) = mpsc::channel(8);
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    tracker.spawn(serve(relay.clone(), exchanges));
    let clock = Clock::default();
    let floor = TimeFloor::new(clock.clone(), UnixMillis(0));
    let visitor = Visitor::simulated("http://localhost", floor, Wire(wire)).unwrap();
    let identity = Arc::new(Identity::open(home.path()).unwrap());
    let cloud = Cloud::simulated(visitor, CameraId::generate(), identity);
    let (_config, config) = watch::channel(UploadConfig::default());
    upload::start(store, cloud, home.path(), config, clock, &tracker, cancel.clone());
    let completed = tokio::time::timeout(PATIENCE, async {
        while relay.lock().unwrap().completed.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    completed.await.expect("the clip is completed");
    cancel.cancel();
    tracker.close();
    tracker.wait().await;
    Arc::into_inner(relay).unwrap().into_inner().unwrap()
}

fn jpeg_of(content: &[u8]) -> Vec<u8> {
    [&[0xFF, 0xD8, 0xFF, 0xDB], content, &[0xFF, 0xD9]].concat()
}

#[tokio::test]
async fn a_thumbnail_and_the_still_around_it_are_two_parts_of_a_clip() {
    let (small, large) = (jpeg_of(b"small"), jpeg_of(b"large, and so on"));
    let picture = jpeg::with_thumbnail(&large, &small).unwrap();
    let relay = uploaded(true, &picture).await;
    let order: Vec<_> = relay.arrived.iter().map(|(index, _)| *index).collect();
    assert_eq!(order, [1, 9_999, 0], "pictures first, and the small one before all");
    assert_eq!(relay.arrived[0].1, small);
    assert_eq!(relay.arrived[1].1, picture);
    assert_eq!(relay.asked[&1]["kind"], "thumbnail");
    assert_eq!(relay.completed.unwrap()["parts"], json!([0, 1, 9_999]));
    for part in relay.asked.values() {
        assert_eq!(part["md5"].as_str().unwrap().len(), 32, "{part}");
    }
}

#[tokio::test]
async fn a_relay_that_knows_no_stills_gets_the_clip_without() {
    let (small, large) = (jpeg_of(b"small"), jpeg_of(b"large, and so on"));
    let picture = jpeg::with_thumbnail(&large, &small).unwrap();
    let relay = uploaded(false, &picture).await;
    assert_eq!(relay.arrived[0], (1, small));
    assert_eq!(relay.completed.unwrap()["parts"], json!([0, 1]));
}

#[tokio::test]
async fn a_picture_of_an_older_agent_is_its_own_thumbnail() {
    let picture = jpeg_of(b"without a smaller one");
    let relay = uploaded(true, &picture).await;
    assert_eq!(relay.arrived[0], (1, picture));
    assert_eq!(relay.completed.unwrap()["parts"], json!([0, 1]));
}

use std::time::Duration;

use nightjar_relay::engines::objects::ObjectKey;
use nightjar_shared::ids::{ClipId, EventId};
use serde_json::{Value, json};

use crate::{
    device::{Device, announcement, event, part},
    person::Person,
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

pub(crate) const FOOTAGE: &[u8] = b"not really an MP4, and the relay never looks";
const PICTURE: &[u8] = b"not really a JPEG";

/// Sends one part to where the relay said.
pub(crate) async fn put(camera: &Device, permitted: &Value, content: &[u8]) -> u16 {
    let mut request = camera.caller.client.put(permitted["url"].as_str().unwrap());
    for (name, value) in permitted["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request.body(content.to_vec()).send().await.unwrap().status().as_u16()
}

pub(crate) async fn permit(camera: &Device, clip_id: ClipId, parts: Value) -> Value {
    camera.caller.post(&format!("agent/clips/{clip_id}/parts"), parts).await.body(200)
}

fn completion(parts: &[u32]) -> Value {
    json!({"parts": parts, "ended_at": 11_000, "duration_ms": 10_000})
}

/// A clip that has arrived in full.
pub(crate) async fn upload(camera: &Device, event_id: Option<EventId>) -> ClipId {
    let clip_id = ClipId::generate();
    let announced = announcement(clip_id, event_id, 1000);
    camera.caller.post("agent/clips", announced).await.body(200);
    let parts = json!([part(0, "file", FOOTAGE), part(1, "thumbnail", PICTURE)]);
    let permitted = permit(camera, clip_id, parts).await;
    assert_eq!(put(camera, &permitted[0], FOOTAGE).await, 200);
    assert_eq!(put(camera, &permitted[1], PICTURE).await, 200);
    let path = format!("agent/clips/{clip_id}/complete");
    camera.caller.post(&path, completion(&[0, 1])).await.body(200);
    clip_id
}

pub(crate) async fn fetch(person: &Person, url: &Value) -> (u16, Vec<u8>) {
    let response = person.client.get(url.as_str().unwrap()).send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn a_clip_is_announced_uploaded_and_played() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let event_id = EventId::generate();
        let clip_id = upload(&camera, Some(event_id)).await;
        let mut message = event(event_id, "ended", 9000);
        message["clip_id"] = json!(clip_id);
        camera.report(relay, message).await;

        let clip = alice.get(&format!("clips/{clip_id}")).await.body(200);
        assert_eq!((&clip["state"], &clip["kind"]), (&json!("ready"), &json!("clip")));
        assert_eq!(clip["length"], FOOTAGE.len() + PICTURE.len());
        assert_eq!(clip["duration_ms"], 10_000);
        assert_eq!(fetch(&alice, &clip["thumbnail_url"]).await, (200, PICTURE.to_vec()));
        let playback = alice.get(&format!("clips/{clip_id}/playback")).await;
        assert!(playback.headers["cache-control"].to_str().unwrap().contains("no-store"));
        let playback = playback.body(200);
        assert_eq!(playback["parts"].as_array().unwrap().len(), 1);
        assert_eq!(playback["parts"][0]["kind"], "file");
        assert_eq!(fetch(&alice, &playback["parts"][0]["url"]).await, (200, FOOTAGE.to_vec()));
        let seen = alice.get(&format!("events/{event_id}")).await.body(200);
        assert_eq!(seen["clip_id"], json!(clip_id));
        assert_eq!(fetch(&alice, &seen["thumbnail_url"]).await.0, 200);
        let listed = alice.get("clips").await.body(200);
        assert_eq!(listed["items"][0]["clip_id"], json!(clip_id));
    })
    .await;
}

#[tokio::test]
async fn every_step_of_an_upload_may_be_repeated() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = upload(&camera, None).await;
        let announced = announcement(clip_id, None, 999);
        let clip = camera.caller.post("agent/clips", announced).await.body(200);
        assert_eq!((&clip["state"], &clip["started_at"]), (&json!("ready"), &json!(1000)));
        let permitted = permit(&camera, clip_id, json!([part(0, "file", FOOTAGE)])).await;
        assert_eq!(permitted[0]["stored"], true);
        let path = format!("agent/clips/{clip_id}/complete");
        camera.caller.post(&path, completion(&[0, 1])).await.body(200);
        let other = json!([part(0, "file", b"something else")]);
        let changed = camera.caller.post(&format!("agent/clips/{clip_id}/parts"), other).await;
        changed.is_problem(409, "already_complete");
    })
    .await;
}

#[tokio::test]
async fn a_part_that_arrived_before_the_answer_got_lost_is_not_sent_again() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let asked = json!([part(0, "file", FOOTAGE)]);
        let permitted = permit(&camera, clip_id, asked.clone()).await;
        assert_eq!(permitted[0]["stored"], false);
        assert_eq!(put(&camera, &permitted[0], FOOTAGE).await, 200);
        assert_eq!(permit(&camera, clip_id, asked).await[0]["stored"], true);
    })
    .await;
}

#[tokio::test]
async fn a_part_that_was_asked_for_under_an_older_name_keeps_it() {
    use nightjar_relay::engines::db::Executor as _;

    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let asked = json!([part(0, "file", FOOTAGE)]);
        permit(&camera, clip_id, asked.clone()).await;
        let before = format!("{}/{clip_id}/0-0123456789abcdef.mp4", camera.id());
        let rename = "update clip_parts set object_key = $1";
        relay.app().db.execute(rename, vec![before.as_str().into()]).await.unwrap();
        let permitted = permit(&camera, clip_id, asked).await;
        assert!(permitted[0]["url"].as_str().unwrap().contains(&before), "{permitted}");
        assert_eq!(put(&camera, &permitted[0], FOOTAGE).await, 200);
        let path = format!("agent/clips/{clip_id}/complete");
        camera.caller.post(&path, completion(&[0])).await.body(200);
        let playback = alice.get(&format!("clips/{clip_id}/playback")).await.body(200);
        assert_eq!(fetch(&alice, &playback["parts"][0]["url"]).await, (200, FOOTAGE.to_vec()));
    })
    .await;
}

#[tokio::test]
async fn a_clip_is_not_ready_before_the_store_has_all_of_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let complete = format!("agent/clips/{clip_id}/complete");
        let parts = json!([part(0, "file", FOOTAGE), part(3, "thumbnail", PICTURE)]);
        let permitted = permit(&camera, clip_id, parts).await;
        assert_eq!(put(&camera, &permitted[1], PICTURE).await, 200);
        let early = camera.caller.post(&complete, completion(&[3, 0])).await;
        early.is_problem(409, "part_missing");
        assert_eq!(early.json()["detail"], "part 0");
        let unknown = camera.caller.post(&complete, completion(&[3, 7])).await;
        assert_eq!(unknown.json()["detail"], "part 7");
        let bare = camera.caller.post(&complete, completion(&[3])).await;
        bare.is_problem(409, "part_missing");
        let path = format!("clips/{clip_id}");
        assert_eq!(alice.get(&path).await.body(200)["state"], "announced");
        alice.get(&format!("{path}/playback")).await.is_problem(409, "not_ready");
        // Other content than announced is refused by the store, so it never becomes part of it.
        let other: Vec<u8> = FOOTAGE.iter().rev().copied().collect();
        assert_ne!(put(&camera, &permitted[0], &other).await, 200);
        camera.caller.post(&complete, completion(&[0])).await.is_problem(409, "part_missing");
        assert_eq!(put(&camera, &permitted[0], FOOTAGE).await, 200);
        camera.caller.post(&complete, completion(&[0, 3])).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_is_a_clip_of_one_picture() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let permitted = permit(&camera, clip_id, json!([part(0, "snapshot", PICTURE)])).await;
        assert_eq!(put(&camera, &permitted[0], PICTURE).await, 200);
        let path = format!("agent/clips/{clip_id}/complete");
        let clip = camera.caller.post(&path, completion(&[0])).await.body(200);
        assert_eq!((&clip["kind"], &clip["state"]), (&json!("snapshot"), &json!("ready")));
        assert!(clip["thumbnail_url"].is_string(), "a list can show it: {clip}");
        let playback = alice.get(&format!("clips/{clip_id}/playback")).await.body(200);
        assert_eq!(playback["parts"][0]["kind"], "snapshot");
    })
    .await;
}

/// Whoever steals a camera has its key.
#[tokio::test]
async fn footage_that_arrived_is_not_replaced_by_a_picture() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        for kind in ["file", "init"] {
            let clip_id = ClipId::generate();
            camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
            let permitted = permit(&camera, clip_id, json!([part(0, kind, FOOTAGE)])).await;
            assert_eq!(put(&camera, &permitted[0], FOOTAGE).await, 200);
            let stored = format!("agent/clips/{clip_id}/stored");
            camera.caller.post(&stored, json!({"parts": [0]})).await.body(200);
            for index in [0, 5] {
                let asked = json!([part(index, "snapshot", PICTURE)]);
                let path = format!("agent/clips/{clip_id}/parts");
                let refused = camera.caller.post(&path, asked).await;
                refused.is_problem(409, "not_a_snapshot");
            }
            assert_eq!(alice.get(&format!("clips/{clip_id}")).await.body(200)["kind"], "clip");
            let kept = permit(&camera, clip_id, json!([part(0, kind, FOOTAGE)])).await;
            assert_eq!(kept[0]["stored"], true);
        }
    })
    .await;
}

#[tokio::test]
async fn what_the_store_must_not_hold_is_refused_before() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let changed = |field: &str, value: Value| {
            let mut part = part(0, "file", FOOTAGE);
            part[field] = value;
            json!([part])
        };
        let path = format!("agent/clips/{clip_id}/parts");
        let many: Vec<Value> = (0..65).map(|index| part(index, "segment", FOOTAGE)).collect();
        for (parts, code) in [
            (changed("content_type", json!("text/html")), "unsupported_content_type"),
            (changed("content_type", json!("image/jpeg")), "unsupported_content_type"),
            (changed("kind", json!("thumbnail")), "unsupported_content_type"),
            (changed("length", json!(0)), "too_large"),
            (changed("length", json!(u64::MAX)), "too_large"),
            (changed("index", json!(10_000)), "too_large"),
            (changed("sha256", json!("abc")), "invalid_sha256"),
            (Value::Array(many), "too_large"),
        ] {
            camera.caller.post(&path, parts).await.is_problem(422, code);
        }
    })
    .await;
}

#[tokio::test]
async fn footage_that_is_gone_is_given_up() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let failed = format!("agent/clips/{clip_id}/failed");
        camera.caller.post(&failed, json!({"reason": "the file is gone"})).await.body(204);
        camera.caller.post(&failed, json!({"reason": "the file is gone"})).await.body(204);
        assert_eq!(alice.get(&format!("clips/{clip_id}")).await.body(200)["state"], "failed");
        let late = format!("agent/clips/{clip_id}/complete");
        let late = camera.caller.post(&late, completion(&[0])).await;
        late.is_problem(409, "already_failed");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_clip_is_gone_from_the_store_too() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = upload(&camera, None).await;
        let path = format!("clips/{clip_id}");
        let playback = alice.get(&format!("{path}/playback")).await.body(200);
        let url = &playback["parts"][0]["url"];
        assert_eq!(fetch(&alice, url).await.0, 200);
        alice.delete(&path).await.body(204);
        alice.get(&path).await.is_problem(404, "not_found");
        assert_eq!(fetch(&alice, url).await.0, 404);
    })
    .await;
}

#[tokio::test]
async fn a_clip_that_was_deleted_while_its_camera_was_away_does_not_come_back_with_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let permitted = permit(&camera, clip_id, json!([part(0, "file", FOOTAGE)])).await;
        assert_eq!(put(&camera, &permitted[0], FOOTAGE).await, 200);
        let path = format!("clips/{clip_id}");
        alice.delete(&path).await.body(204);

        for door in ["parts", "stored", "complete"] {
            let body = match door {
                "parts" => json!([part(0, "file", FOOTAGE)]),
                "stored" => json!({"parts": [0]}),
                _ => completion(&[0]),
            };
            let late = camera.caller.post(&format!("agent/clips/{clip_id}/{door}"), body).await;
            late.is_problem(404, "not_found");
        }
        let again = camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await;
        again.is_problem(410, "deleted");
        alice.get(&path).await.is_problem(404, "not_found");
        let key = key_of(&permitted[0]);
        assert!(relay.app().objects.head(&key).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn visibility_is_changed_by_name() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let path = format!("clips/{}", upload(&camera, None).await);
        let clip = alice.patch(&path, json!({"visibility": "private"})).await.body(200);
        assert_eq!(clip["visibility"], "private");
        assert_eq!(alice.get(&path).await.body(200)["visibility"], "private");
        assert_eq!(alice.get("clips").await.body(200)["items"][0]["visibility"], "private");
        let odd = alice.patch(&path, json!({"visibility": "everybody"})).await;
        odd.is_problem(422, "invalid_visibility");
    })
    .await;
}

/// The object that a permission is for.
fn key_of(permitted: &Value) -> ObjectKey {
    let url = permitted["url"].as_str().unwrap();
    let (_, path) = url.split('?').next().unwrap().split_once("/clips/").unwrap();
    path.parse().unwrap()
}

#[tokio::test]
async fn what_is_given_up_leaves_no_object_behind() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let first = permit(&camera, clip_id, json!([part(0, "file", FOOTAGE)])).await;
        assert_eq!(put(&camera, &first[0], FOOTAGE).await, 200);
        // The camera changes its mind: the part is another one now.
        let second = permit(&camera, clip_id, json!([part(0, "file", PICTURE)])).await;
        assert_eq!(put(&camera, &second[0], PICTURE).await, 200);
        let stored = async |permitted: &Value| {
            relay.app().objects.head(&key_of(&permitted[0])).await.unwrap().is_some()
        };
        assert!(stored(&first).await && stored(&second).await);
        alice.delete(&format!("clips/{clip_id}")).await.body(204);
        assert!(!stored(&second).await);
        eventually(async || stored(&first).await, |stored| !stored).await;

        // A permission outlives the clip, but what is uploaded by it does not.
        assert_eq!(put(&camera, &second[0], PICTURE).await, 200);
        assert!(stored(&second).await);
        relay.pass(Duration::from_hours(1));
        // Another camera's token has not run out by then.
        let other = upload(&relay.camera_of(&alice).await, None).await;
        alice.delete(&format!("clips/{other}")).await.body(204);
        eventually(async || stored(&second).await, |stored| !stored).await;
    })
    .await;
}

//! The pictures of clips: small ones for lists, and the stills that they were made of.

use nightjar_shared::ids::{ClipId, EventId};
use serde_json::{Value, json};

use crate::{
    clips::{FOOTAGE, fetch, permit, put},
    device::{Device, announcement, event, part},
    relay::{TestRelay, on_every_database, on_sqlite},
};

const THUMBNAIL: &[u8] = b"a small picture";
const STILL: &[u8] = b"the picture that it was made of";

/// Uploads parts, each with its content, and completes the clip of them.
async fn upload(camera: &Device, event_id: Option<EventId>, parts: &[(Value, &[u8])]) -> ClipId {
    let clip_id = ClipId::generate();
    camera.caller.post("agent/clips", announcement(clip_id, event_id, 1000)).await.body(200);
    for (asked, content) in parts {
        let permitted = permit(camera, clip_id, json!([asked])).await;
        assert_eq!(put(camera, &permitted[0], content).await, 200);
    }
    let indexes: Vec<_> = parts.iter().map(|(asked, _)| asked["index"].clone()).collect();
    let completion = json!({"parts": indexes, "ended_at": 11_000, "duration_ms": 10_000});
    camera.caller.post(&format!("agent/clips/{clip_id}/complete"), completion).await.body(200);
    clip_id
}

#[tokio::test]
async fn lists_show_the_thumbnail_and_a_page_the_still() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let event_id = EventId::generate();
        let (thumbnail, still) = (part(1, "thumbnail", THUMBNAIL), part(9_999, "still", STILL));
        let file = (part(0, "file", FOOTAGE), FOOTAGE);
        let both = [(thumbnail.clone(), THUMBNAIL), (still.clone(), STILL), file.clone()];
        let clip_id = upload(&camera, Some(event_id), &both).await;
        let mut message = event(event_id, "ended", 9000);
        message["clip_id"] = json!(clip_id);
        camera.report(relay, message).await;
        for path in [format!("clips/{clip_id}"), format!("events/{event_id}")] {
            let seen = alice.get(&path).await.body(200);
            assert_eq!(fetch(&alice, &seen["thumbnail_url"]).await.1, THUMBNAIL, "{path}");
            assert_eq!(fetch(&alice, &seen["still_url"]).await.1, STILL, "{path}");
        }
        let playback = alice.get(&format!("clips/{clip_id}/playback")).await.body(200);
        assert_eq!(playback["parts"].as_array().unwrap().len(), 1, "pictures are not played");

        // What older cameras send is shown everywhere, and so is a snapshot.
        for (parts, small, large) in [
            (vec![(thumbnail.clone(), THUMBNAIL), file.clone()], THUMBNAIL, THUMBNAIL),
            (vec![(still, STILL), file], STILL, STILL),
            (vec![(part(0, "snapshot", STILL), STILL)], STILL, STILL),
            (vec![(thumbnail, THUMBNAIL), (part(0, "snapshot", STILL), STILL)], THUMBNAIL, STILL),
        ] {
            let clip_id = upload(&camera, None, &parts).await;
            let seen = alice.get(&format!("clips/{clip_id}")).await.body(200);
            assert_eq!(fetch(&alice, &seen["thumbnail_url"]).await.1, small);
            assert_eq!(fetch(&alice, &seen["still_url"]).await.1, large);
        }
    })
    .await;
}

#[tokio::test]
async fn pictures_alone_are_no_clip() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let asked = json!([part(1, "thumbnail", THUMBNAIL), part(9_999, "still", STILL)]);
        let permitted = permit(&camera, clip_id, asked).await;
        put(&camera, &permitted[0], THUMBNAIL).await;
        put(&camera, &permitted[1], STILL).await;
        let completion = json!({"parts": [1, 9_999], "ended_at": 1, "duration_ms": 1});
        let path = format!("agent/clips/{clip_id}/complete");
        camera.caller.post(&path, completion).await.is_problem(409, "part_missing");
    })
    .await;
}

#[tokio::test]
async fn the_same_picture_has_the_same_address_for_a_while() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let parts =
            [(part(1, "thumbnail", THUMBNAIL), THUMBNAIL), (part(0, "file", FOOTAGE), FOOTAGE)];
        let clip_id = upload(&camera, None, &parts).await;
        let path = format!("clips/{clip_id}");
        let address = async || {
            let seen = alice.get(&path).await.body(200);
            let playback = alice.get(&format!("{path}/playback")).await.body(200);
            (seen["thumbnail_url"].clone(), playback["parts"][0]["url"].clone())
        };
        // One step may end in between, and not two.
        let asked = [address().await, address().await, address().await];
        assert!(asked[0] == asked[1] || asked[1] == asked[2], "{asked:?}");
        let answer = alice.client.get(asked[2].0.as_str().unwrap()).send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "private, max-age=300, immutable");
    })
    .await;
}

#[tokio::test]
async fn an_md5_is_signed_where_a_camera_gives_it() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let mut asked = part(0, "file", b"");
        asked["length"] = json!(FOOTAGE.len());
        asked["sha256"] = part(0, "file", FOOTAGE)["sha256"].clone();
        // Of nothing: the bytes have another.
        asked["md5"] = json!("d41d8cd98f00b204e9800998ecf8427e");
        let permitted = permit(&camera, clip_id, json!([asked])).await;
        assert_eq!(permitted[0]["headers"]["content-md5"], "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(put(&camera, &permitted[0], FOOTAGE).await, 400);
        asked["md5"] = json!("d41d8cd9");
        let path = format!("agent/clips/{clip_id}/parts");
        camera.caller.post(&path, json!([asked])).await.is_problem(422, "invalid_md5");
    })
    .await;
}

//! What a camera told before its clock was set.

use nightjar_shared::{
    ids::{BootId, ClipId, EventId},
    topic::Channel,
};
use serde_json::{Value, json};

use crate::{
    device::{Device, Online, announcement, boot_id, event},
    person::Person,
    relay::{TestRelay, eventually, on_every_database},
};

/// 2027, when the camera's boot began.
const BOOT_AT: i64 = 1_800_000_000_000;

/// An event of 1970 that lasts for four seconds, with its clip; gives their ids.
async fn tell_of_1970(relay: &TestRelay, camera: &Device) -> (EventId, ClipId) {
    let (event_id, clip_id) = (EventId::generate(), ClipId::generate());
    for (state, uptime_ms) in [("started", 5_000), ("ended", 9_000)] {
        let mut message = event(event_id, state, uptime_ms);
        message["clock"] = json!("unsynced");
        message["uptime_ms"] = json!(uptime_ms);
        camera.report(relay, message).await;
    }
    let mut body = announcement(clip_id, Some(event_id), 4_000);
    body["clock"] = json!("unsynced");
    body["boot_id"] = json!(boot_id());
    body["started_uptime_ms"] = json!(4_000);
    camera.caller.post("agent/clips", body).await.body(200);
    (event_id, clip_id)
}

async fn say_when_boots_began(camera: &mut Online, boots: Value) {
    let presence = json!({"online": true, "boot_id": boot_id(), "boots": boots});
    camera.say(Channel::UpPresence, &presence).await;
}

async fn seen(person: &Person, path: String) -> Value {
    person.get(&path).await.body(200)
}

#[tokio::test]
async fn events_and_clips_get_their_times_when_their_cameras_clock_is_set() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (camera, other) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
        let (event_id, clip_id) = tell_of_1970(relay, &camera).await;
        let (others_event, _) = tell_of_1970(relay, &other).await;
        let mut online = camera.connect(relay).await;
        let boots = json!([
            {"boot_id": BootId::generate(), "began_at": 7},
            {"boot_id": boot_id(), "began_at": BOOT_AT},
        ]);
        for _ in 0..2 {
            say_when_boots_began(&mut online, boots.clone()).await;
            let event = eventually(
                async || seen(&alice, format!("events/{event_id}")).await,
                |event| event["clock"] == "synced",
            )
            .await;
            assert_eq!(event["started_at"], BOOT_AT + 5_000);
            assert_eq!(event["ended_at"], BOOT_AT + 9_000);
            let clip = seen(&alice, format!("clips/{clip_id}")).await;
            assert_eq!(clip["started_at"], BOOT_AT + 4_000, "{clip}");
        }
        let event = seen(&bob, format!("events/{others_event}")).await;
        assert_eq!(event["started_at"], 5_000, "another camera's boot has a clock of its own");
    })
    .await;
}

#[tokio::test]
async fn a_time_that_no_boot_can_have_changes_nothing() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let (event_id, _) = tell_of_1970(relay, &camera).await;
        let mut online = camera.connect(relay).await;
        for began_at in [i64::MAX, -1] {
            let boots = json!([{"boot_id": boot_id(), "began_at": began_at}]);
            say_when_boots_began(&mut online, boots).await;
        }
        // Messages of one camera are handled one after the other.
        let marker = EventId::generate();
        let message = serde_json::to_value(event(marker, "started", 1)).unwrap();
        online.say(Channel::UpEvent, &message).await;
        eventually(
            async || alice.get(&format!("events/{marker}")).await.json(),
            |event| event["state"] == "started",
        )
        .await;
        let event = seen(&alice, format!("events/{event_id}")).await;
        assert_eq!((&event["started_at"], &event["clock"]), (&json!(5_000), &json!("unsynced")));
    })
    .await;
}

#[tokio::test]
async fn a_clip_that_is_announced_again_has_the_corrected_time() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let (_, clip_id) = tell_of_1970(relay, &camera).await;
        let again = announcement(clip_id, None, BOOT_AT);
        let clip = camera.caller.post("agent/clips", again).await.body(200);
        assert_eq!((&clip["started_at"], &clip["clock"]), (&json!(BOOT_AT), &json!("synced")));
        let mut wrong = announcement(clip_id, None, 1);
        wrong["clock"] = json!("unsynced");
        let clip = camera.caller.post("agent/clips", wrong).await.body(200);
        assert_eq!(clip["started_at"], BOOT_AT, "a clock that is not set corrects nothing");
    })
    .await;
}

use nightjar_shared::{ids::EventId, topic::Channel};
use serde_json::{Value, json};

use crate::{
    device::event,
    relay::{TestRelay, on_every_database},
};

#[tokio::test]
async fn an_event_begins_and_ends() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let id = EventId::generate();
        let mut started = event(id, "started", 1000);
        started["boxes"] = json!([{"x": 0.5, "y": 0.5, "width": 0.25, "height": 0.25}]);
        started["zones"] = json!(["door"]);
        camera.report(relay, started).await;
        let seen = alice.get(&format!("events/{id}")).await.body(200);
        assert_eq!((&seen["state"], &seen["started_at"]), (&json!("started"), &json!(1000)));
        assert_eq!(seen["kind"], "motion");
        assert!(seen.get("ended_at").is_none());

        let mut ended = event(id, "ended", 9000);
        ended["reason"] = json!("quiet");
        camera.report(relay, ended).await;
        let seen = alice.get(&format!("events/{id}")).await.body(200);
        assert_eq!((&seen["state"], &seen["ended_at"]), (&json!("ended"), &json!(9000)));
        assert_eq!(seen["zones"], json!(["door"]));
        assert_eq!(seen["boxes"][0]["width"], 0.25);
        assert_eq!(seen["reason"], "quiet");
    })
    .await;
}

#[tokio::test]
async fn an_event_tells_how_long_and_how_much_moved_and_where() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let id = EventId::generate();
        camera.report(relay, event(id, "started", 1000)).await;
        let mut ended = event(id, "ended", 9000);
        ended["zones"] = json!(["drive", "lawn"]);
        ended["peak_area"] = json!(0.125);
        ended["duration_ms"] = json!(7_200);
        camera.report(relay, ended).await;
        camera.report(relay, event(id, "started", 1000)).await;
        let seen = alice.get(&format!("events/{id}")).await.body(200);
        assert_eq!((&seen["peak_area"], &seen["duration_ms"]), (&json!(0.125), &json!(7_200)));
        assert_eq!(seen["zones"], json!(["drive", "lawn"]));

        let odd = EventId::generate();
        let mut ended = event(odd, "ended", 9000);
        ended["peak_area"] = json!(-7.5);
        camera.report(relay, ended).await;
        let seen = alice.get(&format!("events/{odd}")).await.body(200);
        assert!(seen.get("peak_area").is_none(), "no share of a picture: {seen}");
    })
    .await;
}

#[tokio::test]
async fn an_event_of_tampering_says_what_was_done_to_the_camera() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let id = EventId::generate();
        let mut started = event(id, "started", 1000);
        started["kind"] = json!("tamper");
        started["tamper"] = json!("covered");
        camera.report(relay, started.clone()).await;
        let mut ended = event(id, "ended", 9000);
        ended["kind"] = json!("tamper");
        ended["reason"] = json!("restored");
        camera.report(relay, ended).await;
        camera.report(relay, started.clone()).await;
        let seen = alice.get(&format!("events/{id}")).await.body(200);
        assert_eq!((&seen["kind"], &seen["tamper"]), (&json!("tamper"), &json!("covered")));
        assert_eq!((&seen["state"], &seen["reason"]), (&json!("ended"), &json!("restored")));
        let found = alice.get("events?kind=tamper").await.body(200);
        assert_eq!(found["items"][0]["event_id"], json!(id));

        // What a newer camera says of a deed that this relay does not know.
        let newer = EventId::generate();
        started["event_id"] = json!(newer);
        started["tamper"] = json!("painted_green");
        camera.report(relay, started).await;
        let seen = alice.get(&format!("events/{newer}")).await.body(200);
        assert_eq!(seen["kind"], "tamper");
        assert!(seen.get("tamper").is_none(), "{seen}");
    })
    .await;
}

#[tokio::test]
async fn messages_that_come_twice_or_in_the_wrong_order_give_the_same_event() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut seen = Vec::new();
        for order in [["started", "ended", "ended"], ["ended", "started", "started"]] {
            let id = EventId::generate();
            for state in order {
                let at = if state == "started" { 1000 } else { 9000 };
                camera.report(relay, event(id, state, at)).await;
            }
            let mut event = alice.get(&format!("events/{id}")).await.body(200);
            event["event_id"] = Value::Null;
            seen.push(event);
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0]["state"], "ended");
        assert_eq!(seen[0]["started_at"], 1000);
    })
    .await;
}

#[tokio::test]
async fn a_camera_cannot_change_the_event_of_another() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (camera, rogue) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
        let id = EventId::generate();
        camera.report(relay, event(id, "started", 1000)).await;
        let forged = rogue.say(relay, Channel::UpEvent, &event(id, "ended", 0)).await;
        assert_eq!(forged, "not_found");
        assert_eq!(alice.get(&format!("events/{id}")).await.body(200)["state"], "started");
        bob.get(&format!("events/{id}")).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn events_from_the_future_are_refused_by_name() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut unknown = event(EventId::generate(), "started", 0);
        unknown["kind"] = json!("teleportation");
        assert_eq!(camera.say(relay, Channel::UpEvent, &unknown).await, "unknown_kind");
        let mut newer = event(EventId::generate(), "started", 0);
        newer["protocol"] = json!(2);
        assert_eq!(camera.say(relay, Channel::UpEvent, &newer).await, "unsupported_protocol");
    })
    .await;
}

#[tokio::test]
async fn events_are_listed_by_site_camera_kind_and_time() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (front, back) = (relay.camera_of(&alice).await, relay.camera_of(&alice).await);
        for at in [1000, 2000, 3000] {
            let message = event(EventId::generate(), "started", at);
            front.report(relay, message).await;
        }
        let mut manual = event(EventId::generate(), "started", 2500);
        manual["kind"] = json!("manual");
        back.report(relay, manual).await;

        let times = async |query: &str| {
            let list = alice.get(&format!("events?{query}")).await.body(200);
            let items = list["items"].as_array().unwrap().clone();
            items.iter().map(|event| event["started_at"].as_i64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(times("").await, [3000, 2500, 2000, 1000]);
        assert_eq!(times(&format!("camera_id={}", back.id())).await, [2500]);
        assert_eq!(times(&format!("site_id={}", alice.home().await)).await.len(), 4);
        assert_eq!(times("kind=manual").await, [2500]);
        assert_eq!(times("from=2000&to=3000").await, [2500, 2000]);
        assert_eq!(times("limit=1").await, [3000]);
        for query in ["camera_id=x", "from=x", "limit=0"] {
            alice.get(&format!("events?{query}")).await.is_problem(400, "invalid_query");
        }
    })
    .await;
}

use std::time::Duration;

use nightjar_shared::topic::Channel;
use serde_json::{Value, json};

use crate::{
    device::Device,
    person::Person,
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
    ws::{next_of, with_ticket},
};

async fn issue(person: &Person, camera: &Device, body: Value) -> Value {
    person.post(&format!("cameras/{}/commands", camera.id()), body).await.body(202)
}

async fn command(person: &Person, issued: &Value) -> Value {
    let path = format!("commands/{}", issued["command_id"].as_str().unwrap());
    person.get(&path).await.body(200)
}

#[tokio::test]
async fn a_command_waits_for_its_camera_and_is_acknowledged() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let queued = issue(&alice, &device, json!({"kind": "snapshot"})).await;
        assert_eq!(queued["state"], "queued");

        let mut camera = device.connect(relay).await;
        let arrived = camera.command().await;
        assert_eq!(json!(arrived.command_id), queued["command_id"]);
        assert_eq!(arrived.kind, "snapshot");
        assert!((1..=15_000).contains(&arrived.expires_in_ms));
        let sent = async || command(&alice, &queued).await;
        eventually(sent, |command| command["state"] == "sent").await;

        let ack = json!({"protocol": 1, "command_id": arrived.command_id, "outcome": "acked",
            "result": {"clip_id": "x"}});
        camera.say(Channel::UpAck, &ack).await;
        let acked = command(&alice, &queued).await;
        assert_eq!((&acked["state"], &acked["result"]), (&json!("acked"), &ack["result"]));
        let listed = alice.get(&format!("cameras/{}/commands", device.id())).await.body(200);
        assert_eq!(listed["items"], json!([acked]));
    })
    .await;
}

#[tokio::test]
async fn a_command_to_a_connected_camera_is_sent_at_once() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let mut camera = device.connect(relay).await;
        for (outcome, reason) in [("rejected", "not_recording"), ("failed", "the disk is full")] {
            let body = json!({"kind": "record_stop", "expires_in_ms": 60_000});
            let sent = issue(&alice, &device, body).await;
            assert_eq!(sent["state"], "sent");
            let arrived = camera.command().await;
            let ack = json!({"command_id": arrived.command_id, "outcome": outcome,
                "reason": reason});
            camera.say(Channel::UpAck, &ack).await;
            let ended = command(&alice, &sent).await;
            assert_eq!((&ended["state"], &ended["reason"]), (&json!(outcome), &json!(reason)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_command_that_nobody_answers_expires() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let queued = issue(&alice, &device, json!({"kind": "arm", "expires_in_ms": 1000})).await;
        relay.pass(Duration::from_secs(2));
        let state = async || command(&alice, &queued).await;
        eventually(state, |command| command["state"] == "expired").await;
        // A camera that connects later does not hear of it.
        let fresh = issue(&alice, &device, json!({"kind": "disarm"})).await;
        let mut camera = device.connect(relay).await;
        assert_eq!(json!(camera.command().await.command_id), fresh["command_id"]);
    })
    .await;
}

#[tokio::test]
async fn the_truth_about_an_expired_command_counts_however_late_it_comes() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let mut camera = device.connect(relay).await;
        let body = json!({"kind": "snapshot", "expires_in_ms": 1000});
        let (first, second) =
            (issue(&alice, &device, body.clone()).await, issue(&alice, &device, body).await);
        relay.pass(Duration::from_secs(12));
        for sent in [&first, &second] {
            let state = async || command(&alice, sent).await;
            eventually(state, |command| command["state"] == "expired").await;
        }
        let mut socket = with_ticket(&alice).await;
        let mut ack = async |issued: &Value, outcome: &str| {
            let ack = json!({"command_id": issued["command_id"], "outcome": outcome,
                "reason": outcome});
            camera.say(Channel::UpAck, &ack).await;
            command(&alice, issued).await["state"].clone()
        };
        assert_eq!(ack(&second, "failed").await, "failed");
        let told = next_of(&mut socket, "command").await;
        assert_eq!(
            (&told["command_id"], &told["state"]),
            (&second["command_id"], &json!("failed"))
        );
        assert_eq!(ack(&first, "acked").await, "acked");
        // What the camera has said stays.
        assert_eq!(ack(&first, "rejected").await, "acked");
        assert_eq!(ack(&second, "acked").await, "failed");
    })
    .await;
}

#[tokio::test]
async fn a_camera_ends_its_own_commands_only() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, other) = (relay.camera_of(&alice).await, relay.camera_of(&alice).await);
        let queued = issue(&alice, &device, json!({"kind": "arm"})).await;
        let id = queued["command_id"].as_str().unwrap();
        let ack = json!({"command_id": id, "outcome": "acked"});
        assert_eq!(other.say(relay, Channel::UpAck, &ack).await, "ok");
        assert_eq!(command(&alice, &queued).await["state"], "queued");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_command_is_refused_by_name() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let path = format!("cameras/{}/commands", device.id());
        for (body, status, code) in [
            (json!({"kind": "self_destruct"}), 422, "unknown_kind"),
            (json!({"kind": "arm", "expires_in_ms": 999}), 422, "invalid_arguments"),
            (json!({"kind": "arm", "expires_in_ms": 60_001}), 422, "invalid_arguments"),
            (
                json!({"kind": "configure", "arguments": {"max_clip_s": 1}}),
                422,
                "invalid_arguments",
            ),
            (json!({"kind": "arm", "arguments": "x"}), 400, "invalid_json"),
            (json!({"kind": "arm", "arguments": {"junk": "x"}}), 422, "invalid_arguments"),
            (json!({"kind": "configure", "arguments": {"junk": []}}), 422, "invalid_arguments"),
            (json!({}), 400, "invalid_json"),
        ] {
            alice.post(&path, body).await.is_problem(status, code);
        }
        let listed = alice.get(&path).await.body(200);
        assert_eq!(listed["items"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_command_keeps_what_its_kind_understands_and_nothing_else() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let points = [[0.1, 0.2], [0.3, 0.2], [0.3, 0.7]];
        let zone = json!({"name": "door", "kind": "include", "points": points});
        let mut given = json!({"motion_zones": [zone.clone()], "motion_sensitivity": 0.3,
            "pre_roll_s": null});
        let understood = json!({"motion_zones": [zone], "motion_sensitivity": 0.3});
        given["motion_zones"][0]["junk"] = json!("x".repeat(40_000));
        let queued = issue(&alice, &device, json!({"kind": "configure", "arguments": given})).await;
        assert_eq!(queued["arguments"], understood);
        let mut camera = device.connect(relay).await;
        assert_eq!(camera.command().await.arguments, understood);
    })
    .await;
}

#[tokio::test]
async fn a_camera_is_not_flooded_with_commands() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let path = format!("cameras/{}/commands", device.id());
        let mut refused = None;
        for _ in 0..200 {
            let answer = alice.post(&path, json!({"kind": "arm"})).await;
            if answer.status != 202 {
                refused = Some(answer);
                break;
            }
        }
        refused.unwrap().is_problem(429, "rate_limited");
    })
    .await;
}

use std::time::Duration;

use nightjar_shared::ids::ClipId;
use serde_json::{Value, json};

use crate::{
    device::{announcement, health},
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

/// Reasons of the gaps, in order, but for the time before the camera was first heard.
fn reasons(timeline: &Value) -> Vec<String> {
    let gaps = timeline["gaps"].as_array().unwrap();
    let reasons = gaps.iter().map(|gap| gap["reason"].as_str().unwrap().to_owned());
    reasons.skip_while(|reason| reason == "unexplained").collect()
}

#[tokio::test]
async fn a_timeline_tells_recordings_and_why_there_are_none() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let path = format!("cameras/{}/timeline", camera.id());
        let beat = async |changes: &[(&str, bool)], seconds: u64| {
            let mut health = health();
            for (key, value) in changes {
                health[*key] = json!(value);
            }
            camera.beat(relay, health).await;
            relay.pass(Duration::from_secs(seconds));
        };
        beat(&[], 10).await;
        beat(&[("armed", false)], 10).await;
        beat(&[("privacy", true)], 10).await;
        beat(&[("scheduled_off", true)], 10).await;
        beat(&[], 10).await;
        let before = alice.get(&path).await.body(200);
        assert_eq!(reasons(&before), ["disarmed", "privacy", "schedule"], "{before}");

        // After a while it is offline, from when it was heard last.
        camera.vanish(relay).await;
        relay.pass(Duration::from_mins(1));
        let last_reason = async || reasons(&alice.get(&path).await.body(200)).pop();
        eventually(last_reason, |reason| reason.as_deref() == Some("offline")).await;
        relay.pass(Duration::from_mins(30));
        assert_eq!(last_reason().await.as_deref(), Some("offline"), "it stays so until heard");
        beat(&[], 5).await;

        let recorded_at = before["to"].as_i64().unwrap() - 15_000;
        let clip = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip, None, recorded_at)).await.body(200);
        let back = alice.get(&path).await.body(200);
        assert_eq!(reasons(&back), ["disarmed", "privacy", "schedule", "offline"], "{back}");
        assert_eq!(back["recordings"][0]["clip_id"], json!(clip));
        assert_eq!(back["recordings"][0]["started_at"], recorded_at);
        let offline = back["gaps"].as_array().unwrap().last().unwrap();
        let length = offline["to"].as_i64().unwrap() - offline["from"].as_i64().unwrap();
        assert!((1_800_000..2_000_000).contains(&length), "{offline}");
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_was_away_does_not_invent_a_reason() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let mut camera = device.connect(relay).await;
        camera.say(nightjar_shared::topic::Channel::UpHealth, &health()).await;
        let path = format!("cameras/{}/timeline", device.id());
        let gaps = async || alice.get(&path).await.body(200)["gaps"].clone();
        eventually(&gaps, |gaps| reasons(&json!({ "gaps": gaps })).is_empty()).await;
        // The connection stands and nothing is said: nobody knows what the camera did.
        relay.pass(Duration::from_mins(10));
        camera.say(nightjar_shared::topic::Channel::UpHealth, &health()).await;
        let seen = gaps().await;
        let longest = seen
            .as_array()
            .unwrap()
            .iter()
            .max_by_key(|gap| gap["to"].as_i64().unwrap() - gap["from"].as_i64().unwrap());
        assert_eq!(longest.unwrap()["reason"], "unexplained", "{seen}");
    })
    .await;
}

#[tokio::test]
async fn a_timeline_is_its_peoples_alone_and_of_a_bounded_time() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let path = format!("cameras/{}/timeline", camera.id());
        bob.get(&path).await.is_problem(404, "not_found");
        for span in ["from=5&to=5", "from=9&to=5", "from=0&to=99999999999"] {
            alice.get(&format!("{path}?{span}")).await.is_problem(400, "invalid_query");
        }
        let empty = alice.get(&format!("{path}?from=0&to=1000")).await.body(200);
        assert_eq!((&empty["gaps"], &empty["recordings"]), (&json!([]), &json!([])));
    })
    .await;
}

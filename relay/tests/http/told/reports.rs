//! What programs tell of, and what administrators ask for.

use std::time::Duration;

use serde_json::json;

use super::{settled, told_of, until_told};
use crate::{api_keys, members::let_in, relay::on_every_database};

#[tokio::test]
async fn what_a_program_tells_of_is_told_in_its_words_to_who_may_see_it() {
    on_every_database(async |relay| {
        let (alice, vera) = (relay.person("alice").await, relay.person("vera").await);
        let ines = relay.person("ines").await;
        let camera = relay.camera_of(&alice).await;
        let_in(&alice, &vera, "viewer").await;
        let_in(&alice, &ines, "installer").await;
        let key = json!({"name": "Home Assistant", "rights": ["report"]});
        let (program, _) = api_keys::make(&alice, key).await;
        let path = format!("cameras/{}/events", camera.id());

        let bell = json!({"kind": "doorbell", "text": "Es klingelt\nzweimal"});
        let opened = program.post(&path, bell.clone()).await.body(201);
        for person in [&alice, &vera] {
            let told = until_told(person, "doorbell", 1).await;
            assert_eq!(told[0]["event_id"], opened["event_id"]);
            assert!(
                told[0]["title"].as_str().unwrap().starts_with("Somebody rang at "),
                "{told:?}"
            );
            assert!(
                told[0]["body"].as_str().unwrap().starts_with("Es klingelt \u{b7} "),
                "{told:?}"
            );
        }
        // The same finger, and later somebody else.
        program.post(&path, bell.clone()).await.body(201);
        settled(relay).await;
        assert_eq!(told_of(&vera, "doorbell").await.len(), 1);
        relay.pass(Duration::from_secs(31));
        relay.sweep().await;
        program.post(&path, bell).await.body(201);

        let seen = json!({"kind": "sensor", "label": "letter box"});
        program.post(&path, seen).await.body(201);
        let told = until_told(&vera, "report", 1).await;
        assert!(told[0]["title"].as_str().unwrap().starts_with("letter box at "), "{told:?}");
        // Who marks a moment knows it, and so does who rings by hand.
        alice.post(&format!("cameras/{}/bookmarks", camera.id()), json!({})).await.body(201);
        alice.post(&path, json!({"kind": "outside"})).await.body(201);
        settled(relay).await;
        assert_eq!(told_of(&alice, "report").await.len(), 1, "she told of the second herself");
        for kind in ["doorbell", "report"] {
            assert!(told_of(&ines, kind).await.is_empty(), "an installer sees no pictures");
        }
    })
    .await;
}

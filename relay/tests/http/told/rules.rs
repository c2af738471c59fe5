//! What somebody wants to be told of, and what they said wrong.

use serde_json::{Value, json};

use super::{motion, settled, told_of, until_told};
use crate::{
    live::{OFFER, answer, online, watch},
    members::let_in,
    person::Person,
    relay::{TestRelay, on_every_database},
};

pub(super) async fn put_rules(person: &Person, rules: Value) -> crate::person::Answer {
    let request = person.request(reqwest::Method::PUT, "notifications/settings");
    crate::person::Answer::of(request.json(&json!({"rules": rules}))).await
}

#[tokio::test]
async fn nobody_is_told_of_what_they_do_not_want_to_hear() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (door, shed) = (relay.camera_of(&alice).await, relay.camera_of(&alice).await);
        let rules = json!([{"kind": "motion", "camera_id": door.id(), "channels": []}]);
        let kept = put_rules(&alice, rules.clone()).await.body(200);
        assert_eq!(kept["rules"], rules);
        motion(relay, &door).await;
        motion(relay, &shed).await;
        let told = until_told(&alice, "motion", 1).await;
        settled(relay).await;
        assert_eq!(told_of(&alice, "motion").await.len(), 1);
        assert_eq!(told[0]["camera_id"], json!(shed.id()));
        put_rules(&alice, json!([])).await.body(200);
        motion(relay, &door).await;
        until_told(&alice, "motion", 2).await;
        assert_eq!(alice.get("notifications/settings").await.body(200)["rules"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn who_watches_is_told_to_owners_who_ask_for_it() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (device, mut camera) = online(relay, &alice).await;
        let_in(&alice, &bob, "viewer").await;
        let rules = json!([{"kind": "watched", "channels": ["app"]}]);
        put_rules(&alice, rules.clone()).await.body(200);
        put_rules(&bob, rules).await.body(200);
        let (opened, _) = tokio::join!(watch(&bob, &device, OFFER), answer(&mut camera));
        assert_eq!(opened.status, 201);
        let told = until_told(&alice, "watched", 1).await;
        assert!(told[0]["title"].as_str().unwrap().contains(" watches "), "{}", told[0]);
        settled(relay).await;
        assert!(told_of(&bob, "watched").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_rule_about_what_somebody_may_not_see_is_no_rule() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, eve) = (relay.person("alice").await, relay.person("eve").await);
        let camera = relay.camera_of(&alice).await;
        let of_camera = json!([{"kind": "motion", "camera_id": camera.id(), "channels": ["app"]}]);
        put_rules(&eve, of_camera).await.is_problem(404, "not_found");
        let home = alice.home().await;
        let of_site = json!([{"kind": "motion", "site_id": home, "channels": ["app"]}]);
        put_rules(&eve, of_site).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn rules_that_are_not_right_are_named() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let monday = |from: i64, until: i64| {
            json!([{"day": "monday", "from_minute": from, "until_minute": until}])
        };
        for wrong in [
            json!([{"kind": "motion", "channels": ["app"], "hours": monday(5, 5)}]),
            json!([{"kind": "motion", "channels": ["app", "app"]}]),
            json!([{"kind": "motion", "channels": [], "cool_down_s": 5}]),
            Value::Array(vec![json!({"kind": "motion", "channels": []}); 101]),
        ] {
            put_rules(&alice, wrong).await.is_problem(422, "invalid_rules");
        }
        for unreadable in [
            json!([{"kind": "weather", "channels": []}]),
            json!([{"kind": "motion", "channels": ["pigeon"]}]),
            json!([{"kind": "motion"}]),
            json!("all"),
        ] {
            put_rules(&alice, unreadable).await.is_problem(400, "invalid_json");
        }
    })
    .await;
}

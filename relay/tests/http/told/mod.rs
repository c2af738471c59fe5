//! What people are told: from what a camera does to the list in the app, open sockets and mail.

mod fairness;
mod mail;
mod mute;
mod recipients;
mod reports;
mod rules;
mod storms;

use std::time::Duration;

use nightjar_relay::clock;
use nightjar_shared::ids::EventId;
use serde_json::{Value, json};

use crate::{
    device::{Device, event, health},
    person::Person,
    relay::{TestRelay, eventually, on_every_database},
    ws::{next_of, with_ticket},
};

/// Lets a camera see something move, now.
pub(super) async fn motion(relay: &TestRelay, camera: &Device) -> EventId {
    let event_id = EventId::generate();
    let at = relay.app().now().0;
    camera.report(relay, event(event_id, "started", at)).await;
    event_id
}

/// The list of somebody, newest first.
pub(super) async fn list(person: &Person) -> Vec<Value> {
    person.get("notifications").await.body(200)["items"].as_array().unwrap().clone()
}

/// What somebody was told of a kind, newest first.
pub(super) async fn told_of(person: &Person, kind: &str) -> Vec<Value> {
    list(person).await.into_iter().filter(|told| told["kind"] == kind).collect()
}

/// Waits until somebody was told of a kind so often.
pub(crate) async fn until_told(person: &Person, kind: &str, count: usize) -> Vec<Value> {
    eventually(async || told_of(person, kind).await, |told| told.len() >= count).await
}

/// Waits until all that happened is told: what a test then does not find was not told.
pub(super) async fn settled(relay: &TestRelay) {
    use nightjar_relay::engines::db::Executor as _;
    let waiting = async || {
        let sql = "select count(*) as count from happenings where due_at <= $1";
        let now = relay.app().now();
        let row = relay.app().db.query_one(sql, vec![now.into()]).await.unwrap().unwrap();
        row.get::<u64>("count").unwrap()
    };
    eventually(waiting, |count| *count == 0).await;
}

async fn unread(person: &Person) -> u64 {
    person.get("notifications/unread").await.body(200)["count"].as_u64().unwrap()
}

#[tokio::test]
async fn motion_is_told_at_once_in_the_list_and_to_open_apps() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut socket = with_ticket(&alice).await;
        let event_id = motion(relay, &camera).await;
        let heard = next_of(&mut socket, "notification").await;
        let heard = if heard["kind"] == "motion" {
            heard
        } else {
            next_of(&mut socket, "notification").await
        };
        assert_eq!((&heard["kind"], &heard["event_id"]), (&json!("motion"), &json!(event_id)));
        let told = until_told(&alice, "motion", 1).await;
        assert_eq!(told[0]["notification_id"], heard["notification_id"]);
        assert!(told[0]["title"].as_str().unwrap().starts_with("Motion at "), "{}", told[0]);
        assert_eq!(told[0]["read"], false);

        // The end is told, too: by the same line.
        let mut ended = event(event_id, "ended", relay.app().now().0);
        ended["duration_ms"] = json!(7_200);
        camera.report(relay, ended).await;
        let ended = async || told_of(&alice, "motion").await;
        let told = eventually(ended, |told| told[0].get("ended_at").is_some()).await;
        assert_eq!(told.len(), 1);
        assert!(told[0]["body"].as_str().unwrap().contains("7 s"), "{}", told[0]);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_reported_twice_and_in_any_order_is_told_once() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let (event_id, at) = (EventId::generate(), relay.app().now().0);
        for state in ["ended", "started", "started", "ended"] {
            camera.report(relay, event(event_id, state, at)).await;
        }
        let told = until_told(&alice, "motion", 1).await;
        settled(relay).await;
        assert_eq!((told_of(&alice, "motion").await.len(), &told[0]["more"]), (1, &json!(0)));
    })
    .await;
}

#[tokio::test]
async fn what_was_read_is_read_everywhere_and_counted() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let bob = relay.person("bob").await;
        until_told(&alice, "camera_paired", 1).await;
        motion(relay, &camera).await;
        let told = until_told(&alice, "motion", 1).await;
        assert_eq!(unread(&alice).await, 2);
        let mut other_tab = with_ticket(&alice).await;
        let path = format!("notifications/{}/read", told[0]["notification_id"].as_str().unwrap());
        bob.post(&path, Value::Null).await.is_problem(404, "not_found");
        assert_eq!(alice.post(&path, Value::Null).await.body(200)["count"], 1);
        let counted = loop {
            let message = crate::ws::next(&mut other_tab).await;
            if message["type"] == "notifications_unread" {
                break message["unread"]["count"].clone();
            }
        };
        assert_eq!(counted, 1);
        let unread_ones = alice.get("notifications?unread=true").await.body(200);
        assert_eq!(unread_ones["items"][0]["kind"], "camera_paired");
        assert_eq!(unread_ones["items"].as_array().unwrap().len(), 1);

        // What came after the page was shown stays unread.
        let seen = told[0]["created_at"].clone();
        relay.pass(Duration::from_mins(6));
        motion(relay, &camera).await;
        until_told(&alice, "motion", 2).await;
        let answer = alice.post("notifications/read", json!({"until": seen})).await;
        assert_eq!(answer.body(200)["count"], 1);
        assert_eq!(alice.post("notifications/read", json!({})).await.body(200)["count"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_camera_that_is_away_for_long_is_told_and_told_when_it_is_back() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        camera.beat(relay, health()).await;
        camera.vanish(relay).await;
        relay.pass(Duration::from_secs(40));
        relay.sweep().await;
        settled(relay).await;
        assert!(told_of(&alice, "camera_offline").await.is_empty(), "it may be back in a minute");
        camera.beat(relay, health()).await;
        camera.vanish(relay).await;
        settled(relay).await;
        assert!(told_of(&alice, "camera_online").await.is_empty(), "nobody heard that it was away");

        relay.pass(Duration::from_secs(40));
        relay.sweep().await;
        relay.pass(Duration::from_secs(61));
        let told = until_told(&alice, "camera_offline", 1).await;
        assert!(told[0]["title"].as_str().unwrap().ends_with(" is offline"), "{}", told[0]);
        camera.beat(relay, health()).await;
        let told = until_told(&alice, "camera_online", 1).await;
        assert!(told[0]["title"].as_str().unwrap().ends_with(" is back"), "{}", told[0]);
    })
    .await;
}

#[tokio::test]
async fn trouble_with_a_disk_is_told_once_until_it_is_over() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut camera = relay.camera_of(&alice).await;
        let with_free = |free: u64| {
            let mut health = health();
            health["disk_total_bytes"] = json!(100_000_000_000_u64);
            health["disk_free_bytes"] = json!(free);
            health
        };
        for free in [50_000_000_000, 1_000_000_000, 900_000_000] {
            camera.beat(relay, with_free(free)).await;
        }
        let told = until_told(&alice, "disk", 1).await;
        settled(relay).await;
        assert_eq!(told_of(&alice, "disk").await.len(), 1);
        assert!(told[0]["body"].as_str().unwrap().contains("1000 MB are free"), "{}", told[0]);
        relay.pass(Duration::from_hours(25));
        camera.get_token().await;
        for free in [3_000_000_000, 900_000_000, 50_000_000_000, 900_000_000] {
            camera.beat(relay, with_free(free)).await;
        }
        until_told(&alice, "disk", 2).await;
        settled(relay).await;
        assert_eq!(told_of(&alice, "disk").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn owners_hear_of_cameras_that_come_and_go() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let told = until_told(&alice, "camera_paired", 1).await;
        assert!(told[0]["title"].as_str().unwrap().contains("was added to"), "{}", told[0]);
        let path = format!("cameras/{}", camera.id());
        alice.patch(&path, json!({"name": "Shed"})).await.body(200);
        alice.delete(&path).await.body(204);
        let told = until_told(&alice, "camera_removed", 1).await;
        assert!(told[0]["title"].as_str().unwrap().starts_with("Shed was removed"), "{}", told[0]);
        assert!(told_of(&alice, "camera_paired").await.is_empty(), "what it told goes with it");
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_from_a_new_place_is_told_to_its_account_alone() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let body = json!({"email": "alice@example.org", "password": crate::person::PASSWORD});
        relay.stranger().post("auth/login", body.clone()).await.body(200);
        relay.stranger().post("auth/login", body).await.body(200);
        let told = until_told(&alice, "new_sign_in", 1).await;
        assert_eq!(told[0]["title"], "A new sign-in to your account");
        assert!(told[0].get("site_id").is_none());
    })
    .await;
}

#[tokio::test]
async fn the_list_ends_after_thirty_days() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        motion(relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        relay.pass(Duration::from_hours(29 * 24));
        relay.sweep_slow().await;
        let count = async || {
            use nightjar_relay::engines::db::Executor as _;
            let sql = "select count(*) as count from notifications";
            let row = relay.app().db.query_one(sql, vec![]).await.unwrap().unwrap();
            row.get::<u64>("count").unwrap()
        };
        assert_eq!(count().await, 2);
        relay.pass(Duration::from_hours(25));
        relay.sweep_slow().await;
        assert_eq!(count().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_test_message_arrives_and_is_limited() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for _ in 0..5 {
            alice.post("notifications/test", Value::Null).await.body(202);
        }
        alice.post("notifications/test", Value::Null).await.is_problem(429, "rate_limited");
        let told = until_told(&alice, "test", 1).await;
        assert_eq!(told[0]["title"], "This is a test");
        // The clock of this machine is not asked for anything here.
        assert!(told[0]["created_at"].as_i64().unwrap() <= clock::now().0 + 1_000);
    })
    .await;
}

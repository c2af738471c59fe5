use std::time::Duration;

use nightjar_shared::topic::Channel;
use serde_json::{Value, json};

use crate::{
    databases::Engine,
    device::health,
    live::online,
    person::Person,
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
    support::until,
};

async fn status(person: &Person, path: &str) -> Value {
    person.get(path).await.body(200)["status"].clone()
}

#[tokio::test]
async fn a_cameras_health_makes_it_online_and_the_end_of_its_connection_offline() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let path = format!("cameras/{}", camera.id());
        assert_eq!(status(&alice, &path).await, "offline");
        alice.get(&format!("{path}/health")).await.is_problem(404, "not_found");
        camera.beat(relay, health()).await;
        let seen = alice.get(&path).await.body(200);
        assert_eq!((&seen["status"], &seen["agent_version"]), (&json!("online"), &json!("0.2.0")));
        assert!(seen["last_seen_at"].is_i64());
        relay.pass(Duration::from_secs(89));
        assert_eq!(status(&alice, &path).await, "online");
        camera.vanish(relay).await;
        relay.pass(Duration::from_secs(6));
        eventually(async || status(&alice, &path).await, |status| status == "offline").await;
    })
    .await;
}

#[tokio::test]
async fn health_tells_what_is_wrong_and_how_the_camera_is_set() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut ill = health();
        ill["errors"] = json!(["the disk is full"]);
        ill["privacy"] = json!(true);
        ill["armed"] = json!(false);
        ill["a_field_of_the_future"] = json!({"x": 1});
        camera.beat(relay, ill).await;
        let path = format!("cameras/{}", camera.id());
        let seen = alice.get(&path).await.body(200);
        assert_eq!(seen["status"], "degraded");
        assert_eq!((&seen["privacy"], &seen["armed"]), (&json!(true), &json!(false)));
        let last = alice.get(&format!("{path}/health")).await.body(200);
        assert_eq!(last["errors"], json!(["the disk is full"]));
        assert!(last["received_at"].is_i64());
    })
    .await;
}

#[tokio::test]
async fn a_camera_tells_what_it_goes_by_and_only_its_people_may_read_it() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let device = relay.camera_of(&alice).await;
        let path = format!("cameras/{}/configuration", device.id());
        alice.get(&path).await.is_problem(404, "not_found");
        let zone = json!({"name": "drive", "kind": "include",
            "points": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]});
        let said = json!({"protocol": 1, "motion_sensitivity": 0.75, "motion_zones": [zone]});
        assert_eq!(device.say(relay, Channel::UpConfiguration, &said).await, "ok");
        let seen = alice.get(&path).await.body(200);
        assert_eq!(seen["motion_sensitivity"], 0.75);
        assert_eq!(seen["motion_zones"], json!([zone]));
        assert!(seen["received_at"].is_i64());
        bob.get(&path).await.is_problem(404, "not_found");

        // Set by hand or reset meanwhile: the camera's word counts.
        let reset = json!({"protocol": 1, "motion_sensitivity": 0.5, "motion_zones": []});
        assert_eq!(device.say(relay, Channel::UpConfiguration, &reset).await, "ok");
        assert_eq!(alice.get(&path).await.body(200)["motion_sensitivity"], 0.5);
    })
    .await;
}

#[tokio::test]
async fn a_camera_cannot_tell_of_settings_that_make_no_sense() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let zones = vec![json!({"name": "x", "points": [[0.0, 0.0]]}); 1];
        let odd = json!({"protocol": 1, "motion_zones": zones});
        let refused = device.say(relay, Channel::UpConfiguration, &odd).await;
        assert_eq!(refused, "invalid_configuration");
    })
    .await;
}

#[tokio::test]
async fn a_connection_keeps_a_camera_online_and_its_end_is_told_after_a_moment() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let path = format!("cameras/{}", device.id());
        let mut camera = device.connect(relay).await;
        eventually(async || status(&alice, &path).await, |status| status == "online").await;
        camera.say(Channel::UpHealth, &health()).await;
        // Nothing is heard for long, but the connection stands.
        relay.pass(Duration::from_mins(1));
        assert_eq!(status(&alice, &path).await, "online");
        camera.mqtt.vanish();
        let app = relay.app();
        until("its end is noticed", || !app.broker.online(device.id())).await;
        assert_eq!(status(&alice, &path).await, "online");
        eventually(
            async || {
                relay.pass(Duration::from_secs(1));
                status(&alice, &path).await
            },
            |status| status == "offline",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_camera_that_comes_back_quickly_was_never_offline() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, other) = (relay.camera_of(&alice).await, relay.camera_of(&alice).await);
        let [path, others] = [&device, &other].map(|it| format!("cameras/{}", it.id()));
        for (device, path) in [(&device, &path), (&other, &others)] {
            let camera = device.connect(relay).await;
            eventually(async || status(&alice, path).await, |status| status == "online").await;
            camera.mqtt.vanish();
            until("its end is noticed", || !relay.app().broker.online(device.id())).await;
        }
        let _camera = device.connect(relay).await;
        relay.pass(Duration::from_secs(10));
        // One sweep looks at both.
        eventually(async || status(&alice, &others).await, |status| status == "offline").await;
        assert_eq!(status(&alice, &path).await, "online");
    })
    .await;
}

#[tokio::test]
async fn after_a_restart_a_camera_must_be_heard_from_again() {
    let mut relay = TestRelay::start(Engine::Sqlite, |_| {}).await;
    let alice = relay.person("alice").await;
    let device = relay.camera_of(&alice).await;
    let camera = device.connect(&relay).await;
    let path = format!("cameras/{}", device.id());
    eventually(async || status(&alice, &path).await, |status| status == "online").await;
    drop(camera);
    relay = relay.restart().await;
    // The cookie is still good: sessions are in the database.
    let alice = Person { cookie: alice.cookie.clone(), ..relay.stranger() };
    relay.pass(Duration::from_secs(31));
    eventually(async || status(&alice, &path).await, |status| status == "offline").await;
    relay.stop().await;
}

#[tokio::test]
async fn a_camera_is_renamed() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let path = format!("cameras/{}", camera.id());
        let renamed = alice.patch(&path, json!({"name": " Backyard "})).await.body(200);
        assert_eq!(renamed["name"], "Backyard");
        assert_eq!(alice.get(&path).await.body(200)["name"], "Backyard");
        alice.patch(&path, json!({"name": ""})).await.is_problem(422, "invalid_name");
    })
    .await;
}

#[tokio::test]
async fn removing_a_camera_ends_its_credentials_and_its_connection_at_once() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let mut camera = device.connect(relay).await;
        let path = format!("cameras/{}", device.id());
        alice.delete(&path).await.body(204);
        alice.get(&path).await.is_problem(404, "not_found");
        let refused = device.caller.post("agent/network", json!({})).await;
        refused.is_problem(401, "unauthenticated");
        camera.mqtt.until_closed().await;
        let body = device.token_body().await;
        device.caller.post("agent/token", body).await.is_problem(401, "invalid_proof");
    })
    .await;
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut paired = Vec::new();
        for _ in 0..5 {
            paired.push(relay.camera_of(&alice).await.id().to_string());
        }
        let mut read = Vec::new();
        let mut query = "cameras?limit=2".to_owned();
        loop {
            let page = alice.get(&query).await.body(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            read.extend(items.iter().map(|item| item["camera_id"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            query = format!("cameras?limit=2&cursor={cursor}");
        }
        paired.reverse();
        assert_eq!(read, paired);
        for query in ["limit=0", "limit=201", "limit=many", "cursor=x"] {
            alice.get(&format!("cameras?{query}")).await.is_problem(400, "invalid_query");
        }
    })
    .await;
}

#[tokio::test]
async fn the_owner_is_told_when_two_machines_run_as_one_camera() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        camera.say(Channel::UpHealth, &health()).await;
        let mut boot = async |boot: u128| {
            let boot_id = uuid::Uuid::from_u128(boot);
            camera.say(Channel::UpPresence, &json!({"online": true, "boot_id": boot_id})).await;
        };
        let path = format!("cameras/{}", device.id());
        // One that restarts has a new boot each time; a restarted agent has its old one.
        for number in [1, 2, 2, 3] {
            boot(number).await;
        }
        assert_eq!(status(&alice, &path).await, "online");
        boot(2).await;
        assert_eq!(status(&alice, &path).await, "degraded");
        let told = alice.get(&format!("{path}/health")).await.body(200);
        assert!(told["errors"][0].as_str().unwrap().contains("key was copied"), "{told}");
        relay.pass(Duration::from_hours(25));
        camera.say(Channel::UpHealth, &health()).await;
        assert_eq!(status(&alice, &path).await, "online");
    })
    .await;
}

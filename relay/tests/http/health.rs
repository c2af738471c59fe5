//! What cameras say of how they are is written down when it changes, and else every five minutes.

use std::time::Duration;

use nightjar_shared::topic::Channel;
use serde_json::{Value, json};

use crate::{
    databases::{self, Engine},
    device::health,
    person::Person,
    relay::{TestRelay, eventually, on_every_database},
};

const MESSAGES: u64 = 300;
/// Statements of jobs that run beside the messages, and transactions.
const BESIDE: u64 = 250;

/// What the database was given so far.
fn given(relay: &TestRelay, what: &str) -> u64 {
    let text = relay.app().metrics.render();
    let name = format!("nightjar_database_{what}_total ");
    text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
}

async fn received_at(person: &Person, path: &str) -> i64 {
    person.get(&format!("{path}/health")).await.body(200)["received_at"].as_i64().unwrap()
}

#[tokio::test]
async fn news_of_a_cameras_health_costs_three_statements_in_one_transaction_and_the_same_again_none()
 {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        camera.beat(relay, health()).await;
        let counts = || (given(relay, "statements"), given(relay, "transactions"));

        let (statements, transactions) = counts();
        for number in 0..MESSAGES {
            let mut news = health();
            news["notes"] = json!([format!("{number} packets were lost")]);
            camera.beat(relay, news).await;
        }
        let (after, begun) = counts();
        assert!(after - statements >= MESSAGES, "news is written down");
        assert!(after - statements <= 3 * MESSAGES + BESIDE, "{} statements", after - statements);
        assert!(begun - transactions <= MESSAGES + BESIDE, "{} transactions", begun - transactions);

        let mut again = health();
        camera.beat(relay, again.clone()).await;
        let (statements, _) = counts();
        for number in 0..MESSAGES {
            again["uptime_ms"] = json!(2_000 + number);
            again["capture"]["fps"] = json!(14.9);
            again["disk_free_bytes"] = json!(1_000_000 - number);
            camera.beat(relay, again.clone()).await;
        }
        let (after, _) = counts();
        assert!(after - statements < MESSAGES, "{} statements", after - statements);
    })
    .await;
}

#[tokio::test]
async fn what_a_camera_repeats_is_shown_as_it_came_and_its_end_is_when_it_was_heard_last() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let path = format!("cameras/{}", camera.id());
        camera.beat(relay, health()).await;
        let first = received_at(&alice, &path).await;
        for _ in 0..3 {
            relay.pass(Duration::from_mins(1));
            let mut again = health();
            again["uptime_ms"] = json!(7_000);
            camera.beat(relay, again).await;
        }
        let last = received_at(&alice, &path).await;
        assert!(last - first >= 180_000, "{first} {last}");
        let told = alice.get(&format!("{path}/health")).await.body(200);
        assert_eq!(told["uptime_ms"], 7_000);
        assert_eq!(alice.get(&path).await.body(200)["last_seen_at"], last);

        camera.vanish(relay).await;
        relay.pass(Duration::from_mins(1));
        let seen = async || alice.get(&path).await.body(200);
        let gone = eventually(seen, |seen| seen["status"] == "offline").await;
        assert_eq!(gone["last_seen_at"], last);
        let timeline = alice.get(&format!("{path}/timeline")).await.body(200);
        let offline = timeline["gaps"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&offline["reason"], &offline["from"]), (&json!("offline"), &json!(last)));
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_stops_leaves_no_gap_where_cameras_repeated_themselves() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |_| {}).await;
        Box::pin(no_gap(relay, engine)).await;
    }
}

async fn no_gap(relay: TestRelay, engine: Engine) {
    let mut alice = relay.person("alice").await;
    let device = relay.camera_of(&alice).await;
    let path = format!("cameras/{}", device.id());
    let mut camera = device.connect(&relay).await;
    camera.say(Channel::UpHealth, &health()).await;
    let first = eventually(
        async || alice.get(&format!("{path}/health")).await,
        |answer| answer.status == 200,
    );
    let first = first.await.json()["received_at"].as_i64().unwrap();
    for _ in 0..3 {
        relay.pass(Duration::from_mins(1));
        camera.say(Channel::UpHealth, &health()).await;
    }
    let said = async || received_at(&alice, &path).await;
    let last = eventually(said, |last| last - first >= 180_000).await;

    let relay = relay.restart().await;
    alice.origin = relay.origin().to_owned();
    let seen = alice.get(&path).await.body(200);
    assert_eq!(seen["status"], "online", "on {engine:?}: it may be back before anybody is told");
    relay.pass(Duration::from_secs(185));
    let timeline = alice.get(&format!("{path}/timeline")).await.body(200);
    let between =
        |gap: &&Value| gap["from"].as_i64().unwrap() < last && gap["to"].as_i64().unwrap() > first;
    let gaps: Vec<&Value> = timeline["gaps"].as_array().unwrap().iter().filter(between).collect();
    assert!(gaps.is_empty(), "on {engine:?}: {gaps:?}");
    relay.stop().await;
}

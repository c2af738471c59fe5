//! A relay whose clock was years ahead, and is set right: what was put off to that time happens now, and nobody
//! is locked out until then.

use std::time::Duration;

use reqwest::header;
use serde_json::{Value, json};

use crate::{
    person::PASSWORD,
    relay::{TestRelay, eventually, on_every_database},
    support::until,
};

const YEARS_MS: i64 = 10 * 365 * 86_400_000;

fn credentials(password: &str) -> Value {
    json!({"email": "alice@example.org", "password": password})
}

#[tokio::test]
async fn who_was_stopped_by_a_clock_that_was_ahead_waits_no_longer_than_anybody() {
    on_every_database(async |relay: &TestRelay| {
        relay.person("alice").await;
        relay.app().clock.be_wrong_by(YEARS_MS);
        let stranger = relay.stranger();
        let sign_in = async |password| stranger.post("auth/login", credentials(password)).await;
        for guess in 0.. {
            let answer = sign_in("a guess").await;
            if answer.status == 429 {
                break;
            }
            assert!(guess < 40, "nobody stops the guesser");
        }
        relay.app().clock.be_wrong_by(0);
        let stopped = sign_in(PASSWORD).await;
        stopped.is_problem(429, "rate_limited");
        let seconds: u64 = stopped.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!(seconds <= 60, "{seconds}");
        relay.pass(Duration::from_secs(seconds));
        sign_in(PASSWORD).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn cameras_and_commands_of_a_clock_that_was_ahead_come_to_their_end() {
    on_every_database(async |relay: &TestRelay| {
        let early = relay.person("alice").await;
        let device = relay.camera_of(&early).await;
        let camera = device.connect(relay).await;
        relay.app().clock.be_wrong_by(YEARS_MS);
        let mut late = relay.stranger();
        late.cookie = Some(late.post("auth/login", credentials(PASSWORD)).await.cookie());
        let path = format!("cameras/{}", device.id());
        camera.mqtt.vanish();
        until("its end is noticed", || !relay.app().broker.online(device.id())).await;
        let command =
            late.post(&format!("{path}/commands"), json!({"kind": "arm"})).await.body(202);

        relay.app().clock.be_wrong_by(0);
        let status = async || early.get(&path).await.json()["status"].clone();
        eventually(status, |status| status == "offline").await;
        let id = command["command_id"].as_str().unwrap();
        let state = async || early.get(&format!("commands/{id}")).await.json()["state"].clone();
        eventually(state, |state| state == "expired").await;
        // And the certificate that it made then is made anew.
        let record = relay.app().config.data_dir.join("server.json");
        let ends_at = async || {
            let record: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
            record["not_after"].as_i64().unwrap()
        };
        let later = relay.app().now().0 + YEARS_MS;
        eventually(ends_at, |ends_at| *ends_at < later).await;
        let back = device.connect(relay).await;
        eventually(status, |status| status == "online").await;
        back.mqtt.vanish();
    })
    .await;
}

#[tokio::test]
async fn what_is_deleted_by_its_age_outlives_a_clock_that_leaps_and_is_set_right_within_a_day() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let clock = &relay.app().clock;
        clock.be_wrong_by(YEARS_MS);
        for _ in 0..23 {
            relay.pass(Duration::from_hours(1));
            relay.sweep_slow().await;
        }
        clock.be_wrong_by(0);
        alice.get("auth/me").await.body(200);
        // Who leaves it like this means it.
        clock.be_wrong_by(YEARS_MS);
        relay.sweep_slow().await;
        relay.pass(Duration::from_hours(25));
        relay.sweep_slow().await;
        clock.be_wrong_by(0);
        alice.get("auth/me").await.is_problem(401, "unauthenticated");
    })
    .await;
}

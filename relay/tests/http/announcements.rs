//! Cameras that show a code, and who takes them by it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use nightjar_shared::pairing::announcement_proof;
use serde_json::{Value, json};

use crate::{
    device::Device,
    person::{Answer, Person},
    proxies::from_address,
    relay::{TestRelay, on_every_database, on_sqlite},
};

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

fn picture(bytes: usize) -> String {
    STANDARD.encode([b"\xff\xd8\xff".as_slice(), &vec![0; bytes - 3]].concat())
}

async fn announcement_body(device: &Device) -> Value {
    let (nonce, public_key) = (device.nonce().await, device.public_key());
    let signature = device.sign(&announcement_proof(&nonce, &public_key));
    json!({
        "public_key": public_key, "nonce": nonce, "signature": signature, "name": "porch",
        "model": "Test board", "agent_version": "0.1.0", "picture": picture(2_000),
    })
}

async fn announce(device: &Device) -> Answer {
    device.caller.post("agent/announcement", announcement_body(device).await).await
}

async fn state(device: &Device, ticket: &str) -> String {
    let answer = device.caller.post("agent/announcement/state", json!({ "ticket": ticket })).await;
    text(&answer.body(200), "state").to_owned()
}

async fn find(person: &Person, code: &str) -> Answer {
    let path = format!("sites/{}/announcements/find", person.home().await);
    person.post(&path, json!({ "code": code })).await
}

async fn accept(person: &Person, code: &str) -> Answer {
    let path = format!("sites/{}/announcements/accept", person.home().await);
    person.post(&path, json!({ "code": code, "name": "Front door" })).await
}

#[tokio::test]
async fn who_types_the_code_sees_the_camera_and_takes_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut camera = relay.device();
        let shown = announce(&camera).await.body(200);
        let (code, ticket) = (text(&shown, "code"), text(&shown, "ticket"));
        assert_eq!(state(&camera, ticket).await, "open");
        // The ticket is worth nothing before somebody took the camera.
        camera.claim_by("secret", ticket).await.is_problem(404, "not_found_or_expired");

        let typed = code.to_lowercase().replace('-', " ");
        let seen = find(&alice, &typed).await.body(200);
        assert_eq!((text(&seen, "name"), text(&seen, "model")), ("porch", "Test board"));
        assert_eq!(text(&seen, "picture"), picture(2_000));
        assert_eq!(text(&seen, "public_key"), camera.public_key());

        let accepted = accept(&alice, code).await.body(201);
        assert_eq!(state(&camera, ticket).await, "accepted");
        let path = format!("pairings/{}", text(&accepted, "pairing_id"));
        assert_eq!(alice.get(&path).await.body(200)["state"], "open");
        // Nobody else can take it any more, nor claim its place with another key.
        find(&alice, code).await.is_problem(404, "not_found_or_expired");
        accept(&alice, code).await.is_problem(404, "not_found_or_expired");
        let thief = relay.device().claim_by("secret", ticket).await;
        thief.is_problem(404, "not_found_or_expired");

        camera.claim_by("secret", ticket).await.body(200);
        let paired = alice.get(&path).await.body(200);
        assert_eq!(text(&paired, "state"), "claimed");
        let cameras = alice.get("cameras").await.body(200);
        assert_eq!(cameras["items"][0]["name"], "Front door");
    })
    .await;
}

#[tokio::test]
async fn a_code_ends_after_ten_minutes_and_with_the_next_one() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.device();
        let first = announce(&camera).await.body(200);
        let second = announce(&camera).await.body(200);
        find(&alice, text(&first, "code")).await.is_problem(404, "not_found_or_expired");
        assert_eq!(state(&camera, text(&first, "ticket")).await, "expired");
        find(&alice, text(&second, "code")).await.body(200);
        relay.pass(Duration::from_mins(10));
        find(&alice, text(&second, "code")).await.is_problem(404, "not_found_or_expired");
        assert_eq!(state(&camera, text(&second, "ticket")).await, "expired");
    })
    .await;
}

#[tokio::test]
async fn codes_are_not_guessed() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, mallory) = (relay.person("alice").await, relay.person("mallory").await);
        let shown = announce(&relay.device()).await.body(200);
        for guess in ["BCDF-GHJK", "", "no code at all"].iter().cycle().take(10) {
            find(&mallory, guess).await.is_problem(404, "not_found_or_expired");
        }
        let right = text(&shown, "code");
        find(&mallory, right).await.is_problem(429, "rate_limited");
        accept(&mallory, right).await.is_problem(429, "rate_limited");
        // Others are not stopped by it, and who is right loses nothing.
        for _ in 0..15 {
            find(&alice, right).await.body(200);
        }
    })
    .await;
}

#[tokio::test]
async fn only_who_may_pair_at_the_site_takes_a_camera_there() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let shown = announce(&relay.device()).await.body(200);
        let code = json!({ "code": text(&shown, "code") });
        for door in ["find", "accept"] {
            let path = format!("sites/{}/announcements/{door}", alice.home().await);
            bob.post(&path, code.clone()).await.is_problem(404, "not_found");
            let answer = relay.stranger().post(&path, code.clone()).await;
            answer.is_problem(401, "unauthenticated");
        }
    })
    .await;
}

#[tokio::test]
async fn a_camera_of_another_site_is_not_taken() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let shown = announce(&camera).await.body(200);
        accept(&bob, text(&shown, "code")).await.is_problem(409, "already_paired");
    })
    .await;
}

#[tokio::test]
async fn what_strangers_announce_is_bounded() {
    on_sqlite(async |relay: &TestRelay| {
        let device = relay.device();
        for (field, value, status, code) in [
            ("picture", json!(picture(16_385)), 413, "too_large"),
            ("picture", json!(STANDARD.encode("<svg/>")), 422, "unsupported_content_type"),
            ("picture", json!("not base64"), 422, "unsupported_content_type"),
            ("signature", json!(""), 401, "invalid_proof"),
            ("public_key", json!(relay.device().public_key()), 401, "invalid_proof"),
            ("nonce", json!("made-up"), 401, "invalid_proof"),
        ] {
            let mut body = announcement_body(&device).await;
            body[field] = value;
            let answer = device.caller.post("agent/announcement", body).await;
            answer.is_problem(status, code);
        }
        let from = |number: u8| {
            let mut device = relay.device();
            device.caller = from_address(&device.caller, &format!("127.0.0.{number}"));
            device
        };
        for _ in 0..16 {
            announce(&from(2)).await.body(200);
        }
        announce(&from(2)).await.is_problem(429, "rate_limited");
        announce(&from(3)).await.body(200);
        relay.pass(Duration::from_mins(10));
        announce(&from(2)).await.body(200);
    })
    .await;
}

//! Being left alone by a message, without signing in.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    mail::{mails_about, subscribe_by_mail},
    motion, settled, told_of, until_told,
};
use crate::{databases, mail::in_memory, relay::TestRelay};

/// What stands behind the `#` of the address in a mail.
fn mute_token(mail: &str) -> String {
    let text = mail.replace("=\r\n", "").replace("=3D", "=");
    let line = text.lines().find(|line| line.contains("/mute#"));
    let line = line.unwrap_or_else(|| panic!("no address in:\n{mail}"));
    line.split('#').nth(1).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_address_in_a_message_silences_its_camera_for_its_reader_once() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = subscribe_by_mail(&relay, "alice").await;
        let bob = relay.person("bob").await;
        crate::members::let_in(&alice, &bob, "viewer").await;
        let (door, shed) = (relay.camera_of(&alice).await, relay.camera_of(&alice).await);
        motion(&relay, &door).await;
        until_told(&alice, "motion", 1).await;
        relay.pass(Duration::from_secs(21));
        let mails = mails_about(&relay, "Motion at", 1).await;
        let token = mute_token(&mails[0]);
        let stranger = relay.stranger();
        let answer = stranger.post("notifications/mute", json!({"token": token})).await.body(200);
        assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["until"]);
        for token in [token.as_str(), "", "AAAA", "!"] {
            let again = stranger.post("notifications/mute", json!({"token": token})).await;
            again.is_problem(404, "not_found_or_expired");
        }

        // Nothing of the door by mail for half an hour, and everything of the shed and for others.
        relay.pass(Duration::from_mins(6));
        motion(&relay, &door).await;
        motion(&relay, &shed).await;
        until_told(&alice, "motion", 3).await;
        assert_eq!(told_of(&bob, "motion").await.len(), 3);
        relay.pass(Duration::from_secs(21));
        let mails = mails_about(&relay, "Motion at", 2).await;
        assert_eq!(mails.len(), 2);
        let spared = alice.get("notifications/settings").await.body(200);
        assert_eq!(spared["mutes"][0]["camera_id"], json!(door.id()));
        relay.pass(Duration::from_mins(31));
        motion(&relay, &door).await;
        settled(&relay).await;
        relay.pass(Duration::from_secs(21));
        mails_about(&relay, "Motion at", 3).await;
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_camera_is_silenced_and_heard_again_in_the_app() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let (alice, eve) = (relay.person("alice").await, relay.person("eve").await);
        let camera = relay.camera_of(&alice).await;
        let body = json!({"camera_id": camera.id(), "minutes": 60});
        eve.post("notifications/mutes", body.clone()).await.is_problem(404, "not_found");
        let mute = alice.post("notifications/mutes", body).await.body(200);
        assert_eq!(mute["kind"], "motion");
        let too_long = json!({"camera_id": camera.id(), "minutes": 1441});
        alice.post("notifications/mutes", too_long).await.is_problem(422, "invalid_lifetime");
        let path = format!("notifications/mutes/{}", camera.id());
        eve.delete(&path).await.is_problem(404, "not_found");
        alice.delete(&path).await.body(204);
        let settings = alice.get("notifications/settings").await.body(200);
        assert_eq!(settings["mutes"], Value::Array(vec![]));
        relay.stop().await;
    }
}

//! What does not work for one address, one channel or one person holds up no other.

use std::{net::TcpListener, time::Duration};

use nightjar_relay::engines::db::Executor as _;
use serde_json::json;

use super::{
    mail::{mails_about, verify},
    motion,
    rules::put_rules,
    until_told,
};
use crate::{
    audit::administrator, databases, mail::in_memory, person::Person, push::reach_home,
    relay::TestRelay,
};

/// Somebody who is told of motion by mail and by a webhook that nobody is behind.
async fn with_dead_webhook(relay: &TestRelay, name: &str) -> Person {
    let person = relay.person(name).await;
    verify(relay, name).await;
    // A port that nobody listens at any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hook =
        json!({"name": "Dead", "url": format!("http://127.0.0.1:{port}/"), "kinds": ["motion"]});
    let home = person.home().await;
    person.post(&format!("sites/{home}/webhooks"), hook).await.body(201);
    let rules = json!([{"kind": "motion", "channels": ["app", "mail", "webhook"]}]);
    put_rules(&person, rules).await.body(200);
    person
}

/// Lets so many messages wait for whoever is told of something, as after days of a webhook that takes nothing.
async fn pile_up(relay: &TestRelay, count: u32) {
    let pile =
        "insert into deliveries (delivery_id, notification_id, account_id, channel, address, form,
             more, priority, state, attempts, queued_at, due_at, claimed_until, expires_at)
         select delivery_id || '-' || $1, notification_id, account_id, channel, address, form, more,
             priority, 'waiting', 5, queued_at, due_at + 3600000, 0, expires_at
         from deliveries where channel = 'webhook' and delivery_id not like '%-%-%-%-%-%'";
    for number in 0..count {
        relay.app().db.execute(pile, vec![number.to_string().into()]).await.unwrap();
    }
}

#[tokio::test]
async fn a_webhook_that_takes_nothing_keeps_no_mail_away() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |config| {
            in_memory(config);
            reach_home(config);
        })
        .await;
        let alice = with_dead_webhook(&relay, "alice").await;
        let camera = relay.camera_of(&alice).await;
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        pile_up(&relay, 210).await;
        relay.pass(Duration::from_mins(6));
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 2).await;
        relay.pass(Duration::from_secs(21));
        mails_about(&relay, "Motion at", 2).await;
        let waits = "select count(*) as count from deliveries
             where channel = 'webhook' and state = 'waiting'";
        let row = relay.app().db.query_one(waits, vec![]).await.unwrap().unwrap();
        assert!(row.get::<u64>("count").unwrap() <= 211, "no more is queued for it");
        relay.stop().await;
    }
}

#[tokio::test]
async fn where_mail_is_turned_off_nothing_leaves_by_mail() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let admin = administrator(&relay).await;
        let alice = super::mail::subscribe_by_mail(&relay, "alice").await;
        let camera = relay.camera_of(&alice).await;
        // It waits for its picture while mail is turned off.
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        admin.patch("admin/settings", json!({"mail.on": false})).await.body(200);
        relay.pass(Duration::from_mins(6));
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 2).await;
        let is_tried = "select count(*) as count from deliveries where attempts > 0";
        crate::relay::eventually(
            async || {
                let row = relay.app().db.query_one(is_tried, vec![]).await.unwrap().unwrap();
                row.get::<u64>("count").unwrap()
            },
            |count| *count > 0,
        )
        .await;
        let about_motion = |kept: &String| kept.contains("Subject: Motion at");
        assert!(!relay.app().mailer.kept().iter().any(about_motion));
        // What waited leaves when it is on again; what happened meanwhile was never to leave by mail.
        admin.patch("admin/settings", json!({"mail.on": true})).await.body(200);
        relay.pass(Duration::from_mins(3));
        assert_eq!(mails_about(&relay, "Motion at", 1).await.len(), 1);
        relay.stop().await;
    }
}

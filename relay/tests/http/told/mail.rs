//! Messages by mail: with a picture, late enough to have one, and in nobody's way.

use std::time::Duration;

use nightjar_relay::{config::MailEngine, domain::deliveries, engines::db::Executor as _};
use nightjar_shared::{ids::EventId, notification::DeliveryState};
use serde_json::json;
use tokio::net::TcpListener;

use super::{motion, rules::put_rules, settled, told_of, until_told};
use crate::{
    audit::administrator,
    clips::upload,
    databases::{self, Engine},
    device::event,
    mail::in_memory,
    person::Person,
    relay::{TestRelay, eventually},
};

/// Somebody whose address is known to be right, and who wants mail about motion.
pub(super) async fn subscribe_by_mail(relay: &TestRelay, name: &str) -> Person {
    let person = relay.person(name).await;
    verify(relay, name).await;
    let rules = json!([{"kind": "motion", "channels": ["app", "mail"]}]);
    put_rules(&person, rules).await.body(200);
    person
}

/// Makes an address count as right, as following the link would.
pub(super) async fn verify(relay: &TestRelay, name: &str) {
    let sql = "update accounts set verified_at = 1 where email = $1";
    let email = format!("{name}@example.org");
    assert_eq!(relay.app().db.execute(sql, vec![email.into()]).await.unwrap(), 1);
}

/// Waits for so many mails whose subject begins like this.
pub(super) async fn mails_about(relay: &TestRelay, subject: &str, count: usize) -> Vec<String> {
    let subject = format!("Subject: {subject}");
    let find = async || {
        let kept = relay.app().mailer.kept();
        kept.into_iter().filter(|mail| mail.contains(&subject)).collect::<Vec<_>>()
    };
    eventually(find, |mails| mails.len() >= count).await
}

#[tokio::test]
async fn a_mail_waits_a_moment_for_its_picture_and_leaves_with_it() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = subscribe_by_mail(&relay, "alice").await;
        let camera = relay.camera_of(&alice).await;
        let event_id = EventId::generate();
        let at = relay.app().now().0;
        let clip_id = upload(&camera, Some(event_id)).await;
        let mut with_clip = event(event_id, "started", at);
        with_clip["clip_id"] = json!(clip_id);
        camera.report(&relay, with_clip).await;
        until_told(&alice, "motion", 1).await;
        relay.pass(Duration::from_secs(21));
        let mails = mails_about(&relay, "Motion at", 1).await;
        let mail = &mails[0];
        assert!(mail.contains("Content-Type: image/jpeg"), "{mail}");
        assert!(mail.contains("/clips/") && mail.contains("/mute#"), "{mail}");
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_private_clip_gives_no_picture_to_a_mail() {
    let relay = TestRelay::start(Engine::Sqlite, in_memory).await;
    let alice = subscribe_by_mail(&relay, "alice").await;
    let camera = relay.camera_of(&alice).await;
    let event_id = motion(&relay, &camera).await;
    until_told(&alice, "motion", 1).await;
    // As after an attempt that failed: its picture does not hasten it any more.
    let sql =
        "update deliveries set due_at = due_at + 3600000, attempts = 1 where state = 'waiting'";
    relay.app().db.execute(sql, vec![]).await.unwrap();
    let clip_id = upload(&camera, Some(event_id)).await;
    let mut with_clip = event(event_id, "ended", relay.app().now().0);
    with_clip["clip_id"] = json!(clip_id);
    camera.report(&relay, with_clip).await;
    let path = format!("clips/{clip_id}");
    alice.patch(&path, json!({"visibility": "private"})).await.body(200);
    relay.pass(Duration::from_mins(61));
    let mails = mails_about(&relay, "Motion at", 1).await;
    assert!(!mails[0].contains("image/jpeg"), "{}", mails[0]);
    assert!(!mails[0].contains(&clip_id.to_string()), "{}", mails[0]);
    relay.stop().await;
}

/// A server that takes connections and says nothing.
#[tokio::test]
async fn a_mail_server_that_hangs_holds_nobody_up_and_its_mail_is_tried_again() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        in_memory(config);
        config.mail.engine = MailEngine::Smtp;
        "127.0.0.1".clone_into(&mut config.mail.host);
        config.mail.port = Some(port);
        config.mail.tls = nightjar_relay::config::MailTls::None;
        config.mail.timeout_ms = 1_000;
    })
    .await;
    let alice = subscribe_by_mail(&relay, "alice").await;
    let camera = relay.camera_of(&alice).await;
    motion(&relay, &camera).await;
    relay.pass(Duration::from_secs(21));
    let tried = async || deliveries::list(relay.app(), DeliveryState::Waiting).await.unwrap();
    eventually(tried, |rows| rows.iter().any(|row| row.outcome.is_some())).await;
    // Meanwhile the list goes on.
    relay.pass(Duration::from_mins(6));
    motion(&relay, &camera).await;
    until_told(&alice, "motion", 2).await;
    relay.stop().await;
}

#[tokio::test]
async fn what_is_given_up_can_be_seen_and_tried_again() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = subscribe_by_mail(&relay, "alice").await;
        let camera = relay.camera_of(&alice).await;
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        // As after two days of a server that is away.
        let sql = "update deliveries set state = 'failed', outcome = 'away', ended_at = due_at";
        relay.app().db.execute(sql, vec![]).await.unwrap();
        let admin = administrator(&relay).await;
        let letters = admin.get("admin/letters?state=failed").await.body(200);
        let letters = letters["items"].as_array().unwrap();
        let failed = letters.iter().find(|it| it["kind"] == "motion").unwrap();
        assert_eq!(failed["channel"], "mail");
        assert_eq!(
            (&failed["reason"], &failed["recipient"]),
            (&json!("away"), &json!("alice@example.org"))
        );
        let letter_id = failed["letter_id"].as_str().unwrap();
        let path = format!("admin/letters/{letter_id}");
        assert_eq!(admin.post(&format!("{path}/retry"), json!({})).await.status, 202);
        let all = async || deliveries::list(relay.app(), DeliveryState::Sent).await.unwrap();
        let is_sent = |row: &nightjar_relay::engines::db::deliveries::DeliveryRow| {
            row.delivery_id.to_string() == letter_id
        };
        eventually(all, |rows| rows.iter().any(is_sent)).await;
        admin.post(&format!("{path}/retry"), json!({})).await.is_problem(404, "not_found");
        admin.delete(&path).await.is_problem(404, "not_found");
        relay.pass(Duration::from_hours(49));
        relay.sweep_slow().await;
        assert!(deliveries::list(relay.app(), DeliveryState::Sent).await.unwrap().is_empty());
        relay.stop().await;
    }
}

#[tokio::test]
async fn more_of_the_same_is_told_together_later() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = subscribe_by_mail(&relay, "alice").await;
        let camera = relay.camera_of(&alice).await;
        for _ in 0..4 {
            motion(&relay, &camera).await;
        }
        let told = async || told_of(&alice, "motion").await;
        let told = eventually(told, |told| told.len() == 1 && told[0]["more"] == json!(3)).await;
        assert_eq!(told.len(), 1);
        relay.pass(Duration::from_secs(21));
        mails_about(&relay, "Motion at", 1).await;
        relay.pass(Duration::from_mins(5));
        mails_about(&relay, "3 more at", 1).await;
        // And then it is quiet: nothing more is told.
        relay.pass(Duration::from_mins(6));
        relay.pass(Duration::from_mins(6));
        settled(&relay).await;
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 2).await;
        assert_eq!(mails_about(&relay, "3 more at", 1).await.len(), 1);
        relay.stop().await;
    }
}

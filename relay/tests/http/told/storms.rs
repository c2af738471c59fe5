//! Bursts, ends in the middle, clocks that leap, and two relays at once.

use std::time::Duration;

use nightjar_relay::{
    domain::{
        deliveries,
        notifications::{self, Happening},
    },
    engines::db::{Executor as _, happenings},
};
use nightjar_shared::{
    ids::EventId,
    notification::{Channel, DeliveryState, Kind},
};
use serde_json::json;

use super::{
    mail::{mails_about, subscribe_by_mail, verify},
    motion,
    rules::put_rules,
    settled, told_of, until_told,
};
use crate::{
    databases,
    device::event,
    mail::in_memory,
    relay::{TestRelay, eventually, on_every_database},
};

/// However much one camera sees, another site's one motion does not wait behind it, nor does much wait.
#[tokio::test]
async fn a_storm_of_one_camera_is_one_line_and_holds_no_other_site_up() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (storm, calm) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
        for _ in 0..200 {
            let at = relay.app().now().0;
            camera_says(relay, &storm, at).await;
        }
        motion(relay, &calm).await;
        until_told(&bob, "motion", 1).await;
        let told = async || told_of(&alice, "motion").await;
        let told = eventually(told, |told| !told.is_empty() && told[0]["more"] == json!(199)).await;
        assert_eq!(told.len(), 1);
    })
    .await;
}

async fn camera_says(relay: &TestRelay, camera: &crate::device::Device, at: i64) {
    camera.report(relay, event(EventId::generate(), "started", at)).await;
}

/// What waits to be told is one row for each camera and kind, whatever comes.
#[tokio::test]
async fn what_waits_to_be_told_does_not_grow_with_a_burst() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        settled(relay).await;
        let home = alice.home().await.parse().unwrap();
        let transaction = relay.app().db.begin().await.unwrap();
        for _ in 0..1_000 {
            let motion = Happening::at_camera(Kind::Motion, home, camera.id());
            notifications::happened(relay.app(), &transaction, motion).await.unwrap();
        }
        let sql = "select count(*) as rows_waiting from happenings";
        let row = transaction.query_one(sql, vec![]).await.unwrap().unwrap();
        assert_eq!(row.get::<u64>("rows_waiting").unwrap(), 1);
        transaction.commit().await.unwrap();
        let told = async || told_of(&alice, "motion").await;
        eventually(told, |told| told.len() == 1 && told[0]["more"] == json!(999)).await;
    })
    .await;
}

/// One person's queue has an end; what is more is in their list.
#[tokio::test]
async fn no_person_fills_the_queue() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = subscribe_by_mail(&relay, "alice").await;
        let camera = relay.camera_of(&alice).await;
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        let copies = "insert into deliveries (delivery_id, notification_id, account_id, channel,
                 address, form, more, priority, state, attempts, queued_at, due_at, claimed_until,
                 expires_at)
             select delivery_id || $1, notification_id, account_id, channel, address, form, more,
                 priority, state, attempts, queued_at, due_at + 3600000, claimed_until,
                 expires_at + 3600000
             from deliveries where state = 'waiting' and length(delivery_id) = 36
             order by queued_at desc limit 1";
        for number in 0..199 {
            let values = vec![format!(" {number}").into()];
            relay.app().db.execute(copies, values).await.unwrap();
        }
        relay.pass(Duration::from_mins(6));
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 2).await;
        let sql = "select count(*) as count from deliveries where state = 'waiting'";
        let row = relay.app().db.query_one(sql, vec![]).await.unwrap().unwrap();
        assert!(row.get::<u64>("count").unwrap() <= 200);
        relay.stop().await;
    }
}

/// Nothing is lost between happening and leaving, wherever the relay ends.
#[tokio::test]
async fn a_relay_that_ends_in_between_tells_after_its_next_start() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = subscribe_by_mail(&relay, "alice").await;
        let camera = relay.camera_of(&alice).await;
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        // The mail waits for its picture when the relay ends.
        let relay = relay.restart().await;
        assert!(mails_about_now(&relay).is_empty());
        relay.pass(Duration::from_secs(30));
        mails_about(&relay, "Motion at", 1).await;

        // Who was at it ended with the relay: another does it once the claim is over, and once.
        let claimed = relay.app().now().plus(Duration::from_mins(2));
        let sql = "update deliveries set state = 'waiting', claimed_until = $1, ended_at = null";
        relay.app().db.execute(sql, vec![claimed.into()]).await.unwrap();
        relay.pass(Duration::from_secs(100));
        settled(&relay).await;
        assert_eq!(mails_about_now(&relay).len(), 1);
        relay.pass(Duration::from_secs(30));
        let mails = mails_about(&relay, "Motion at", 2).await;
        let name = |mail: &String| {
            mail.lines().find(|line| line.starts_with("Message-ID:")).unwrap().to_owned()
        };
        assert_eq!(name(&mails[0]), name(&mails[1]), "the second is known as the first");
        relay.stop().await;
    }
}

fn mails_about_now(relay: &TestRelay) -> Vec<String> {
    let kept = relay.app().mailer.kept();
    kept.into_iter().filter(|mail| mail.contains("Subject: Motion at")).collect()
}

/// A clock that was a year ahead for a moment leaves nothing behind that waits for a year.
#[tokio::test]
async fn what_a_clock_that_ran_ahead_has_put_off_is_told_all_the_same() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = subscribe_by_mail(&relay, "alice").await;
        let camera = relay.camera_of(&alice).await;
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        let year = 365_i64 * 86_400_000;
        for sql in [
            "update deliveries set due_at = due_at + $1, claimed_until = due_at + $1,
                 expires_at = expires_at + $1 where state = 'waiting'",
            "update notifications set gathers_until = gathers_until + $1
             where gathers_until is not null",
        ] {
            relay.app().db.execute(sql, vec![year.into()]).await.unwrap();
        }
        relay.app().due.all();
        mails_about(&relay, "Motion at", 1).await;
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 2).await;
        relay.stop().await;
    }
}

/// Two loops claim at once, as two replicas do: each message is claimed by one of them.
#[tokio::test]
async fn of_two_who_claim_at_once_each_message_goes_to_one() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |_| {}).await;
        let mut people = Vec::new();
        for number in 0..12 {
            let name = format!("person{number}");
            let person = relay.person(&name).await;
            verify(&relay, &name).await;
            let camera = relay.camera_of(&person).await;
            put_rules(&person, json!([{"kind": "motion", "channels": ["app"]}])).await.body(200);
            motion(&relay, &camera).await;
            until_told(&person, "motion", 1).await;
            people.push(person);
        }
        // Nobody sends mail here: what the two claim stays theirs.
        let queue = "insert into deliveries (delivery_id, notification_id, account_id, channel, address,
                 form, more, priority, state, attempts, queued_at, due_at, claimed_until, expires_at)
             select notification_id, notification_id, account_id, 'app', '', 'news', 0, 1, 'waiting',
                 0, created_at, created_at, 0, created_at + 3600000
             from notifications where kind = 'motion'";
        assert_eq!(relay.app().db.execute(queue, vec![]).await.unwrap(), 12);
        let claim = async || {
            let mut mine = Vec::new();
            for _ in 0..12 {
                let due = deliveries::claim(relay.app(), Channel::App, 2).await.unwrap();
                mine.extend(due.into_iter().map(|due| due.delivery_id));
            }
            mine
        };
        let (first, second) = tokio::join!(claim(), claim());
        let mut all = [first, second].concat();
        assert_eq!(all.len(), 12, "{all:?}");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 12, "none is claimed twice");
        let waiting = deliveries::list(relay.app(), DeliveryState::Waiting).await.unwrap();
        assert_eq!(waiting.len(), 12);
        relay.stop().await;
    }
}

/// Two take what happened at once: each is told by one of them.
#[tokio::test]
async fn of_two_who_tell_at_once_each_happening_goes_to_one() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut cameras = Vec::new();
        for _ in 0..6 {
            cameras.push(relay.camera_of(&alice).await);
        }
        settled(relay).await;
        for camera in &cameras {
            motion(relay, camera).await;
        }
        let (first, second) =
            tokio::join!(notifications::fan_out(relay.app()), notifications::fan_out(relay.app()));
        first.unwrap();
        second.unwrap();
        until_told(&alice, "motion", 6).await;
        settled(relay).await;
        let told = told_of(&alice, "motion").await;
        assert_eq!(told.len(), 6);
        assert!(told.iter().all(|told| told["more"] == json!(0)));
        let now = relay.app().now();
        let left = happenings::take(&relay.app().db, now, now).await.unwrap();
        assert!(left.is_none());
    })
    .await;
}

/// A site ends while what happened there is told: neither waits for the other.
#[tokio::test]
async fn a_site_that_ends_while_it_is_told_of_ends_all_the_same() {
    on_every_database(async |relay: &TestRelay| {
        for number in 0..6 {
            let person = relay.person(&format!("person{number}")).await;
            for _ in 0..3 {
                let camera = relay.camera_of(&person).await;
                motion(relay, &camera).await;
            }
            let path = format!("sites/{}", person.home().await);
            let name = person.get(&path).await.body(200)["name"].clone();
            let request = person.request(reqwest::Method::DELETE, &path);
            let ended = crate::person::Answer::of(request.json(&json!({"name": name})));
            let (ended, told) = tokio::join!(ended, notifications::fan_out(relay.app()));
            ended.body(204);
            told.unwrap();
        }
    })
    .await;
}

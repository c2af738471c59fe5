//! Who is told: whoever may see it when it is told, and nobody else (R3).

use std::time::Duration;

use nightjar_relay::engines::db::Executor as _;
use nightjar_shared::notification::DeliveryState;
use serde_json::json;

use super::{
    list,
    mail::{mails_about, subscribe_by_mail},
    motion, settled, told_of, until_told,
};
use crate::{
    databases,
    mail::in_memory,
    members::{account_id, let_in, put_out},
    relay::{TestRelay, on_every_database},
};

/// Each tenant's camera has a name that no other has: it reaches its own people and nobody else's.
#[tokio::test]
async fn no_tenant_hears_of_another() {
    on_every_database(async |relay: &TestRelay| {
        let mut tenants = Vec::new();
        for number in 0..4 {
            let person = relay.person(&format!("tenant{number}")).await;
            let camera = relay.camera_of(&person).await;
            let name = format!("kanarienvogel {number}");
            let path = format!("cameras/{}", camera.id());
            person.patch(&path, json!({"name": name})).await.body(200);
            tenants.push((person, camera, name));
        }
        let motions = tenants.iter().map(|(_, camera, _)| motion(relay, camera));
        futures::future::join_all(motions).await;
        for (person, _, own) in &tenants {
            until_told(person, "motion", 1).await;
            let all = serde_json::to_string(&list(person).await).unwrap();
            for (_, _, name) in &tenants {
                assert_eq!(all.contains(name.as_str()), name == own, "{name} in {all}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_installer_hears_of_cameras_and_not_of_what_they_see() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, ines) = (relay.person("alice").await, relay.person("ines").await);
        let camera = relay.camera_of(&alice).await;
        let_in(&alice, &ines, "installer").await;
        camera.beat(relay, crate::device::health()).await;
        motion(relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        camera.vanish(relay).await;
        relay.pass(Duration::from_secs(40));
        relay.sweep().await;
        relay.pass(Duration::from_secs(61));
        until_told(&ines, "camera_offline", 1).await;
        assert!(told_of(&ines, "motion").await.is_empty());
        assert!(told_of(&ines, "camera_paired").await.is_empty());
    })
    .await;
}

/// What is on its way is held back from whoever lost the right meanwhile, and their list forgets it.
#[tokio::test]
async fn who_is_put_out_in_the_middle_of_a_burst_hears_nothing_more() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = relay.person("alice").await;
        let bob = subscribe_by_mail(&relay, "bob").await;
        let_in(&alice, &bob, "viewer").await;
        let mut cameras = Vec::new();
        for _ in 0..3 {
            cameras.push(relay.camera_of(&alice).await);
        }
        for camera in &cameras {
            motion(&relay, camera).await;
        }
        until_told(&bob, "motion", 3).await;
        put_out(&alice, &bob).await;
        for camera in &cameras {
            motion(&relay, camera).await;
        }
        until_told(&alice, "motion", 3).await;
        settled(&relay).await;
        relay.pass(Duration::from_secs(30));
        none_wait(&relay).await;
        assert!(list(&bob).await.is_empty());
        assert!(relay.app().mailer.kept().iter().all(|mail| !mail.contains("Motion at")));
        let sent = nightjar_relay::domain::deliveries::list(relay.app(), DeliveryState::Sent);
        assert!(sent.await.unwrap().is_empty());
        relay.stop().await;
    }
}

/// Waits until nothing waits to leave.
pub(super) async fn none_wait(relay: &TestRelay) {
    let waiting = async || {
        let rows = nightjar_relay::domain::deliveries::list(relay.app(), DeliveryState::Waiting);
        rows.await.unwrap().len()
    };
    crate::relay::eventually(waiting, |count| *count == 0).await;
}

#[tokio::test]
async fn a_guest_whose_time_is_over_and_one_without_the_camera_hear_nothing() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = relay.person("alice").await;
        let (bob, carol) =
            (subscribe_by_mail(&relay, "bob").await, subscribe_by_mail(&relay, "carol").await);
        let (door, shed) = (relay.camera_of(&alice).await, relay.camera_of(&alice).await);
        for guest in [&bob, &carol] {
            let_in(&alice, guest, "viewer").await;
        }
        motion(&relay, &door).await;
        for guest in [&bob, &carol] {
            until_told(guest, "motion", 1).await;
        }
        // While the mails wait for their picture, one guest's time ends and the other loses the camera.
        let home = alice.home().await;
        let over = format!("sites/{home}/members/{}", account_id(&bob).await);
        let soon = relay.app().now().0 + 5_000;
        alice.patch(&over, json!({"ends_at": soon})).await.body(200);
        let limited = format!("sites/{home}/members/{}", account_id(&carol).await);
        let shed_alone = json!({"cameras": [shed.id()]});
        alice.patch(&limited, shed_alone).await.body(200);
        relay.pass(Duration::from_secs(30));
        none_wait(&relay).await;
        assert!(relay.app().mailer.kept().iter().all(|mail| !mail.contains("Motion at")));
        assert!(list(&carol).await.iter().all(|told| told["camera_id"] != json!(door.id())));
        assert!(list(&bob).await.is_empty());
        motion(&relay, &shed).await;
        until_told(&carol, "motion", 1).await;
        relay.pass(Duration::from_secs(30));
        assert_eq!(mails_about(&relay, "Motion at", 1).await.len(), 1);
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_switch_to_privacy_holds_back_what_is_on_its_way() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = subscribe_by_mail(&relay, "alice").await;
        let camera = relay.camera_of(&alice).await;
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        let mut private = crate::device::health();
        private["privacy"] = json!(true);
        camera.beat(&relay, private).await;
        relay.pass(Duration::from_secs(30));
        none_wait(&relay).await;
        assert!(relay.app().mailer.kept().iter().all(|mail| !mail.contains("Motion at")));
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_camera_that_moved_tells_its_new_owner_alone() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let alice = subscribe_by_mail(&relay, "alice").await;
        let bob = relay.person("bob").await;
        let camera = relay.camera_of(&alice).await;
        let path = format!("cameras/{}", camera.id());
        motion(&relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        let offer = alice.post(&format!("{path}/offer"), json!({})).await.body(201);
        let taken = json!({"token": offer["token"], "site_id": bob.home().await});
        bob.post("camera-offers/accept", taken).await.body(200);
        bob.patch(&path, json!({"name": "kanarienvogel"})).await.body(200);
        motion(&relay, &camera).await;
        let told = until_told(&bob, "motion", 1).await;
        assert_eq!(told[0]["title"], "Motion at kanarienvogel");
        relay.pass(Duration::from_secs(30));
        none_wait(&relay).await;
        let of_alice = serde_json::to_string(&list(&alice).await).unwrap();
        assert!(!of_alice.contains("kanarienvogel"), "{of_alice}");
        assert!(relay.app().mailer.kept().iter().all(|mail| !mail.contains("Motion at")));
        relay.stop().await;
    }
}

/// All that is kept of what people are told goes with the account and with the site.
#[tokio::test]
async fn nothing_that_was_told_outlives_its_site() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        motion(relay, &camera).await;
        until_told(&alice, "motion", 1).await;
        let sites = alice.get("auth/deletion").await.body(200);
        let ids: Vec<_> =
            sites["sites"].as_array().unwrap().iter().map(|site| site["site_id"].clone()).collect();
        let body = json!({"password": crate::person::PASSWORD, "site_ids": ids});
        alice.post("auth/deletion", body).await.body(204);
        let left = async || {
            let mut left = 0;
            for sql in [
                "select count(*) as count from notifications",
                "select count(*) as count from deliveries",
                "select count(*) as count from happenings",
                "select count(*) as count from notification_rules",
            ] {
                let row = relay.app().db.query_one(sql, vec![]).await.unwrap().unwrap();
                left += row.get::<u64>("count").unwrap();
            }
            left
        };
        crate::relay::eventually(left, |left| *left == 0).await;
    })
    .await;
}

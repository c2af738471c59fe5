//! Cameras that change sites.

use std::time::Duration;

use nightjar_shared::ids::{ClipId, EventId};
use serde_json::{Value, json};

use crate::{
    clips::upload,
    device::{Device, announcement, event, health},
    live::{OFFER, answer, online, watch},
    members::let_in,
    person::Person,
    relay::{TestRelay, on_every_database},
};

async fn offer(owner: &Person, camera: &str) -> Value {
    owner.post(&format!("{camera}/offer"), Value::Null).await.body(201)
}

async fn accept(person: &Person, offer: &Value, site: &str) -> crate::person::Answer {
    let body = json!({"token": offer["token"], "site_id": site});
    person.post("camera-offers/accept", body).await
}

/// An offer that was taken back or is too old moves nothing, nor does anybody by themselves.
async fn offers_end(
    relay: &TestRelay,
    (alice, manager, bob): (&Person, &Person, &Person),
    path: &str,
) {
    manager.post(&format!("{path}/offer"), Value::Null).await.is_problem(403, "forbidden");
    bob.post(&format!("{path}/offer"), Value::Null).await.is_problem(404, "not_found");
    let to = json!({"site_id": bob.home().await});
    alice.post(&format!("{path}/move"), to.clone()).await.is_problem(404, "not_found");
    bob.post(&format!("{path}/move"), to).await.is_problem(404, "not_found");

    let withdrawn = offer(alice, path).await;
    alice.delete(&format!("{path}/offer")).await.body(204);
    let home = bob.home().await;
    accept(bob, &withdrawn, &home).await.is_problem(404, "not_found");
    let late = offer(alice, path).await;
    relay.pass(Duration::from_hours(7 * 24 + 1));
    accept(bob, &late, &home).await.is_problem(404, "not_found");
}

/// What a camera tells after it has moved, of before and of now.
async fn arrives_where_it_was_seen(
    relay: &TestRelay,
    device: &Device,
    (alice, bob): (&Person, &Person),
    past: i64,
) {
    // Also what arrives later: by when it was seen.
    let (before, after) = (ClipId::generate(), ClipId::generate());
    let now = relay.app().now().0;
    device.caller.post("agent/clips", announcement(before, None, past)).await.body(200);
    device.caller.post("agent/clips", announcement(after, None, now)).await.body(200);
    let (seen_before, seen_after) = (EventId::generate(), EventId::generate());
    device.report(relay, event(seen_before, "started", past)).await;
    device.report(relay, event(seen_after, "started", now)).await;
    for (theirs, his) in [
        (format!("clips/{before}"), format!("clips/{after}")),
        (format!("events/{seen_before}"), format!("events/{seen_after}")),
    ] {
        alice.get(&theirs).await.body(200);
        bob.get(&theirs).await.is_problem(404, "not_found");
        bob.get(&his).await.body(200);
        alice.get(&his).await.is_problem(404, "not_found");
    }
    // Nor does a moment that is marked show what was seen elsewhere.
    let marks = format!("cameras/{}/bookmarks", device.id());
    bob.post(&marks, json!({"at": past})).await.is_problem(422, "invalid_time");
    let marked = bob.post(&marks, json!({"at": now})).await.body(201);
    assert_eq!(marked["clip_id"], json!(after));
    let told = json!({"kind": "outside", "at": past});
    let tell = format!("cameras/{}/events", device.id());
    bob.post(&tell, told).await.is_problem(422, "invalid_time");
}

#[tokio::test]
async fn a_camera_moves_when_both_owners_say_so_and_its_past_stays() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (manager, guest) = (relay.person("manager").await, relay.person("guest").await);
        let_in(&alice, &manager, "manager").await;
        let_in(&alice, &guest, "viewer").await;
        let (mut device, mut camera) = online(relay, &alice).await;
        let path = format!("cameras/{}", device.id());
        let clip_id = upload(&device, None).await;
        alice.post(&format!("{path}/commands"), json!({"kind": "arm"})).await.body(202);
        camera.command().await;

        offers_end(relay, (&alice, &manager, &bob), &path).await;
        device.get_token().await;
        let past = relay.app().now().0;
        let home = bob.home().await;
        let offered = offer(&alice, &path).await;
        let token = json!({"token": offered["token"]});
        let opened = bob.post("camera-offers/open", token).await.body(200);
        assert_eq!(
            (&opened["camera_name"], &opened["site_name"]),
            (&json!("Front door"), &json!("Home"))
        );
        manager
            .post(
                "camera-offers/accept",
                json!({"token": offered["token"], "site_id": alice.home().await}),
            )
            .await
            .is_problem(403, "forbidden");
        let (_, watched) = tokio::join!(watch(&guest, &device, OFFER), answer(&mut camera));
        relay.pass(Duration::from_secs(1));
        let (first, second) =
            tokio::join!(accept(&bob, &offered, &home), accept(&bob, &offered, &home));
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 404], "{first:?} {second:?}");
        let bye = camera.heard_signal().await;
        assert_eq!(
            (bye.session_id, bye.reason.as_deref()),
            (watched.session_id, Some("access_ended"))
        );

        assert_eq!(bob.get(&path).await.body(200)["site_id"], home);
        for old in [&alice, &manager, &guest] {
            old.get(&path).await.is_problem(404, "not_found");
        }
        // What it saw is theirs who were there, and not the new owner's.
        alice.get(&format!("clips/{clip_id}")).await.body(200);
        guest.get(&format!("clips/{clip_id}/playback")).await.body(200);
        bob.get(&format!("clips/{clip_id}")).await.is_problem(404, "not_found");
        for list in ["clips", "events"] {
            assert_eq!(bob.get(list).await.body(200)["items"], json!([]));
        }
        for list in ["commands", "live"] {
            assert_eq!(bob.get(&format!("{path}/{list}")).await.body(200)["items"], json!([]));
        }

        arrives_where_it_was_seen(relay, &device, (&alice, &bob), past).await;
        device.beat(relay, health()).await;
        bob.get(&format!("{path}/health")).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_camera_moves_between_sites_of_one_owner_and_an_offer_ends_with_the_right_to_it() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let path = format!("cameras/{}", camera.id());
        let shop = alice.post("sites", json!({"name": "Shop"})).await.body(201);
        let to = json!({"site_id": shop["site_id"]});
        let stale = offer(&alice, &path).await;
        let moved = alice.post(&format!("{path}/move"), to.clone()).await.body(200);
        assert_eq!(moved["site_id"], shop["site_id"]);
        alice.post(&format!("{path}/move"), to).await.is_problem(409, "already_paired");
        let home = bob.home().await;
        accept(&bob, &stale, &home).await.is_problem(404, "not_found");
        // It pairs by the key that it has, at no other site than where it is.
        let back = json!({"site_id": alice.home().await});
        alice.post(&format!("{path}/move"), back).await.body(200);
    })
    .await;
}

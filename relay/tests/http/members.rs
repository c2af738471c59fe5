//! Who belongs to a site: roles, limits, ends, leaving, ownership.

use std::time::Duration;

use nightjar_shared::{
    ids::EventId,
    signal::{Signal, SignalKind},
};
use serde_json::{Value, json};

use crate::{
    clips::upload,
    device::{Device, event, health},
    invitations::{accept, invite, register},
    live::{OFFER, answer, online, watch},
    live_socket::{hear, say},
    person::Person,
    relay::{TestRelay, on_every_database, on_sqlite},
    ws::{next, with_ticket},
};

pub(crate) async fn account_id(person: &Person) -> String {
    let me = person.get("auth/me").await.body(200);
    me["account"]["account_id"].as_str().unwrap().to_owned()
}

/// Makes `guest` a member of `host`'s home, by a link.
pub(crate) async fn let_in(host: &Person, guest: &Person, role: &str) {
    let link = invite(host, json!({"role": role})).await;
    accept(guest, &link).await.body(200);
}

async fn member_path(host: &Person, guest: &Person) -> String {
    format!("sites/{}/members/{}", host.home().await, account_id(guest).await)
}

pub(crate) async fn set_role(host: &Person, guest: &Person, role: &str) {
    let path = member_path(host, guest).await;
    host.patch(&path, json!({"role": role})).await.body(200);
}

pub(crate) async fn put_out(host: &Person, guest: &Person) {
    host.delete(&member_path(host, guest).await).await.body(204);
}

pub(crate) async fn members_of(host: &Person) -> Vec<Value> {
    let path = format!("sites/{}/members", host.home().await);
    host.get(&path).await.body(200)["items"].as_array().unwrap().clone()
}

async fn role_of(person: &Person, site: &str) -> Option<String> {
    let me = person.get("auth/me").await.body(200);
    let sites = me["sites"].as_array().unwrap().clone();
    let site = sites.into_iter().find(|found| found["site_id"] == *site)?;
    Some(site["role"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn roles_change_and_members_go_as_owners_and_managers_say() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let home = alice.home().await;
        let (manager, viewer) = (relay.person("manager").await, relay.person("viewer").await);
        let installer = relay.person("installer").await;
        let_in(&alice, &manager, "manager").await;
        let_in(&alice, &viewer, "viewer").await;
        let_in(&alice, &installer, "installer").await;

        let list = format!("sites/{home}/members");
        for blind in [&viewer, &installer] {
            blind.get(&list).await.is_problem(403, "forbidden");
        }
        let seen = manager.get(&list).await.body(200);
        let may_change: Vec<_> =
            seen["items"].as_array().unwrap().iter().map(|it| &it["may_change"]).collect();
        assert_eq!(may_change, [&json!(false), &json!(false), &json!(true), &json!(false)]);

        let change = async |who: &Person, whom: &Person, role: &str| {
            let path = format!("{list}/{}", account_id(whom).await);
            who.patch(&path, json!({"role": role})).await
        };
        change(&manager, &viewer, "installer").await.is_problem(403, "forbidden");
        change(&manager, &installer, "viewer").await.is_problem(403, "forbidden");
        change(&manager, &manager, "owner").await.is_problem(403, "forbidden");
        change(&viewer, &viewer, "manager").await.is_problem(403, "forbidden");
        change(&alice, &viewer, "owner").await.is_problem(422, "invalid_membership");
        change(&alice, &viewer, "manager").await.body(200);
        assert_eq!(role_of(&viewer, &home).await.as_deref(), Some("manager"));
        change(&alice, &viewer, "viewer").await.body(200);

        let remove = async |who: &Person, whom: &Person| {
            who.delete(&format!("{list}/{}", account_id(whom).await)).await
        };
        remove(&manager, &alice).await.is_problem(403, "forbidden");
        remove(&viewer, &manager).await.is_problem(403, "forbidden");
        remove(&manager, &viewer).await.body(204);
        assert_eq!(role_of(&viewer, &home).await, None);
        remove(&manager, &viewer).await.is_problem(404, "not_found");
        installer.delete(&format!("{list}/me")).await.body(204);
        assert_eq!(role_of(&installer, &home).await, None);
        installer.delete(&format!("{list}/me")).await.is_problem(404, "not_found");
        let stranger = relay.person("stranger").await;
        remove(&stranger, &manager).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_site_always_has_an_owner() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let home = alice.home().await;
        let me = format!("sites/{home}/members/me");
        alice.delete(&me).await.is_problem(409, "last_owner");
        let own = format!("sites/{home}/members/{}", account_id(&alice).await);
        alice.patch(&own, json!({"role": "viewer"})).await.is_problem(409, "last_owner");
        let soon = json!({"ends_at": relay.app().now().0 + 1_000});
        alice.patch(&own, soon).await.is_problem(422, "invalid_membership");

        for _ in 0..5 {
            let_in(&alice, &bob, "manager").await;
            let offer = json!({"account_id": account_id(&bob).await, "stays": true});
            alice.post(&format!("sites/{home}/ownership"), offer).await.body(200);
            bob.post(&format!("sites/{home}/ownership/accept"), Value::Null).await.body(204);
            // Both leave at once: one stays.
            let (first, second) = tokio::join!(alice.delete(&me), bob.delete(&me));
            let mut statuses = [first.status, second.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [204, 409], "{first:?} {second:?}");
            let (owner, left) = if first.status == 409 { (&alice, &bob) } else { (&bob, &alice) };
            assert_eq!(role_of(owner, &home).await.as_deref(), Some("owner"));
            // Each puts the other out at once: one of them is there.
            let link = owner
                .post(&format!("sites/{home}/invitations"), json!({"role": "viewer"}))
                .await
                .body(201);
            accept(left, &link).await.body(200);
            let offer = json!({"account_id": account_id(left).await, "stays": true});
            owner.post(&format!("sites/{home}/ownership"), offer).await.body(200);
            left.post(&format!("sites/{home}/ownership/accept"), Value::Null).await.body(204);
            let (to_bob, to_alice) = (
                format!("sites/{home}/members/{}", account_id(&bob).await),
                format!("sites/{home}/members/{}", account_id(&alice).await),
            );
            let (first, second) = tokio::join!(alice.delete(&to_bob), bob.delete(&to_alice));
            assert!(
                [(204, 404), (404, 204)].contains(&(first.status, second.status)),
                "{first:?} {second:?}"
            );
            if second.status == 204 {
                let link = bob
                    .post(&format!("sites/{home}/invitations"), json!({"role": "viewer"}))
                    .await
                    .body(201);
                accept(&alice, &link).await.body(200);
                let offer = json!({"account_id": account_id(&alice).await});
                bob.post(&format!("sites/{home}/ownership"), offer).await.body(200);
                alice.post(&format!("sites/{home}/ownership/accept"), Value::Null).await.body(204);
                bob.delete(&me).await.body(204);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_site_changes_hands_when_both_say_so() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let carol = relay.person("carol").await;
        let home = alice.home().await;
        let (offers, acceptance) =
            (format!("sites/{home}/ownership"), format!("sites/{home}/ownership/accept"));
        let to_bob = json!({"account_id": account_id(&bob).await});
        alice.post(&offers, to_bob.clone()).await.is_problem(404, "not_found");
        let_in(&alice, &bob, "viewer").await;
        let_in(&alice, &carol, "manager").await;
        bob.post(&offers, to_bob.clone()).await.is_problem(403, "forbidden");
        carol.post(&offers, to_bob.clone()).await.is_problem(403, "forbidden");
        bob.post(&acceptance, Value::Null).await.is_problem(404, "not_found");

        alice.post(&offers, to_bob.clone()).await.body(200);
        carol.post(&acceptance, Value::Null).await.is_problem(404, "not_found");
        let shown = async |person: &Person| {
            person.get(&format!("sites/{home}")).await.body(200)["ownership_offer"].clone()
        };
        assert!(shown(&alice).await.is_object() && shown(&bob).await.is_object());
        assert!(shown(&carol).await.is_null());
        // Turned down, run out, or taken back: gone.
        bob.delete(&offers).await.body(204);
        bob.post(&acceptance, Value::Null).await.is_problem(404, "not_found");
        alice.post(&offers, to_bob.clone()).await.body(200);
        relay.pass(Duration::from_hours(7 * 24 + 1));
        bob.post(&acceptance, Value::Null).await.is_problem(404, "not_found");

        alice.post(&offers, to_bob).await.body(200);
        bob.post(&acceptance, Value::Null).await.body(204);
        assert_eq!(role_of(&bob, &home).await.as_deref(), Some("owner"));
        assert_eq!(role_of(&alice, &home).await.as_deref(), Some("manager"));
        let name = json!({"name": "Hers"});
        alice.patch(&format!("sites/{home}"), name.clone()).await.is_problem(403, "forbidden");
        bob.patch(&format!("sites/{home}"), name).await.body(200);
    })
    .await;
}

/// All that tells of a camera, for somebody who may see it or not.
async fn knows_of(person: &Person, camera: &Device, things: &[String]) -> bool {
    let id = json!(camera.id());
    let mut answers = Vec::new();
    for list in ["cameras", "events", "clips"] {
        let items = person.get(list).await.body(200)["items"].as_array().unwrap().clone();
        answers.push(items.iter().any(|item| item["camera_id"] == id));
    }
    for path in things {
        let status = person.get(path).await.status;
        assert!(status == 200 || status == 404, "{path}: {status}");
        answers.push(status == 200);
    }
    let watched = watch(person, camera, "no offer").await.status;
    assert!(watched == 422 || watched == 404, "{watched}");
    answers.push(watched == 422);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    answers[0]
}

/// What a camera has made: an event, a clip, a command.
async fn things(relay: &TestRelay, owner: &Person, camera: &Device) -> Vec<String> {
    let event_id = EventId::generate();
    camera.beat(relay, health()).await;
    camera.report(relay, event(event_id, "started", 1)).await;
    let clip_id = upload(camera, None).await;
    let path = format!("cameras/{}/commands", camera.id());
    let command = owner.post(&path, json!({"kind": "arm"})).await.body(202);
    let command = command["command_id"].as_str().unwrap();
    let id = camera.id();
    vec![
        format!("cameras/{id}"),
        format!("cameras/{id}/health"),
        format!("cameras/{id}/timeline"),
        format!("cameras/{id}/commands"),
        format!("cameras/{id}/live"),
        format!("cameras/{id}/update"),
        format!("events/{event_id}"),
        format!("clips/{clip_id}"),
        format!("clips/{clip_id}/playback"),
        format!("commands/{command}"),
    ]
}

#[tokio::test]
async fn a_viewer_of_some_cameras_knows_of_no_other() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (porch, bedroom) = (relay.camera_of(&alice).await, relay.camera_of(&alice).await);
        let of_porch = things(relay, &alice, &porch).await;
        let of_bedroom = things(relay, &alice, &bedroom).await;
        let link = invite(&alice, json!({"role": "viewer", "cameras": [porch.id()]})).await;
        accept(&bob, &link).await.body(200);
        assert!(knows_of(&alice, &bedroom, &of_bedroom).await);
        assert!(knows_of(&bob, &porch, &of_porch).await);
        assert!(!knows_of(&bob, &bedroom, &of_bedroom).await);

        // Nor is anything announced of it.
        let mut socket = with_ticket(&bob).await;
        let (secret, told) = (EventId::generate(), EventId::generate());
        bedroom.report(relay, event(secret, "started", 2)).await;
        porch.report(relay, event(told, "started", 2)).await;
        assert_eq!(hear(&mut socket, "event").await["event"]["event_id"], json!(told));

        let path = member_path(&alice, &bob).await;
        let other = json!({"cameras": [bedroom.id()]});
        let changed = alice.patch(&path, other).await.body(200);
        assert_eq!(changed["cameras"], json!([bedroom.id()]));
        assert!(knows_of(&bob, &bedroom, &of_bedroom).await);
        assert!(!knows_of(&bob, &porch, &of_porch).await);
        // None of them is left: none it is, not all.
        alice.delete(&format!("cameras/{}", bedroom.id())).await.body(204);
        assert!(!knows_of(&bob, &porch, &of_porch).await);
        assert_eq!(members_of(&alice).await[1]["cameras"], json!([]));
        let ends_at = json!({"ends_at": relay.app().now().0 + 3_600_000});
        assert_eq!(alice.patch(&path, ends_at).await.body(200)["cameras"], json!([]));
        alice.patch(&path, json!({"cameras": null, "ends_at": null})).await.body(200);
        assert!(knows_of(&bob, &porch, &of_porch).await);
        alice
            .patch(&path, json!({"cameras": [bedroom.id()]}))
            .await
            .is_problem(422, "invalid_membership");
    })
    .await;
}

/// A session of this person that streams.
async fn watching(person: &Person, device: &Device, camera: &mut crate::device::Online) -> Signal {
    let (opened, offer) = tokio::join!(watch(person, device, OFFER), answer(camera));
    assert_eq!(opened.status, 201);
    offer
}

async fn is_ended(camera: &mut crate::device::Online, offer: &Signal) {
    let bye = camera.heard_signal().await;
    assert_eq!((bye.kind, bye.session_id), (SignalKind::Bye, offer.session_id));
    assert_eq!(bye.reason.as_deref(), Some("access_ended"));
}

#[tokio::test]
async fn what_somebody_watches_ends_with_their_part_in_the_site() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let home = alice.home().await;
        let (device, mut camera) = online(relay, &alice).await;
        let other = relay.camera_of(&alice).await;
        let path = member_path(&alice, &bob).await;
        let restore = async || {
            let link = invite(&alice, json!({"role": "viewer"})).await;
            accept(&bob, &link).await.body(200);
        };
        restore().await;
        let mut socket = with_ticket(&bob).await;

        let offer = watching(&bob, &device, &mut camera).await;
        alice.patch(&path, json!({"role": "installer"})).await.body(200);
        is_ended(&mut camera, &offer).await;
        let told = hear(&mut socket, "membership").await;
        assert_eq!(told["membership"], json!({"site_id": home, "role": "installer"}));
        alice.patch(&path, json!({"role": "viewer"})).await.body(200);

        let offer = watching(&bob, &device, &mut camera).await;
        alice.patch(&path, json!({"cameras": [other.id()]})).await.body(200);
        is_ended(&mut camera, &offer).await;
        alice.patch(&path, json!({"cameras": null})).await.body(200);

        let offer = watching(&bob, &device, &mut camera).await;
        alice.delete(&path).await.body(204);
        is_ended(&mut camera, &offer).await;

        restore().await;
        let offer = watching(&bob, &device, &mut camera).await;
        bob.delete(&format!("sites/{home}/members/me")).await.body(204);
        is_ended(&mut camera, &offer).await;
        bob.get(&format!("live/{}", offer.session_id)).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_guest_belongs_until_the_hour_and_not_a_moment_longer() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let home = alice.home().await;
        let (device, mut camera) = online(relay, &alice).await;
        let ends_at = relay.app().now().0 + 30_000;
        let link = invite(&alice, json!({"role": "viewer", "ends_at": ends_at})).await;
        let mut guest = relay.stranger();
        guest.cookie = Some(register(&guest, &link, "guest").await.cookie());
        assert_eq!(members_of(&alice).await[1]["ends_at"], ends_at);
        let offer = watching(&guest, &device, &mut camera).await;
        let camera_path = format!("cameras/{}", device.id());
        guest.get(&camera_path).await.body(200);
        relay.pass(Duration::from_secs(31));
        guest.get(&camera_path).await.is_problem(404, "not_found");
        assert_eq!(role_of(&guest, &home).await, None);
        is_ended(&mut camera, &offer).await;
        relay.sweep().await;
        assert_eq!(members_of(&alice).await.len(), 1);
        // Who comes back is a member like any other.
        let_in(&alice, &guest, "viewer").await;
        guest.get(&camera_path).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_site_is_renamed_placed_and_ended_by_its_owner() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let home = alice.home().await;
        let path = format!("sites/{home}");
        let_in(&alice, &bob, "viewer").await;
        let (device, mut camera) = online(relay, &alice).await;
        let change =
            json!({"name": " Corner shop ", "place": "Berlin", "time_zone": "Europe/Berlin"});
        let site = alice.patch(&path, change).await.body(200);
        assert_eq!((&site["name"], &site["place"]), (&json!("Corner shop"), &json!("Berlin")));
        assert_eq!(bob.get(&path).await.body(200)["time_zone"], "Europe/Berlin");
        let partly = alice.patch(&path, json!({"place": ""})).await.body(200);
        assert!(partly["place"].is_null() && partly["name"] == "Corner shop");
        bob.patch(&path, json!({"name": "Mine"})).await.is_problem(403, "forbidden");
        alice
            .patch(&path, json!({"time_zone": "../etc"}))
            .await
            .is_problem(422, "invalid_time_zone");
        alice.patch(&path, json!({"name": ""})).await.is_problem(422, "invalid_name");
        relay.person("eve").await.get(&path).await.is_problem(404, "not_found");

        let clip_id = upload(&device, None).await;
        let offer = watching(&bob, &device, &mut camera).await;
        let end = async |person: &Person, name: &str| {
            let request = person.request(reqwest::Method::DELETE, &path);
            crate::person::Answer::of(request.json(&json!({"name": name}))).await
        };
        end(&bob, "Corner shop").await.is_problem(403, "forbidden");
        end(&alice, "Home").await.is_problem(422, "name_mismatch");
        end(&alice, "Corner shop").await.body(204);
        is_ended(&mut camera, &offer).await;
        for gone in [path.clone(), format!("cameras/{}", device.id()), format!("clips/{clip_id}")] {
            alice.get(&gone).await.is_problem(404, "not_found");
            bob.get(&gone).await.is_problem(404, "not_found");
        }
        assert!(alice.get("sites").await.body(200)["items"].as_array().unwrap().is_empty());
        alice.post("sites", json!({"name": "Another"})).await.body(201);
    })
    .await;
}

#[tokio::test]
async fn somebody_belongs_to_several_sites_and_is_something_else_at_each() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (hers, his) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
        let_in(&alice, &bob, "installer").await;
        let list = bob.get("cameras").await.body(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 2);
        let name = json!({"name": "New"});
        bob.patch(&format!("cameras/{}", his.id()), name.clone()).await.body(200);
        let path = format!("cameras/{}", hers.id());
        bob.patch(&path, name).await.is_problem(403, "forbidden");
        put_out(&alice, &bob).await;
        assert_eq!(bob.get("cameras").await.body(200)["items"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_open_socket_hears_nothing_more_of_a_site_that_its_owner_was_put_out_of() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let_in(&alice, &bob, "viewer").await;
        let mut socket = with_ticket(&bob).await;
        camera.report(relay, event(EventId::generate(), "started", 1)).await;
        hear(&mut socket, "event").await;
        put_out(&alice, &bob).await;
        let told = hear(&mut socket, "membership").await;
        assert!(told["membership"]["role"].is_null(), "{told}");
        camera.report(relay, event(EventId::generate(), "started", 2)).await;
        say(&mut socket, json!({"type": "ping"})).await;
        assert_eq!(next(&mut socket).await["type"], "pong");
    })
    .await;
}

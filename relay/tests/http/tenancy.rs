use nightjar_shared::ids::{
    CameraId, ClipId, CommandId, EventId, PairingId, SessionId, ShareId, SiteId,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    device::{Device, announcement, event, health, part},
    factors::{promote, set_up},
    person::{Answer, Person},
    relay::{TestRelay, on_every_database},
};

/// All that one tenant has, as paths; and the same of nobody.
struct Belongings {
    doors: Vec<(Method, String, Value)>,
}

async fn belongings(relay: &TestRelay, alice: &Person, camera: &Device) -> Belongings {
    let pairing = alice.open_pairing().await;
    let (clip_id, event_id) = (ClipId::generate(), EventId::generate());
    camera.beat(relay, health()).await;
    camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
    let share = alice.post(&format!("clips/{clip_id}/shares"), json!({})).await.body(201);
    camera.report(relay, event(event_id, "started", 1)).await;
    let command = alice
        .post(&format!("cameras/{}/commands", camera.id()), json!({"kind": "arm"}))
        .await
        .body(202);
    Belongings {
        doors: doors(
            &alice.home().await,
            pairing["pairing_id"].as_str().unwrap(),
            camera.id(),
            command["command_id"].as_str().unwrap(),
            event_id,
            clip_id,
            share["share_id"].as_str().unwrap(),
        ),
    }
}

fn doors(
    site: &str,
    pairing: &str,
    camera: CameraId,
    command: &str,
    event: EventId,
    clip: ClipId,
    share: &str,
) -> Vec<(Method, String, Value)> {
    let none = Value::Null;
    vec![
        (Method::GET, format!("sites/{site}"), none.clone()),
        (Method::PATCH, format!("sites/{site}"), json!({"name": "mine"})),
        (Method::DELETE, format!("sites/{site}"), json!({"name": "Home"})),
        (Method::GET, format!("sites/{site}/members"), none.clone()),
        (Method::DELETE, format!("sites/{site}/members/me"), none.clone()),
        (Method::POST, format!("sites/{site}/ownership/accept"), none.clone()),
        (Method::GET, format!("sites/{site}/invitations"), none.clone()),
        (Method::POST, format!("sites/{site}/invitations"), json!({"role": "viewer"})),
        (Method::POST, format!("cameras/{camera}/offer"), none.clone()),
        (Method::POST, format!("cameras/{camera}/move"), json!({"site_id": site})),
        (Method::POST, format!("sites/{site}/pairings"), json!({})),
        (Method::POST, format!("sites/{site}/announcements/find"), json!({"code": "BCDF-GHJK"})),
        (Method::POST, format!("sites/{site}/announcements/accept"), json!({"code": "BCDF-GHJK"})),
        (Method::GET, format!("pairings/{pairing}"), none.clone()),
        (Method::DELETE, format!("pairings/{pairing}"), none.clone()),
        (Method::GET, format!("cameras/{camera}"), none.clone()),
        (Method::PATCH, format!("cameras/{camera}"), json!({"name": "mine"})),
        (Method::DELETE, format!("cameras/{camera}"), none.clone()),
        (Method::GET, format!("cameras/{camera}/health"), none.clone()),
        (Method::GET, format!("cameras/{camera}/update"), none.clone()),
        (Method::PATCH, format!("cameras/{camera}/update"), json!({"automatic": false})),
        (Method::GET, format!("cameras/{camera}/commands"), none.clone()),
        (Method::POST, format!("cameras/{camera}/commands"), json!({"kind": "disarm"})),
        (Method::GET, format!("cameras/{camera}/live"), none.clone()),
        (Method::GET, format!("commands/{command}"), none.clone()),
        (Method::GET, format!("events/{event}"), none.clone()),
        (Method::GET, format!("clips/{clip}"), none.clone()),
        (Method::GET, format!("clips/{clip}/playback"), none.clone()),
        (Method::GET, format!("clips/{clip}/playback.m3u8"), none.clone()),
        (Method::PATCH, format!("clips/{clip}"), json!({"visibility": "site"})),
        (Method::GET, format!("clips/{clip}/shares"), none.clone()),
        (Method::POST, format!("clips/{clip}/shares"), json!({})),
        (Method::DELETE, format!("shares/{share}"), none.clone()),
        (Method::DELETE, format!("clips/{clip}"), none),
    ]
}

async fn knock(person: &Person, (method, path, body): &(Method, String, Value)) -> Answer {
    let mut request = person.request(method.clone(), path);
    if !body.is_null() {
        request = request.json(body);
    }
    Answer::of(request).await
}

#[tokio::test]
async fn another_tenants_things_answer_exactly_like_missing_ones() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        relay.camera_of(&bob).await;
        let hers = belongings(relay, &alice, &camera).await;
        let nobodys = doors(
            &SiteId::generate().to_string(),
            &PairingId::generate().to_string(),
            CameraId::generate(),
            &CommandId::generate().to_string(),
            EventId::generate(),
            ClipId::generate(),
            &ShareId::generate().to_string(),
        );
        for (door, missing) in hers.doors.iter().zip(&nobodys) {
            let foreign = knock(&bob, door).await;
            foreign.is_problem(404, "not_found");
            let missing = knock(&bob, missing).await;
            assert_eq!((foreign.status, &foreign.text), (missing.status, &missing.text));
        }
        let whep = bob
            .request(Method::POST, &format!("cameras/{}/whep", camera.id()))
            .header("content-type", "application/sdp")
            .body("v=0");
        Answer::of(whep).await.is_problem(404, "not_found");
        bob.get(&format!("live/{}", SessionId::generate())).await.is_problem(404, "not_found");

        // Nothing has changed for her.
        let still = alice.get(&format!("cameras/{}", camera.id())).await.body(200);
        assert_eq!(still["name"], "Front door");
        let commands = alice.get(&format!("cameras/{}/commands", camera.id())).await.body(200);
        assert_eq!(commands["items"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn lists_show_ones_own_things_only_whatever_is_asked_for() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        belongings(relay, &alice, &camera).await;
        let (home, id) = (alice.home().await, camera.id());
        for path in ["cameras", "events", "clips"] {
            assert_eq!(alice.get(path).await.body(200)["items"].as_array().unwrap().len(), 1);
            for query in [String::new(), format!("?site_id={home}"), format!("?camera_id={id}")] {
                let list = bob.get(&format!("{path}{query}")).await.body(200);
                assert_eq!(list["items"], json!([]), "{path}{query}");
            }
        }
        let sites = bob.get("sites").await.body(200);
        assert_eq!(sites["items"].as_array().unwrap().len(), 1);
        assert_ne!(sites["items"][0]["site_id"], json!(home));
    })
    .await;
}

#[tokio::test]
async fn a_camera_reaches_its_own_clips_only() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (camera, rogue) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
        let clip_id = ClipId::generate();
        camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
        let caller = &rogue.caller;
        let path = format!("agent/clips/{clip_id}");
        caller
            .post("agent/clips", announcement(clip_id, None, 1))
            .await
            .is_problem(404, "not_found");
        caller
            .post(&format!("{path}/parts"), json!([part(0, "file", b"x")]))
            .await
            .is_problem(404, "not_found");
        caller
            .post(&format!("{path}/stored"), json!({"parts": [0]}))
            .await
            .is_problem(404, "not_found");
        caller
            .post(
                &format!("{path}/complete"),
                json!({"parts": [0], "ended_at": 1, "duration_ms": 1}),
            )
            .await
            .is_problem(404, "not_found");
        caller
            .post(&format!("{path}/failed"), json!({"reason": "mine now"}))
            .await
            .is_problem(404, "not_found");
        assert_eq!(alice.get(&format!("clips/{clip_id}")).await.body(200)["state"], "announced");
    })
    .await;
}

#[tokio::test]
async fn an_administrator_of_the_relay_has_no_part_in_sites() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut admin = relay.person("root").await;
        promote(relay, &admin).await;
        set_up(relay, &mut admin).await;
        assert_eq!(admin.get("auth/me").await.body(200)["account"]["role"], "admin");
        let hers = belongings(relay, &alice, &camera).await;
        for door in &hers.doors {
            knock(&admin, door).await.is_problem(404, "not_found");
        }
        for list in ["cameras", "events", "clips"] {
            assert_eq!(admin.get(list).await.body(200)["items"], json!([]));
        }
        let home = alice.home().await;
        for door in ["members", "invitations", ""] {
            let path = format!("sites/{home}/{door}");
            admin.get(path.trim_end_matches('/')).await.is_problem(404, "not_found");
        }
    })
    .await;
}

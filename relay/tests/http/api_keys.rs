//! API keys: less than their owner's rights, for a time, and never more than at their site.

use std::time::Duration;

use futures::StreamExt as _;
use nightjar_shared::ids::EventId;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    device::event,
    factors::{confirm, promote},
    person::{Answer, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
    support::{PATIENCE, within},
    ws::{Socket, next_of, with_ticket},
};

const DAY: Duration = Duration::from_hours(24);

pub(crate) async fn make(person: &Person, key: Value) -> (Person, Value) {
    confirm(person).await;
    make_confirmed(person, key).await
}

/// The same for who has shown again who they are.
pub(crate) async fn make_confirmed(person: &Person, key: Value) -> (Person, Value) {
    let made = person.post("auth/keys", key).await.body(201);
    let token = Some(made["token"].as_str().unwrap().to_owned());
    let program = Person { cookie: None, token, page: None, ..person.clone() };
    (program, made["key"].clone())
}

async fn id_of_camera(relay: &TestRelay, person: &Person) -> String {
    relay.camera_of(person).await.id().to_string()
}

#[tokio::test]
async fn a_key_does_what_it_was_made_for_and_nothing_else() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = id_of_camera(relay, &alice).await;
        let new = json!({"name": "dashboard", "rights": ["see_cameras"]});
        alice.post("auth/keys", new.clone()).await.is_problem(403, "confirmation_required");
        let (program, key) = make(&alice, new).await;
        assert!(program.token.as_deref().unwrap().starts_with("nj_"));
        assert_eq!(program.get("cameras").await.body(200)["items"][0]["camera_id"], camera);
        program.get(&format!("cameras/{camera}")).await.body(200);
        assert_eq!(program.get("sites").await.body(200)["items"][0]["may"], json!(["see_cameras"]));
        // Pictures are as good as not there, and changes are refused.
        assert_eq!(program.get("clips").await.body(200)["items"], json!([]));
        assert_eq!(program.get("events").await.body(200)["items"], json!([]));
        let whole = json!({"name": "Porch"});
        let refused = program.patch(&format!("cameras/{camera}"), whole).await;
        refused.is_problem(403, "forbidden");
        let order = json!({"kind": "identify"});
        let refused = program.post(&format!("cameras/{camera}/commands"), order).await;
        refused.is_problem(403, "forbidden");
        let home = alice.home().await;
        let refused = program.post(&format!("sites/{home}/pairings"), json!({})).await;
        refused.is_problem(403, "forbidden");
        program.post("sites", json!({"name": "Shop"})).await.is_problem(403, "forbidden");
        // What the account is, no key touches.
        for path in ["auth/me", "auth/keys", "auth/mfa"] {
            program.get(path).await.is_problem(403, "forbidden");
        }
        let another = json!({"name": "another", "rights": ["see_cameras"]});
        program.post("auth/keys", another).await.is_problem(403, "forbidden");
        program.post("auth/logout", Value::Null).await.is_problem(403, "forbidden");
        program.post("auth/mfa/totp", json!({})).await.is_problem(403, "forbidden");
        let path = format!("auth/keys/{}", key["key_id"].as_str().unwrap());
        program.delete(&path).await.is_problem(403, "forbidden");
        let shown = json!({"password": crate::person::PASSWORD});
        program.post("auth/confirm", shown).await.is_problem(403, "forbidden");

        let listed = alice.get("auth/keys").await.body(200);
        assert_eq!(listed["items"][0]["name"], "dashboard");
        assert!(
            listed["items"][0]["used_at"].is_i64() && listed["items"][0].get("token").is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn a_key_for_one_site_knows_of_no_other() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let home = alice.home().await;
        let camera = id_of_camera(relay, &alice).await;
        let shop = alice.post("sites", json!({"name": "Shop"})).await.body(201);
        let shop = shop["site_id"].as_str().unwrap();
        let all = ["see_cameras", "see_pictures", "control", "manage", "pair"];
        let (of_shop, _) =
            make(&alice, json!({"name": "shop", "rights": all, "site_id": shop})).await;
        let (of_home, _) =
            make(&alice, json!({"name": "home", "rights": all, "site_id": home})).await;
        assert_eq!(of_shop.get("cameras").await.body(200)["items"], json!([]));
        of_shop.get(&format!("cameras/{camera}")).await.is_problem(404, "not_found");
        of_shop.get(&format!("sites/{home}/pairings")).await.is_problem(404, "not_found");
        of_shop.post(&format!("sites/{shop}/pairings"), json!({})).await.body(201);
        let sites = of_shop.get("sites").await.body(200);
        assert_eq!(sites["items"].as_array().unwrap().len(), 1);
        of_home.get(&format!("cameras/{camera}")).await.body(200);
        // With another account's site, there is no such site.
        let bob = relay.person("bob").await;
        confirm(&bob).await;
        let foreign = json!({"name": "x", "rights": ["see_cameras"], "site_id": home});
        bob.post("auth/keys", foreign).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_key_ends_by_its_time_and_by_its_owner_with_what_it_opened() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let rights = json!(["see_cameras", "see_pictures"]);
        let (brief, _) = make(&alice, json!({"name": "a", "rights": rights, "days": 1})).await;
        let mut socket = with_ticket(&brief).await;
        relay.pass(DAY);
        brief.get("cameras").await.is_problem(401, "unauthenticated");
        is_revoked(&mut socket).await;
        let alice_again = relay.person("alicia").await;
        let (program, key) = make(&alice_again, json!({"name": "b", "rights": rights})).await;
        let mut socket = with_ticket(&program).await;
        let path = format!("auth/keys/{}", key["key_id"].as_str().unwrap());
        alice.delete(&path).await.is_problem(404, "not_found");
        alice_again.delete(&path).await.body(204);
        program.get("cameras").await.is_problem(401, "unauthenticated");
        is_revoked(&mut socket).await;
        alice_again.delete(&path).await.is_problem(404, "not_found");
    })
    .await;
}

async fn is_revoked(socket: &mut Socket) {
    loop {
        match within(PATIENCE, socket.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => {
                assert_eq!(frame.reason, "signed out");
                return;
            }
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_socket_of_a_key_hears_what_the_key_may_see() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let (blind, _) = make(&alice, json!({"name": "a", "rights": ["see_cameras"]})).await;
        let both = json!(["see_cameras", "see_pictures"]);
        let (seeing, _) = make(&alice, json!({"name": "b", "rights": both})).await;
        let (mut blind, mut seeing) = (with_ticket(&blind).await, with_ticket(&seeing).await);
        camera.report(relay, event(EventId::generate(), "started", 5)).await;
        next_of(&mut seeing, "event").await;
        alice.patch(&format!("cameras/{}", camera.id()), json!({"name": "Porch"})).await.body(200);
        let first = crate::ws::next(&mut blind).await;
        assert_eq!(first["type"], "camera", "of the event it heard nothing");
    })
    .await;
}

#[tokio::test]
async fn keys_are_bounded_in_rights_time_and_number() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        confirm(&alice).await;
        let ask = async |body: Value| -> Answer { alice.post("auth/keys", body).await };
        for (change, status, code) in [
            (json!({"rights": []}), 422, "invalid_scope"),
            (json!({"rights": ["everything"]}), 400, "invalid_json"),
            (json!({"days": 0}), 422, "invalid_lifetime"),
            (json!({"days": 367}), 422, "invalid_lifetime"),
            (json!({"days": -1}), 400, "invalid_json"),
            (json!({"name": ""}), 422, "invalid_name"),
            (json!({"name": "a\u{202e}b"}), 422, "invalid_name"),
        ] {
            let mut body = json!({"name": "x", "rights": ["see_cameras"]});
            body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            ask(body).await.is_problem(status, code);
        }
        let key = json!({"name": "x", "rights": ["see_cameras", "see_cameras"]});
        for _ in 0..50 {
            let made = ask(key.clone()).await.body(201);
            assert_eq!(made["key"]["rights"], json!(["see_cameras"]));
        }
        ask(key).await.is_problem(409, "too_many_keys");
    })
    .await;
}

#[tokio::test]
async fn a_key_has_an_allowance_of_its_own() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (program, _) = make(&alice, json!({"name": "x", "rights": ["see_cameras"]})).await;
        let mut refused = 0;
        for _ in 0..400 {
            refused += usize::from(program.get("cameras").await.status == 429);
        }
        assert!(refused > 0, "400 requests at once were answered");
        alice.get("cameras").await.body(200);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_key_opens_nothing_and_an_administrator_s_counts_with_a_factor_alone() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (program, _) = make(&alice, json!({"name": "x", "rights": ["see_cameras"]})).await;
        let token = program.token.clone().unwrap();
        let cut = token[..token.len() - 1].to_owned();
        let turned: String = token.chars().rev().collect();
        for wrong in ["nj_".to_owned(), cut, turned, token.to_uppercase(), "nj_ä".repeat(9)] {
            let Ok(value) = http::HeaderValue::from_bytes(format!("Bearer {wrong}").as_bytes())
            else {
                continue;
            };
            let request = program
                .client
                .get(program.url("cameras"))
                .header(http::header::AUTHORIZATION, value);
            Answer::of(request).await.is_problem(401, "unauthenticated");
        }
        promote(relay, &alice).await;
        program.get("cameras").await.is_problem(403, "second_factor_required");
    })
    .await;
}

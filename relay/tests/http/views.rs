//! An administrator who asks to see a site: by an owner's leave, for an hour at most, and in the site's
//! trail.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    audit::administrator,
    clips::upload,
    device::Device,
    factors::{promote, set_up},
    live::{OFFER, answer, online, watch},
    members::{account_id, let_in},
    person::{Answer, Person},
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
    told::until_told,
};

async fn ask(admin: &Person, home: &str, body: Value) -> Answer {
    admin.post(&format!("admin/sites/{home}/views"), body).await
}

fn help() -> Value {
    json!({"reason": "pictures stand still", "minutes": 30})
}

/// Asks, and gives the way to the view for its owner.
async fn asked(admin: &Person, home: &str) -> String {
    let view = ask(admin, home, help()).await.body(201);
    format!("sites/{home}/views/{}", view["view_id"].as_str().unwrap())
}

/// Everything that shows something of a camera.
async fn sees(person: &Person, device: &Device, clip: &str) -> [u16; 4] {
    [
        person.get(&format!("cameras/{}", device.id())).await.status,
        person.get(&format!("clips/{clip}")).await.status,
        person.get(&format!("clips/{clip}/playback")).await.status,
        person.get(&format!("cameras/{}/timeline", device.id())).await.status,
    ]
}

async fn shown_clip(owner: &Person, device: &Device) -> String {
    let clip = upload(device, None).await.to_string();
    owner.patch(&format!("clips/{clip}"), json!({"visibility": "site"})).await.body(200);
    clip
}

#[tokio::test]
async fn nothing_is_seen_before_an_owner_allows_it_nor_after_its_time() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let clip = shown_clip(&alice, &device).await;
        let home = alice.home().await;
        let view = asked(&admin, &home).await;
        assert_eq!(sees(&admin, &device, &clip).await, [404; 4]);
        ask(&admin, &home, help()).await.is_problem(409, "already_asked");
        let told = until_told(&alice, "view_asked", 1).await;
        assert!(told[0]["body"].as_str().unwrap().starts_with("pictures stand still"), "{told:?}");
        let waiting = alice.get(&format!("sites/{home}/views")).await.body(200);
        assert_eq!(waiting["items"][0]["reason"], "pictures stand still");
        let granted = alice.post(&format!("{view}/grant"), json!({})).await.body(200);
        assert_eq!(granted["state"], "granted");
        assert_eq!(sees(&admin, &device, &clip).await, [200; 4]);
        // It is for looking.
        let camera = format!("cameras/{}", device.id());
        admin.patch(&camera, json!({"name": "Mine"})).await.is_problem(403, "forbidden");
        admin.delete(&camera).await.is_problem(403, "forbidden");
        admin.delete(&format!("clips/{clip}")).await.is_problem(403, "forbidden");
        admin.post(&format!("clips/{clip}/shares"), json!({})).await.is_problem(403, "forbidden");
        let command = json!({"kind": "arm"});
        admin.post(&format!("{camera}/commands"), command).await.is_problem(403, "forbidden");
        let members = alice.get(&format!("sites/{home}/members")).await.body(200);
        assert_eq!(members["items"].as_array().unwrap().len(), 1, "it is no membership to change");
        let longer = json!({"role": "owner", "ends_at": null});
        let member = format!("sites/{home}/members/{}", account_id(&admin).await);
        alice.patch(&member, longer).await.is_problem(404, "not_found");
        relay.pass(Duration::from_mins(31));
        assert_eq!(sees(&admin, &device, &clip).await, [404; 4]);
        relay.sweep().await;
        let over = alice.get(&format!("sites/{home}/views")).await.body(200);
        assert_eq!(over["items"][0]["state"], "ended");
        let trail = alice.get(&format!("sites/{home}/audit")).await.body(200);
        let entries = trail["items"].as_array().unwrap();
        for action in ["view_asked", "view_granted", "clip_played", "view_ended"] {
            assert!(entries.iter().any(|it| it["action"] == action), "{action}: {trail}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_owner_ends_a_view_at_once_with_what_is_watched() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let clip = shown_clip(&alice, &device).await;
        let home = alice.home().await;
        let view = asked(&admin, &home).await;
        alice.post(&format!("{view}/grant"), json!({})).await.body(200);
        let (opened, _) = tokio::join!(watch(&admin, &device, OFFER), answer(&mut camera));
        assert_eq!(opened.status, 201);
        let location = opened.headers["location"].to_str().unwrap().to_owned();
        assert_eq!(alice.delete(&view).await.status, 204);
        let ended = alice.get(&location).await.body(200);
        assert_eq!(ended["reason"], "access_ended");
        assert_eq!(sees(&admin, &device, &clip).await, [404; 4]);
        alice.delete(&view).await.is_problem(409, "already_answered");
        alice.post(&format!("{view}/grant"), json!({})).await.is_problem(409, "already_answered");
    })
    .await;
}

#[tokio::test]
async fn of_two_owners_who_answer_at_once_one_does() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let home = alice.home().await;
        let_in(&alice, &bob, "manager").await;
        let offer = json!({"account_id": account_id(&bob).await, "stays": true});
        alice.post(&format!("sites/{home}/ownership"), offer).await.body(200);
        bob.post(&format!("sites/{home}/ownership/accept"), json!({})).await;
        let view = asked(&admin, &home).await;
        let (grant, refuse) = (format!("{view}/grant"), format!("{view}/refuse"));
        let (one, two) = tokio::join!(alice.post(&grant, json!({})), bob.post(&refuse, json!({})));
        let mut outcomes = [one.status, two.status];
        outcomes.sort_unstable();
        assert_eq!(outcomes, [200, 409], "{} {}", one.text, two.text);
        let second = asked_again(relay, &admin, &home, &view).await;
        let grant = format!("{second}/grant");
        let (one, two) = tokio::join!(alice.post(&grant, json!({})), bob.post(&grant, json!({})));
        let mut outcomes = [one.status, two.status];
        outcomes.sort_unstable();
        assert_eq!(outcomes, [200, 409], "{} {}", one.text, two.text);
    })
    .await;
}

/// Asks once more, whatever became of the first time.
async fn asked_again(relay: &TestRelay, admin: &Person, home: &str, view: &str) -> String {
    let id = view.rsplit('/').next().unwrap();
    admin.delete(&format!("admin/views/{id}")).await;
    relay.sweep().await;
    asked(admin, home).await
}

#[tokio::test]
async fn a_view_ends_with_who_has_it() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let clip = shown_clip(&alice, &device).await;
        let home = alice.home().await;
        for (name, change) in
            [("eve", json!({"role": "user"})), ("mallory", json!({"disabled": true}))]
        {
            let mut other = relay.person(name).await;
            promote(relay, &other).await;
            set_up(relay, &mut other).await;
            let id = account_id(&other).await;
            let view = asked(&other, &home).await;
            alice.post(&format!("{view}/grant"), json!({})).await.body(200);
            assert_eq!(sees(&other, &device, &clip).await, [200; 4]);
            admin.patch(&format!("admin/accounts/{id}"), change).await.body(200);
            let seen = sees(&other, &device, &clip).await;
            assert!(seen.iter().all(|status| [401, 404].contains(status)), "{name}: {seen:?}");
            relay.sweep().await;
            let views = alice.get(&format!("sites/{home}/views")).await.body(200);
            assert_eq!(views["items"][0]["state"], "ended", "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_view_is_asked_for_with_a_reason_by_who_has_no_part_in_the_site() {
    on_sqlite(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let home = alice.home().await;
        for odd in [
            json!({"reason": "  ", "minutes": 5}),
            json!({"reason": "help", "minutes": 0}),
            json!({"reason": "help", "minutes": 61}),
        ] {
            ask(&admin, &home, odd).await.is_problem(422, "out_of_range");
        }
        ask(&admin, &home, json!({"minutes": 5})).await.is_problem(400, "invalid_json");
        ask(&alice, &home, help()).await.is_problem(403, "forbidden");
        let own = admin.home().await;
        ask(&admin, &own, help()).await.is_problem(409, "already_member");
        let nowhere = nightjar_shared::ids::SiteId::generate().to_string();
        ask(&admin, &nowhere, help()).await.is_problem(404, "not_found");
        let view = asked(&admin, &home).await;
        // Nobody answers for a day.
        relay.pass(Duration::from_hours(25));
        alice.post(&format!("{view}/grant"), json!({})).await.is_problem(409, "already_answered");
        let state = async || {
            relay.sweep().await;
            let views = alice.get(&format!("sites/{home}/views")).await.body(200);
            views["items"][0]["state"].as_str().unwrap().to_owned()
        };
        eventually(state, |state| state == "expired").await;
    })
    .await;
}

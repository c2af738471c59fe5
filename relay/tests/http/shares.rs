//! Links by which a clip is watched without an account.

use std::time::Duration;

use nightjar_relay::engines::db::Executor;
use nightjar_shared::ids::ClipId;
use serde_json::{Value, json};

use crate::{
    clips::{FOOTAGE, fetch, upload},
    databases,
    growing_clips::{Growing, footage, indexes},
    person::{Answer, Person},
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

async fn share(person: &Person, clip_id: ClipId) -> Value {
    person.post(&format!("clips/{clip_id}/shares"), json!({})).await.body(201)
}

async fn open(stranger: &Person, link: &Value) -> Answer {
    stranger.post("shares/open", json!({"token": link["token"]})).await
}

async fn shares_of(person: &Person, clip_id: ClipId) -> Vec<Value> {
    let list = person.get(&format!("clips/{clip_id}/shares")).await.body(200);
    list["items"].as_array().unwrap().clone()
}

/// Makes somebody a member of another's home.
async fn admit(relay: &TestRelay, host: &Person, guest: &Person, role: &'static str) {
    let me = guest.get("auth/me").await.body(200);
    let account_id = me["account"]["account_id"].as_str().unwrap().to_owned();
    let sql = "insert into members (site_id, account_id, role, created_at) values ($1, $2, $3, 0)";
    let values = vec![host.home().await.as_str().into(), account_id.as_str().into(), role.into()];
    relay.app().db.execute(sql, values).await.unwrap();
}

/// How many shares there are, open or not.
async fn rows(relay: &TestRelay) -> u64 {
    let row =
        relay.app().db.query_one("select count(*) as count from shares", vec![]).await.unwrap();
    row.unwrap().get("count").unwrap()
}

#[tokio::test]
async fn whoever_has_a_link_watches_the_clip_without_an_account() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = upload(&camera, None).await;
        let link = share(&alice, clip_id).await;
        let token = link["token"].as_str().unwrap();
        assert!(token.len() >= 22, "128 bits at least: {token}");
        assert_eq!(link["url"], format!("/s#{token}"));

        let opened = open(&relay.stranger(), &link).await;
        assert!(opened.headers["cache-control"].to_str().unwrap().contains("no-store"));
        let text = opened.text.clone();
        let playback = opened.body(200);
        let members = alice.get(&format!("clips/{clip_id}/playback")).await.body(200);
        let fields = |body: &Value| body.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&playback), fields(&members));
        let url = &playback["parts"][0]["url"];
        assert_eq!(fetch(&relay.stranger(), url).await, (200, FOOTAGE.to_vec()));
        let (camera_id, clip) = (camera.id().to_string(), clip_id.to_string());
        for secret in [&alice.home().await, "alice", "Front door", "Home", &camera_id, &clip] {
            assert!(!text.contains(secret), "{secret} is nobody's business: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn open_links_are_listed_without_what_opens_them_and_revoked_at_once() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = upload(&camera, None).await;
        let (first, second) = (share(&alice, clip_id).await, share(&alice, clip_id).await);
        assert_ne!(first["token"], second["token"]);
        let list = alice.get(&format!("clips/{clip_id}/shares")).await;
        for link in [&first, &second] {
            assert!(!list.text.contains(link["token"].as_str().unwrap()), "{}", list.text);
        }
        let listed = shares_of(&alice, clip_id).await;
        let ids: Vec<&Value> = listed.iter().map(|share| &share["share_id"]).collect();
        assert_eq!(ids.len(), 2);
        assert!(ids.contains(&&first["share_id"]) && ids.contains(&&second["share_id"]));

        let path = format!("shares/{}", first["share_id"].as_str().unwrap());
        alice.delete(&path).await.body(204);
        let stranger = relay.stranger();
        let revoked = open(&stranger, &first).await;
        revoked.is_problem(404, "not_found");
        let never = open(&stranger, &json!({"token": "A".repeat(22)})).await;
        assert_eq!((revoked.status, revoked.text), (never.status, never.text));
        open(&stranger, &second).await.body(200);
        assert_eq!(shares_of(&alice, clip_id).await.len(), 1);
        alice.delete(&path).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_link_ends_by_itself_and_so_do_the_addresses_that_it_gives_out() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = upload(&camera, None).await;
        let path = format!("clips/{clip_id}/shares");
        let short = alice.post(&path, json!({"expires_in_s": 60})).await.body(201);
        let stranger = relay.stranger();
        let playback = open(&stranger, &short).await.body(200);
        let (end, links_end) = (playback["expires_at"].as_i64(), short["expires_at"].as_i64());
        assert!(end <= links_end, "{end:?}, but the link ends at {links_end:?}");
        relay.pass(Duration::from_secs(61));
        open(&stranger, &short).await.is_problem(404, "not_found");
        assert!(shares_of(&alice, clip_id).await.is_empty());

        let usual = share(&alice, clip_id).await;
        relay.pass(Duration::from_hours(7 * 24 - 1));
        open(&stranger, &usual).await.body(200);
        relay.pass(Duration::from_hours(2));
        open(&stranger, &usual).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_lifetime_of_a_link_is_refused() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let clip_id = upload(&relay.camera_of(&alice).await, None).await;
        let path = format!("clips/{clip_id}/shares");
        for seconds in [0, 59, 30 * 86_400 + 1, u64::MAX] {
            let refused = alice.post(&path, json!({"expires_in_s": seconds})).await;
            refused.is_problem(422, "invalid_lifetime");
        }
        for seconds in [60, 30 * 86_400] {
            alice.post(&path, json!({"expires_in_s": seconds})).await.body(201);
        }
    })
    .await;
}

#[tokio::test]
async fn a_member_who_may_only_watch_makes_no_links_and_hears_of_none() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, victor) = (relay.person("alice").await, relay.person("victor").await);
        let (manuel, inge) = (relay.person("manuel").await, relay.person("inge").await);
        admit(relay, &alice, &victor, "viewer").await;
        admit(relay, &alice, &manuel, "manager").await;
        admit(relay, &alice, &inge, "installer").await;
        let clip_id = upload(&relay.camera_of(&alice).await, None).await;
        let link = share(&alice, clip_id).await;
        let (path, one) = (
            format!("clips/{clip_id}/shares"),
            format!("shares/{}", link["share_id"].as_str().unwrap()),
        );
        victor.get(&format!("clips/{clip_id}")).await.body(200);
        victor.post(&path, json!({})).await.is_problem(403, "forbidden");
        victor.get(&path).await.is_problem(403, "forbidden");
        victor.delete(&one).await.is_problem(404, "not_found");
        inge.post(&path, json!({})).await.is_problem(404, "not_found");
        inge.get(&path).await.is_problem(404, "not_found");
        inge.delete(&one).await.is_problem(404, "not_found");
        assert_eq!(shares_of(&manuel, clip_id).await.len(), 1);
        share(&manuel, clip_id).await;
        manuel.delete(&one).await.body(204);
    })
    .await;
}

#[tokio::test]
async fn a_link_opens_for_as_long_as_who_made_it_may_share_the_clip() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, manuel) = (relay.person("alice").await, relay.person("manuel").await);
        admit(relay, &alice, &manuel, "manager").await;
        let clip_id = upload(&relay.camera_of(&alice).await, None).await;
        let (his, hers) = (share(&manuel, clip_id).await, share(&alice, clip_id).await);
        let stranger = relay.stranger();
        open(&stranger, &his).await.body(200);
        let demoted = "update members set role = 'viewer' where role = 'manager'";
        relay.app().db.execute(demoted, vec![]).await.unwrap();
        open(&stranger, &his).await.is_problem(404, "not_found");
        open(&stranger, &hers).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_clip_has_sixteen_open_links_at_most() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let clip_id = upload(&relay.camera_of(&alice).await, None).await;
        let path = format!("clips/{clip_id}/shares");
        let short = alice.post(&path, json!({"expires_in_s": 60})).await.body(201);
        for _ in 1..16 {
            share(&alice, clip_id).await;
        }
        alice.post(&path, json!({})).await.is_problem(409, "too_many_shares");
        // One that has ended does not count.
        relay.pass(Duration::from_secs(61));
        open(&relay.stranger(), &short).await.is_problem(404, "not_found");
        share(&alice, clip_id).await;
        alice.post(&path, json!({})).await.is_problem(409, "too_many_shares");
    })
    .await;
}

#[tokio::test]
async fn making_and_opening_links_is_limited() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let clip_id = upload(&relay.camera_of(&alice).await, None).await;
        let mut made = Vec::new();
        let refused = loop {
            let answer = alice.post(&format!("clips/{clip_id}/shares"), json!({})).await;
            if answer.status != 201 {
                break answer;
            }
            made.push(answer.json());
            assert!(made.len() < 100, "nothing stops her");
            let id = made.last().unwrap()["share_id"].as_str().unwrap();
            alice.delete(&format!("shares/{id}")).await.body(204);
        };
        refused.is_problem(429, "rate_limited");

        let stranger = relay.stranger();
        let wrong = json!({"token": "A".repeat(22)});
        let mut attempts = 0;
        let refused = loop {
            let answer = open(&stranger, &wrong).await;
            if answer.status != 404 {
                break answer;
            }
            attempts += 1;
            assert!(attempts < 5_000, "nothing stops a stranger");
        };
        refused.is_problem(429, "rate_limited");
        assert!(refused.headers.contains_key("retry-after"));
    })
    .await;
}

#[tokio::test]
async fn another_sites_page_opens_no_link_in_a_browser() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let clip_id = upload(&relay.camera_of(&alice).await, None).await;
        let link = share(&alice, clip_id).await;
        let page = Some("https://elsewhere.example".to_owned());
        let led = Person { page, ..relay.stranger() };
        open(&led, &link).await.is_problem(403, "cross_origin");
        let script = Person { page: None, ..relay.stranger() };
        open(&script, &link).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_clip_takes_its_links_along() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let (gone, kept) = (upload(&camera, None).await, upload(&camera, None).await);
        let (broken, good) = (share(&alice, gone).await, share(&alice, kept).await);
        alice.delete(&format!("clips/{gone}")).await.body(204);
        let stranger = relay.stranger();
        open(&stranger, &broken).await.is_problem(404, "not_found");
        open(&stranger, &good).await.body(200);
        assert_eq!(rows(relay).await, 1);
        let path = format!("shares/{}", broken["share_id"].as_str().unwrap());
        alice.delete(&path).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_link_to_a_clip_that_still_grows_gives_what_came_since() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let growing = Growing::begin(&camera).await;
        let link = share(&alice, growing.clip_id).await;
        let stranger = relay.stranger();
        open(&stranger, &link).await.is_problem(409, "not_ready");
        growing.send_head().await;
        growing.send_segment(2).await;
        let playback = open(&stranger, &link).await.body(200);
        assert_eq!((indexes(&playback), &playback["ended"]), (vec![0, 2], &json!(false)));
        growing.send_segment(3).await;
        let body = json!({"token": link["token"], "after": 2});
        let newer = stranger.post("shares/open", body).await.body(200);
        assert_eq!(indexes(&newer), [3]);
        assert_eq!(fetch(&stranger, &newer["parts"][0]["url"]).await, (200, footage(3)));
        growing.complete(3).await.body(200);
        assert_eq!(open(&stranger, &link).await.body(200)["ended"], true);
    })
    .await;
}

#[tokio::test]
async fn what_is_kept_of_a_link_opens_nothing() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let clip_id = upload(&relay.camera_of(&alice).await, None).await;
        let path = format!("clips/{clip_id}/shares");
        alice.post(&path, json!({"expires_in_s": 60})).await.body(201);
        let sql = "select token_hash from shares";
        let row = relay.app().db.query_one(sql, vec![]).await.unwrap().unwrap();
        let stored = json!({"token": row.get::<String>("token_hash").unwrap()});
        open(&relay.stranger(), &stored).await.is_problem(404, "not_found");
        let audit = "select action from audit_entries where action = 'clip_shared'";
        assert!(relay.app().db.query_one(audit, vec![]).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn what_is_kept_of_a_link_that_has_ended_is_swept() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |_| {}).await;
        let alice = relay.person("alice").await;
        let clip_id = upload(&relay.camera_of(&alice).await, None).await;
        let (ended, _open) = (share(&alice, clip_id).await, share(&alice, clip_id).await);
        let sql = "update shares set expires_at = 0 where share_id = $1";
        let values = vec![ended["share_id"].as_str().unwrap().into()];
        relay.app().db.execute(sql, values).await.unwrap();
        // It sweeps when it starts, and then every minute.
        let relay = relay.restart().await;
        eventually(async || rows(&relay).await, |left| *left == 1).await;
        relay.stop().await;
    }
}

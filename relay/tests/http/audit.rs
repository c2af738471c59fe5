//! Who did what: what is written down, who reads it, and that nobody alters it.

use std::time::Duration;

use nightjar_relay::{
    config::Config,
    domain::audit::{self, Anchor, Broken, Entry},
    engines::db::{Executor as _, Value as Cell},
};
use nightjar_shared::{
    audit::Action,
    ids::{AccountId, CameraId, ClipId, EventId, SiteId},
    topic::Channel,
};
use serde_json::{Value, json};

use crate::{
    clips::upload,
    databases::Engine,
    device::{Device, event},
    factors::{promote, set_up},
    live::{OFFER, answer, online, watch},
    members::{account_id, let_in},
    person::{PASSWORD, Person},
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

/// The entries that somebody is shown, newest first.
async fn entries(person: &Person, path: &str) -> Vec<Value> {
    let list = person.get(path).await.body(200);
    list["items"].as_array().unwrap().clone()
}

async fn of_home(person: &Person, query: &str) -> Vec<Value> {
    entries(person, &format!("sites/{}/audit{query}", person.home().await)).await
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

async fn alter(relay: &TestRelay, sql: &'static str, values: Vec<Cell>) {
    relay.app().db.execute(sql, values).await.unwrap();
}

/// Somebody who administers the relay.
pub(crate) async fn administrator(relay: &TestRelay) -> Person {
    let mut admin = relay.person("admin").await;
    promote(relay, &admin).await;
    set_up(relay, &mut admin).await;
    admin
}

#[tokio::test]
async fn owners_read_who_did_what_at_their_site_with_before_and_after() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let camera = format!("cameras/{}", device.id());
        alice.patch(&camera, json!({"name": "Gate"})).await.body(200);
        alice.patch(&format!("{camera}/update"), json!({"automatic": false})).await.body(200);
        let trail = of_home(&alice, "").await;
        assert_eq!(
            actions(&trail),
            ["updates_off", "camera_renamed", "camera_paired", "pairing_opened"]
        );
        let (renamed, paired) = (&trail[1], &trail[2]);
        assert_eq!(
            renamed["details"]["changed"]["name"],
            json!({"before": "Front door", "after": "Gate"})
        );
        assert_eq!(
            (&renamed["actor"], &renamed["account_name"]),
            (&json!("account"), &json!("alice"))
        );
        assert_eq!(renamed["account_id"], json!(account_id(&alice).await));
        assert_eq!(
            (&renamed["camera_id"], &renamed["camera_name"]),
            (&json!(device.id()), &json!("Gate"))
        );
        assert_eq!(renamed["address"], "127.0.0.1");
        assert_eq!(
            (&paired["actor"], &paired["actor_id"]),
            (&json!("camera"), &json!(device.id()))
        );
    })
    .await;
}

#[tokio::test]
async fn a_command_knows_who_asked_and_the_trail_how_it_ended() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let device = relay.camera_of(&alice).await;
        let_in(&alice, &bob, "manager").await;
        let mut camera = device.connect(relay).await;
        let known = json!({"protocol": 1, "pre_roll_s": 3});
        camera.say(Channel::UpConfiguration, &known).await;
        let path = format!("cameras/{}/commands", device.id());
        let body = json!({"kind": "configure", "arguments": {"pre_roll_s": 5}});
        let issued = bob.post(&path, body).await.body(202);
        let bobs = account_id(&bob).await;
        assert_eq!((&issued["issued_by"], &issued["issuer_name"]), (&json!(bobs), &json!("bob")));
        let arrived = camera.command().await;
        let ack =
            json!({"command_id": arrived.command_id, "outcome": "rejected", "reason": "busy"});
        camera.say(Channel::UpAck, &ack).await;
        let listed = alice.get(&path).await.body(200);
        assert_eq!(listed["items"][0]["issuer_name"], "bob");
        let query = format!("?camera={}", device.id());
        let trail = of_home(&alice, &query).await;
        assert_eq!(actions(&trail)[..2], ["command_ended", "command_issued"]);
        let (ended, asked) = (&trail[0], &trail[1]);
        assert_eq!(asked["details"]["kind"], "configure");
        assert_eq!(asked["details"]["changed"]["pre_roll_s"], json!({"before": 3, "after": 5}));
        assert_eq!(
            (&asked["account_id"], &asked["subject"]),
            (&json!(bobs), &issued["command_id"])
        );
        assert_eq!(
            (&ended["actor"], &ended["details"]["state"]),
            (&json!("camera"), &json!("rejected"))
        );
        assert_eq!(
            (&ended["details"]["reason"], &ended["details"]["issued_by"]),
            (&json!("busy"), &json!(bobs))
        );
    })
    .await;
}

#[tokio::test]
async fn a_manual_recording_knows_who_began_it_whichever_message_comes_first() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let mut camera = device.connect(relay).await;
        let path = format!("cameras/{}/commands", device.id());
        for is_event_first in [true, false] {
            alice.post(&path, json!({"kind": "record_start"})).await.body(202);
            let command = camera.command().await;
            let (event_id, clip_id) = (EventId::generate(), ClipId::generate());
            let mut began = event(event_id, "started", 1);
            (began["kind"], began["clip_id"]) = (json!("manual"), json!(clip_id));
            let ack = json!({"command_id": command.command_id, "outcome": "acked",
                "result": {"clip_id": clip_id}});
            if is_event_first {
                camera.say(Channel::UpEvent, &began).await;
                camera.say(Channel::UpAck, &ack).await;
            } else {
                camera.say(Channel::UpAck, &ack).await;
                camera.say(Channel::UpEvent, &began).await;
            }
            let shown = async || alice.get(&format!("events/{event_id}")).await.json();
            let shown = eventually(shown, |event| event["started_by"].is_string()).await;
            assert_eq!(shown["starter_name"], "alice");
        }
        // Nobody began what moved.
        let moved = EventId::generate();
        camera.say(Channel::UpEvent, &event(moved, "started", 1)).await;
        assert!(alice.get(&format!("events/{moved}")).await.body(200)["started_by"].is_null());
    })
    .await;
}

#[tokio::test]
async fn who_watched_and_for_how_long_is_written_down() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let_in(&alice, &bob, "viewer").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (opened, _) = tokio::join!(watch(&bob, &device, OFFER), answer(&mut camera));
        let location = opened.headers["location"].to_str().unwrap().to_owned();
        relay.pass(Duration::from_secs(20));
        bob.delete(&location).await.body(200);
        let watched = of_home(&alice, &format!("?actor={}", account_id(&bob).await)).await;
        assert_eq!(actions(&watched)[..2], ["live_ended", "live_began"]);
        assert_eq!(watched[0]["details"]["reason"], "viewer_gone");
        let duration_ms = watched[0]["details"]["duration_ms"].as_u64().unwrap();
        assert!((20_000..80_000).contains(&duration_ms), "{duration_ms}");
        assert_eq!(
            (&watched[1]["account_name"], &watched[1]["address"]),
            (&json!("bob"), &json!("127.0.0.1"))
        );
        // The owner's own security log says who watched, and the viewer's that it was the viewer.
        assert_eq!(actions(&entries(&alice, "auth/audit?action=live_began").await), ["live_began"]);
        assert_eq!(actions(&entries(&bob, "auth/audit?action=live_began").await), ["live_began"]);
    })
    .await;
}

#[tokio::test]
async fn playback_is_written_down_once_for_a_person_a_clip_and_some_minutes() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let clip_id = upload(&device, None).await;
        let playback = format!("clips/{clip_id}/playback");
        for _ in 0..5 {
            alice.get(&playback).await.body(200);
        }
        let query = format!("?camera={}&from=0", device.id());
        let seen = async || actions(&of_home(&alice, &query).await).join(" ");
        assert!(seen().await.starts_with("clip_played camera_paired"), "{}", seen().await);
        alice.get(&format!("{playback}?download=true")).await.body(200);
        relay.pass(Duration::from_mins(11));
        alice.get(&playback).await.body(200);
        let seen = seen().await;
        assert!(
            seen.starts_with("clip_played clip_downloaded clip_played camera_paired"),
            "{seen}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_link_that_was_opened_is_written_down_with_where_from() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let clip_id = upload(&device, None).await;
        alice.patch(&format!("clips/{clip_id}"), json!({"visibility": "site"})).await.body(200);
        let share = alice.post(&format!("clips/{clip_id}/shares"), json!({})).await.body(201);
        for _ in 0..3 {
            let opening = json!({"token": share["token"]});
            relay.stranger().post("shares/open", opening).await.body(200);
        }
        let trail = of_home(&alice, "").await;
        assert_eq!(actions(&trail)[..2], ["share_opened", "clip_shared"]);
        let opened = &trail[0];
        assert_eq!((&opened["actor"], &opened["actor_id"]), (&json!("link"), &share["share_id"]));
        assert_eq!(
            (&opened["subject"], &opened["address"]),
            (&json!(clip_id), &json!("127.0.0.1"))
        );
        assert!(!json!(trail).to_string().contains(share["token"].as_str().unwrap()));
    })
    .await;
}

#[tokio::test]
async fn a_person_reads_sign_ins_and_failures_in_the_security_log() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let wrong = json!({"email": "alice@example.org", "password": "wrong password"});
        for _ in 0..4 {
            relay
                .stranger()
                .post("auth/login", wrong.clone())
                .await
                .is_problem(401, "invalid_credentials");
        }
        let right = json!({"email": "alice@example.org", "password": PASSWORD});
        alice.cookie = Some(alice.post("auth/login", right).await.cookie());
        let log = entries(&alice, "auth/audit").await;
        assert_eq!(actions(&log)[..2], ["signed_in", "sign_in_failed"]);
        assert_eq!(
            (&log[1]["actor"], &log[1]["address"]),
            (&json!("stranger"), &json!("127.0.0.1"))
        );
        assert!(log[1]["details"].is_null(), "the first is told at once");
        // The others are one entry, when the hour is over.
        relay.pass(Duration::from_hours(2));
        relay.sweep_slow().await;
        let log = entries(&alice, "auth/audit?action=sign_in_failed").await;
        assert_eq!(log.len(), 2);
        assert_eq!(log[0]["details"]["count"], 3);
        alice.post("auth/logout", Value::Null).await.body(204);
    })
    .await;
}

#[tokio::test]
async fn failures_of_unknown_accounts_and_wrong_codes_are_the_administrators_to_read() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let secret_like = "my-password-typed-as-an-address@example.org";
        let wrong = json!({"email": secret_like, "password": "wrong password"});
        relay.stranger().post("auth/login", wrong).await.is_problem(401, "invalid_credentials");
        let device = relay.device();
        let claim = device.claim_body("code", "BCDF-GHJK").await;
        device.caller.post("pairings/claim", claim).await.is_problem(404, "not_found_or_expired");
        let log = entries(&admin, "admin/audit").await;
        assert_eq!(actions(&log)[..2], ["pairing_guessed", "sign_in_failed"]);
        assert!(!json!(log).to_string().contains("my-password"));
        assert!(log[1]["subject"].is_null());
    })
    .await;
}

#[tokio::test]
async fn nobody_reads_a_trail_that_is_not_theirs() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob, admin) =
            (relay.person("alice").await, relay.person("bob").await, administrator(relay).await);
        let device = relay.camera_of(&alice).await;
        let clip_id = upload(&device, None).await;
        alice.get(&format!("clips/{clip_id}/playback")).await.body(200);
        let path = format!("sites/{}/audit", alice.home().await);
        for stranger in [&bob, &admin] {
            stranger.get(&path).await.is_problem(404, "not_found");
        }
        for role in ["manager", "viewer", "installer"] {
            let member = relay.person(role).await;
            let_in(&alice, &member, role).await;
            member.get(&path).await.is_problem(403, "forbidden");
            let own = entries(&member, "auth/audit").await;
            assert!(!actions(&own).contains(&"clip_played"), "{role}: {own:?}");
        }
        bob.get("admin/audit").await.is_problem(403, "forbidden");
        // The administrator reads nothing of what was seen, nor at which site.
        let relays = entries(&admin, "admin/audit?limit=200").await;
        assert!(relays.iter().all(|entry| entry["site_id"].is_null()), "{relays:?}");
        assert!(actions(&relays).contains(&"account_created"));
        assert!(!json!(relays).to_string().contains(&device.id().to_string()));
    })
    .await;
}

#[tokio::test]
async fn entries_are_found_by_time_action_actor_and_camera_page_by_page() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        for number in 0..5 {
            let name = json!({"name": format!("Camera {number}")});
            alice.patch(&format!("cameras/{}", device.id()), name).await.body(200);
        }
        let home = alice.home().await;
        let mut path = format!("sites/{home}/audit?limit=2");
        let mut found = Vec::new();
        loop {
            let page = alice.get(&path).await.body(200);
            found.extend(page["items"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("sites/{home}/audit?limit=2&cursor={cursor}");
        }
        assert_eq!(found.len(), 7);
        assert_eq!(of_home(&alice, "?action=camera_renamed").await.len(), 5);
        assert_eq!(of_home(&alice, "?actor=camera").await.len(), 1);
        assert_eq!(of_home(&alice, &format!("?actor={}", account_id(&alice).await)).await.len(), 6);
        assert_eq!(of_home(&alice, &format!("?camera={}", device.id())).await.len(), 6);
        let at = found[3]["at"].as_i64().unwrap();
        let (until, since) = (
            of_home(&alice, &format!("?to={at}")).await,
            of_home(&alice, &format!("?from={at}")).await,
        );
        assert_eq!(until.len() + since.len(), 7);
        for odd in
            ["actor=x", "camera=x", "action=%00", "action=A", "from=x", "limit=0", "cursor=1.x"]
        {
            let refused = alice.get(&format!("sites/{home}/audit?{odd}")).await;
            refused.is_problem(400, "invalid_query");
        }
        assert_eq!(of_home(&alice, "?action=of_the_future").await.len(), 0);
    })
    .await;
}

/// Does some things that are written down, and gives them their places.
async fn a_trail(relay: &TestRelay) -> (Person, Device) {
    let alice = relay.person("alice").await;
    let device = relay.camera_of(&alice).await;
    for name in ["Porch", "Gate", "Barn"] {
        let camera = format!("cameras/{}", device.id());
        alice.patch(&camera, json!({"name": name})).await.body(200);
    }
    audit::extend(&relay.app().db).await.unwrap();
    (alice, device)
}

async fn verify(relay: &TestRelay, anchors: &[Anchor]) -> Result<audit::Verified, Broken> {
    audit::verify(&relay.app().db, anchors).await.unwrap()
}

#[tokio::test]
async fn whoever_changes_the_trail_is_found_out_at_the_first_entry() {
    for (tampering, is_found) in [
        (
            "update audit_entries set account_id = '00000000-0000-7000-8000-000000000000'
             where sequence = 3",
            (|it| matches!(it, Broken::Altered { sequence: 3, .. })) as fn(&Broken) -> bool,
        ),
        ("update audit_entries set at = at - 1 where sequence = 3", |it| {
            matches!(it, Broken::Altered { sequence: 3, .. })
        }),
        ("delete from audit_entries where sequence = 3", |it| {
            *it == Broken::Missing { sequence: 3 }
        }),
        ("delete from audit_entries where sequence = 1", |it| {
            *it == Broken::Missing { sequence: 1 }
        }),
        ("delete from audit_entries where sequence >= 5", |it| {
            *it == Broken::Missing { sequence: 5 }
        }),
        ("update audit_entries set details = '{}' where sequence = 4", |it| {
            matches!(it, Broken::DetailsAltered { sequence: 4, .. })
        }),
        (
            "update audit_entries set details = null, address = null, salt = null where sequence = 4",
            |it| matches!(it, Broken::DetailsRemoved { sequence: 4, .. }),
        ),
        ("update audit_chain set last_sequence = 4", |it| {
            matches!(it, Broken::End { sequence: 4 } | Broken::Altered { .. })
        }),
        ("delete from audit_chain", |it| *it == Broken::NoEnds),
    ] {
        on_sqlite(async |relay: &TestRelay| {
            a_trail(relay).await;
            let whole = verify(relay, &[]).await.unwrap();
            assert!(whole.last >= 6 && whole.unchained == 0, "{whole:?}");
            alter(relay, tampering, vec![]).await;
            let found = verify(relay, &[]).await.unwrap_err();
            assert!(is_found(&found), "{tampering}: {found:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn an_anchor_finds_a_trail_that_was_written_anew() {
    on_every_database(async |relay: &TestRelay| {
        a_trail(relay).await;
        let db = &relay.app().db;
        let anchor = audit::anchor(db).await.unwrap();
        verify(relay, std::slice::from_ref(&anchor)).await.unwrap();
        // Whoever can write the whole database can make all digests anew.
        alter(relay, "update audit_entries set account_id = null where sequence = 2", vec![]).await;
        alter(relay, "update audit_entries set sequence = null, digest = null", vec![]).await;
        let empty = "update audit_chain set last_sequence = 0, last_digest = '', cut_sequence = 0, cut_digest = ''";
        alter(relay, empty, vec![]).await;
        audit::extend(db).await.unwrap();
        let rewritten = verify(relay, &[]).await.unwrap();
        assert_eq!(rewritten.last, anchor.sequence, "by itself it looks whole");
        let found = verify(relay, std::slice::from_ref(&anchor)).await.unwrap_err();
        assert_eq!(found, Broken::Anchor { sequence: anchor.sequence });
        let longer = Anchor { sequence: anchor.sequence + 9, ..anchor };
        assert!(matches!(verify(relay, &[longer]).await, Err(Broken::Shorter { .. })));
    })
    .await;
}

#[tokio::test]
async fn entries_that_come_at_once_from_many_stand_in_one_chain() {
    on_every_database(async |relay: &TestRelay| {
        let people: Vec<Person> =
            futures::future::join_all(["a", "b", "c", "d"].map(|name| relay.person(name))).await;
        let db = &relay.app().db;
        let work = people.iter().map(async |person| {
            for number in 0..10 {
                person.post("sites", json!({"name": format!("Site {number}")})).await.body(201);
                audit::extend(db).await.unwrap();
            }
        });
        futures::future::join_all(work).await;
        audit::extend(db).await.unwrap();
        let whole = verify(relay, &[]).await.unwrap();
        assert_eq!((whole.first, whole.last, whole.unchained), (1, 44, 0));
    })
    .await;
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_goes_and_the_rest_still_holds() {
    for engine in crate::databases::engines() {
        let keep = |config: &mut Config| config.audit.keep_days = 7;
        let relay = TestRelay::start(engine, keep).await;
        let (alice, device) = a_trail(&relay).await;
        let old = audit::anchor(&relay.app().db).await.unwrap();
        relay.pass(Duration::from_hours(24 * 9));
        // Her sign-in lasts for a month.
        alice.patch(&format!("cameras/{}", device.id()), json!({"name": "New"})).await.body(200);
        audit::extend(&relay.app().db).await.unwrap();
        let young = audit::anchor(&relay.app().db).await.unwrap();
        relay.sweep_slow().await;
        audit::extend(&relay.app().db).await.unwrap();
        let whole = verify(&relay, &[old.clone(), young]).await.unwrap();
        assert_eq!(whole.first, old.sequence + 1);
        let left = of_home(&alice, "").await;
        assert_eq!(actions(&left), ["camera_renamed"]);
        let older = Anchor { sequence: 1, digest: "0".repeat(64) };
        assert!(matches!(verify(&relay, &[older]).await, Err(Broken::OlderThanTrail { .. })));
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_deleted_accounts_addresses_and_details_are_forgotten_and_the_chain_holds() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, _) = a_trail(relay).await;
        let id: AccountId = account_id(&alice).await.parse().unwrap();
        let transaction = relay.app().db.begin().await.unwrap();
        audit::forget_account(&transaction, relay.app().now(), id, id).await.unwrap();
        transaction.commit().await.unwrap();
        audit::extend(&relay.app().db).await.unwrap();
        let whole = verify(relay, &[]).await.unwrap();
        assert!(whole.forgotten >= 4, "{whole:?}");
        let trail = of_home(&alice, "?action=camera_renamed").await;
        assert_eq!(trail.len(), 3);
        assert!(trail.iter().all(|entry| entry["address"].is_null() && entry["details"].is_null()));
    })
    .await;
}

#[tokio::test]
async fn whoever_guesses_from_everywhere_does_not_fill_the_trail() {
    // A proxy in front says where each guess comes from.
    let proxied = |config: &mut Config| config.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    let relay = TestRelay::start(Engine::Sqlite, proxied).await;
    let alice = relay.person("alice").await;
    for guess in 0..600 {
        let address = format!("10.{}.{}.1", guess / 250, guess % 250);
        let request = relay.stranger().request(reqwest::Method::POST, "auth/login");
        let wrong = json!({"email": "alice@example.org", "password": format!("wrong {guess}")});
        request.header("x-forwarded-for", address).json(&wrong).send().await.unwrap();
        relay.pass(Duration::from_millis(7_000 / 2));
    }
    relay.pass(Duration::from_hours(2));
    relay.sweep_slow().await;
    let count = "select count(*) as count from audit_entries where action = 'sign_in_failed'";
    let rows = relay.app().db.query(count, vec![]).await.unwrap();
    let written: i64 = rows[0].get("count").unwrap();
    assert!((20..=2 * 102).contains(&written), "{written}");
    let log = entries(&alice, "auth/audit?action=sign_in_failed").await;
    assert!(!log.is_empty());
    relay.stop().await;
}

/// Prints what an entry costs who waits for it, alone and beside seven others, while the chain is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and asserts nothing of time"]
async fn what_an_entry_costs() {
    const EACH: u32 = 250;
    let _ = tracing_subscriber::fmt().with_test_writer().with_env_filter("info").try_init();
    for engine in crate::databases::engines() {
        let relay = TestRelay::start(engine, |_| {}).await;
        let app = relay.app();
        for writers in [1_u32, 8] {
            let write = async || {
                let mut took = Vec::new();
                for _ in 0..EACH {
                    let began = std::time::Instant::now();
                    let entry = Entry::new(Action::LiveBegan, AccountId::generate())
                        .site(SiteId::generate())
                        .camera(CameraId::generate())
                        .address(Some([192, 0, 2, 7].into()));
                    audit::record(&app.db.unsynced(), app.now(), entry).await.unwrap();
                    took.push(began.elapsed());
                }
                took
            };
            let all = futures::future::join_all((0..writers).map(|_| write())).await;
            let mut took: Vec<Duration> = all.into_iter().flatten().collect();
            took.sort();
            let at = |share: usize| took[(took.len() - 1) * share / 100];
            let began = std::time::Instant::now();
            let chained = audit::extend(&app.db).await.unwrap();
            tracing::info!(
                "{engine:?}, {writers} writers: p50 {:?}, p99 {:?}; {chained} left were chained in {:?}",
                at(50),
                at(99),
                began.elapsed()
            );
        }
        let began = std::time::Instant::now();
        let whole = verify(&relay, &[]).await.unwrap();
        tracing::info!("{engine:?}: {} entries were checked in {:?}", whole.last, began.elapsed());
        relay.stop().await;
    }
}

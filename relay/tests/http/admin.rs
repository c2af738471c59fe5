//! What administrators do: to accounts, to what sites may use, to the relay itself.

use std::time::Duration;

use nightjar_relay::{
    config::{Config, MailEngine},
    engines::db::Executor as _,
};
use nightjar_shared::{ids::AccountId, topic::Channel};
use serde_json::{Value, json};

use crate::{
    api_keys::make as key_of,
    audit::administrator,
    clips::upload,
    databases,
    device::{event, health},
    factors::{promote, set_up, show},
    live::{OFFER, answer, online, watch},
    members::account_id,
    person::{PASSWORD, Person},
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

async fn change(admin: &Person, account: &str, change: Value) -> crate::person::Answer {
    admin.patch(&format!("admin/accounts/{account}"), change).await
}

/// A second administrator.
async fn another(relay: &TestRelay, name: &str) -> Person {
    let mut admin = relay.person(name).await;
    promote(relay, &admin).await;
    set_up(relay, &mut admin).await;
    admin
}

#[tokio::test]
async fn ten_thousand_accounts_are_listed_in_pages_and_searched_by_what_is_typed() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let transaction = relay.app().db.begin().await.unwrap();
        for number in 0..10_000_i64 {
            // Many were made in the same millisecond.
            let sql =
                "insert into accounts (account_id, email, name, role, password_hash, created_at)
                 values ($1, $2, $3, 'user', 'x', $4)";
            let email = format!("p{number}_100%@example.org");
            let values = vec![
                AccountId::generate().into(),
                email.into(),
                format!("Person {number}").into(),
                (1_000 + number / 7).into(),
            ];
            transaction.execute(sql, values).await.unwrap();
        }
        transaction.commit().await.unwrap();
        let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), String::new());
        loop {
            let page = admin.get(&format!("admin/accounts?limit=200{cursor}")).await.body(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 200);
            for item in items {
                let id = item["account_id"].as_str().unwrap().to_owned();
                assert!(seen.insert(id), "an account is listed twice");
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), 10_001);
        let found = async |search: &str| {
            let page = admin.get(&format!("admin/accounts?limit=200&search={search}")).await;
            page.body(200)["items"].as_array().unwrap().len()
        };
        assert_eq!(found("p77_100%25").await, 1, "what stands for others stands for itself");
        assert_eq!(found("p7%25_100").await, 0);
        assert_eq!(found("PERSON%20123").await, 11);
        assert_eq!(found("%27%20or%201%3D1%20--").await, 0);
        assert_eq!(found("%F0%9F%90%A6").await, 0);
        for odd in [
            "cursor=1.%27or%27".to_owned(),
            "cursor=9999999999999999999.0190a3b2-7c11-7def-8000-0123456789ab".to_owned(),
            "limit=0".to_owned(),
            "limit=201".to_owned(),
            "role=root".to_owned(),
            "disabled=maybe".to_owned(),
            format!("search={}", "x".repeat(101)),
        ] {
            admin.get(&format!("admin/accounts?{odd}")).await.is_problem(400, "invalid_query");
        }
        // One that was made up shows what is behind it, and nothing that no list shows.
        let forged = "cursor=1001.00000000-0000-0000-0000-000000000000";
        let behind = admin.get(&format!("admin/accounts?{forged}")).await.body(200);
        assert_eq!(behind["items"].as_array().unwrap().len(), 7);
    })
    .await;
}

#[tokio::test]
async fn a_disabled_account_does_nothing_and_nothing_is_done_for_it() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let clip = upload(&device, None).await;
        let shared = alice.post(&format!("clips/{clip}/shares"), json!({})).await.body(201);
        let (program, _) = key_of(&alice, json!({"name": "x", "rights": ["see_cameras"]})).await;
        program.get("cameras").await.body(200);
        let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        assert_eq!(opened.status, 201);
        let id = account_id(&alice).await;
        let changed = change(&admin, &id, json!({"disabled": true})).await.body(200);
        assert!(changed["disabled_at"].is_i64());
        alice.get("auth/me").await.is_problem(401, "unauthenticated");
        program.get("cameras").await.is_problem(401, "unauthenticated");
        let open = async || {
            let live = admin.get("admin/live").await.body(200);
            live["items"].as_array().unwrap().len()
        };
        eventually(open, |open| *open == 0).await;
        let token = json!({"token": shared["token"]});
        relay.stranger().post("shares/open", token.clone()).await.is_problem(404, "not_found");
        let login = json!({"email": "alice@example.org", "password": PASSWORD});
        relay
            .stranger()
            .post("auth/login", login.clone())
            .await
            .is_problem(403, "account_disabled");
        let wrong = json!({"email": "alice@example.org", "password": "wrong horse battery"});
        relay.stranger().post("auth/login", wrong).await.is_problem(401, "invalid_credentials");
        change(&admin, &id, json!({"disabled": false})).await.body(200);
        relay.stranger().post("auth/login", login).await.body(200);
        relay.stranger().post("shares/open", token).await.body(200);
        program.get("cameras").await.body(200);
        let trail = admin.get("admin/audit?scope=security").await.body(200);
        let actions: Vec<&str> = trail["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|it| it["action"].as_str())
            .collect();
        assert!(actions.contains(&"account_disabled") && actions.contains(&"account_enabled"));
    })
    .await;
}

#[tokio::test]
async fn the_last_administrator_stays() {
    on_every_database(async |relay: &TestRelay| {
        let mut admin = relay.person("admin").await;
        promote(relay, &admin).await;
        let (phone, _) = set_up(relay, &mut admin).await;
        let own = account_id(&admin).await;
        relay.person("alice").await;
        for odd in [json!({"disabled": true}), json!({"role": "user"})] {
            change(&admin, &own, odd).await.is_problem(409, "last_admin");
        }
        let path = format!("admin/accounts/{own}/deletion");
        let home = admin.home().await;
        admin.post(&path, json!({"site_ids": [home]})).await.is_problem(409, "last_admin");
        show(&admin, json!({"code": phone.code(relay)})).await;
        let by_hand = json!({"password": PASSWORD, "site_ids": [home]});
        admin.post("auth/deletion", by_hand.clone()).await.is_problem(409, "last_admin");
        let other = another(relay, "root").await;
        change(&other, &own, json!({"role": "user"})).await.body(200);
        admin.get("admin/accounts").await.is_problem(403, "forbidden");
        assert_eq!(admin.post("auth/deletion", by_hand).await.status, 204);
    })
    .await;
}

#[tokio::test]
async fn of_two_administrators_who_disable_each_other_at_once_one_stays() {
    on_every_database(async |relay: &TestRelay| {
        let (one, two) = (administrator(relay).await, another(relay, "root").await);
        let (first, second) = (account_id(&one).await, account_id(&two).await);
        let off = || json!({"disabled": true});
        let (a, b) = tokio::join!(change(&one, &second, off()), change(&two, &first, off()));
        let mut outcomes = [a.status, b.status];
        outcomes.sort_unstable();
        assert_eq!(outcomes[0], 200, "{} {}", a.text, b.text);
        assert!([401, 403].contains(&outcomes[1]), "{} {}", a.text, b.text);
        let sql =
            "select count(*) as count from accounts where role = 'admin' and disabled_at is null";
        let row = relay.app().db.query_one(sql, vec![]).await.unwrap().unwrap();
        assert_eq!(row.get::<u64>("count").unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_forced_reset_ends_the_password_and_its_link_sets_another() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let id = account_id(&alice).await;
        let made = admin.post(&format!("admin/accounts/{id}/reset"), json!({})).await.body(200);
        assert_eq!(made["mailed"], false);
        alice.get("auth/me").await.is_problem(401, "unauthenticated");
        let login = json!({"email": "alice@example.org", "password": PASSWORD});
        relay.stranger().post("auth/login", login).await.is_problem(401, "invalid_credentials");
        let token = made["url"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
        let password = "another horse battery";
        let reset = json!({"token": token, "password": password});
        relay.stranger().post("auth/password/reset", reset).await.body(204);
        let login = json!({"email": "alice@example.org", "password": password});
        relay.stranger().post("auth/login", login).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn an_end_that_an_administrator_began_can_be_taken_back_for_a_week() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (first, second) = (account_id(&alice).await, account_id(&bob).await);
        let carol = relay.person("carol").await;
        let (third, house) = (account_id(&carol).await, carol.home().await);
        let begin = async |id: &str, sites: Value| {
            admin.post(&format!("admin/accounts/{id}/deletion"), json!({"site_ids": sites})).await
        };
        begin(&first, json!([])).await.is_problem(409, "sites_changed");
        begin(&first, json!([alice.home().await])).await.body(202);
        begin(&second, json!([bob.home().await])).await.body(202);
        bob.get("auth/me").await.is_problem(401, "unauthenticated");
        let back = format!("admin/accounts/{second}/deletion");
        assert_eq!(admin.delete(&back).await.status, 204);
        admin.delete(&back).await.is_problem(404, "not_found");
        // Who was disabled before stays so.
        change(&admin, &third, json!({"disabled": true})).await.body(200);
        relay.pass(Duration::from_secs(1));
        begin(&third, json!([house])).await.body(202);
        let back = format!("admin/accounts/{third}/deletion");
        assert_eq!(admin.delete(&back).await.status, 204);
        let kept = admin.get(&format!("admin/accounts/{third}")).await.body(200);
        assert!(kept["disabled_at"].is_i64() && kept["delete_after"].is_null(), "{kept}");
        relay.pass(Duration::from_hours(24 * 8));
        relay.sweep_slow().await;
        let mut again = relay.stranger();
        let login = json!({"email": "admin@example.org", "password": PASSWORD});
        again.post("auth/login", login).await.body(200);
        let sql = "select email from accounts order by email";
        let rows = relay.app().db.query(sql, vec![]).await.unwrap();
        let left: Vec<String> = rows.iter().map(|row| row.get("email").unwrap()).collect();
        assert_eq!(left, ["admin@example.org", "bob@example.org", "carol@example.org"]);
        let login = json!({"email": "bob@example.org", "password": PASSWORD});
        let answer = again.post("auth/login", login).await;
        again.cookie = Some(answer.cookie());
        again.get("auth/me").await.body(200);
    })
    .await;
}

#[tokio::test]
async fn sites_and_cameras_are_known_by_what_they_use_and_how_they_feel() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        upload(&device, None).await;
        let mut ill = health();
        ill["errors"] = json!(["the lens is covered"]);
        ill["temperature_celsius"] = json!(61.5);
        camera.say(Channel::UpHealth, &ill).await;
        let home = alice.home().await;
        let faulty = async || {
            let list = admin.get("admin/cameras?faulty=true").await.body(200);
            list["items"].as_array().unwrap().clone()
        };
        let found = eventually(faulty, |found| found.len() == 1).await;
        assert_eq!(found[0]["camera_id"], json!(device.id()));
        assert_eq!(found[0]["health"]["errors"], json!(["the lens is covered"]));
        assert_eq!(found[0]["health"]["temperature_celsius"], 61.5);
        for (query, count) in [
            (format!("site_id={home}&online=true"), 1),
            ("online=false".to_owned(), 0),
            ("version=0.0.0-none".to_owned(), 0),
            ("search=front".to_owned(), 1),
            ("search=%25".to_owned(), 0),
        ] {
            let list = admin.get(&format!("admin/cameras?{query}")).await.body(200);
            assert_eq!(list["items"].as_array().unwrap().len(), count, "{query}");
        }
        let site = admin.get(&format!("admin/sites/{home}")).await.body(200);
        assert_eq!(
            (&site["owner_email"], &site["cameras"]),
            (&json!("alice@example.org"), &json!(1))
        );
        assert!(site["bytes"].as_u64().unwrap() > 0);
        let storage = admin.get("admin/storage").await.body(200);
        assert_eq!(storage["bytes"], site["bytes"]);
        assert_eq!(storage["classes"][0]["site_id"], home.as_str());
        assert!(storage["free_bytes"].as_u64().is_some());
        let text = format!("{found:?} {site} {storage}");
        for secret in ["http", "object_key", "presign", "clip_id", ".mp4", ".jpg"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_site_may_use_what_an_administrator_says_of_it() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let path = format!("admin/sites/{}", alice.home().await);
        admin.patch(&path, json!({"events": 1})).await.body(200);
        let say = async |camera: &mut crate::device::Online| {
            let id = nightjar_shared::ids::EventId::generate();
            camera.say(Channel::UpEvent, &event(id, "started", 1)).await;
        };
        say(&mut camera).await;
        say(&mut camera).await;
        let listed = format!("events?camera_id={}", device.id());
        let count = async || alice.get(&listed).await.body(200)["items"].as_array().unwrap().len();
        let refused = async || {
            let text = alice.get("/metrics").await.text;
            text.contains("nightjar_quota_refusals_total{owner=\"site\",what=\"events\"} ")
        };
        eventually(refused, |refused| *refused).await;
        assert_eq!(count().await, 1);
        admin.patch(&path, json!({"events": null})).await.body(200);
        say(&mut camera).await;
        eventually(count, |count| *count >= 2).await;
        for odd in [json!({"events": -1}), json!({"events": 1.5}), json!({"events": "many"})] {
            admin.patch(&path, odd).await.is_problem(400, "invalid_json");
        }
        admin
            .patch(&path, json!({"megabytes": 2_000_000_000_u64}))
            .await
            .is_problem(422, "out_of_range");
    })
    .await;
}

#[tokio::test]
async fn settings_change_at_once_and_say_where_they_come_from() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |config: &mut Config| {
            config.said.insert("registration".to_owned());
        })
        .await;
        let admin = administrator(&relay).await;
        let of = async |name: &str| {
            let all = admin.get("admin/settings").await.body(200);
            let found = all["items"].as_array().unwrap().iter().find(|it| it["name"] == name);
            let found = found.unwrap().clone();
            (found["value"].clone(), found["source"].as_str().unwrap().to_owned())
        };
        assert_eq!(of("registration").await, (json!("open"), "file".to_owned()));
        assert_eq!(of("audit.keep_days").await, (json!(365), "default".to_owned()));
        let set =
            json!({"registration": "closed", "banner": "Maintenance at 9", "audit.keep_days": 30});
        admin.patch("admin/settings", set).await.body(200);
        assert_eq!(of("registration").await, (json!("closed"), "admin".to_owned()));
        let told = relay.stranger().get("auth/registration").await.body(200);
        assert_eq!(told["registration"], "closed");
        assert_eq!(told["banner"], "Maintenance at 9");
        let account = json!({"email": "new@example.org", "password": PASSWORD});
        let refused = relay.stranger().post("auth/register", account).await;
        refused.is_problem(403, "registration_closed");
        for odd in [
            json!({"registration": "anybody"}),
            json!({"audit.keep_days": 1}),
            json!({"audit.keep_days": "30"}),
            json!({"banner": ""}),
            json!({"banner": "x".repeat(301)}),
            json!({"limits.site_megabytes": -1}),
            json!({"log.level": "everything"}),
            json!({"public_url": "https://elsewhere.example.org"}),
            json!({"mail.require_verified": true}),
            // All or none.
            json!({"registration": "open", "nothing": 1}),
        ] {
            admin.patch("admin/settings", odd).await.is_problem(422, "invalid_setting");
        }
        assert_eq!(of("registration").await.0, "closed");
        let relay = relay.restart().await;
        let told = relay.stranger().get("auth/registration").await.body(200);
        assert_eq!(told["registration"], "closed", "it outlives a restart");
        let mut admin = relay.stranger();
        admin.cookie = Some(sign_in(&relay).await);
        let unset = json!({"registration": null, "banner": null});
        admin.patch("admin/settings", unset).await.body(200);
        let told = relay.stranger().get("auth/registration").await.body(200);
        assert_eq!((&told["registration"], told.get("banner")), (&json!("open"), None));
        let trail = admin.get("admin/audit?action=setting_changed").await.body(200);
        let entries = trail["items"].as_array().unwrap();
        assert_eq!(entries.len(), 5);
        let of_registration = entries.iter().find(|it| it["subject"] == "registration").unwrap();
        let changed = &of_registration["details"]["changed"]["registration"];
        assert_eq!(changed, &json!({"before": "closed", "after": "open"}));
        relay.stop().await;
    }
}

/// Signs the administrator in anew, whose phone made a code before.
async fn sign_in(relay: &TestRelay) -> String {
    let sql = "delete from totp_secrets";
    relay.app().db.execute(sql, vec![]).await.unwrap();
    let sql = "delete from backup_codes";
    relay.app().db.execute(sql, vec![]).await.unwrap();
    let login = json!({"email": "admin@example.org", "password": PASSWORD});
    let mut admin = relay.stranger();
    admin.cookie = Some(admin.post("auth/login", login).await.cookie());
    set_up(relay, &mut admin).await;
    admin.cookie.unwrap()
}

#[tokio::test]
async fn mail_is_switched_off_and_a_mail_that_was_given_up_is_tried_again() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |config: &mut Config| {
            config.mail.engine = MailEngine::File;
            "relay@example.org".clone_into(&mut config.mail.from);
        })
        .await;
        let admin = administrator(&relay).await;
        admin.patch("admin/settings", json!({"mail.on": false})).await.body(200);
        assert_eq!(relay.stranger().get("auth/registration").await.body(200)["mail"], false);
        let forgot = json!({"email": "admin@example.org"});
        relay.stranger().post("auth/password/forgot", forgot).await.is_problem(409, "no_mail");
        admin.patch("admin/settings", json!({"mail.on": true})).await.body(200);
        assert_eq!(relay.stranger().get("auth/registration").await.body(200)["mail"], true);
        relay.person("alice").await;
        let sql = "update mails set state = 'failed', reason = 'nobody there', attempts = 3";
        let give_up = async || relay.app().db.execute(sql, vec![]).await.unwrap();
        give_up().await;
        let failed = admin.get("admin/letters?state=failed").await.body(200);
        for letter in failed["items"].as_array().unwrap() {
            assert_eq!(
                (&letter["channel"], &letter["reason"]),
                (&json!("mail"), &json!("nobody there"))
            );
            let path = format!("admin/letters/{}", letter["letter_id"].as_str().unwrap());
            assert_eq!(admin.post(&format!("{path}/retry"), json!({})).await.status, 202);
        }
        let left = async || {
            let failed = admin.get("admin/letters").await.body(200);
            failed["items"].as_array().unwrap().len()
        };
        eventually(left, |left| *left == 0).await;
        admin.post("admin/letters/nothing/retry", json!({})).await.is_problem(404, "not_found");
        admin.delete("admin/letters/nothing").await.is_problem(404, "not_found");
        relay.stop().await;
    }
}

#[tokio::test]
async fn jobs_say_how_they_went_and_are_done_when_asked_for() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let runs = async |job: &str| {
            let jobs = admin.get("admin/jobs").await.body(200);
            let found = jobs["items"].as_array().unwrap().iter().find(|it| it["job"] == job);
            found.unwrap()["runs"].as_u64().unwrap()
        };
        relay.sweep_slow().await;
        let before = runs("old_trail").await;
        assert!(before >= 1);
        assert_eq!(admin.post("admin/jobs/old_trail/run", json!({})).await.status, 202);
        eventually(async || runs("old_trail").await, |runs| *runs > before).await;
        admin.post("admin/jobs/nothing/run", json!({})).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn statistics_count_hours_and_days_and_end_with_their_time() {
    on_every_database(async |relay: &TestRelay| {
        let mut admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let (_device, mut camera) = online(relay, &alice).await;
        let event_id = nightjar_shared::ids::EventId::generate();
        let mut seen = event(event_id, "started", 1);
        seen["at"] = json!(relay.app().now().0);
        camera.say(Channel::UpEvent, &seen).await;
        let login = json!({"email": "alice@example.org", "password": "wrong horse battery"});
        relay.stranger().post("auth/login", login).await.is_problem(401, "invalid_credentials");
        let there = async || alice.get("events").await.body(200)["items"].as_array().unwrap().len();
        eventually(there, |count| *count == 1).await;
        relay.sweep_slow().await;
        relay.pass(Duration::from_hours(1));
        relay.sweep_slow().await;
        let mut total = std::collections::BTreeMap::new();
        let shown = admin.get("admin/statistics?period=hour").await.body(200);
        for point in shown["items"].as_array().unwrap() {
            let series = point["series"].as_str().unwrap().to_owned();
            *total.entry(series).or_insert(0) += point["value"].as_u64().unwrap();
        }
        assert_eq!((total["events"], total["sign_ins_refused"]), (1, 1), "{total:?}");
        assert!(total["accounts"] >= 2 && total["cameras_online"] >= 1, "{total:?}");
        let days = admin.get("admin/statistics?period=day&series=accounts").await.body(200);
        let days = days["items"].as_array().unwrap().clone();
        assert!(
            days.iter().all(|day| day["value"] == 2 && day["series"] == "accounts"),
            "{days:?}"
        );
        for odd in ["period=week", "series=faces", "from=2&to=1"] {
            let refused = admin.get(&format!("admin/statistics?{odd}")).await;
            refused.is_problem(400, "invalid_query");
        }
        relay.pass(Duration::from_hours(24 * 29));
        admin.cookie = Some(sign_in(relay).await);
        relay.pass(Duration::from_hours(24 * 4));
        relay.sweep_slow().await;
        let old = admin.get("admin/statistics?period=hour&from=0&series=events").await.body(200);
        let counted = old["items"].as_array().unwrap();
        assert!(counted.iter().all(|point| point["value"] == 0), "hours are kept for a month");
    })
    .await;
}

#[tokio::test]
async fn an_administrator_ends_a_live_session() {
    on_sqlite(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let location = opened.headers["location"].to_str().unwrap().to_owned();
        let live = admin.get("admin/live").await.body(200);
        let session = &live["items"][0];
        assert_eq!(session["email"], "alice@example.org");
        let id = session["session_id"].as_str().unwrap().to_owned();
        assert_eq!(admin.delete(&format!("admin/live/{id}")).await.status, 204);
        let ended = alice.get(&location).await.body(200);
        assert_eq!(
            (&ended["state"], &ended["reason"]),
            (&json!("completed"), &json!("access_ended"))
        );
        // Again: it is over already.
        admin.delete(&format!("admin/live/{id}")).await.body(204);
        let trail = alice.get(&format!("sites/{}/audit", alice.home().await)).await.body(200);
        assert!(
            trail["items"]
                .as_array()
                .unwrap()
                .iter()
                .any(|it| it["action"] == "live_ended_by_admin")
        );
    })
    .await;
}

#[tokio::test]
async fn an_administrator_reads_what_was_done_at_all_sites_and_never_what_was_seen() {
    on_every_database(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let clip = upload(&device, None).await;
        alice.get(&format!("clips/{clip}/playback")).await.body(200);
        alice.patch(&format!("cameras/{}", device.id()), json!({"name": "Secret"})).await.body(200);
        let home = alice.home().await;
        let trail = admin.get(&format!("admin/audit?scope=all&site={home}")).await.body(200);
        let entries = trail["items"].as_array().unwrap();
        let actions: Vec<&str> = entries.iter().filter_map(|it| it["action"].as_str()).collect();
        assert!(actions.contains(&"camera_renamed") && !actions.contains(&"clip_played"));
        assert!(entries.iter().all(|it| it["site_id"] == home.as_str()));
        assert!(
            entries.iter().all(|it| it.get("address").is_none() && it.get("details").is_none())
        );
        assert!(!trail.to_string().contains(&clip.to_string()));
        for odd in ["scope=everything", "site=home"] {
            admin.get(&format!("admin/audit?{odd}")).await.is_problem(400, "invalid_query");
        }
    })
    .await;
}

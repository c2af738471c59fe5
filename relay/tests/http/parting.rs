//! All of one's data, taken along, and the end of an account: of it nothing is left, in no table and not
//! in the store.

use std::{fs, path::Path};

use nightjar_relay::engines::db::{Db, Executor as _};
use nightjar_shared::ids::EventId;
use serde_json::{Value, json};

use crate::{
    clips::{FOOTAGE, upload},
    databases::{self, Engine},
    device::{event, health},
    live::{OFFER, answer, online, watch},
    mail::in_memory,
    members::{account_id, let_in},
    person::{PASSWORD, Person},
    relay::{TestRelay, eventually, on_every_database},
    support::{PATIENCE, within},
    ws::with_ticket,
};

/// What a person types can be found again: nothing else has it.
const CANARY: &str = "kanarienvogel";

async fn tables(db: &Db, engine: Engine) -> Vec<String> {
    let sql = match engine {
        Engine::Sqlite => "select name from sqlite_master where type = 'table'",
        Engine::Postgres => {
            "select cast(table_name as text) as name from information_schema.tables
             where table_schema = current_schema()"
        }
    };
    let rows = db.query(sql, vec![]).await.unwrap();
    rows.iter().map(|row| row.get("name").unwrap()).collect()
}

/// Every row of every table, as text, with the table's name in front.
async fn everything(db: &Db, engine: Engine) -> Vec<String> {
    let mut all = Vec::new();
    for table in tables(db, engine).await {
        // A test ends soon; statements are texts of the program.
        let sql: &'static str = format!("select * from {table}").leak();
        let rows = db.query(sql, vec![]).await.unwrap();
        all.extend(rows.iter().map(|row| format!("{table}: {row:?}")));
    }
    all
}

fn files_of(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_of(&path)) } else { files.push(path) }
    }
    files
}

/// Files of the store that hold footage.
fn footage(relay: &TestRelay) -> usize {
    let objects = files_of(&relay.app().config.data_dir.join("objects"));
    objects.iter().filter(|path| fs::read(path).is_ok_and(|bytes| bytes == FOOTAGE)).count()
}

/// Makes a second owner at once; the app lets a member take an offer.
async fn make_owner(relay: &TestRelay, host: &Person, guest: &Person) {
    let sql = "insert into members (site_id, account_id, role, created_at)
         values ($1, $2, 'owner', 0)";
    let values = vec![host.home().await.into(), account_id(guest).await.into()];
    relay.app().db.execute(sql, values).await.unwrap();
}

async fn delete(person: &Person, sites: &Value) {
    let body = json!({"password": PASSWORD, "site_ids": sites});
    person.post("auth/deletion", body).await.body(204);
}

fn ids(preview: &Value) -> Value {
    preview["sites"].as_array().unwrap().iter().map(|site| site["site_id"].clone()).collect()
}

#[tokio::test]
async fn of_a_deleted_account_nothing_is_left_in_the_database_or_the_store() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let mut alice = relay.stranger();
        let email = format!("{CANARY}@example.org");
        alice.sign_up(&email).await;
        alice.patch("auth/me", json!({"name": format!("{CANARY} the first")})).await.body(200);
        let camera = relay.camera_of(&alice).await;
        camera.beat(&relay, health()).await;
        let path = format!("cameras/{}", camera.id());
        alice.patch(&path, json!({"name": format!("{CANARY} cage")})).await.body(200);
        let clip_id = upload(&camera, None).await;
        camera.report(&relay, event(EventId::generate(), "started", 5)).await;
        alice.post(&format!("clips/{clip_id}/shares"), json!({})).await.body(201);
        alice.post(&format!("{path}/commands"), json!({"kind": "arm"})).await.body(202);
        alice.open_pairing().await;
        let other = json!({"email": format!("{CANARY}2@example.org"), "password": PASSWORD});
        alice.post("auth/email", other).await.body(202);
        alice.post("sites", json!({"name": format!("{CANARY} shop")})).await.body(201);
        let (id, home) = (account_id(&alice).await, alice.home().await);
        let has_canary = |rows: &[String]| rows.iter().filter(|row| row.contains(CANARY)).count();
        assert!(has_canary(&everything(&relay.app().db, engine).await) >= 4);
        assert_eq!(footage(&relay), 1);

        let preview = alice.get("auth/deletion").await.body(200);
        assert_eq!(preview["sites"].as_array().unwrap().len(), 2, "{preview}");
        let mut sites = preview["sites"].as_array().unwrap().iter();
        let of_home = sites.find(|site| site["site_id"] == json!(home)).unwrap();
        assert_eq!((&of_home["cameras"], &of_home["clips"]), (&json!(1), &json!(1)));
        delete(&alice, &ids(&preview)).await;

        alice.get("auth/me").await.is_problem(401, "unauthenticated");
        let gone = json!({"email": email, "password": PASSWORD});
        relay.stranger().post("auth/login", gone).await.is_problem(401, "invalid_credentials");
        // What names the account by its identifier is the audit, which nobody alters.
        let left = async || {
            let rows = everything(&relay.app().db, engine).await;
            let of_account = |row: &&String| {
                let text = |what: &str| row.contains(what);
                let is_audit = row.starts_with("audit");
                text(CANARY)
                    || (!is_audit && (text(&id) || text(&home) || text(&clip_id.to_string())))
            };
            let rows: Vec<String> = rows.iter().filter(of_account).cloned().collect();
            // Objects wait for their second deletion, after every permission to upload them is over.
            rows.into_iter().filter(|row| !row.starts_with("object_deletions")).collect::<Vec<_>>()
        };
        eventually(left, Vec::is_empty).await;
        eventually(async || footage(&relay), |count| *count == 0).await;
        relay.pass(std::time::Duration::from_hours(1));
        relay.app().deletions_due.notify_one();
        let waiting = async || {
            let sql = "select object_key from object_deletions";
            relay.app().db.query(sql, vec![]).await.unwrap().len()
        };
        eventually(waiting, |waiting| *waiting == 0).await;
        camera.caller.post("agent/clips", json!({})).await.is_problem(401, "unauthenticated");
        relay.stop().await;
    }
}

#[tokio::test]
async fn an_account_that_is_deleted_while_its_owner_watches_sees_nothing_more() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (device, mut camera) = online(relay, &bob).await;
        let_in(&bob, &alice, "viewer").await;
        let (opened, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        assert_eq!(opened.status, 201);
        let mut socket = with_ticket(&alice).await;
        let preview = alice.get("auth/deletion").await.body(200);
        assert_eq!(preview["memberships"], 1);
        delete(&alice, &ids(&preview)).await;
        let bye = camera.heard_signal().await;
        assert_eq!(bye.session_id, offer.session_id);
        assert_eq!(bye.reason.as_deref(), Some("access_ended"));
        while let Some(Ok(message)) = within(PATIENCE, futures::StreamExt::next(&mut socket)).await
        {
            if message.is_close() {
                break;
            }
        }
        // The others' camera goes on.
        let path = format!("cameras/{}", device.id());
        assert_eq!(bob.get(&path).await.body(200)["status"], "online");
    })
    .await;
}

#[tokio::test]
async fn only_the_sites_that_were_shown_go_and_those_with_another_owner_stay() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        relay.camera_of(&alice).await;
        let shown = ids(&alice.get("auth/deletion").await.body(200));
        let wrong = json!({"password": "a guess", "site_ids": shown});
        alice.post("auth/deletion", wrong).await.is_problem(403, "invalid_credentials");
        make_owner(relay, &alice, &bob).await;
        let changed = json!({"password": PASSWORD, "site_ids": shown});
        alice.post("auth/deletion", changed).await.is_problem(409, "sites_changed");
        let preview = alice.get("auth/deletion").await.body(200);
        assert_eq!(preview["sites"], json!([]));
        delete(&alice, &json!([])).await;
        let cameras = bob.get("cameras").await.body(200);
        assert_eq!(cameras["items"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_left_of_a_given_up_site_goes_after_a_crash_too() {
    let relay = TestRelay::start(Engine::Sqlite, in_memory).await;
    let alice = relay.person("alice").await;
    let camera = relay.camera_of(&alice).await;
    upload(&camera, None).await;
    let home = alice.home().await;
    // As a relay leaves it that ends after the account's own end.
    for sql in [
        "delete from members",
        "delete from accounts",
        "insert into site_deletions select site_id from sites",
    ] {
        relay.app().db.execute(sql, vec![]).await.unwrap();
    }
    let relay = relay.restart().await;
    let left = async || {
        let rows = everything(&relay.app().db, Engine::Sqlite).await;
        rows.into_iter()
            .filter(|row| row.contains(&home) && !row.starts_with("audit"))
            .collect::<Vec<_>>()
    };
    eventually(left, Vec::is_empty).await;
    eventually(async || footage(&relay), |count| *count == 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn all_that_is_known_of_somebody_is_written_into_one_document() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let clip_id = upload(&camera, None).await;
        camera.report(relay, event(EventId::generate(), "started", 5)).await;
        let theirs = relay.camera_of(&bob).await;
        let_in(&bob, &alice, "viewer").await;
        let wrong = alice.post("auth/export", json!({"password": "a guess"})).await;
        wrong.is_problem(403, "invalid_credentials");
        let answer = alice.post("auth/export", json!({"password": PASSWORD})).await;
        assert!(answer.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
        let text = answer.text.clone();
        let document = answer.body(200);
        assert_eq!(document["account"][0]["email"], "alice@example.org");
        assert_eq!(document["browsers"].as_array().unwrap().len(), 1);
        assert_eq!(document["memberships"].as_array().unwrap().len(), 2);
        let site = &document["sites"][&alice.home().await];
        assert_eq!(site["cameras"][0]["id"], json!(camera.id()));
        assert_eq!(site["events"].as_array().unwrap().len(), 1);
        assert_eq!(site["clips"][0]["id"], json!(clip_id));
        let files = site["clips"][0]["files"].as_str().unwrap();
        let files = alice.get(files.strip_prefix(&alice.origin).unwrap()).await.body(200);
        assert!(files["parts"].as_array().is_some_and(|parts| !parts.is_empty()), "{files}");
        // Nothing of others, and nothing that opens anything.
        assert!(!text.contains(&theirs.id().to_string()), "{text}");
        for secret in ["hash", "argon2", "bob@example.org"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_export_is_as_long_as_it_needs_to_be() {
    let relay = TestRelay::start(Engine::Sqlite, |_| {}).await;
    let alice = relay.person("alice").await;
    let camera = relay.camera_of(&alice).await;
    let many = "insert into events
            (event_id, camera_id, site_id, kind, state, started_at, clock, boot_id, uptime_ms,
             boxes, zones)
         with recursive numbers (number) as
            (select 1 union all select number + 1 from numbers where number < 1234)
         select printf('%08d', number), $1, $2, 'motion', 'ended', number, 'synced', 'x', 1, '[]', '[]'
         from numbers";
    let values = vec![camera.id().into(), alice.home().await.into()];
    relay.app().db.execute(many, values).await.unwrap();
    let document = alice.post("auth/export", json!({"password": PASSWORD})).await.body(200);
    let events = document["sites"][&alice.home().await]["events"].as_array().unwrap().clone();
    assert_eq!(events.len(), 1234);
    relay.stop().await;
}

/// Whoever adds a table that speaks of an account says here what becomes of it.
#[tokio::test]
async fn every_table_with_an_account_goes_with_it_or_says_why_not() {
    let relay = TestRelay::start(Engine::Sqlite, in_memory).await;
    let db = &relay.app().db;
    let mut left_out = Vec::new();
    for table in tables(db, Engine::Sqlite).await {
        let columns: &'static str = format!("select name from pragma_table_info('{table}')").leak();
        let columns = db.query(columns, vec![]).await.unwrap();
        let columns: Vec<String> = columns.iter().map(|row| row.get("name").unwrap()).collect();
        let of_account = ["account_id", "created_by", "invited_by", "offered_by"];
        let keys: &'static str = format!(
            "select \"from\" as name from pragma_foreign_key_list('{table}')
             where \"table\" = 'accounts' and on_delete = 'CASCADE'"
        )
        .leak();
        let keys = db.query(keys, vec![]).await.unwrap();
        let keys: Vec<String> = keys.iter().map(|row| row.get("name").unwrap()).collect();
        for column in columns.iter().filter(|column| of_account.contains(&column.as_str())) {
            if table != "accounts" && !keys.contains(column) {
                left_out.push(format!("{table}.{column}"));
            }
        }
    }
    // The audit names accounts by identifiers; these have a statement of their own, or
    // go with the membership.
    let looked_after = ["pairings.created_by", "members.invited_by", "member_cameras.account_id"];
    left_out.retain(|name| !name.starts_with("audit") && !looked_after.contains(&name.as_str()));
    assert_eq!(left_out, Vec::<String>::new(), "these columns outlive their account");
    relay.stop().await;
}

/// Asks what would go, and how to let it go.
async fn farewell(person: &Person) -> Value {
    let shown = person.get("auth/deletion").await.body(200);
    let sites = shown["sites"].as_array().unwrap().iter();
    let site_ids: Vec<Value> = sites.map(|site| site["site_id"].clone()).collect();
    json!({"password": PASSWORD, "site_ids": site_ids})
}

#[tokio::test]
async fn of_two_owners_who_go_at_once_the_second_is_asked_about_the_site_that_is_then_theirs() {
    on_every_database(async |relay: &TestRelay| {
        for round in 0..4 {
            let alice = relay.person(&format!("alice{round}")).await;
            let bob = relay.person(&format!("bob{round}")).await;
            let home = alice.home().await;
            let_in(&alice, &bob, "manager").await;
            let offer = json!({"account_id": account_id(&bob).await, "stays": true});
            alice.post(&format!("sites/{home}/ownership"), offer).await.body(200);
            bob.post(&format!("sites/{home}/ownership/accept"), Value::Null).await.body(204);
            let (of_alice, of_bob) = (farewell(&alice).await, farewell(&bob).await);
            let (first, second) = tokio::join!(
                alice.post("auth/deletion", of_alice),
                bob.post("auth/deletion", of_bob)
            );
            let mut statuses = [first.status, second.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [204, 409], "{first:?} {second:?}");
            let left = if first.status == 409 { &alice } else { &bob };
            let again = farewell(left).await;
            assert!(again["site_ids"].as_array().unwrap().contains(&json!(home)), "{again}");
        }
    })
    .await;
}

//! For how long sites keep what, what goes for what is new, and what never goes.

use std::{collections::BTreeSet, time::Duration};

use nightjar_relay::{domain::orphans, engines::db::Executor as _, engines::objects::ObjectKey};
use nightjar_shared::ids::{ClipId, EventId};
use serde_json::{Value, json};

use crate::{
    audit::administrator,
    clips::{permit, put, upload},
    databases::{self, Engine},
    device::{Device, announcement, event, part},
    members::let_in,
    person::Person,
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

const DAY: Duration = Duration::from_hours(24);
const DAY_MS: i64 = 86_400_000;

async fn set_rules(person: &Person, rules: Value) -> Value {
    let path = format!("sites/{}/retention", person.home().await);
    person.post(&path, rules).await.body(200)
}

/// A clip of a size that began at a time; nothing when there was no room for it.
async fn film(
    camera: &mut Device,
    at: i64,
    bytes: usize,
    event_id: Option<EventId>,
) -> Option<ClipId> {
    // The one before may be over by the relay's clock.
    camera.get_token().await;
    let clip_id = ClipId::generate();
    let announced = camera.caller.post("agent/clips", announcement(clip_id, event_id, at)).await;
    if announced.status == 507 {
        return None;
    }
    announced.body(200);
    let content =
        clip_id.to_string().into_bytes().into_iter().cycle().take(bytes).collect::<Vec<_>>();
    let path = format!("agent/clips/{clip_id}/parts");
    let asked = camera.caller.post(&path, json!([part(0, "file", &content)])).await;
    if asked.status == 507 {
        let failed = json!({"reason": "no room"});
        camera.caller.post(&format!("agent/clips/{clip_id}/failed"), failed).await.body(204);
        return None;
    }
    assert_eq!(put(camera, &asked.body(200)[0], &content).await, 200);
    let complete = json!({"parts": [0], "ended_at": at + 1_000, "duration_ms": 1_000});
    camera.caller.post(&format!("agent/clips/{clip_id}/complete"), complete).await.body(200);
    Some(clip_id)
}

async fn clips_of(person: &Person, query: &str) -> BTreeSet<String> {
    let list = person.get(&format!("clips?limit=200{query}")).await.body(200);
    let items = list["items"].as_array().unwrap().iter();
    items.map(|clip| clip["clip_id"].as_str().unwrap().to_owned()).collect()
}

async fn keys_of_store(relay: &TestRelay) -> BTreeSet<String> {
    let (mut keys, mut after) = (BTreeSet::new(), None);
    loop {
        let page = relay.app().objects.list(after.as_deref()).await.unwrap();
        keys.extend(page.objects.into_iter().map(|object| object.key));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

async fn keys_of_database(relay: &TestRelay) -> BTreeSet<String> {
    let sql = "select object_key from clip_parts where stored = 1";
    let rows = relay.app().db.query(sql, vec![]).await.unwrap();
    rows.iter().map(|row| row.get("object_key").unwrap()).collect()
}

/// Waits until the store has what the database has, and nothing else.
async fn assert_same(relay: &TestRelay) {
    let both = async || {
        relay.app().deletions_due.notify_one();
        (keys_of_store(relay).await, keys_of_database(relay).await)
    };
    eventually(both, |(store, database)| store == database).await;
}

#[tokio::test]
async fn each_class_goes_after_its_own_days_and_what_is_protected_stays() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut camera = relay.camera_of(&alice).await;
        let now = relay.app().now().0;
        let at = |days: i64| now - days * DAY_MS;
        let mut expected = BTreeSet::new();
        let mut filmed = Vec::new();
        for (days, kind, stays) in [
            (1, None, true),
            (6, None, false),
            (6, Some("motion"), true),
            (20, Some("motion"), false),
            (20, Some("manual"), true),
        ] {
            let event_id = kind.map(|_| EventId::generate());
            let clip_id = film(&mut camera, at(days), 1_000, event_id).await.unwrap();
            if let (Some(event_id), Some(kind)) = (event_id, kind) {
                let mut began = event(event_id, "ended", at(days));
                (began["kind"], began["clip_id"]) = (json!(kind), json!(clip_id));
                camera.report(relay, began).await;
            }
            filmed.push(clip_id);
            if stays {
                expected.insert(clip_id.to_string());
            }
        }
        let kept = film(&mut camera, at(300), 1_000, None).await.unwrap();
        alice.patch(&format!("clips/{kept}"), json!({"protected": true})).await.body(200);
        expected.insert(kept.to_string());
        // A label keeps what its class would not.
        let labelled = film(&mut camera, at(20), 1_000, None).await.unwrap();
        let label = "update events set label = 'person', clip_id = $1 where event_id =
            (select event_id from events where kind = 'motion' order by started_at limit 1)";
        let id = labelled.to_string();
        relay.app().db.execute(label, vec![id.as_str().into()]).await.unwrap();
        expected.insert(id);

        let rules = json!({"days": 15, "continuous_days": 5, "manual_days": 30,
            "labels": [{"label": "person", "days": 90}]});
        let preview = format!("sites/{}/retention/preview", alice.home().await);
        let shown = alice.post(&preview, rules.clone()).await.body(200);
        assert_eq!((&shown["clips"], &shown["by_age"]), (&json!(2), &json!(2)), "{shown}");
        assert_eq!(clips_of(&alice, "").await.len(), 7, "a preview deletes nothing");
        let set = set_rules(&alice, rules).await;
        assert_eq!((&set["revision"], &set["days"]), (&json!(1), &json!(15)));
        // Who mistyped has a day.
        relay.sweep_slow().await;
        assert_eq!(clips_of(&alice, "").await.len(), 7);
        relay.pass(DAY);
        relay.sweep_slow().await;
        relay.sweep_slow().await;
        assert_eq!(clips_of(&alice, "").await, expected);
        let trail = alice.get(&format!("sites/{}/audit", alice.home().await)).await.body(200);
        let trail = trail["items"].to_string();
        assert!(trail.contains("footage_expired") && trail.contains("retention_changed"));
        assert_same(relay).await;
        // A camera that was away does not bring back what is gone.
        camera.get_token().await;
        let again = announcement(filmed[1], None, at(6));
        camera.caller.post("agent/clips", again).await.is_problem(410, "deleted");
    })
    .await;
}

#[tokio::test]
async fn impossible_rules_are_refused_and_of_two_owners_one_is_told() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, vera) = (relay.person("alice").await, relay.person("vera").await);
        relay.camera_of(&alice).await;
        let_in(&alice, &vera, "viewer").await;
        let path = format!("sites/{}/retention", alice.home().await);
        for (rules, status) in [
            (json!({"days": 0}), 422),
            (json!({"days": -1}), 400),
            (json!({"days": 1.5}), 400),
            (json!({"days": 4_294_967_295_u32}), 422),
            (json!({"days": 4_294_967_296_u64}), 400),
            (json!({"picture_days": 3_651}), 422),
            (json!({"bytes": 0}), 422),
            (json!({"bytes": -5}), 400),
            (json!({"bytes": u64::MAX}), 400),
            (json!({"bytes": i64::MAX}), 422),
            (json!({"labels": [{"label": "", "days": 1}]}), 422),
            (json!({"labels": [{"label": "a", "days": 1}, {"label": "a", "days": 2}]}), 422),
        ] {
            for path in [path.clone(), format!("{path}/preview")] {
                let answer = alice.post(&path, rules.clone()).await;
                let is_refused = answer.status == status || answer.status == 422;
                assert!(is_refused, "{path} {rules}: {} {}", answer.status, answer.text);
            }
        }
        assert_eq!(alice.get(&path).await.body(200)["revision"], 0);
        let change = |days: u32| json!({"days": days, "revision": 0});
        let (one, other) =
            tokio::join!(alice.post(&path, change(10)), alice.post(&path, change(20)));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        vera.post(&path, change(1)).await.is_problem(403, "forbidden");
        assert_eq!(vera.get(&path).await.body(200)["revision"], 1);
    })
    .await;
}

#[tokio::test]
async fn the_operator_has_the_last_word_about_age() {
    let relay = TestRelay::start(Engine::Sqlite, |config| config.limits.site_days = 30).await;
    let alice = relay.person("alice").await;
    let mut camera = relay.camera_of(&alice).await;
    let now = relay.app().now().0;
    film(&mut camera, now - 31 * DAY_MS, 1_000, None).await.unwrap();
    let young = film(&mut camera, now - 29 * DAY_MS, 1_000, None).await.unwrap();
    let path = format!("sites/{}/retention", alice.home().await);
    alice.post(&path, json!({"days": 31})).await.is_problem(422, "invalid_retention");
    assert_eq!(alice.get(&path).await.body(200)["days_max"], 30);
    // The job may have looked at the site when it was new.
    relay.pass(Duration::from_mins(11));
    relay.sweep_slow().await;
    assert_eq!(clips_of(&alice, "").await, BTreeSet::from([young.to_string()]));
    relay.stop().await;
}

#[tokio::test]
async fn owners_are_told_before_footage_goes() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut camera = relay.camera_of(&alice).await;
        let now = relay.app().now().0;
        film(&mut camera, now - 5 * DAY_MS, 1_000, None).await.unwrap();
        let told = || {
            let metrics = relay.app().metrics.render();
            let line = r#"nightjar_retention_warnings_total{reason="age"} "#;
            metrics
                .lines()
                .find_map(|it| it.strip_prefix(line))
                .map(|it| it.parse::<u64>().unwrap())
        };
        set_rules(&alice, json!({"days": 20})).await;
        relay.sweep_slow().await;
        assert_eq!(told(), None, "it goes in more than a week");
        relay.pass(9 * DAY);
        relay.sweep_slow().await;
        assert_eq!(told(), Some(1));
        assert_eq!(clips_of(&alice, "").await.len(), 1);
        relay.pass(DAY);
        relay.sweep_slow().await;
        assert_eq!(told(), Some(1), "once");
        relay.pass(6 * DAY);
        relay.sweep_slow().await;
        assert_eq!(clips_of(&alice, "").await.len(), 0);
    })
    .await;
}

/// Numbers that are the same in each run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Whatever comes in which order: no protected clip goes, the site has no more than it may unless all
/// that is left is protected, and the store has what the database has.
async fn keeps_its_promises(engine: Engine, seed: u64) {
    const LIMIT: u64 = 1_000_000;
    let relay = TestRelay::start(engine, |config| config.limits.site_megabytes = 1).await;
    let relay = &relay;
    let mut chance = Chance(seed);
    let alice = relay.person("alice").await;
    let mut cameras = [relay.camera_of(&alice).await, relay.camera_of(&alice).await];
    set_rules(&alice, json!({"bytes": LIMIT, "continuous_days": 40})).await;
    relay.pass(DAY);
    let keep = |is_kept: bool| json!({"protected": is_kept});
    let mut kept: BTreeSet<String> = BTreeSet::new();
    for step in 0..40 {
        let all: Vec<String> = clips_of(&alice, "").await.into_iter().collect();
        let any = |chance: &mut Chance| {
            let place = usize::try_from(chance.below(all.len().max(1) as u64)).unwrap();
            all.get(place).cloned()
        };
        match chance.below(10) {
            0..=4 => {
                let camera = &mut cameras[usize::try_from(chance.below(2)).unwrap()];
                let at = relay.app().now().0 - i64::try_from(chance.below(30)).unwrap() * DAY_MS;
                let bytes = usize::try_from(50_000 + chance.below(250_000)).unwrap();
                film(camera, at, bytes, None).await;
            }
            5 | 6 => {
                if let Some(clip_id) = any(&mut chance) {
                    alice.patch(&format!("clips/{clip_id}"), keep(true)).await.body(200);
                    kept.insert(clip_id);
                }
            }
            7 => {
                if let Some(clip_id) = any(&mut chance) {
                    alice.patch(&format!("clips/{clip_id}"), keep(false)).await.body(200);
                    kept.remove(&clip_id);
                }
            }
            8 => {
                if let Some(clip_id) = any(&mut chance) {
                    let expected = if kept.contains(&clip_id) { 409 } else { 204 };
                    let answer = alice.delete(&format!("clips/{clip_id}")).await;
                    assert_eq!(answer.status, expected, "seed {seed}, step {step}");
                }
            }
            _ => relay.pass(Duration::from_hours(24 * chance.below(5))),
        }
        relay.pass(Duration::from_mins(10));
        relay.sweep_slow().await;
        let left = clips_of(&alice, "").await;
        assert!(kept.is_subset(&left), "seed {seed}, step {step}: a protected clip is gone");
        let path = format!("sites/{}/retention", alice.home().await);
        let used = alice.get(&path).await.body(200)["used_bytes"].as_u64().unwrap();
        let loose = clips_of(&alice, "&protected=false").await;
        assert!(used <= LIMIT || loose.is_empty(), "seed {seed}, step {step}: {used} bytes");
    }
    relay.pass(Duration::from_hours(1));
    assert_same(relay).await;
}

#[tokio::test]
async fn whatever_comes_in_which_order_nothing_protected_goes_and_the_store_is_as_the_database() {
    for engine in databases::engines() {
        let seeds = if matches!(engine, Engine::Sqlite) { 1..=4 } else { 5..=5 };
        for seed in seeds {
            keeps_its_promises(engine, seed * 0x9E37_79B9).await;
        }
    }
}

#[tokio::test]
async fn what_is_new_has_room_where_the_oldest_may_go() {
    let relay = TestRelay::start(Engine::Sqlite, |config| config.limits.site_megabytes = 1).await;
    let alice = relay.person("alice").await;
    let mut camera = relay.camera_of(&alice).await;
    let now = relay.app().now().0;
    let at = |minute: i64| now + minute * 60_000;
    let oldest = film(&mut camera, at(0), 450_000, None).await.unwrap();
    let kept = film(&mut camera, at(1), 450_000, None).await.unwrap();
    let metrics = relay.app().metrics.render();
    assert!(metrics.contains(r#"nightjar_retention_warnings_total{reason="size"} 1"#), "{metrics}");
    assert_eq!(film(&mut camera, at(2), 450_000, None).await, None, "without rules nothing goes");
    alice.patch(&format!("clips/{kept}"), json!({"protected": true})).await.body(200);
    set_rules(&alice, json!({"bytes": 1_000_000})).await;
    relay.pass(DAY);
    let new = film(&mut camera, at(3), 450_000, None).await.unwrap();
    let left = clips_of(&alice, "").await;
    assert!(!left.contains(&oldest.to_string()));
    assert!(left.contains(&kept.to_string()) && left.contains(&new.to_string()));
    // What is left is protected: then there is none.
    alice.patch(&format!("clips/{new}"), json!({"protected": true})).await.body(200);
    assert_eq!(film(&mut camera, at(4), 450_000, None).await, None);
    relay.stop().await;
}

#[tokio::test]
async fn what_a_person_brought_of_long_ago_is_not_the_first_to_go() {
    let relay = TestRelay::start(Engine::Sqlite, |config| config.limits.site_megabytes = 1).await;
    let alice = relay.person("alice").await;
    let mut camera = relay.camera_of(&alice).await;
    set_rules(&alice, json!({"bytes": 1_000_000})).await;
    relay.pass(DAY);
    let now = relay.app().now().0;
    let filmed = film(&mut camera, now - 60_000, 450_000, None).await.unwrap();
    let content = mp4(&"x".repeat(300_000));
    // It was taken in 1970.
    let begun = alice.post("uploads", new_upload(&camera, &content)).await.body(201);
    assert_eq!(put(&camera, &begun, &content).await, 200);
    let id = begun["upload_id"].as_str().unwrap();
    alice.post(&format!("uploads/{id}/complete"), json!({})).await.body(200);
    film(&mut camera, now, 450_000, None).await.unwrap();
    let left = clips_of(&alice, "").await;
    assert!(left.contains(id) && !left.contains(&filmed.to_string()), "{left:?}");
    relay.stop().await;
}

#[tokio::test]
async fn of_two_who_bring_files_at_once_the_second_finds_no_room() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |config| config.limits.site_megabytes = 1).await;
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let upload = |text: &str| new_upload(&camera, &mp4(&text.repeat(600_000)));
        let (first, second) =
            tokio::join!(alice.post("uploads", upload("a")), alice.post("uploads", upload("b")));
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 507], "{first:?} {second:?}");
        relay.stop().await;
    }
}

#[tokio::test]
async fn rules_go_by_what_an_administrator_lets_the_site_have() {
    on_sqlite(async |relay: &TestRelay| {
        let admin = administrator(relay).await;
        let alice = relay.person("alice").await;
        let home = alice.home().await;
        admin.patch(&format!("admin/sites/{home}"), json!({"megabytes": 20})).await.body(200);
        let path = format!("sites/{home}/retention");
        assert_eq!(alice.get(&path).await.body(200)["quota_bytes"], 20_000_000);
        alice.post(&path, json!({"bytes": 20_000_001})).await.is_problem(422, "invalid_retention");
        alice.post(&path, json!({"bytes": 20_000_000})).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_is_stopped_half_way_goes_on_with_the_objects() {
    let relay = TestRelay::start(Engine::Sqlite, |_| {}).await;
    let alice = relay.person("alice").await;
    let mut camera = relay.camera_of(&alice).await;
    for _ in 0..3 {
        film(&mut camera, 1_000, 1_000, None).await.unwrap();
    }
    // The rows went, and their objects are due: as a kill leaves it.
    for sql in [
        "insert into object_deletions (object_key, due_at, last_due_at)
             select object_key, 0, 0 from clip_parts",
        "delete from clips",
    ] {
        relay.app().db.execute(sql, vec![]).await.unwrap();
    }
    let relay = relay.restart().await;
    assert_same(&relay).await;
    assert_eq!(keys_of_store(&relay).await.len(), 0);
    relay.stop().await;
}

#[tokio::test]
async fn objects_without_a_row_go_after_a_week_and_others_are_left_alone() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut camera = relay.camera_of(&alice).await;
        let lost = film(&mut camera, 1_000, 1_000, None).await.unwrap();
        let listed = film(&mut camera, 2_000, 1_000, None).await.unwrap();
        // Under way: permitted and sent, and not confirmed.
        let open = ClipId::generate();
        camera.caller.post("agent/clips", announcement(open, None, 3_000)).await.body(200);
        let permitted = permit(&camera, open, json!([part(0, "file", b"under way")])).await;
        assert_eq!(put(&camera, &permitted[0], b"under way").await, 200);
        let foreign: ObjectKey = "holiday/beach.jpg".parse().unwrap();
        let directory = &relay.app().config.data_dir;
        let reserve = nightjar_relay::engines::objects::Reserve::default();
        nightjar_relay::engines::objects::EmbeddedStore::import(directory, &foreign, b"x", reserve)
            .unwrap();
        let forget = "delete from clips where clip_id = $1";
        relay.app().db.execute(forget, vec![lost.into()]).await.unwrap();
        orphans::sweep_all(relay.app()).await.unwrap();
        assert_eq!(keys_of_store(relay).await.len(), 4, "a backup may know it");
        relay.pass(8 * DAY);
        orphans::sweep_all(relay.app()).await.unwrap();
        let left = async || {
            relay.app().deletions_due.notify_one();
            keys_of_store(relay).await
        };
        let left = eventually(left, |keys| keys.len() == 3).await;
        assert!(left.contains("holiday/beach.jpg"));
        assert!(
            relay.app().metrics.render().contains(r#"nightjar_orphans_total{what="object"} 1"#)
        );
        alice.get(&format!("clips/{listed}/playback")).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_clip_whose_footage_is_gone_from_the_store_says_so_after_a_day() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let (lost, whole) = (upload(&camera, None).await, upload(&camera, None).await);
        let sql = "select object_key from clip_parts where clip_id = $1 and kind = 'file'";
        let rows = relay.app().db.query(sql, vec![lost.into()]).await.unwrap();
        let key: ObjectKey = rows[0].get::<String>("object_key").unwrap().parse().unwrap();
        relay.app().objects.delete(&key).await.unwrap();
        let state = async |clip_id: ClipId| {
            alice.get(&format!("clips/{clip_id}")).await.body(200)["state"].clone()
        };
        orphans::sweep_all(relay.app()).await.unwrap();
        assert_eq!(state(lost).await, "ready");
        relay.pass(DAY + Duration::from_mins(1));
        orphans::sweep_all(relay.app()).await.unwrap();
        assert_eq!((state(lost).await, state(whole).await), (json!("failed"), json!("ready")));
        alice.get(&format!("clips/{whole}/playback")).await.body(200);
    })
    .await;
}

/// The beginning of a file as phones write it.
fn mp4(text: &str) -> Vec<u8> {
    [b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2", text.as_bytes()].concat()
}

fn new_upload(camera: &Device, content: &[u8]) -> Value {
    let part = part(0, "file", content);
    json!({"camera_id": camera.id(), "started_at": 5_000, "content_type": "video/mp4",
        "length": part["length"], "sha256": part["sha256"], "title": "From my phone",
        "duration_ms": 9_000})
}

#[tokio::test]
async fn a_person_brings_a_clip_of_a_phone() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let content = mp4("footage");
        let begun = alice.post("uploads", new_upload(&camera, &content)).await.body(201);
        let id = begun["upload_id"].as_str().unwrap();
        let complete = format!("uploads/{id}/complete");
        alice.post(&complete, json!({})).await.is_problem(409, "part_missing");
        alice.get(&format!("clips/{id}/playback")).await.is_problem(409, "not_ready");
        assert_eq!(put(&camera, &begun, &content).await, 200);
        // Until it was looked at it is nobody's to see, however long that takes; and no camera's to end.
        relay.pass(Duration::from_mins(20));
        relay.sweep().await;
        alice.get(&format!("clips/{id}/playback")).await.is_problem(409, "not_ready");
        let failed = json!({"reason": "mine"});
        let path = format!("agent/clips/{id}/failed");
        camera.caller.post(&path, failed).await.is_problem(404, "not_found");
        let clip = alice.post(&complete, json!({})).await.body(200);
        assert_eq!((&clip["state"], &clip["class"]), (&json!("ready"), &json!("imported")));
        assert_eq!(
            (&clip["title"], &clip["duration_ms"]),
            (&json!("From my phone"), &json!(9_000))
        );
        assert_eq!(alice.post(&complete, json!({})).await.body(200)["state"], "ready");
        alice.get(&format!("clips/{id}/playback")).await.body(200);
        assert_eq!(clips_of(&alice, "&class=imported&search=phone").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_not_what_it_says_leaves_nothing_behind() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let html = b"<!doctype html><script>alert(document.cookie)</script>";
        let begun = alice.post("uploads", new_upload(&camera, html)).await.body(201);
        assert_eq!(put(&camera, &begun, html).await, 200);
        let id = begun["upload_id"].as_str().unwrap();
        let complete = format!("uploads/{id}/complete");
        alice.post(&complete, json!({})).await.is_problem(422, "not_what_it_says");
        alice.get(&format!("clips/{id}")).await.is_problem(404, "not_found");
        assert_same(relay).await;
        assert_eq!(keys_of_store(relay).await.len(), 0);
        // Other bytes, and more bytes, than those that were said.
        let content = mp4("x");
        let begun = alice.post("uploads", new_upload(&camera, &content)).await.body(201);
        for other in [mp4("y"), mp4("yx"), mp4("")] {
            assert_ne!(put(&camera, &begun, &other).await, 200);
        }
        // Killed in the middle: an hour later it never was.
        relay.pass(Duration::from_mins(61));
        relay.sweep_slow().await;
        assert_eq!(clips_of(&alice, "").await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_brought_is_refused_before() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let content = mp4("footage");
        for (field, value, status, code) in [
            ("content_type", json!("text/html"), 422, "unsupported_content_type"),
            ("content_type", json!("image/svg+xml"), 422, "unsupported_content_type"),
            ("length", json!(0), 422, "too_large"),
            ("length", json!(2_000_000_000), 422, "too_large"),
            ("sha256", json!("abc"), 422, "invalid_sha256"),
            ("started_at", json!(-1), 422, "invalid_time"),
            ("started_at", json!(relay.app().now().0 + 3_600_000), 422, "invalid_time"),
            ("duration_ms", json!(100_000_000), 422, "too_large"),
            ("title", json!("a\0b"), 422, "invalid_text"),
            ("camera_id", json!(ClipId::generate()), 404, "not_found"),
        ] {
            let mut new = new_upload(&camera, &content);
            new[field] = value;
            alice.post("uploads", new).await.is_problem(status, code);
        }
        bob.post("uploads", new_upload(&camera, &content)).await.is_problem(404, "not_found");
        let camera_clip = upload(&camera, None).await;
        let path = format!("uploads/{camera_clip}/complete");
        alice.post(&path, json!({})).await.is_problem(409, "already_complete");
    })
    .await;
}

//! How much one camera, site or account may have, and how fast: nobody takes what others need.

use std::{fs, time::Duration};

use http::header;
use nightjar_relay::{config::Config, domain::jobs};
use nightjar_shared::{
    ids::{ClipId, EventId},
    topic::Channel,
};
use serde_json::{Value, json};

use crate::{
    clips::{permit, upload},
    databases::{self, Engine},
    device::{Device, announcement, event, part},
    person::{Answer, PASSWORD, Person},
    relay::{TestRelay, eventually, on_sqlite},
    small_disk::SmallDisk,
};

/// What was deleted makes room after this at the latest.
const COUNTED_ANEW: Duration = Duration::from_secs(11);

async fn on_every_database_with(change: impl Fn(&mut Config), test: impl AsyncFn(&TestRelay)) {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, &change).await;
        test(&relay).await;
        relay.stop().await;
    }
}

/// Asks for the upload of so many bytes, as a clip of its own.
async fn ask(camera: &Device, bytes: u64) -> (ClipId, Answer) {
    let clip_id = ClipId::generate();
    let announced = camera.caller.post("agent/clips", announcement(clip_id, None, 1000)).await;
    if announced.status != 200 {
        return (clip_id, announced);
    }
    let mut file = part(0, "file", b"footage");
    file["length"] = json!(bytes);
    let path = format!("agent/clips/{clip_id}/parts");
    (clip_id, camera.caller.post(&path, json!([file])).await)
}

/// Reports an event; gives what the relay made of it.
async fn report(relay: &TestRelay, camera: &Device) -> String {
    let started = event(EventId::generate(), "started", 1_000);
    camera.say(relay, Channel::UpEvent, &started).await
}

fn is_beyond(answer: &Answer, what: &str) {
    answer.is_problem(507, "quota_exceeded");
    assert_eq!(answer.json()["detail"], what);
}

#[tokio::test]
async fn a_camera_is_permitted_no_more_bytes_than_its_quota_and_others_are_not_concerned() {
    let small = |config: &mut Config| config.limits.camera_megabytes = 3;
    on_every_database_with(small, async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (camera, other) = (relay.camera_of(&alice).await, relay.camera_of(&alice).await);
        let (first, answer) = ask(&camera, 2_000_000).await;
        answer.body(200);
        is_beyond(&ask(&camera, 2_000_000).await.1, "bytes of the camera");
        // Again is no more.
        let mut file = part(0, "file", b"footage");
        file["length"] = json!(2_000_000);
        permit(&camera, first, json!([file])).await;
        ask(&camera, 1_000_000).await.1.body(200);
        ask(&other, 2_000_000).await.1.body(200);

        alice.delete(&format!("clips/{first}")).await.body(204);
        relay.pass(COUNTED_ANEW);
        ask(&camera, 2_000_000).await.1.body(200);
    })
    .await;
}

#[tokio::test]
async fn sites_and_the_accounts_that_own_them_have_quotas_too() {
    let small = |config: &mut Config| {
        config.limits.site_events = 3;
        config.limits.account_events = 4;
        config.limits.camera_clips = 1;
    };
    on_every_database_with(small, async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let cameras = [relay.camera_of(&alice).await, relay.camera_of(&alice).await];
        for camera in [&cameras[0], &cameras[1], &cameras[0]] {
            assert_eq!(report(relay, camera).await, "ok");
        }
        assert_eq!(report(relay, &cameras[1]).await, "quota_exceeded");

        let shop = alice.post("sites", json!({"name": "Shop"})).await.body(201);
        let path = format!("sites/{}/pairings", shop["site_id"].as_str().unwrap());
        let pairing = alice.post(&path, json!({})).await.body(201);
        let mut third = relay.device();
        third.claim_by("secret", pairing["secret"].as_str().unwrap()).await.body(200);
        third.get_token().await;
        assert_eq!(report(relay, &third).await, "ok");
        assert_eq!(report(relay, &third).await, "quota_exceeded");

        upload(&cameras[0], None).await;
        is_beyond(&ask(&cameras[0], 1).await.1, "clips of the camera");

        let theirs = relay.camera_of(&bob).await;
        assert_eq!(report(relay, &theirs).await, "ok");
        upload(&theirs, None).await;
        let counted = relay.app().metrics.render();
        for owner in ["site", "account"] {
            let refused =
                format!(r#"nightjar_quota_refusals_total{{owner="{owner}",what="events"}} 1"#);
            assert!(counted.contains(&refused), "{counted}");
        }
    })
    .await;
}

#[tokio::test]
async fn below_the_reserve_cameras_add_nothing_and_people_may_still_make_room() {
    // Of a disk that has less than an eighth free.
    let Some(disk) = SmallDisk::mount(24) else { return };
    let short = |config: &mut Config| {
        disk.path().clone_into(&mut config.data_dir);
        config.limits.database_free_megabytes = 64;
    };
    let relay = TestRelay::start(Engine::Sqlite, short).await;
    let alice = relay.person("alice").await;
    let camera = relay.camera_of(&alice).await;
    assert_eq!(report(&relay, &camera).await, "ok");
    disk.fill_but(2 << 20);
    assert_eq!(report(&relay, &camera).await, "no_space");
    ask(&camera, 1).await.1.is_problem(507, "no_space");
    alice.delete(&format!("cameras/{}", camera.id())).await.body(204);
    alice.post("auth/logout", Value::Null).await.body(204);
    relay.stop().await;
}

#[tokio::test]
async fn no_part_is_permitted_that_would_take_what_is_to_stay_free() {
    let short = |config: &mut Config| config.limits.free_megabytes = u64::MAX;
    let relay = TestRelay::start(Engine::Sqlite, short).await;
    let alice = relay.person("alice").await;
    let camera = relay.camera_of(&alice).await;
    assert_eq!(report(&relay, &camera).await, "ok");
    ask(&camera, 1).await.1.is_problem(507, "no_space");
    relay.stop().await;
}

async fn sign_in(relay: &TestRelay, name: &str) -> Answer {
    let body = json!({"email": format!("{name}@example.org"), "password": PASSWORD});
    relay.stranger().post("auth/login", body).await
}

#[tokio::test]
async fn on_a_full_disk_rights_still_end_and_room_is_still_made() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let on_disk = |config: &mut Config| {
        disk.path().clone_into(&mut config.data_dir);
        config.limits.ballast_megabytes = 2;
    };
    let relay = TestRelay::start(Engine::Sqlite, on_disk).await;
    let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
    let (camera, other) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
    let clip = upload(&camera, None).await;
    jobs::sweep_slow(relay.app()).await;
    let ballast = disk.path().join("ballast");
    assert!(ballast.exists());
    let filler = disk.fill();
    // The database's log has room of its own for a while.
    for number in 0.. {
        relay.pass(Duration::from_secs(1));
        let outcome = report(&relay, &other).await;
        if outcome == "no_space" {
            break;
        }
        assert!(number < 5_000, "{outcome}");
    }
    let refused = sign_in(&relay, "bob").await;
    refused.is_problem(503, "no_space");
    assert!(refused.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(relay.stranger().get("/readyz").await.status, 503);
    alice.get("cameras").await.body(200);

    alice.delete(&format!("clips/{clip}")).await.body(204);
    alice.delete(&format!("cameras/{}", camera.id())).await.body(204);
    alice.post("auth/logout", Value::Null).await.body(204);
    assert!(!ballast.exists(), "it was needed");
    bob.post("auth/logout", Value::Null).await.body(204);
    assert_eq!(alice.get("auth/me").await.status, 401);

    fs::remove_file(filler).unwrap();
    sign_in(&relay, "bob").await.body(200);
    assert_eq!(report(&relay, &other).await, "ok");
    jobs::sweep_slow(relay.app()).await;
    assert!(ballast.exists(), "it is set aside again");
    relay.stop().await;
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_busy_and_no_fault() {
    on_sqlite(async |relay: &TestRelay| {
        relay.person("alice").await;
        let path = relay.app().config.data_dir.join("relay.db");
        let other = rusqlite::Connection::open(path).unwrap();
        other.execute_batch("begin immediate").unwrap();
        let answer = sign_in(relay, "alice").await;
        answer.is_problem(503, "busy");
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
        other.execute_batch("rollback").unwrap();
        sign_in(relay, "alice").await.body(200);
    })
    .await;
}

/// Does something until it is told to wait, and no more often than `most`.
async fn until_limited(most: usize, act: impl AsyncFn() -> Answer) {
    for _ in 0..most {
        let answer = act().await;
        if answer.status == 429 {
            answer.is_problem(429, "rate_limited");
            assert!(answer.headers.contains_key(header::RETRY_AFTER));
            return;
        }
    }
    panic!("{most} times and not limited");
}

#[tokio::test]
async fn who_floods_is_told_to_wait_and_nobody_else_is() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (camera, other) = (relay.camera_of(&alice).await, relay.camera_of(&alice).await);
        let clips = [ClipId::generate(), ClipId::generate()];
        let announce = async |camera: &Device, clip: ClipId| {
            camera.caller.post("agent/clips", announcement(clip, None, 1_000)).await
        };
        relay.stand_still();
        until_limited(2_000, async || announce(&camera, clips[0]).await).await;
        announce(&other, clips[1]).await.body(200);
        let ticket = async |person: &Person| person.post("ws/tickets", Value::Null).await;
        until_limited(2_000, async || ticket(&alice).await).await;
        alice.get("cameras").await.body(200);
        ticket(&bob).await.body(200);
        relay.pass(Duration::from_secs(2));
        announce(&camera, clips[0]).await.body(200);
        ticket(&alice).await.body(200);
        until_limited(20_000, async || {
            let asked = (0..50).map(|_| alice.get("auth/me"));
            let answers = futures::future::join_all(asked).await;
            answers.into_iter().max_by_key(|answer| answer.status).unwrap()
        })
        .await;
        bob.get("auth/me").await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_camera_that_floods_over_mqtt_waits_and_loses_nothing() {
    /// More than a camera may send at once.
    const MESSAGES: u32 = 230;
    const AT_ONCE: u32 = 200;
    const EACH: Duration = Duration::from_millis(10);
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut online = camera.connect(relay).await;
        let began = std::time::Instant::now();
        for _ in 0..MESSAGES {
            online.say(Channel::UpEvent, &event(EventId::generate(), "started", 1_000)).await;
        }
        // Slower is always possible; faster is what must not be.
        assert!(began.elapsed() >= EACH * (MESSAGES - AT_ONCE));
        let pages = async || {
            let first = alice.get("events?limit=200").await.body(200);
            let next = first["next_cursor"].as_str().unwrap_or_default().to_owned();
            let second = alice.get(&format!("events?limit=200&cursor={next}")).await;
            first["items"].as_array().map_or(0, Vec::len)
                + second.json()["items"].as_array().map_or(0, Vec::len)
        };
        eventually(pages, |count| *count == MESSAGES as usize).await;
    })
    .await;
}

//! Store, then list: whatever a camera or a person sends, nothing here fails, and every list is
//! still read. Nor does a row that was damaged in the database spoil what is listed with it.

use std::{fs, path::Path};

use nightjar_relay::engines::db::{Executor as _, Value as Cell};
use nightjar_shared::{
    ids::{ClipId, EventId},
    topic::Channel,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    device::{Device, Online, announcement, event, health, part},
    extreme_values,
    live::{OFFER, answer, online, watch},
    live_limits::report,
    person::{Answer, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
};

/// How many of the extreme messages are sent, of some thousands: others in each run.
const SHARE: usize = 12;

/// The golden messages of a kind.
fn goldens(kind: &str) -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tests/wire");
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let of_kind = files.filter(|path| {
        path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{kind}."))
    });
    of_kind.map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
}

/// Some of the extreme forms of messages of a kind, chosen by chance.
fn some(messages: &[Value]) -> Vec<String> {
    let all: Vec<String> = messages.iter().flat_map(extreme_values::of).collect();
    let mut seed = [0];
    getrandom::fill(&mut seed).unwrap();
    let first = usize::from(seed[0]) % SHARE;
    tracing::info!("every {SHARE}th of {} messages, from {first} on", all.len());
    all.into_iter().skip(first).step_by(SHARE).collect()
}

/// Everything that is listed or shown.
async fn lists_are_read(person: &Person, device: &Device) {
    let camera = device.id();
    for path in [
        "sites".to_owned(),
        "cameras".to_owned(),
        "events?limit=200".to_owned(),
        "clips?limit=200".to_owned(),
        format!("cameras/{camera}"),
        format!("cameras/{camera}/commands"),
        format!("cameras/{camera}/live"),
        format!("cameras/{camera}/timeline"),
        "cameras?limit=1".to_owned(),
    ] {
        let answer = person.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    for path in [format!("cameras/{camera}/health"), format!("cameras/{camera}/configuration")] {
        let answer = person.get(&path).await;
        assert!([200, 404].contains(&answer.status), "{path}: {}", answer.text);
    }
}

async fn send(person: &Person, method: Method, path: &str, body: &str) -> Answer {
    let request = person.request(method, path).header("content-type", "application/json");
    Answer::of(request.body(body.to_owned())).await
}

#[tokio::test]
async fn whatever_a_camera_sends_over_http_every_list_is_read() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        device.beat(relay, health()).await;
        let clip = ClipId::generate();
        device.caller.post("agent/clips", announcement(clip, None, 1)).await.body(200);
        let parts = [json!([part(0, "init", b"x")]), json!([part(2, "segment", b"y")])];
        let to_clip = |door: &str| format!("agent/clips/{clip}/{door}");
        for (path, messages) in [
            ("agent/clips".to_owned(), goldens("clip_announcement")),
            (to_clip("parts"), parts.to_vec()),
            (to_clip("stored"), goldens("parts_sent")),
            (to_clip("complete"), goldens("clip_completion")),
            (to_clip("failed"), goldens("clip_failure")),
        ] {
            for body in some(&messages) {
                let answer = send(&device.caller, Method::POST, &path, &body).await;
                assert!(answer.status < 500, "{path}: {body}: {}", answer.text);
            }
            lists_are_read(&alice, &device).await;
        }
    })
    .await;
}

#[tokio::test]
async fn whatever_a_person_sends_every_list_is_read() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let configure = goldens("configuration");
        let configure = configure.iter().map(|it| json!({"kind": "configure", "arguments": it}));
        let camera = format!("cameras/{}", device.id());
        for (method, path, messages) in [
            (Method::PATCH, camera.clone(), vec![json!({"name": "Porch"})]),
            (Method::POST, "sites".to_owned(), vec![json!({"name": "Barn"})]),
            (Method::POST, format!("{camera}/commands"), configure.collect()),
            (
                Method::POST,
                format!("{camera}/commands"),
                vec![json!({"kind": "arm",
                "arguments": {}, "expires_in_ms": 1000})],
            ),
        ] {
            for body in some(&messages) {
                let answer = send(&alice, method.clone(), &path, &body).await;
                assert!(answer.status < 500, "{path}: {body}: {}", answer.text);
            }
            lists_are_read(&alice, &device).await;
        }
    })
    .await;
}

#[tokio::test]
async fn whatever_a_camera_sends_over_mqtt_it_is_not_sent_twice() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (_, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let report = serde_json::to_value(report(offer.session_id)).unwrap();
        let replica = relay.app().replica.clone();
        for (channel, messages) in [
            (Channel::UpEvent, goldens("event_message")),
            (Channel::UpHealth, goldens("health")),
            (Channel::UpConfiguration, goldens("configuration")),
            (Channel::UpAck, goldens("command_ack")),
            (Channel::UpPresence, goldens("presence")),
            (Channel::UpSignal { replica: replica.clone() }, vec![report]),
            (Channel::UpSignal { replica }, goldens("signal")),
        ] {
            for body in some(&messages) {
                say(&mut camera, &channel, &body).await;
            }
            lists_are_read(&alice, &device).await;
        }
    })
    .await;
}

/// Sends a payload as it is; the relay takes it, whatever it thinks of it.
async fn say(camera: &mut Online, channel: &Channel, payload: &str) {
    let topic = nightjar_shared::topic::Topic::new(camera.id, channel.clone()).to_string();
    let reason = camera.mqtt.publish(&topic, false, payload).await;
    assert_eq!(reason, rumqttc::v5::mqttbytes::v5::PubAckReason::Success, "{payload}");
}

#[tokio::test]
async fn numbers_out_of_range_are_refused_by_name_at_both_doors() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let event = event(EventId::generate(), "started", 5);
        let with = |field: &str, literal: &str| {
            let mut event = event.clone();
            event[field] = json!("@");
            event.to_string().replace("\"@\"", literal)
        };
        let corner = r#"[{"x":1e39,"y":0,"width":0.1,"height":0.1}]"#;
        for (field, literal) in [
            ("boxes", corner),
            ("boxes", r#"[{"x":0,"y":1e999,"width":0.1,"height":0.1}]"#),
            ("boxes", r#"[{"x":0,"y":0,"width":2.5,"height":0.1}]"#),
            ("at", "9223372036854775807"),
            ("at", "9223372036854775808"),
            ("at", "-1"),
            ("uptime_ms", "18446744073709551615"),
            ("duration_ms", "9223372036854775807"),
            ("peak_area", "-1e39"),
        ] {
            let body = with(field, literal);
            say(&mut camera, &Channel::UpEvent, &body).await;
        }
        let counted = relay.app().metrics.render();
        assert!(counted.contains(r#"{channel="event",outcome="out_of_range"} 9"#), "{counted}");
        assert_eq!(alice.get("events").await.body(200)["items"], json!([]));

        let clip = ClipId::generate();
        let mut announced = announcement(clip, None, i64::MAX);
        device.caller.post("agent/clips", announced.clone()).await.is_problem(422, "out_of_range");
        announced["started_at"] = json!(1);
        device.caller.post("agent/clips", announced).await.body(200);
        let complete = |ended_at: i64, duration_ms: u64| {
            json!({"parts": [0], "ended_at": ended_at, "duration_ms": duration_ms})
        };
        let path = format!("agent/clips/{clip}/complete");
        for body in [complete(i64::MIN, 1), complete(1, u64::MAX), complete(1, 9_223_372_036_854_775_807)] {
            device.caller.post(&path, body).await.is_problem(422, "out_of_range");
        }
        let deep = format!(r#"{{"kind":"arm","arguments":{{"a":{}{}}}}}"#, "[".repeat(40), "]".repeat(40));
        let path = format!("cameras/{}/commands", device.id());
        send(&alice, Method::POST, &path, &deep).await.is_problem(400, "invalid_json");
    })
    .await;
}

#[tokio::test]
async fn no_query_is_too_extreme() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let (camera, id) = (device.id(), EventId::generate());
        let times =
            [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX].map(|at| at.to_string());
        let odd = ["9223372036854775808", "1e3", "NaN", "", "%00", "%ff"].map(str::to_owned);
        let values = times.iter().chain(&odd);
        for value in values {
            for path in [
                format!("events?from={value}"),
                format!("clips?to={value}"),
                format!("events?cursor={value}.{id}"),
                format!("cameras?cursor={id}.{value}"),
                format!("events?limit={value}"),
                format!("events?kind={value}"),
                format!("events?camera_id={value}"),
                format!("clips/{id}/playback?after={value}"),
                format!("cameras/{camera}/timeline?from={value}"),
                format!("cameras/{camera}/timeline?to={value}"),
            ] {
                let answer = alice.get(&path).await;
                assert!(answer.status < 500, "{path}: {}", answer.text);
            }
        }
        for (from, to) in times.iter().zip(times.iter().skip(1)) {
            let path = format!("cameras/{camera}/timeline?from={from}&to={to}");
            let answer = alice.get(&path).await;
            assert!(answer.status < 500, "{path}: {}", answer.text);
        }
    })
    .await;
}

/// Lists by pages of one, from the first to the last.
async fn page_by_page(person: &Person, list: &str, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = person.get(&format!("{list}?limit=1{cursor}")).await.body(200);
        let items = page["items"].as_array().unwrap();
        found.extend(items.iter().map(|item| item[id].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn damaged_rows_are_left_out_of_lists_and_counted() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let mut ids = Vec::new();
        for at in 1..=7 {
            let id = EventId::generate();
            device.report(relay, event(id, "started", at)).await;
            let clip = ClipId::generate();
            device.caller.post("agent/clips", announcement(clip, Some(id), at)).await.body(200);
            let path = format!("cameras/{}/commands", device.id());
            alice.post(&path, json!({"kind": "arm"})).await.body(202);
            ids.push(id);
        }
        let db = &relay.app().db;
        let damage = async |sql: &'static str, values: Vec<Cell>| {
            assert!(db.execute(sql, values).await.unwrap() > 0, "{sql}");
        };
        let of = |index: usize| vec![ids[index].into()];
        damage("update events set boxes = '[{\"x\":null}]' where event_id = $1", of(1)).await;
        damage("update events set kind = '' where event_id = $1", of(3)).await;
        damage("update events set peak_area_ppm = -1 where event_id = $1", of(4)).await;
        damage("update events set event_id = 'zzz' where event_id = $1", of(5)).await;
        damage("update clips set state = '?' where event_id = $1", of(2)).await;
        damage("update clips set duration_ms = -5 where event_id = $1", of(3)).await;
        damage(
            "update commands set arguments = '{' where command_id in
                 (select min(command_id) from commands)",
            Vec::new(),
        )
        .await;
        let left: Vec<String> =
            [6, 2, 0].iter().map(|index: &usize| ids[*index].to_string()).collect();
        assert_eq!(page_by_page(&alice, "events", "event_id").await, left);
        assert_eq!(page_by_page(&alice, "clips", "clip_id").await.len(), 5);
        let commands = format!("cameras/{}/commands", device.id());
        assert_eq!(page_by_page(&alice, &commands, "command_id").await.len(), 6);
        alice.get(&format!("events/{}", ids[1])).await.is_problem(404, "not_found");
        // Neither does one of its own stop the camera.
        damage("update cameras set health = '{', configuration = '{'", Vec::new()).await;
        lists_are_read(&alice, &device).await;
        let counted = relay.app().metrics.render();
        assert!(!counted.contains("nightjar_unreadable_rows_total 0"), "{counted}");
    })
    .await;
}

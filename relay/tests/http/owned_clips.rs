//! What people say of clips, what is kept, what each has seen, and how it is found again.

use nightjar_shared::ids::{CameraId, ClipId, EventId};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api_keys,
    clips::upload,
    device::{announcement, event},
    members::let_in,
    person::{Answer, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
};

fn ids(list: &Value, name: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

async fn asked(person: &Person, list: &str, query: &[(&str, &str)]) -> Answer {
    let escaped = |text: &str| -> String {
        text.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()).map(char::from).collect()
    };
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", escaped(value));
    let query: Vec<String> = query.iter().map(pair).collect();
    person.get(&format!("{list}?{}", query.join("&"))).await
}

/// What a list shows of a query whose values are written as they should be in addresses.
async fn found(person: &Person, list: &str, query: &[(&str, &str)]) -> Vec<String> {
    let name = if list == "clips" { "clip_id" } else { "event_id" };
    ids(&asked(person, list, query).await.body(200), name)
}

#[tokio::test]
async fn a_clip_has_a_title_a_note_and_tags_and_one_of_two_who_change_it_at_once_is_told() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = upload(&camera, None).await;
        let path = format!("clips/{clip_id}");
        let clip = alice.get(&path).await.body(200);
        assert_eq!((&clip["revision"], &clip["protected"]), (&json!(0), &json!(false)));
        assert_eq!((&clip["class"], &clip["seen"]), (&json!("continuous"), &json!(false)));
        let change = json!({"title": " Der Fuchs ", "note": "came\r\nat night", "revision": 0,
            "tags": ["Fuchs", "FUCHS", "\u{645}\u{631}\u{62d}\u{628}\u{627}"]});
        let clip = alice.patch(&path, change.clone()).await.body(200);
        assert_eq!(
            (&clip["title"], &clip["note"]),
            (&json!("Der Fuchs"), &json!("came\nat night"))
        );
        assert_eq!(clip["tags"], json!(["Fuchs", "\u{645}\u{631}\u{62d}\u{628}\u{627}"]));
        alice.patch(&path, change).await.is_problem(409, "changed_meanwhile");
        // What is absent stays.
        let clip = alice.patch(&path, json!({"note": ""})).await.body(200);
        assert_eq!((&clip["title"], clip.get("note")), (&json!("Der Fuchs"), None));
        let revision = &clip["revision"];
        let (one, other) = tokio::join!(
            alice.patch(&path, json!({"title": "one", "revision": revision})),
            alice.patch(&path, json!({"title": "other", "revision": revision})),
        );
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        // Who names no revision wins over nobody: different things are both there.
        let (one, other) = tokio::join!(
            alice.patch(&path, json!({"note": "both"})),
            alice.patch(&path, json!({"tags": ["both"]})),
        );
        assert_eq!((one.status, other.status), (200, 200), "{} {}", one.text, other.text);
        let clip = alice.get(&path).await.body(200);
        assert_eq!((&clip["note"], &clip["tags"]), (&json!("both"), &json!(["both"])));
    })
    .await;
}

#[tokio::test]
async fn odd_titles_notes_and_tags_are_refused_and_change_nothing() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let path = format!("clips/{}", upload(&camera, None).await);
        let many: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
        for (change, status, code) in [
            (json!({"title": "x".repeat(121)}), 422, "invalid_text"),
            (json!({"title": "two\nlines"}), 422, "invalid_text"),
            (json!({"title": "a\0b"}), 422, "invalid_text"),
            (json!({"note": "a\u{202e}b"}), 422, "invalid_text"),
            (json!({"note": "x".repeat(4_001)}), 422, "invalid_text"),
            (json!({"tags": ["a\0b"]}), 422, "invalid_tag"),
            (json!({"tags": ["\u{202e}gat"]}), 422, "invalid_tag"),
            (json!({"tags": [" "]}), 422, "invalid_tag"),
            (json!({"tags": ["x".repeat(41)]}), 422, "invalid_tag"),
            (json!({"tags": many[..21]}), 422, "invalid_tag"),
            (json!({"visibility": "world"}), 422, "invalid_visibility"),
            (json!({"title": "x".repeat(1_000_000)}), 413, "too_large"),
            (json!({"tags": many}), 413, "too_large"),
            (json!({"tags": "fox"}), 400, "invalid_json"),
            (json!({"protected": "yes"}), 400, "invalid_json"),
            (json!({"revision": -1}), 400, "invalid_json"),
        ] {
            let name = change.to_string().chars().take(60).collect::<String>();
            let answer = alice.patch(&path, change).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (status, Some(code)),
                "{name}"
            );
        }
        assert_eq!(alice.get(&path).await.body(200)["revision"], 0);
    })
    .await;
}

#[tokio::test]
async fn a_protected_clip_says_who_keeps_it_and_is_deleted_by_nobody() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (ines, vera) = (relay.person("ines").await, relay.person("vera").await);
        let camera = relay.camera_of(&alice).await;
        for (member, role) in [(&bob, "manager"), (&ines, "installer"), (&vera, "viewer")] {
            let_in(&alice, member, role).await;
        }
        let path = format!("clips/{}", upload(&camera, None).await);
        let keep = |is_kept: bool| json!({"protected": is_kept});
        vera.patch(&path, keep(true)).await.is_problem(403, "forbidden");
        let clip = alice.patch(&path, keep(true)).await.body(200);
        assert_eq!((&clip["protected"], &clip["protector_name"]), (&json!(true), &json!("alice")));
        assert!(clip["protected_at"].is_i64() && clip["protected_by"].is_string());
        alice.delete(&path).await.is_problem(409, "protected");
        // It stays whose it was, and a manager does not undo what an owner decided.
        let clip = bob.patch(&path, keep(true)).await.body(200);
        assert_eq!(clip["protector_name"], "alice");
        bob.patch(&path, keep(false)).await.is_problem(403, "forbidden");
        let of_camera = format!("cameras/{}", camera.id());
        ines.delete(&of_camera).await.is_problem(409, "protected");
        alice.patch(&path, keep(false)).await.body(200);
        bob.patch(&path, keep(true)).await.body(200);
        bob.patch(&path, keep(false)).await.body(200);
        // Of somebody who protects and somebody who deletes at once, one is told.
        let (kept, deleted) = tokio::join!(bob.patch(&path, keep(true)), alice.delete(&path));
        let outcome = (kept.status, deleted.status);
        assert!([(200, 409), (404, 204)].contains(&outcome), "{outcome:?}");
        let actions = alice.get(&format!("sites/{}/audit", alice.home().await)).await.body(200);
        let actions = actions["items"].to_string();
        assert!(actions.contains("clip_protected") && actions.contains("clip_unprotected"));
    })
    .await;
}

#[tokio::test]
async fn of_two_who_delete_a_clip_at_once_one_has_done_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let path = format!("clips/{}", upload(&camera, None).await);
        let share = alice.post(&format!("{path}/shares"), json!({})).await.body(201);
        let (one, other) = tokio::join!(alice.delete(&path), alice.delete(&path));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 404]);
        let opening = json!({"token": share["token"]});
        relay.stranger().post("shares/open", opening).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn everybody_has_seen_for_themselves_what_they_have_seen() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, vera) = (relay.person("alice").await, relay.person("vera").await);
        let camera = relay.camera_of(&alice).await;
        let_in(&alice, &vera, "viewer").await;
        let event_id = EventId::generate();
        let clip_id = upload(&camera, Some(event_id)).await;
        let mut began = event(event_id, "started", 1_000);
        began["clip_id"] = json!(clip_id);
        camera.report(relay, began).await;
        let unseen = async |person: &Person| {
            let query = [("unseen", "true")];
            let (clips, events) = (found(person, "clips", &query), found(person, "events", &query));
            (clips.await.len(), events.await.len())
        };
        assert_eq!(unseen(&alice).await, (1, 1));
        // Its clip stands for the event.
        alice.post(&format!("clips/{clip_id}/seen"), json!({})).await.body(204);
        alice.post(&format!("clips/{clip_id}/seen"), json!({})).await.body(204);
        assert_eq!((unseen(&alice).await, unseen(&vera).await), ((0, 0), (1, 1)));
        assert_eq!(alice.get(&format!("events/{event_id}")).await.body(200)["seen"], true);
        assert_eq!(vera.get(&format!("events/{event_id}")).await.body(200)["seen"], false);
        alice.delete(&format!("events/{event_id}/seen")).await.body(204);
        assert_eq!(unseen(&alice).await, (1, 1));
        alice.post(&format!("events/{event_id}/seen"), json!({})).await.body(204);
        assert_eq!(unseen(&alice).await, (1, 0));
        alice.delete(&format!("clips/{clip_id}")).await.body(204);
        assert_eq!(unseen(&alice).await, (0, 0));
    })
    .await;
}

#[tokio::test]
async fn clips_and_events_are_found_by_what_is_said_of_them() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let other = relay.camera_of(&alice).await;
        let porch = json!({"name": "Hintert\u{fc}r"});
        alice.patch(&format!("cameras/{}", other.id()), porch).await.body(200);
        let event_id = EventId::generate();
        let clip_id = upload(&camera, Some(event_id)).await.to_string();
        let mut began = event(event_id, "started", 1_000);
        began["clip_id"] = json!(clip_id);
        camera.report(relay, began).await;
        let plain = upload(&other, None).await.to_string();
        let change = json!({"title": "50% FUCHS_bau", "note": "r\u{e9}sum\u{e9} C:\\x",
            "tags": ["Stra\u{df}e"], "protected": true});
        alice.patch(&format!("clips/{clip_id}"), change).await.body(200);

        let clips = async |query: &[(&str, &str)]| found(&alice, "clips", query).await;
        let one = vec![clip_id.clone()];
        for search in ["fuchs", "FUCHS re\u{301}sume\u{301}", "%", "_", "\\", "0% f", "stra\u{df}e"]
        {
            assert_eq!(clips(&[("search", search)]).await, one, "{search}");
        }
        for search in ["%%", "_x", "fuchs hund", "' or 1=1 --", "a%b", "\\\\"] {
            assert_eq!(clips(&[("search", search)]).await, Vec::<String>::new(), "{search}");
        }
        // By its camera's name, and together with what is said.
        assert_eq!(clips(&[("search", "HINTERT\u{dc}R")]).await, vec![plain.clone()]);
        assert_eq!(clips(&[("search", "front fuchs")]).await, one);
        assert_eq!(clips(&[("search", " ")]).await.len(), 2);
        assert_eq!(clips(&[("tag", "STRA\u{df}E")]).await, one);
        assert_eq!(clips(&[("tag", "stra")]).await, Vec::<String>::new());
        assert_eq!(clips(&[("protected", "true")]).await, one);
        assert_eq!(clips(&[("protected", "false")]).await, vec![plain.clone()]);
        assert_eq!(clips(&[("class", "motion")]).await, one);
        let both = format!("{},{}", camera.id(), other.id());
        assert_eq!(clips(&[("camera_id", &both)]).await.len(), 2);
        assert_eq!(clips(&[("camera_id", &other.id().to_string())]).await, [plain]);
        let events = async |query: &[(&str, &str)]| found(&alice, "events", query).await;
        let its = vec![event_id.to_string()];
        let queries: [&[(&str, &str)]; 5] = [
            &[("search", "fuchs")],
            &[("tag", "stra\u{df}e")],
            &[("protected", "true")],
            &[("triggered_by", "motion")],
            &[("day", "1970-01-01")],
        ];
        for query in queries {
            assert_eq!(events(query).await, its, "{query:?}");
        }
        let queries: [&[(&str, &str)]; 3] =
            [&[("triggered_by", "key")], &[("label", "person")], &[("day", "1970-01-02")]];
        for query in queries {
            assert_eq!(events(query).await, Vec::<String>::new(), "{query:?}");
        }
        // A stranger finds nothing, whatever is named; and a private clip lends its event no words.
        assert_eq!(found(&bob, "clips", &[("camera_id", &both)]).await, Vec::<String>::new());
        let hide = json!({"visibility": "private"});
        alice.patch(&format!("clips/{clip_id}"), hide).await.body(200);
        assert_eq!(events(&[("search", "fuchs")]).await, Vec::<String>::new());
        assert_eq!(clips(&[("search", "fuchs")]).await, one);
    })
    .await;
}

#[tokio::test]
async fn odd_questions_are_refused() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        relay.camera_of(&alice).await;
        let long = "x".repeat(101);
        let many: Vec<String> = (0..17).map(|_| CameraId::generate().to_string()).collect();
        let many = many.join(",");
        for (name, value) in [
            ("search", "a\0b"),
            ("search", "a\u{202e}b"),
            ("search", &long),
            ("tag", "a\0b"),
            ("label", "a\0b"),
            ("day", "2026-02-30"),
            ("day", "yesterday"),
            ("day", "9999-12-31"),
            ("camera_id", "x,y"),
            ("camera_id", &many),
            ("protected", "perhaps"),
            ("unseen", "2"),
            ("triggered_by", "magic"),
            ("class", "magic"),
        ] {
            for list in ["clips", "events"] {
                let answer = asked(&alice, list, &[(name, value)]).await;
                assert_eq!(answer.status, 400, "{list} {name}={value:?}: {}", answer.text);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_day_is_one_by_the_clock_of_its_site() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let home = alice.home().await;
        let berlin = json!({"time_zone": "Europe/Berlin"});
        alice.patch(&format!("sites/{home}"), berlin).await.body(200);
        let camera = relay.camera_of(&alice).await;
        // Around the nights in which clocks change: 22:59:59.999, 23:00 and 21:59:59.999, 22:00 UTC.
        let times = [
            (1_774_738_799_999_i64, "2026-03-28"),
            (1_774_738_800_000, "2026-03-29"),
            (1_774_821_599_999, "2026-03-29"),
            (1_774_821_600_000, "2026-03-30"),
            (1_792_879_199_999, "2026-10-24"),
            (1_792_879_200_000, "2026-10-25"),
            (1_792_969_199_999, "2026-10-25"),
            (1_792_969_200_000, "2026-10-26"),
        ];
        let mut expected = Vec::new();
        for (at, day) in times {
            let event_id = EventId::generate();
            camera.report(relay, event(event_id, "started", at)).await;
            expected.push((day, event_id.to_string()));
        }
        for (day, event_id) in &expected {
            let camera_id = camera.id().to_string();
            let queries: [&[(&str, &str)]; 3] = [
                &[("day", day)],
                &[("day", day), ("site_id", &home)],
                &[("day", day), ("camera_id", &camera_id)],
            ];
            for query in queries {
                let shown = found(&alice, "events", query).await;
                assert!(shown.contains(event_id), "{query:?}");
                let of_day = expected.iter().filter(|(other, _)| other == day).count();
                assert_eq!(shown.len(), of_day, "{query:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn pages_of_several_sites_are_one_list_and_go_on_where_they_ended() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let cameras = [relay.camera_of(&alice).await, relay.camera_of(&bob).await];
        let_in(&bob, &alice, "viewer").await;
        let mut expected = Vec::new();
        for number in 0..9_i64 {
            let event_id = EventId::generate();
            // Some at the same time.
            let began = event(event_id, "started", 1_000 * (number / 3));
            cameras[usize::try_from(number).unwrap() % 2].report(relay, began).await;
            expected.push((number / 3, event_id.to_string()));
        }
        expected.sort();
        expected.reverse();
        let mut shown = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = alice.get(&format!("events?limit=2{cursor}")).await.body(200);
            shown.extend(ids(&page, "event_id"));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(shown, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn players_report_what_they_have_played_and_no_more_than_the_time_that_passed() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, vera) = (relay.person("alice").await, relay.person("vera").await);
        let camera = relay.camera_of(&alice).await;
        let_in(&alice, &vera, "viewer").await;
        let clip_id = upload(&camera, None).await;
        let path = format!("clips/{clip_id}/views");
        let view = |id: &str, watched_ms: u64| json!({"view_id": id, "watched_ms": watched_ms});
        let (one, other) =
            ("0190a3b2-7c11-7def-8000-0123456789ab", "0190a3b2-7c11-7def-8000-0123456789ac");
        alice.post(&path, view(one, 5_000)).await.body(204);
        relay.pass(std::time::Duration::from_secs(10));
        alice.post(&path, view(one, 14_000)).await.body(204);
        // Late, and far too much.
        alice.post(&path, view(one, 9_000)).await.body(204);
        vera.post(&path, view(one, u64::from(u32::MAX))).await.body(204);
        alice.post(&path, view(other, 0)).await.body(204);
        alice.post(&path, view("x", 1)).await.is_problem(422, "invalid_arguments");
        let stats = vera.get(&format!("clips/{clip_id}/stats")).await.body(200);
        assert_eq!(stats["views"], 3);
        let watched_ms = stats["watched_ms"].as_u64().unwrap();
        assert!((14_000 + 60_000..=14_000 + 60_000 + 30_000).contains(&watched_ms), "{stats}");
        let of_camera = format!("cameras/{}/stats", camera.id());
        let stats = alice.get(&of_camera).await.body(200);
        assert_eq!((&stats["views"], &stats["clips"]), (&json!(3), &json!(1)));
        assert_eq!(stats["days"].as_array().unwrap().len(), 1);
        // What was watched stays when the clip goes.
        alice.delete(&format!("clips/{clip_id}")).await.body(204);
        let stats = alice.get(&format!("{of_camera}?days=1")).await.body(200);
        assert_eq!((&stats["views"], &stats["clips"]), (&json!(3), &json!(0)));
        for days in ["0", "401", "-1"] {
            alice.get(&format!("{of_camera}?days={days}")).await.is_problem(400, "invalid_query");
        }
    })
    .await;
}

#[tokio::test]
async fn who_opens_a_clip_again_and_again_is_not_counted_without_end() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let clip_id = upload(&camera, None).await;
        relay.stand_still();
        let path = format!("clips/{clip_id}/views");
        let report = async |number: u32| {
            let view_id = format!("0190a3b2-7c11-7def-8000-{number:012x}");
            alice.post(&path, json!({"view_id": view_id, "watched_ms": 60_000})).await
        };
        for number in 0..60 {
            report(number).await.body(204);
        }
        report(60).await.is_problem(429, "rate_limited");
        // A player that is known goes on.
        report(0).await.body(204);
        let stats = alice.get(&format!("clips/{clip_id}/stats")).await.body(200);
        assert_eq!(stats["views"], 60);
    })
    .await;
}

#[tokio::test]
async fn a_program_tells_of_the_doorbell_and_the_camera_records_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let mut camera = device.connect(relay).await;
        let key = json!({"name": "Home Assistant", "rights": ["report"]});
        let (program, _) = api_keys::make(&alice, key).await;
        let path = format!("cameras/{}/events", device.id());
        let told =
            json!({"kind": "doorbell", "label": "visitor", "text": "Es klingelt", "record": true});
        let opened = program.post(&path, told).await.body(201);
        let command = camera.command().await;
        assert_eq!(command.kind, "record_start");
        assert_eq!(opened["command_id"], json!(command.command_id));
        let clip_id = ClipId::generate();
        device.caller.post("agent/clips", announcement(clip_id, None, 1_000)).await.body(200);
        let ack = json!({"command_id": command.command_id, "outcome": "acked",
            "result": {"clip_id": clip_id}});
        camera.say(nightjar_shared::topic::Channel::UpAck, &ack).await;
        let event_path = format!("events/{}", opened["event_id"].as_str().unwrap());
        let shown = crate::relay::eventually(
            async || alice.get(&event_path).await.body(200),
            |event| event["clip_id"] == json!(clip_id),
        )
        .await;
        assert_eq!((&shown["kind"], &shown["label"]), (&json!("doorbell"), &json!("visitor")));
        assert_eq!(shown["text"], "Es klingelt");
        assert_eq!(shown["triggered_by"], "key");
        assert_eq!(shown["trigger_name"], "Home Assistant");
        let mut manual = event(EventId::generate(), "started", 2_000);
        (manual["kind"], manual["clip_id"]) = (json!("manual"), json!(clip_id));
        camera.say(nightjar_shared::topic::Channel::UpEvent, &manual).await;
        let by_key = async || found(&alice, "events", &[("triggered_by", "key")]).await;
        crate::relay::eventually(by_key, |events| events.len() == 2).await;
        assert_eq!(found(&alice, "events", &[("label", "visitor")]).await.len(), 1);
        assert_eq!(found(&alice, "events", &[("search", "klingelt")]).await.len(), 1);
        assert_eq!(found(&alice, "clips", &[("label", "visitor")]).await, [clip_id.to_string()]);
        // The key does nothing else, and knows of no camera.
        program.get(&format!("cameras/{}", device.id())).await.is_problem(404, "not_found");
        program.get(&event_path).await.is_problem(404, "not_found");
        let order = json!({"kind": "arm"});
        let commands = format!("cameras/{}/commands", device.id());
        program.post(&commands, order).await.is_problem(404, "not_found");
        // What was opened here is deleted here; what a camera told of is not.
        alice.delete(&event_path).await.body(204);
        let manual = format!("events/{}", manual["event_id"].as_str().unwrap());
        alice.delete(&manual).await.is_problem(409, "by_camera");
    })
    .await;
}

#[tokio::test]
async fn the_same_request_again_opens_nothing_more() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let key = json!({"name": "bell", "rights": ["report"]});
        let (program, _) = api_keys::make(&alice, key).await;
        let path = format!("cameras/{}/events", camera.id());
        let tell = async |key: &str, text: &str| {
            let body = json!({"kind": "sensor", "text": text});
            let request = program.request(Method::POST, &path).header("idempotency-key", key);
            Answer::of(request.json(&body)).await
        };
        let (one, other) = tokio::join!(tell("a", "x"), tell("a", "x"));
        let first = one.body(201);
        assert_eq!(first, other.body(201));
        assert_eq!(first, tell("a", "x").await.body(201));
        tell("a", "y").await.is_problem(409, "changed_meanwhile");
        tell("b", "x").await.body(201);
        tell(&"k".repeat(201), "x").await.is_problem(400, "invalid_text");
        assert_eq!(found(&alice, "events", &[]).await.len(), 2);
        // Somebody else's key of the same name is another one.
        let request = alice.request(Method::POST, &path).header("idempotency-key", "a");
        let body = json!({"kind": "sensor", "text": "x"});
        assert_ne!(Answer::of(request.json(&body)).await.body(201), first);
    })
    .await;
}

#[tokio::test]
async fn what_programs_tell_is_bounded() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let path = format!("cameras/{}/events", camera.id());
        let now = relay.app().now().0;
        for (body, status, code) in [
            (json!({"kind": "motion"}), 422, "unknown_kind"),
            (json!({"kind": "bookmark"}), 422, "unknown_kind"),
            (json!({"kind": "earthquake"}), 422, "unknown_kind"),
            (json!({"kind": "sensor", "label": "x".repeat(41)}), 422, "invalid_text"),
            (json!({"kind": "sensor", "label": "a\nb"}), 422, "invalid_text"),
            (json!({"kind": "sensor", "text": "a\0b"}), 422, "invalid_text"),
            (json!({"kind": "sensor", "text": "x".repeat(501)}), 422, "invalid_text"),
            (json!({"kind": "sensor", "at": 0}), 422, "invalid_time"),
            (json!({"kind": "sensor", "at": now + 120_000}), 422, "invalid_time"),
            (json!({"kind": "sensor", "at": i64::MIN}), 422, "invalid_time"),
        ] {
            let answer = alice.post(&path, body.clone()).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (status, Some(code)),
                "{body}"
            );
        }
        bob.post(&path, json!({"kind": "sensor"})).await.is_problem(404, "not_found");
        // One key that rings without end does not keep another from ringing.
        let key = |name: &str| json!({"name": name, "rights": ["report"]});
        let (broken, _) = api_keys::make(&alice, key("broken")).await;
        let (other, _) = api_keys::make(&alice, key("other")).await;
        let mut refused = false;
        for _ in 0..70 {
            let answer = broken.post(&path, json!({"kind": "doorbell"})).await;
            refused = answer.status == 429;
        }
        assert!(refused);
        other.post(&path, json!({"kind": "doorbell"})).await.body(201);
    })
    .await;
}

#[tokio::test]
async fn a_bookmark_marks_a_moment_and_shows_the_footage_of_it() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, vera) = (relay.person("alice").await, relay.person("vera").await);
        let camera = relay.camera_of(&alice).await;
        let_in(&alice, &vera, "viewer").await;
        let now = relay.app().now().0;
        let clip_id = ClipId::generate();
        let announced = announcement(clip_id, None, now - 60_000);
        camera.caller.post("agent/clips", announced).await.body(200);
        let path = format!("cameras/{}/bookmarks", camera.id());
        let mark = json!({"at": now - 30_000, "text": "the fox"});
        let marked = vera.post(&path, mark).await.body(201);
        assert_eq!(marked["clip_id"], json!(clip_id));
        vera.post(&path, json!({"record": true})).await.is_problem(403, "forbidden");
        let before = vera.post(&path, json!({"at": now - 120_000})).await.body(201);
        assert!(before.get("clip_id").is_none());
        vera.post(&path, json!({"at": now - 91 * 86_400_000}))
            .await
            .is_problem(422, "invalid_time");
        let id = marked["event_id"].as_str().unwrap();
        let event = alice.get(&format!("events/{id}")).await.body(200);
        assert_eq!((&event["kind"], &event["text"]), (&json!("bookmark"), &json!("the fox")));
        assert_eq!(
            (&event["triggered_by"], &event["trigger_name"]),
            (&json!("person"), &json!("vera"))
        );
        let span = format!("from={}&to={}", now - 100_000, now);
        let timeline =
            alice.get(&format!("cameras/{}/timeline?{span}", camera.id())).await.body(200);
        assert_eq!(timeline["marks"][0]["event_id"], id);
        assert_eq!(timeline["marks"].as_array().unwrap().len(), 1);
        // No camera marks anything, and each deletes their own.
        let mut forged = event_of_kind("bookmark");
        forged["event_id"] = json!(EventId::generate());
        let channel = nightjar_shared::topic::Channel::UpEvent;
        assert_eq!(camera.say(relay, channel, &forged).await, "unknown_kind");
        vera.delete(&format!("events/{id}")).await.body(204);
    })
    .await;
}

fn event_of_kind(kind: &str) -> Value {
    let mut event = event(EventId::generate(), "started", 1_000);
    event["kind"] = json!(kind);
    event
}

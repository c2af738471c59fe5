//! Clips that arrive part by part while they are recorded.

use std::time::Duration;

use nightjar_shared::{
    api::{ManifestPart, PartKind, manifest},
    ids::{ClipId, EventId},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    clips::{fetch, permit, put},
    device::{Device, announcement, event, part},
    person::Person,
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

const INIT: &[u8] = b"ftyp and moov";
const PICTURE: &[u8] = b"not really a JPEG";

pub(crate) fn footage(index: u32) -> Vec<u8> {
    format!("moof and mdat of segment {index}").into_bytes()
}

fn segment(index: u32) -> Value {
    let mut part = part(index, "segment", &footage(index));
    part["duration_ms"] = json!(2_000);
    part
}

/// The completion of a clip with init, no thumbnail and segments up to `last`.
fn completion(last: u32) -> Value {
    let indexes: Vec<u32> = std::iter::once(0).chain(2..=last).collect();
    let contents: Vec<(u32, Vec<u8>)> = indexes
        .iter()
        .map(|index| (*index, if *index == 0 { INIT.to_vec() } else { footage(*index) }))
        .collect();
    let digests: Vec<String> =
        contents.iter().map(|(_, content)| hex::encode(Sha256::digest(content))).collect();
    let manifest =
        manifest(contents.iter().zip(&digests).map(|((index, content), sha256)| ManifestPart {
            index: *index,
            kind: if *index == 0 { PartKind::Init } else { PartKind::Segment },
            length: content.len() as u64,
            duration_ms: (*index > 0).then_some(2_000),
            sha256,
        }));
    let duration_ms = 2_000 * (indexes.len() as u64 - 1);
    json!({
        "parts": indexes, "ended_at": 1_000 + duration_ms, "duration_ms": duration_ms,
        "manifest_sha256": hex::encode(Sha256::digest(manifest)),
    })
}

/// A clip that is being recorded.
pub(crate) struct Growing<'a> {
    camera: &'a Device,
    pub(crate) clip_id: ClipId,
    event_id: EventId,
}

impl<'a> Growing<'a> {
    pub(crate) async fn begin(camera: &'a Device) -> Self {
        let growing = Self { camera, clip_id: ClipId::generate(), event_id: EventId::generate() };
        growing.announce(true).await;
        growing
    }

    async fn announce(&self, recording: bool) -> Value {
        let mut body = announcement(self.clip_id, Some(self.event_id), 1_000);
        body["recording"] = json!(recording);
        self.camera.caller.post("agent/clips", body).await.body(200)
    }

    /// Puts parts into the store, and says so where `confirmed`.
    async fn send(&self, parts: &[(Value, Vec<u8>)], confirmed: bool) {
        let asked = parts.iter().map(|(part, _)| part.clone()).collect();
        let permitted = permit(self.camera, self.clip_id, Value::Array(asked)).await;
        for ((_, content), permitted) in parts.iter().zip(permitted.as_array().unwrap()) {
            assert_eq!(put(self.camera, permitted, content).await, 200);
        }
        if confirmed {
            let indexes: Vec<&Value> = parts.iter().map(|(part, _)| &part["index"]).collect();
            let answer = self.confirm(&json!(indexes)).await;
            assert_eq!(answer["stored"], json!(indexes));
        }
    }

    async fn confirm(&self, indexes: &Value) -> Value {
        let path = format!("agent/clips/{}/stored", self.clip_id);
        self.camera.caller.post(&path, json!({"parts": indexes})).await.body(200)
    }

    pub(crate) async fn send_head(&self) {
        self.send(&[(part(0, "init", INIT), INIT.to_vec())], true).await;
    }

    pub(crate) async fn send_segment(&self, index: u32) {
        self.send(&[(segment(index), footage(index))], true).await;
    }

    pub(crate) async fn complete(&self, last: u32) -> crate::person::Answer {
        let path = format!("agent/clips/{}/complete", self.clip_id);
        self.camera.caller.post(&path, completion(last)).await
    }

    async fn seen_by(&self, person: &Person) -> Value {
        person.get(&format!("clips/{}", self.clip_id)).await.body(200)
    }

    async fn playback(&self, person: &Person) -> Value {
        person.get(&format!("clips/{}/playback", self.clip_id)).await.body(200)
    }
}

pub(crate) fn indexes(playback: &Value) -> Vec<u64> {
    let parts = playback["parts"].as_array().unwrap();
    parts.iter().map(|part| part["index"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_clip_is_watched_while_it_grows() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let growing = Growing::begin(&camera).await;
        assert_eq!(growing.seen_by(&alice).await["state"], "recording");
        let path = format!("clips/{}/playback", growing.clip_id);
        alice.get(&path).await.is_problem(409, "not_ready");
        growing.send_head().await;
        growing.send_segment(2).await;
        let clip = growing.seen_by(&alice).await;
        assert_eq!((&clip["state"], &clip["duration_ms"]), (&json!("recording"), &json!(2_000)));
        growing.send_segment(3).await;
        let playback = growing.playback(&alice).await;
        assert_eq!((indexes(&playback), &playback["ended"]), (vec![0, 2, 3], &json!(false)));
        assert_eq!(fetch(&alice, &playback["parts"][2]["url"]).await, (200, footage(3)));
        let newer = alice.get(&format!("{path}?after=2")).await.body(200);
        assert_eq!(indexes(&newer), [3]);
        let playlist = alice.get(&format!("{path}.m3u8")).await;
        assert_eq!(playlist.headers["content-type"], "application/vnd.apple.mpegurl");

        let clip = growing.complete(3).await.body(200);
        assert_eq!((&clip["state"], &clip["truncated"]), (&json!("ready"), &json!(false)));
        assert_eq!(clip["duration_ms"], 4_000);
        assert_eq!(growing.playback(&alice).await["ended"], true);
    })
    .await;
}

#[tokio::test]
async fn an_event_has_its_picture_while_it_lasts() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let growing = Growing::begin(&camera).await;
        let mut message = event(growing.event_id, "started", 1_000);
        message["clip_id"] = json!(growing.clip_id);
        camera.report(relay, message).await;
        growing.send(&[(part(1, "thumbnail", PICTURE), PICTURE.to_vec())], true).await;
        let seen = alice.get(&format!("events/{}", growing.event_id)).await.body(200);
        assert_eq!(seen["state"], "started");
        assert_eq!(fetch(&alice, &seen["thumbnail_url"]).await, (200, PICTURE.to_vec()));
    })
    .await;
}

#[tokio::test]
async fn a_part_counts_only_when_the_store_has_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let growing = Growing::begin(&camera).await;
        growing.send_head().await;
        permit(&camera, growing.clip_id, json!([segment(2)])).await;
        let answer = growing.confirm(&json!([0, 2, 7])).await;
        assert_eq!(answer, json!({"stored": [0], "missing": [2, 7]}));
        let early = growing.complete(2).await;
        early.is_problem(409, "part_missing");
    })
    .await;
}

#[tokio::test]
async fn a_clip_is_complete_only_as_its_camera_means_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let growing = Growing::begin(&camera).await;
        growing.send_head().await;
        growing.send_segment(2).await;
        let path = format!("agent/clips/{}/complete", growing.clip_id);
        let mut other = completion(2);
        other["manifest_sha256"] = json!("00".repeat(32));
        camera.caller.post(&path, other).await.is_problem(409, "manifest_mismatch");
        // Segment 3 is missing.
        growing.send_segment(4).await;
        let mut gap = completion(2);
        gap["parts"] = json!([0, 2, 4]);
        camera.caller.post(&path, gap).await.is_problem(409, "part_missing");
        growing.complete(2).await.body(200);
        // What the camera did not name is no part of it.
        assert_eq!(indexes(&growing.playback(&alice).await), [0, 2]);
        growing.complete(2).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_smashed_camera_leaves_what_arrived_and_may_come_back() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let growing = Growing::begin(&camera).await;
        growing.send_head().await;
        growing.send_segment(2).await;
        // Cut off between sending a part and saying so.
        growing.send(&[(segment(3), footage(3))], false).await;
        relay.pass(Duration::from_mins(2));
        let clip =
            eventually(async || growing.seen_by(&alice).await, |clip| clip["state"] == "ready")
                .await;
        assert_eq!((&clip["truncated"], &clip["duration_ms"]), (&json!(true), &json!(4_000)));
        assert_eq!(clip["ended_at"], 5_000);
        let playback = growing.playback(&alice).await;
        assert_eq!((indexes(&playback), &playback["ended"]), (vec![0, 2, 3], &json!(true)));

        let announced = growing.announce(false).await;
        assert_eq!(announced["state"], "announced");
        assert_eq!(indexes(&growing.playback(&alice).await), [0, 2, 3], "it plays all the while");
        let asked = json!([segment(2), segment(3), segment(4)]);
        let permitted = permit(&camera, growing.clip_id, asked).await;
        let stored: Vec<&Value> =
            permitted.as_array().unwrap().iter().map(|part| &part["stored"]).collect();
        assert_eq!(stored, [true, true, false], "nothing is sent twice");
        growing.send_segment(4).await;
        let clip = growing.complete(4).await.body(200);
        assert_eq!((&clip["state"], &clip["truncated"]), (&json!("ready"), &json!(false)));
        assert_eq!(clip["duration_ms"], 6_000);
    })
    .await;
}

#[tokio::test]
async fn a_camera_that_is_there_gets_more_time() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let _online = camera.connect(relay).await;
        let slow = Growing::begin(&camera).await;
        slow.send_head().await;
        slow.send_segment(2).await;
        let away = relay.camera_of(&alice).await;
        let gone = Growing::begin(&away).await;
        gone.send_head().await;
        gone.send_segment(2).await;
        relay.pass(Duration::from_mins(3));
        eventually(async || gone.seen_by(&alice).await, |clip| clip["state"] == "ready").await;
        assert_eq!(slow.seen_by(&alice).await["state"], "recording");
    })
    .await;
}

#[tokio::test]
async fn what_never_arrives_is_given_up_after_a_day_but_for_its_picture() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut camera = relay.camera_of(&alice).await;
        let growing = Growing::begin(&camera).await;
        // Segments without an initialisation segment.
        growing.send_segment(2).await;
        growing.send(&[(part(1, "thumbnail", PICTURE), PICTURE.to_vec())], true).await;
        relay.pass(Duration::from_hours(25));
        let clip =
            eventually(async || growing.seen_by(&alice).await, |clip| clip["state"] == "failed")
                .await;
        assert_eq!(clip["length"], PICTURE.len());
        assert_eq!(fetch(&alice, &clip["thumbnail_url"]).await.0, 200);

        // The camera was only away.
        let Growing { clip_id, event_id, .. } = growing;
        camera.get_token().await;
        let back = Growing { camera: &camera, clip_id, event_id };
        assert_eq!(back.announce(false).await["state"], "announced");
        back.send_head().await;
        back.send_segment(2).await;
        back.complete(2).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn footage_that_is_lost_later_leaves_what_arrived() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let growing = Growing::begin(&camera).await;
        growing.send_head().await;
        growing.send_segment(2).await;
        let failed = format!("agent/clips/{}/failed", growing.clip_id);
        for _ in 0..2 {
            let reason = json!({"reason": "the file was deleted"});
            camera.caller.post(&failed, reason).await.body(204);
        }
        let clip = growing.seen_by(&alice).await;
        assert_eq!((&clip["state"], &clip["truncated"]), (&json!("ready"), &json!(true)));
        assert_eq!(indexes(&growing.playback(&alice).await), [0, 2]);
        // What the network kept back.
        for recording in [true, false] {
            let clip = growing.announce(recording).await;
            assert_eq!((&clip["state"], &clip["truncated"]), (&json!("ready"), &json!(true)));
        }
    })
    .await;
}

/// What a camera says of one event and its clip, in the order in which it happens.
#[derive(Debug, Clone, Copy)]
enum Word {
    Started,
    Ended,
    Announced,
    Confirmed,
    Head,
    Footage,
}

#[tokio::test]
async fn messages_that_come_twice_late_and_in_any_order_end_in_the_same_state() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut random = 0x0005_eed0_u64;
        let mut below = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            usize::try_from(random >> 33).unwrap() % bound
        };
        for round in 0..60 {
            let clip = Growing {
                camera: &camera,
                clip_id: ClipId::generate(),
                event_id: EventId::generate(),
            };
            let mut words = vec![
                Word::Started,
                Word::Ended,
                Word::Announced,
                Word::Confirmed,
                Word::Head,
                Word::Footage,
            ];
            // Some are delivered twice.
            for _ in 0..below(5) {
                words.push(words[below(6)]);
            }
            for last in (1..words.len()).rev() {
                words.swap(last, below(last + 1));
            }
            clip.announce(below(2) == 0).await;
            for word in &words {
                say(relay, &clip, *word).await;
            }
            clip.complete(2).await.body(200);
            // And once more after the end.
            say(relay, &clip, words[0]).await;

            let seen = clip.seen_by(&alice).await;
            assert_eq!(
                (&seen["state"], &seen["truncated"]),
                (&json!("ready"), &json!(false)),
                "round {round}: {words:?}"
            );
            assert_eq!(seen["duration_ms"], 2_000, "round {round}: {words:?}");
            let event = alice.get(&format!("events/{}", clip.event_id)).await.body(200);
            assert_eq!(
                (&event["state"], &event["started_at"], &event["ended_at"]),
                (&json!("ended"), &json!(1_000), &json!(9_000)),
                "round {round}: {words:?}"
            );
            assert_eq!(event["clip_id"], json!(clip.clip_id));
        }
        let clips = alice.get("clips?limit=200").await.body(200);
        assert_eq!(clips["items"].as_array().unwrap().len(), 60, "none is there twice");
    })
    .await;
}

async fn say(relay: &TestRelay, clip: &Growing<'_>, word: Word) {
    let tell = async |state: &str, at: i64| {
        let mut message = event(clip.event_id, state, at);
        message["clip_id"] = json!(clip.clip_id);
        clip.camera.report(relay, message).await;
    };
    let send = async |part: Value, content: Vec<u8>| {
        let permitted = permit(clip.camera, clip.clip_id, json!([part.clone()])).await;
        if permitted[0]["stored"] == false {
            assert_eq!(put(clip.camera, &permitted[0], &content).await, 200);
        }
        clip.confirm(&json!([part["index"]])).await;
    };
    match word {
        Word::Started => tell("started", 1_000).await,
        Word::Ended => tell("ended", 9_000).await,
        Word::Announced => drop(clip.announce(false).await),
        Word::Confirmed => drop(clip.confirm(&json!([0, 2])).await),
        Word::Head => send(part(0, "init", INIT), INIT.to_vec()).await,
        Word::Footage => send(segment(2), footage(2)).await,
    }
}

//! How much of a camera one viewer may take, and what ends a session that nobody ends.

use std::time::Duration;

use nightjar_shared::{
    ids::SessionId,
    signal::{SessionStatistics, Signal, SignalKind},
};
use reqwest::Method;
use serde_json::json;

use crate::{
    live::{ANSWER, OFFER, answer, online, watch},
    live_socket::{hear, say},
    person::{Answer, Person},
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
    ws::with_ticket,
};

const FRAGMENT: &str = "a=ice-ufrag:efgh\r\na=ice-pwd:1123456789012345678901\r\na=mid:0\r\n";

/// What a camera says of a viewer that is connected.
pub(crate) fn report(session_id: SessionId) -> Signal {
    let statistics = json!({"bitrate_bps": 1_000_000, "fps": 15.0});
    let statistics: SessionStatistics = serde_json::from_value(statistics).unwrap();
    Signal { statistics: Some(statistics), ..Signal::new(session_id, SignalKind::Report) }
}

async fn restart(person: &Person, location: &str) -> Answer {
    let request = person
        .request(Method::PATCH, location)
        .header("content-type", "application/trickle-ice-sdpfrag")
        .header("if-match", "*");
    Answer::of(request.body(FRAGMENT)).await
}

async fn trickle(person: &Person, location: &str, etag: &str) -> Answer {
    let fragment = "a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n";
    let request = person
        .request(Method::PATCH, location)
        .header("content-type", "application/trickle-ice-sdpfrag")
        .header("if-match", etag);
    Answer::of(request.body(fragment)).await
}

#[tokio::test]
async fn who_only_asks_takes_four_places_and_who_watches_takes_more() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let mut offers = Vec::new();
        for _ in 0..4 {
            let (opened, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
            assert_eq!(opened.status, 201);
            offers.push(offer);
        }
        watch(&alice, &device, OFFER).await.is_problem(503, "busy");
        let mut socket = with_ticket(&alice).await;
        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        assert_eq!(hear(&mut socket, "refused").await["code"], "busy");
        // Another of her cameras is another matter.
        let (other, mut others) = online(relay, &alice).await;
        let (opened, _) = tokio::join!(watch(&alice, &other, OFFER), answer(&mut others));
        assert_eq!(opened.status, 201);

        camera.signal(&report(offers[0].session_id)).await;
        let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        assert_eq!(opened.status, 201);
    })
    .await;
}

#[tokio::test]
async fn too_many_questions_and_too_many_candidates_are_told_when_to_come_back() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let text = |name: &str| opened.headers[name].to_str().unwrap().to_owned();
        let (location, etag) = (text("location"), text("etag"));
        let mut passed = 0;
        let refused = loop {
            let answer = trickle(&alice, &location, &etag).await;
            if answer.status != 204 {
                break answer;
            }
            assert_eq!(camera.heard_signal().await.kind, SignalKind::Candidate);
            passed += 1;
            assert!(passed < 10_000, "no limit");
        };
        refused.is_problem(429, "rate_limited");
        assert!(passed >= 200, "{passed}");
        assert!(refused.headers.contains_key("retry-after"));

        // Asking for ICE servers counts like asking for the picture.
        let whep = format!("cameras/{}/whep", device.id());
        let mut passed = 0;
        let refused = loop {
            let answer = Answer::of(alice.request(Method::OPTIONS, &whep)).await;
            if answer.status != 204 {
                break answer;
            }
            passed += 1;
            assert!(passed < 10_000, "no limit");
        };
        refused.is_problem(429, "rate_limited");
        assert!(passed >= 50, "{passed}");
        assert!(refused.headers.contains_key("retry-after"));
        // Another account has questions of its own.
        let bob = relay.person("bob").await;
        let (his, mut others) = online(relay, &bob).await;
        let (opened, _) = tokio::join!(watch(&bob, &his, OFFER), answer(&mut others));
        assert_eq!(opened.status, 201);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_comes_too_late_for_a_restart_ends_no_session() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (opened, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let location = opened.headers["location"].to_str().unwrap();
        // The player gives up and hangs up the request.
        let heard = tokio::select! {
            early = restart(&alice, location) => panic!("an answer from nowhere: {early:?}"),
            heard = camera.heard_signal() => heard,
        };
        assert_eq!(heard.kind, SignalKind::Restart);
        let text = format!("{ANSWER}{FRAGMENT}");
        let late = async {
            loop {
                // Until the relay has noticed that nobody waits, it takes any answer.
                camera.signal(&Signal::answer(offer.session_id, text.clone())).await;
                camera.signal(&Signal::answer(offer.session_id, text.clone())).await;
                let (restarted, heard) = tokio::join!(restart(&alice, location), async {
                    let heard = camera.heard_signal().await;
                    camera.signal(&Signal::answer(offer.session_id, text.clone())).await;
                    heard
                });
                assert_eq!(heard.kind, SignalKind::Restart, "{heard:?}");
                if restarted.status != 409 {
                    return restarted;
                }
            }
        };
        assert_eq!(late.await.status, 200);
        assert_eq!(alice.get(location).await.body(200)["state"], "streaming");
    })
    .await;
}

#[tokio::test]
async fn a_goodbye_while_a_restart_waits_ends_the_session() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (opened, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let location = opened.headers["location"].to_str().unwrap();
        let end = async {
            assert_eq!(camera.heard_signal().await.kind, SignalKind::Restart);
            camera.signal(&Signal::bye(offer.session_id, "worker_restarted")).await;
        };
        let (refused, ()) = tokio::join!(restart(&alice, location), end);
        refused.is_problem(503, "worker_restarted");
        let session = alice.get(location).await.body(200);
        assert_eq!(
            (&session["state"], &session["reason"]),
            (&json!("failed"), &json!("worker_restarted"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_that_its_camera_no_longer_reports_on_ends_and_one_that_it_does_goes_on() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        // After a start the cameras have time to come back.
        let (opened, silent) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let location = opened.headers["location"].to_str().unwrap();
        let (other, heard) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let others = other.headers["location"].to_str().unwrap();
        for _ in 0..2 {
            relay.pass(Duration::from_secs(40));
            camera.signal(&report(heard.session_id)).await;
        }
        let state = async || alice.get(location).await.body(200)["state"].clone();
        eventually(state, |state| state == "failed").await;
        let bye = camera.heard_signal().await;
        assert_eq!((bye.kind, bye.session_id), (SignalKind::Bye, silent.session_id));
        assert_eq!(alice.get(location).await.body(200)["reason"], "unreported");
        assert_eq!(alice.get(others).await.body(200)["state"], "streaming");
    })
    .await;
}

#[tokio::test]
async fn nothing_of_a_removed_camera_stays_live() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (_, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let mut socket = with_ticket(&alice).await;
        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        let joined = hear(&mut socket, "joined").await["session_id"].clone();

        alice.delete(&format!("cameras/{}", device.id())).await.body(204);
        let mut told = Vec::new();
        for _ in 0..2 {
            let bye = camera.heard_signal().await;
            assert_eq!(
                (bye.kind, bye.reason.as_deref()),
                (SignalKind::Bye, Some("camera_removed"))
            );
            told.push(json!(bye.session_id));
        }
        assert!(told.contains(&json!(offer.session_id)) && told.contains(&joined), "{told:?}");
        let bye = hear(&mut socket, "bye").await;
        assert_eq!((&bye["session_id"], &bye["reason"]), (&joined, &json!("camera_removed")));
        alice.get(&format!("live/{}", offer.session_id)).await.is_problem(404, "not_found");
    })
    .await;
}

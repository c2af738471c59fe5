//! The life of a live session: every way in which it ends, told to both sides with a reason, and
//! shown by `GET live/{session}` and `GET cameras/{id}/live`.

use std::time::Duration;

use futures::SinkExt as _;
use nightjar_relay::engines::db::Executor as _;
use nightjar_shared::{
    signal::{Signal, SignalKind},
    topic::Channel,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::TaskTracker;

use crate::{
    databases::Engine,
    device::{Device, Online, health},
    live::{ANSWER, OFFER, answer, online, watch},
    live_socket::{hear, say},
    person::Person,
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
    support::until,
    ws::{next, with_ticket},
};

/// State and reason of the camera's newest session, which both doors show alike.
async fn newest(person: &Person, device: &Device) -> (String, String) {
    let listed = person.get(&format!("cameras/{}/live", device.id())).await.body(200);
    let listed = listed["items"][0].clone();
    let path = format!("live/{}", listed["session_id"].as_str().unwrap());
    assert_eq!(person.get(&path).await.body(200), listed);
    let text = |name: &str| listed[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        text("state") == "requested" || text("state") == "streaming",
        listed["ended_at"].is_null()
    );
    (text("state"), text("reason"))
}

async fn ended(person: &Person, device: &Device, state: &str, reason: &str) {
    let wanted = (state.to_owned(), reason.to_owned());
    eventually(async || newest(person, device).await, |found| *found == wanted).await;
}

/// The camera hears that a session's viewer is gone, and nothing else.
async fn hears_bye(camera: &mut Online, offer: &Signal) {
    let bye = camera.heard_signal().await;
    assert_eq!((bye.kind, bye.session_id), (SignalKind::Bye, offer.session_id));
    assert_eq!(bye.reason.as_deref(), Some("viewer_gone"));
}

/// The camera's connection breaks, and time enough passes to call it offline.
async fn vanish(relay: &TestRelay, camera: Online) {
    let (app, id) = (relay.app(), camera.id);
    camera.mqtt.vanish();
    until("its end is noticed", || !app.broker.online(id)).await;
    // What passes before that is written down does not count.
    let leaving = "select 1 from cameras where camera_id = $1 and offline_due_at is not null";
    let leaving = async || app.db.query(leaving, vec![id.into()]).await.unwrap().len();
    eventually(leaving, |rows| *rows == 1).await;
    relay.pass(Duration::from_secs(31));
}

#[tokio::test]
async fn a_viewer_that_gives_up_before_the_answer_cancels_and_the_camera_hears_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let offer = tokio::select! {
            early = watch(&alice, &device, OFFER) => panic!("an answer from nowhere: {early:?}"),
            // The request is dropped, and its connection closes.
            offer = camera.heard_signal() => offer,
        };
        hears_bye(&mut camera, &offer).await;
        ended(&alice, &device, "cancelled", "viewer_gone").await;
        // Its late answer reaches nobody, and the next viewer is served as if nothing had been.
        camera.signal(&Signal::answer(offer.session_id, ANSWER.to_owned())).await;
        hears_bye(&mut camera, &offer).await;
        let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        assert_eq!(opened.status, 201);
    })
    .await;
}

#[tokio::test]
async fn on_a_socket_a_goodbye_overtakes_the_answer_and_a_closed_socket_is_one() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let mut socket = with_ticket(&alice).await;
        let mut offer = async || {
            say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
            let session = hear(&mut socket, "joined").await["session_id"].clone();
            say(&mut socket, json!({"type": "offer", "session_id": session, "sdp": OFFER})).await;
            session
        };
        let session = offer().await;
        let heard = camera.heard_signal().await;
        say(&mut socket, json!({"type": "bye", "session_id": session})).await;
        // In either order: the offer is refused, and the goodbye is answered.
        let (mut code, mut reason) = (None, None);
        while code.is_none() || reason.is_none() {
            let told = next(&mut socket).await;
            match told["type"].as_str() {
                Some("refused") => code = Some(told["code"].clone()),
                Some("bye") => reason = Some(told["reason"].clone()),
                _ => continue,
            }
            assert_eq!(told["session_id"], session);
        }
        assert_eq!((code, reason), (Some(json!("session_ended")), Some(json!("viewer_gone"))));
        hears_bye(&mut camera, &heard).await;
        ended(&alice, &device, "cancelled", "viewer_gone").await;

        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        let session = hear(&mut socket, "joined").await["session_id"].clone();
        say(&mut socket, json!({"type": "offer", "session_id": session, "sdp": OFFER})).await;
        let heard = camera.heard_signal().await;
        socket.send(Message::Close(None)).await.unwrap();
        hears_bye(&mut camera, &heard).await;
        ended(&alice, &device, "cancelled", "viewer_gone").await;
    })
    .await;
}

#[tokio::test]
async fn a_camera_that_goes_away_fails_what_it_streamed_and_what_waited_for_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let mut socket = with_ticket(&alice).await;
        let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let streaming = opened.headers["location"].to_str().unwrap().to_owned();
        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        let joined = hear(&mut socket, "joined").await["session_id"].clone();

        vanish(relay, camera).await;

        let told = hear(&mut socket, "bye").await;
        assert_eq!((&told["session_id"], &told["reason"]), (&joined, &json!("camera_offline")));
        for path in [streaming, format!("live/{}", joined.as_str().unwrap())] {
            let is_failed = |session: &Value| session["state"] == "failed";
            let session = eventually(async || alice.get(&path).await.body(200), is_failed).await;
            assert_eq!(session["reason"], "camera_offline", "{session}");
        }
        watch(&alice, &device, OFFER).await.is_problem(409, "camera_offline");
    })
    .await;
}

#[tokio::test]
async fn a_session_of_an_offline_camera_ends_although_the_relay_stopped_in_between() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let streaming = opened.headers["location"].to_str().unwrap().to_owned();
        let mut socket = with_ticket(&alice).await;
        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        let joined = hear(&mut socket, "joined").await["session_id"].clone();
        camera.mqtt.vanish();
        until("its end is noticed", || !relay.app().broker.online(device.id())).await;
        // As a relay leaves it that stopped right after its first statement.
        let offline = "update cameras set online = 0, offline_due_at = null where camera_id = $1";
        relay.app().db.execute(offline, vec![device.id().into()]).await.unwrap();
        relay.pass(Duration::from_secs(11));
        for path in [streaming, format!("live/{}", joined.as_str().unwrap())] {
            let is_over = |session: &Value| session["ended_at"].is_i64();
            let session = eventually(async || alice.get(&path).await.body(200), is_over).await;
            let end = (&session["state"], &session["reason"]);
            assert_eq!(end, (&json!("failed"), &json!("camera_offline")));
        }
    })
    .await;
}

#[tokio::test]
async fn a_camera_whose_timeline_cannot_be_written_goes_offline_with_the_others() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut sessions = Vec::new();
        for _ in 0..2 {
            let (device, mut camera) = online(relay, &alice).await;
            camera.say(Channel::UpHealth, &health()).await;
            let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
            sessions.push(opened.headers["location"].to_str().unwrap().to_owned());
            camera.mqtt.vanish();
            until("its end is noticed", || !relay.app().broker.online(device.id())).await;
        }
        let broken = "create trigger broken before insert on camera_states
             begin select raise(abort, 'the disk is odd'); end";
        relay.app().db.execute(broken, Vec::new()).await.unwrap();
        relay.pass(Duration::from_secs(6));
        for location in sessions {
            let session = async || alice.get(&location).await.body(200);
            let session = eventually(session, |session| session["state"] == "failed").await;
            assert_eq!(session["reason"], "camera_offline");
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_live_through_a_restart_of_the_relay_and_end_after_it() {
    let relay = TestRelay::start(Engine::Sqlite, |_| {}).await;
    let alice = relay.person("alice").await;
    let (device, mut camera) = online(&relay, &alice).await;
    let (opened, watched) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
    let streaming = opened.headers["location"].to_str().unwrap().to_owned();
    // One more stands open at the camera's end only.
    let (_, other) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
    // And one is asked for while the relay goes.
    let asking = TaskTracker::new().spawn({
        let (alice, path) = (alice.clone(), format!("cameras/{}/whep", device.id()));
        async move {
            let request = alice.request(reqwest::Method::POST, &path).body(OFFER);
            request.header("content-type", "application/sdp").send().await
        }
    });
    let asked = camera.heard_signal().await;
    drop(camera);
    let relay = relay.restart().await;
    drop(asking.await.unwrap());

    let alice = Person { cookie: alice.cookie.clone(), ..relay.stranger() };
    assert_eq!(alice.get(&streaming).await.body(200)["state"], "streaming");
    let mut camera = device.connect(&relay).await;
    until("the camera is back", || relay.app().broker.online(device.id())).await;

    alice.delete(&streaming).await.body(200);
    hears_bye(&mut camera, &watched).await;
    assert_eq!(alice.get(&streaming).await.body(200)["state"], "completed");
    // To whom the camera says it has changed; whoever hears it writes it down.
    camera.signal(&Signal::bye(other.session_id, "worker_restarted")).await;
    let path = format!("live/{}", other.session_id);
    let session =
        eventually(async || alice.get(&path).await.body(200), |it| it["state"] == "failed").await;
    assert_eq!(session["reason"], "worker_restarted");
    // What was only asked for has ended, one way or the other.
    relay.pass(Duration::from_secs(11));
    let path = format!("live/{}", asked.session_id);
    let is_over = |session: &Value| session["ended_at"].is_i64();
    let session = eventually(async || alice.get(&path).await.body(200), is_over).await;
    let end = (session["state"].as_str().unwrap(), session["reason"].as_str().unwrap());
    assert!([("expired", "no_answer"), ("cancelled", "viewer_gone")].contains(&end), "{session}");
    relay.stop().await;
}

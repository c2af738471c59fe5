//! Live sessions over the WebSocket.

use futures::SinkExt as _;
use nightjar_shared::signal::{Signal, SignalKind};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    live::{ANSWER, OFFER, answer, online},
    relay::{TestRelay, on_sqlite},
    ws::{Socket, next, with_ticket},
};

pub(crate) async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// The next message of a kind; updates come in between.
pub(crate) async fn hear(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = next(socket).await;
        if message["type"] == kind {
            return message;
        }
    }
}

#[tokio::test]
async fn a_viewer_joins_offers_and_hears_of_candidates_and_the_end() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let mut socket = with_ticket(&alice).await;
        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        let joined = hear(&mut socket, "joined").await;
        assert_eq!(joined["camera_id"], device.id().to_string());
        let session = joined["session_id"].clone();

        say(&mut socket, json!({"type": "offer", "session_id": session, "sdp": OFFER})).await;
        let offer = camera.heard_signal().await;
        assert!(offer.kind == SignalKind::Offer && offer.trickle, "{offer:?}");
        let found = |text: &str| Signal {
            candidate: Some(text.to_owned()),
            sdp_mid: Some("0".to_owned()),
            ..Signal::new(offer.session_id, SignalKind::Candidate)
        };
        camera.signal(&Signal::answer(offer.session_id, ANSWER.to_owned())).await;
        assert_eq!(hear(&mut socket, "answer").await["sdp"], ANSWER);
        camera.signal(&found("candidate:1 1 udp 1 192.0.2.7 7000 typ host")).await;
        let candidate = hear(&mut socket, "candidate").await;
        assert_eq!((&candidate["session_id"], &candidate["sdp_mid"]), (&session, &json!("0")));

        let own = "candidate:2 1 udp 1 192.0.2.8 8000 typ host";
        let mine = json!({"type": "candidate", "session_id": session, "candidate": own});
        say(&mut socket, mine).await;
        assert_eq!(camera.heard_signal().await.candidate.as_deref(), Some(own));
        let wrong = json!({"type": "candidate", "session_id": session, "candidate": "nonsense"});
        say(&mut socket, wrong).await;
        assert_eq!(hear(&mut socket, "refused").await["code"], "invalid_sdp");

        camera.signal(&Signal::bye(offer.session_id, "privacy_mode")).await;
        assert_eq!(hear(&mut socket, "bye").await["reason"], "privacy_mode");
        let path = format!("live/{}", session.as_str().unwrap());
        assert_eq!(alice.get(&path).await.body(200)["state"], "failed");
    })
    .await;
}

#[tokio::test]
async fn whoever_leaves_before_the_answer_cancels_and_strangers_reach_nothing() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (device, mut camera) = online(relay, &alice).await;
        let (mut socket, mut foreign) = (with_ticket(&alice).await, with_ticket(&bob).await);
        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        let session = hear(&mut socket, "joined").await["session_id"].clone();

        say(&mut foreign, json!({"type": "join", "camera_id": device.id()})).await;
        assert_eq!(hear(&mut foreign, "refused").await["code"], "not_found");
        for request in [
            json!({"type": "offer", "session_id": session, "sdp": OFFER}),
            json!({"type": "candidate", "session_id": session, "candidate": ""}),
            json!({"type": "bye", "session_id": session}),
        ] {
            say(&mut foreign, request).await;
            let refused = hear(&mut foreign, "refused").await;
            assert_eq!((&refused["code"], &refused["session_id"]), (&json!("not_found"), &session));
        }
        say(&mut foreign, json!({"type": "offer", "session_id": "x"})).await;
        assert_eq!(hear(&mut foreign, "error").await["code"], "malformed");

        say(&mut socket, json!({"type": "bye", "session_id": session})).await;
        // The first that the camera hears: nothing of Bob's reached it.
        assert_eq!(camera.heard_signal().await.kind, SignalKind::Bye);
        let path = format!("live/{}", session.as_str().unwrap());
        assert_eq!(alice.get(&path).await.body(200)["state"], "cancelled");
    })
    .await;
}

#[tokio::test]
async fn a_viewer_is_told_on_its_socket_where_the_picture_is_to_be_had() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let mut socket = with_ticket(&alice).await;
        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        let session = hear(&mut socket, "joined").await["session_id"].clone();
        say(&mut socket, json!({"type": "offer", "session_id": session, "sdp": OFFER})).await;
        let offer = camera.heard_signal().await;
        let elsewhere = "https://sfu.example/whep/porch";
        camera.signal(&Signal::redirect(offer.session_id, elsewhere)).await;
        let told = hear(&mut socket, "redirected").await;
        assert_eq!((&told["session_id"], &told["location"]), (&session, &json!(elsewhere)));
    })
    .await;
}

#[tokio::test]
async fn a_host_with_many_interfaces_trickles_all_that_it_finds_at_once() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let mut socket = with_ticket(&alice).await;
        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        let session = hear(&mut socket, "joined").await["session_id"].clone();
        say(&mut socket, json!({"type": "offer", "session_id": session, "sdp": OFFER})).await;
        // While the camera still makes its answer.
        for port in 5000..5060 {
            let candidate = format!("candidate:1 1 udp 1 192.0.2.1 {port} typ host");
            let found = json!({"type": "candidate", "session_id": session, "candidate": candidate});
            say(&mut socket, found).await;
        }
        answer(&mut camera).await;
        assert_eq!(hear(&mut socket, "answer").await["sdp"], ANSWER);
        for port in 5000..5060 {
            let candidate = camera.heard_signal().await.candidate.unwrap();
            assert!(candidate.contains(&port.to_string()), "{candidate}");
        }
        let long = json!({"type": "candidate", "session_id": session,
            "candidate": "x".repeat(5_000)});
        say(&mut socket, long).await;
        assert_eq!(hear(&mut socket, "refused").await["code"], "invalid_sdp");
    })
    .await;
}

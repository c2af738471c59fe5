//! Viewers of a camera that publishes to an SFU are sent there.

use nightjar_shared::signal::{Signal, SignalKind};
use serde_json::json;

use crate::{
    device::{Device, Online},
    live::{OFFER, online, watch},
    person::{Answer, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
    support::client,
};

const ELSEWHERE: &str = "https://sfu.example/whep?app=live&stream=porch";

/// What a viewer gets when the camera answers its offer with `location`.
async fn sent_to(
    person: &Person,
    device: &Device,
    camera: &mut Online,
    location: Option<&str>,
) -> Answer {
    let camera_answers = async {
        let offer = camera.heard_signal().await;
        assert_eq!(offer.kind, SignalKind::Offer);
        let bye = Signal::bye(offer.session_id, "redirected");
        camera.signal(&Signal { location: location.map(str::to_owned), ..bye }).await;
    };
    let (answer, ()) = tokio::join!(watch(person, device, OFFER), camera_answers);
    answer
}

#[tokio::test]
async fn a_viewer_is_sent_to_the_sfu_and_its_session_here_is_over() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        // To follow it would be to ask the SFU.
        alice.client = client().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let (device, mut camera) = online(relay, &alice).await;
        let sent = sent_to(&alice, &device, &mut camera, Some(ELSEWHERE)).await;
        assert_eq!((sent.status, sent.headers["location"].to_str().unwrap()), (307, ELSEWHERE));
        assert_eq!(sent.headers["cache-control"], "private, no-store");
        assert_eq!(sent.headers["access-control-allow-origin"], "*", "for players on other pages");
        let listed = alice.get(&format!("cameras/{}/live", device.id())).await.body(200);
        let ended = &listed["items"][0];
        assert_eq!(
            (&ended["state"], &ended["reason"]),
            (&json!("completed"), &json!("redirected"))
        );
    })
    .await;
}

#[tokio::test]
async fn an_address_that_no_viewer_should_open_is_not_passed_on() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        for location in [
            None,
            Some(""),
            Some("http://sfu.example/whep"),
            Some("https://me:secret@sfu.example/whep"),
            Some("https://sfu.example/\r\nset-cookie: x=y"),
            Some("javascript:alert(1)"),
        ] {
            let answer = sent_to(&alice, &device, &mut camera, location).await;
            answer.is_problem(502, "invalid_location");
            assert!(answer.text.contains("whep_url"), "{}", answer.text);
            assert!(!answer.headers.contains_key("location"));
        }
    })
    .await;
}

#[tokio::test]
async fn who_may_not_see_the_camera_learns_nothing_of_its_sfu() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (device, mut camera) = online(relay, &alice).await;
        watch(&bob, &device, OFFER).await.is_problem(404, "not_found");
        watch(&relay.stranger(), &device, OFFER).await.is_problem(401, "unauthenticated");
        // Nothing of theirs reached the camera: the first offer it hears is Alice's.
        let refuse = async {
            let offer = camera.heard_signal().await;
            camera.signal(&Signal::bye(offer.session_id, "not_published")).await;
        };
        let (refused, ()) = tokio::join!(watch(&alice, &device, OFFER), refuse);
        refused.is_problem(503, "not_published");
        assert!(refused.headers.contains_key("retry-after"));
    })
    .await;
}

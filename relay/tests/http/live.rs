use nightjar_shared::{
    signal::{Signal, SignalKind},
    topic::Channel,
};
use reqwest::Method;
use serde_json::json;

use crate::{
    device::{Device, Online, health},
    person::{Answer, Person},
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

pub(crate) const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11:22\r\na=recvonly\r\n";
pub(crate) const ANSWER: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\n";

pub(crate) async fn watch(
    person: &Person,
    camera: &Device,
    offer: impl Into<reqwest::Body>,
) -> Answer {
    let path = format!("cameras/{}/whep", camera.id());
    let request = person.request(Method::POST, &path).header("content-type", "application/sdp");
    Answer::of(request.body(offer)).await
}

/// A camera that is known to be there.
pub(crate) async fn online(relay: &TestRelay, person: &Person) -> (Device, Online) {
    let device = relay.camera_of(person).await;
    let camera = device.connect(relay).await;
    let path = format!("cameras/{}", device.id());
    let status = async || person.get(&path).await.body(200)["status"].clone();
    eventually(status, |status| status == "online").await;
    (device, camera)
}

/// The camera's half of a session that begins well.
pub(crate) async fn answer(camera: &mut Online) -> Signal {
    let offer = camera.heard_signal().await;
    assert_eq!((offer.kind, offer.sdp.as_deref()), (SignalKind::Offer, Some(OFFER)));
    assert!(offer.reply_to.is_some());
    camera.signal(&Signal::answer(offer.session_id, ANSWER.to_owned())).await;
    offer
}

#[tokio::test]
async fn a_viewer_gets_the_cameras_answer_and_hangs_up() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (opened, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        assert_eq!((opened.status, opened.text.as_str()), (201, ANSWER));
        assert_eq!(opened.headers["content-type"], "application/sdp");
        let location = opened.headers["location"].to_str().unwrap().to_owned();
        assert_eq!(location, format!("/api/v1/live/{}", offer.session_id));
        assert_eq!(alice.get(&location).await.body(200)["state"], "streaming");

        let etag = opened.headers["etag"].to_str().unwrap().to_owned();
        let fragment = "a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n";
        let patch = alice
            .request(Method::PATCH, &location)
            .header("content-type", "application/trickle-ice-sdpfrag")
            .header("if-match", etag)
            .body(fragment);
        Answer::of(patch).await.body(204);
        let candidate = camera.heard_signal().await;
        assert_eq!(candidate.kind, SignalKind::Candidate);
        assert!(candidate.candidate.unwrap().starts_with("candidate:1"));
        assert_eq!(candidate.sdp_mid.as_deref(), Some("0"));

        alice.delete(&location).await.body(200);
        assert_eq!(camera.heard_signal().await.kind, SignalKind::Bye);
        alice.delete(&location).await.body(200);
        let ended = alice.get(&location).await.body(200);
        assert_eq!(
            (&ended["state"], &ended["reason"]),
            (&json!("completed"), &json!("viewer_gone"))
        );
        let listed = alice.get(&format!("cameras/{}/live", device.id())).await.body(200);
        assert_eq!(listed["items"], json!([ended]));
    })
    .await;
}

#[tokio::test]
async fn why_a_camera_refuses_is_told() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        for (reason, status, code) in [
            ("busy", 503, "busy"),
            ("privacy_mode", 409, "privacy_mode"),
            ("invalid_offer", 422, "invalid_sdp"),
            ("no_common_codec: the offer has no H.264", 422, "no_common_codec"),
            ("no_video_section", 422, "no_video_section"),
            ("incomplete_offer: `setup` is missing", 422, "incomplete_offer"),
            ("unsupported_offer: RTP without DTLS", 422, "unsupported_offer"),
            ("offer_too_large", 413, "too_large"),
            ("not_authentic", 403, "not_authentic"),
            ("worker_restarted", 503, "worker_restarted"),
            ("something new: it rains", 503, "busy"),
        ] {
            let refuse = async {
                let offer = camera.heard_signal().await;
                camera.signal(&Signal::bye(offer.session_id, reason)).await;
            };
            let (refused, ()) = tokio::join!(watch(&alice, &device, OFFER), refuse);
            refused.is_problem(status, code);
        }
        let listed = alice.get(&format!("cameras/{}/live", device.id())).await.body(200);
        let ends = listed["items"].as_array().unwrap().iter().map(|session| {
            assert_eq!(session["state"], "failed");
            session["reason"].as_str().unwrap().to_owned()
        });
        // Newest first.
        let reasons: Vec<String> = ends.collect();
        assert_eq!(
            reasons,
            [
                "busy",
                "worker_restarted",
                "not_authentic",
                "too_large",
                "unsupported_offer",
                "incomplete_offer",
                "no_video_section",
                "no_common_codec",
                "invalid_sdp",
                "privacy_mode",
                "busy"
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn a_camera_that_ends_a_session_is_believed() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (opened, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        camera.signal(&Signal::bye(offer.session_id, "worker_restarted")).await;
        let ended = alice.get(opened.headers["location"].to_str().unwrap()).await.body(200);
        assert_eq!(
            (&ended["state"], &ended["reason"]),
            (&json!("failed"), &json!("worker_restarted"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_silent_camera_costs_a_viewer_five_seconds() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        watch(&alice, &device, OFFER).await.is_problem(504, "no_answer");
        let listed = alice.get(&format!("cameras/{}/live", device.id())).await.body(200);
        assert_eq!(listed["items"][0]["state"], "expired");
        assert_eq!(listed["items"][0]["reason"], "no_answer");
        let offer = camera.heard_signal().await;
        let bye = camera.heard_signal().await;
        assert_eq!((bye.kind, bye.session_id), (SignalKind::Bye, offer.session_id));
        // Too late: the viewer has gone, and the camera is told so.
        camera.signal(&Signal::answer(offer.session_id, ANSWER.to_owned())).await;
        assert_eq!(camera.heard_signal().await.kind, SignalKind::Bye);
    })
    .await;
}

#[tokio::test]
async fn an_absent_or_private_camera_is_not_asked() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        watch(&alice, &device, OFFER).await.is_problem(409, "camera_offline");
        let mut private = health();
        private["privacy"] = json!(true);
        device.beat(relay, private).await;
        watch(&alice, &device, OFFER).await.is_problem(409, "privacy_mode");
    })
    .await;
}

#[tokio::test]
async fn nonsense_is_refused_and_the_camera_hears_nothing_of_it() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        watch(&alice, &device, "garbage").await.is_problem(422, "invalid_sdp");
        watch(&alice, &device, vec![0xff, 0xfe]).await.is_problem(422, "invalid_sdp");
        watch(&alice, &device, "").await.is_problem(422, "invalid_sdp");
        let large = format!("{OFFER}{}", "a=x\r\n".repeat(7_000));
        watch(&alice, &device, large).await.is_problem(413, "too_large");
        let path = format!("cameras/{}/whep", device.id());
        alice.post(&path, json!({})).await.is_problem(415, "unsupported_media_type");

        let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let location = opened.headers["location"].to_str().unwrap();
        alice.patch(location, json!({})).await.is_problem(415, "unsupported_media_type");
    })
    .await;
}

#[tokio::test]
async fn a_megabyte_of_description_is_refused() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let path = format!("cameras/{}/whep", device.id());
        let request = alice
            .request(Method::POST, &path)
            .header("content-type", "application/sdp")
            .body("a".repeat(1 << 20));
        // The relay may hang up before it has read all of it.
        if let Ok(response) = request.send().await {
            assert_eq!(response.status().as_u16(), 413);
        }
        alice.get("auth/me").await.body(200);
    })
    .await;
}

#[tokio::test]
async fn nobody_else_reaches_into_a_session() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (device, mut camera) = online(relay, &alice).await;
        let (_, mut intruder) = online(relay, &bob).await;
        let steal = async {
            let offer = camera.heard_signal().await;
            // Another camera answers first: nobody listens to it.
            intruder.signal(&Signal::answer(offer.session_id, "v=0\r\nevil".to_owned())).await;
            intruder.signal(&Signal::bye(offer.session_id, "busy")).await;
            camera.signal(&Signal::answer(offer.session_id, ANSWER.to_owned())).await;
        };
        let (opened, ()) = tokio::join!(watch(&alice, &device, OFFER), steal);
        assert_eq!((opened.status, opened.text.as_str()), (201, ANSWER));
        let location = opened.headers["location"].to_str().unwrap();
        bob.get(location).await.is_problem(404, "not_found");
        bob.delete(location).await.is_problem(404, "not_found");
        let patch = bob
            .request(Method::PATCH, location)
            .header("content-type", "application/trickle-ice-sdpfrag")
            .header("if-match", "*")
            .body("a=end-of-candidates");
        Answer::of(patch).await.is_problem(404, "not_found");
        assert_eq!(alice.get(location).await.body(200)["state"], "streaming");
    })
    .await;
}

#[tokio::test]
async fn a_camera_without_viewers_has_no_open_sessions() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (opened, _) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
        let location = opened.headers["location"].to_str().unwrap();
        camera.say(Channel::UpHealth, &health()).await;
        assert_eq!(alice.get(location).await.body(200)["state"], "streaming");
        relay.pass(std::time::Duration::from_secs(21));
        camera.say(Channel::UpHealth, &health()).await;
        assert_eq!(alice.get(location).await.body(200)["state"], "completed");
    })
    .await;
}

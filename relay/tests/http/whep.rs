//! What the WHEP draft asks of a server, beyond the session that `live` tests.

use nightjar_shared::signal::{SessionStatistics, Signal, SignalKind};
use reqwest::Method;
use serde_json::json;

use crate::{
    device::{Device, Online},
    live::{ANSWER, OFFER, answer, online, watch},
    person::{Answer, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
};

const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const RESTART: &str = "a=ice-ufrag:anew\r\na=ice-pwd:1123456789012345678901\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";

async fn patch(person: &Person, location: &str, matching: Option<&str>, body: &str) -> Answer {
    let request = person.request(Method::PATCH, location).header("content-type", FRAGMENT);
    let request = match matching {
        Some(matching) => request.header("if-match", matching),
        None => request,
    };
    Answer::of(request.body(body.to_owned())).await
}

/// A session, its location and the name of its ICE session.
async fn opened(person: &Person, device: &Device, camera: &mut Online) -> (Signal, String, String) {
    let (opened, offer) = tokio::join!(watch(person, device, OFFER), answer(camera));
    let header = |name| opened.headers[name].to_str().unwrap().to_owned();
    (offer, header("location"), header("etag"))
}

#[tokio::test]
async fn ice_begins_anew_and_the_old_name_of_the_ice_session_is_refused() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (offer, location, etag) = opened(&alice, &device, &mut camera).await;
        let candidate = "a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n";
        patch(&alice, &location, None, candidate).await.is_problem(428, "precondition_required");
        let wrong = patch(&alice, &location, Some("\"other\""), candidate).await;
        wrong.is_problem(412, "precondition_failed");
        let empty = patch(&alice, &location, Some("*"), "m=video 9 UDP/TLS/RTP/SAVPF 0\r\n").await;
        empty.is_problem(422, "invalid_sdp");

        let restart = async {
            let heard = camera.heard_signal().await;
            assert_eq!((heard.kind, heard.session_id), (SignalKind::Restart, offer.session_id));
            assert!(heard.sdp.unwrap().starts_with("a=ice-ufrag:anew\r\n"));
            let answer = format!(
                "{ANSWER}a=mid:0\r\na=ice-ufrag:cam2\r\na=ice-pwd:2123456789012345678901\r\n\
                 a=candidate:7 1 udp 1 192.0.2.9 9000 typ host\r\n"
            );
            camera.signal(&Signal::answer(offer.session_id, answer)).await;
        };
        let (restarted, ()) = tokio::join!(patch(&alice, &location, Some("*"), RESTART), restart);
        assert_eq!(restarted.status, 200, "{}", restarted.text);
        assert_eq!(restarted.headers["content-type"], FRAGMENT);
        assert!(restarted.text.starts_with("a=ice-ufrag:cam2\r\n"), "{}", restarted.text);
        assert!(restarted.text.contains("a=candidate:7 1 udp"), "{}", restarted.text);
        let renewed = restarted.headers["etag"].to_str().unwrap();
        assert_ne!(renewed, etag);
        let old = patch(&alice, &location, Some(&etag), candidate).await;
        old.is_problem(412, "precondition_failed");
        patch(&alice, &location, Some(renewed), candidate).await.body(204);
        assert_eq!(camera.heard_signal().await.kind, SignalKind::Candidate);
    })
    .await;
}

/// As widely used players trickle: with `If-Match: *`, and their own ICE user, which is unchanged.
#[tokio::test]
async fn candidates_of_the_same_ice_user_restart_nothing_whichever_way_the_session_is_named() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (_, location, etag) = opened(&alice, &device, &mut camera).await;
        let own: String = OFFER
            .lines()
            .filter(|line| line.starts_with("a=ice-ufrag:") || line.starts_with("a=ice-pwd:"))
            .flat_map(|line| [line, "\r\n"])
            .collect();
        let medium = "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n";
        let names = ["*", etag.as_str(), &format!("\"other\", {etag}")].map(str::to_owned);
        for (port, matching) in names.iter().enumerate() {
            for user in [own.as_str(), ""] {
                let candidate = format!("candidate:1 1 udp 1 192.0.2.1 {} typ host", 5_000 + port);
                let fragment = format!("{user}{medium}a={candidate}\r\n");
                let answer = patch(&alice, &location, Some(matching), &fragment).await;
                assert_eq!(answer.status, 204, "{matching}: {}", answer.text);
                assert!(!answer.headers.contains_key("etag"), "it is the same ICE session");
                let heard = camera.heard_signal().await;
                assert_eq!(heard.kind, SignalKind::Candidate, "{matching}");
                assert_eq!(heard.candidate.as_deref(), Some(candidate.as_str()));
                assert_eq!(heard.sdp_mid.as_deref(), Some("0"));
            }
        }
        let weak = patch(&alice, &location, Some(&format!("W/{etag}")), medium).await;
        weak.is_problem(412, "precondition_failed");
    })
    .await;
}

#[tokio::test]
async fn players_on_other_pages_may_ask_and_a_preflight_learns_nothing() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let whep = format!("cameras/{}/whep", device.id());
        let mut stranger = relay.stranger();
        stranger.page = Some("https://player.example".to_owned());
        let unknown = "cameras/01936b2e-7c00-7000-8000-0000000000ff/whep";
        for path in [whep.as_str(), unknown] {
            let asked = Answer::of(stranger.request(Method::OPTIONS, path)).await;
            assert_eq!(asked.status, 204);
            assert_eq!(asked.headers["access-control-allow-origin"], "*");
            assert_eq!(asked.headers["accept-post"], "application/sdp");
            assert!(!asked.headers.contains_key("link"));
        }
        // Errors can be read too; the other doors stay closed to foreign pages.
        let refused = watch(&stranger, &device, OFFER).await;
        refused.is_problem(401, "unauthenticated");
        assert_eq!(refused.headers["access-control-allow-origin"], "*");
        let other = stranger.get("cameras").await;
        assert!(!other.headers.contains_key("access-control-allow-origin"));
        // A cookie is good for our own pages alone.
        let mut led = alice.clone();
        led.page = Some("https://evil.example".to_owned());
        watch(&led, &device, OFFER).await.is_problem(403, "cross_origin");

        // A player with a token plays, from whatever page.
        let login = json!({"email": "alice@example.org", "password": crate::person::PASSWORD, "tokens": true});
        let tokens = relay.stranger().post("auth/login", login).await.body(200);
        stranger.token = Some(tokens["access_token"].as_str().unwrap().to_owned());
        let (opened, _) = tokio::join!(watch(&stranger, &device, OFFER), answer(&mut camera));
        assert_eq!(opened.status, 201);
        let location = opened.headers["location"].to_str().unwrap();
        let asked = Answer::of(relay.stranger().request(Method::OPTIONS, location)).await;
        assert_eq!((asked.status, asked.headers["accept-patch"].to_str().unwrap()), (204, FRAGMENT));
        stranger.delete(location).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_the_caller_cannot_read_is_not_made() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let whep = format!("cameras/{}/whep", device.id());
        let post = |accept: &'static str| {
            let request = alice.request(Method::POST, &whep).header("accept", accept);
            Answer::of(request.header("content-type", "application/sdp").body(OFFER))
        };
        post("application/json").await.is_problem(406, "not_acceptable");
        let (opened, _) = tokio::join!(post("text/html, */*;q=0.1"), answer(&mut camera));
        assert_eq!(opened.status, 201);
        let head = Answer::of(alice.request(Method::HEAD, &whep)).await;
        assert_eq!(
            (head.status, head.headers["accept-post"].to_str().unwrap()),
            (204, "application/sdp")
        );
        alice.get(&whep).await.is_problem(405, "method_not_allowed");
    })
    .await;
}

#[tokio::test]
async fn what_the_camera_measures_is_shown() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (offer, location, _) = opened(&alice, &device, &mut camera).await;
        assert!(alice.get(&location).await.body(200).get("statistics").is_none());
        let statistics = SessionStatistics {
            local_candidate: Some("host".to_owned()),
            remote_candidate: Some("<script>".to_owned()),
            rtt_ms: Some(12),
            loss: Some(0.5),
            bitrate_bps: 900_000,
            fps: 14.5,
            layer: Some("low".to_owned()),
            latency_ms: Some(71),
        };
        let report = Signal {
            statistics: Some(statistics),
            ..Signal::new(offer.session_id, SignalKind::Report)
        };
        camera.signal(&report).await;
        let shown = alice.get(&location).await.body(200);
        let expected = json!({"local_candidate": "host", "rtt_ms": 12, "loss": 0.5,
            "bitrate_bps": 900_000, "fps": 14.5, "layer": "low", "latency_ms": 71});
        assert_eq!(shown["statistics"], expected);
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_not_the_callers_or_is_over_takes_nothing() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (device, mut camera) = online(relay, &alice).await;
        let (_, location, etag) = opened(&alice, &device, &mut camera).await;
        patch(&bob, &location, Some("*"), RESTART).await.is_problem(404, "not_found");
        patch(&bob, &location, Some(&etag), "").await.is_problem(404, "not_found");
        alice.delete(&location).await.body(200);
        // The bye is the first that the camera hears: nothing of Bob's reached it.
        assert_eq!(camera.heard_signal().await.kind, SignalKind::Bye);
        patch(&alice, &location, Some("*"), RESTART).await.is_problem(409, "session_ended");
        let unknown = "/api/v1/live/01936b2e-7c00-4000-8000-0000000000ff";
        patch(&alice, unknown, Some("*"), RESTART).await.is_problem(404, "not_found");
        watch(&bob, &device, OFFER).await.is_problem(404, "not_found");
    })
    .await;
}

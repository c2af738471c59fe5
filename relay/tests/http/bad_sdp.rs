//! Descriptions, fragments and candidates that no player would send, through the doors they come by.

use std::time::Duration;

use nightjar_shared::signal::{SessionStatistics, Signal, SignalKind};
use reqwest::Method;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::{
    device::{Device, Online},
    live::{ANSWER, OFFER, online, watch},
    live_socket::{hear, say},
    mutation::Mutator,
    person::{Answer, Person},
    relay::{TestRelay, on_sqlite},
    ws::with_ticket,
};

const SEED: u64 = 0xD1B5_4A32_D192_ED03;
const OFFERS: usize = 300;
const FRAGMENTS: usize = 300;
const CANDIDATES: usize = 100;
/// A socket may say twenty things a second.
const CANDIDATES_PER_SOCKET: usize = 9;
const HEARD_MAX: usize = 65_536;

const CHROMIUM: &str = include_str!("../../../fuzz/seeds/offer/chromium.sdp");
const FRAGMENT: &str = "a=ice-ufrag:anew\r\na=ice-pwd:0123456789012345678901\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
    a=candidate:1 1 udp 2122260223 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n";
const CANDIDATE: &str = "candidate:1 1 udp 2122260223 192.0.2.1 9 typ host generation 0";

/// Returns how many are sent: `make soak` sends ten times as many.
fn many(few: usize) -> usize {
    if std::env::var_os("NIGHTJAR_SOAK").is_some() { few * 10 } else { few }
}

/// A camera's answer to a restart.
fn restarted() -> String {
    format!("{ANSWER}a=mid:0\r\na=ice-ufrag:cam2\r\na=ice-pwd:2123456789012345678901\r\n")
}

/// What a camera must be able to rely on, whatever a viewer sends.
fn check(signal: &Signal) {
    if let Some(sdp) = &signal.sdp {
        assert!(sdp.len() <= 32 * 1024 && sdp.lines().count() <= 1_000, "{}", sdp.len());
        let broken = |line: &str| line.chars().any(char::is_control) || line.len() > 4_096;
        assert!(!sdp.lines().any(broken), "{sdp:?}");
    }
    if let Some(candidate) = &signal.candidate {
        assert!(candidate.is_empty() || candidate.starts_with("candidate:"), "{candidate:?}");
        assert!(candidate.len() <= 4_096 && !candidate.chars().any(char::is_control));
    }
    let whole = serde_json::to_vec(signal).unwrap();
    assert!(whole.len() < 48 * 1024, "{} bytes do not fit into a camera's packet", whole.len());
}

/// Answers what one camera is asked, as the live worker does with what it cannot use; gives what
/// it heard.
fn serve(mut camera: Online) -> mpsc::Receiver<Signal> {
    // More than a test makes the camera hear; one too many ends the camera, and fails the test.
    let (sender, heard) = mpsc::channel(HEARD_MAX);
    TaskTracker::new().spawn(async move {
        loop {
            let signal = camera.heard_signal().await;
            check(&signal);
            let id = signal.session_id;
            match (signal.kind, signal.sdp.as_deref()) {
                (SignalKind::Offer, Some(OFFER)) => {
                    camera.signal(&Signal::answer(id, ANSWER.to_owned())).await;
                }
                (SignalKind::Offer, _) => camera.signal(&Signal::bye(id, "invalid_offer")).await,
                (SignalKind::Restart, _) => camera.signal(&Signal::answer(id, restarted())).await,
                _ => {}
            }
            // A session that its camera says nothing of for a minute is over.
            if signal.kind != SignalKind::Offer {
                let statistics = Some(SessionStatistics::default());
                camera.signal(&Signal { statistics, ..Signal::new(id, SignalKind::Report) }).await;
            }
            if sender.try_send(signal).is_err() {
                return;
            }
        }
    });
    heard
}

async fn patch(person: &Person, location: &str, matching: &str, body: Vec<u8>) -> Answer {
    let request = person
        .request(Method::PATCH, location)
        .header("content-type", "application/trickle-ice-sdpfrag")
        .header("if-match", matching);
    Answer::of(request.body(body)).await
}

/// A viewer may ask once a second, and more often for a while. Each pass makes the relay look around.
const PASS_EVERY: usize = 20;

/// Lets enough time pass for the request of this number to be allowed.
fn wait(relay: &TestRelay, index: usize) {
    if index.is_multiple_of(PASS_EVERY) {
        relay.pass(Duration::from_secs(20));
    }
}

async fn broken_offers(relay: &TestRelay, alice: &Person, device: &Device, damage: &mut Mutator) {
    for index in 0..many(OFFERS) {
        wait(relay, index);
        let offer = *damage.one_of(&[CHROMIUM, OFFER]);
        let body = damage.mutate(offer);
        let refused = watch(alice, device, body).await;
        // The whole offer may come out whole.
        if refused.status != 201 {
            assert!([413, 422].contains(&refused.status), "{index}: {}", refused.text);
        }
    }
}

async fn broken_fragments(
    relay: &TestRelay,
    alice: &Person,
    location: &str,
    etag: &mut String,
    damage: &mut Mutator,
) -> usize {
    let mut restarts = 0;
    for index in 0..many(FRAGMENTS) {
        wait(relay, index);
        let body = damage.mutate(FRAGMENT);
        let matching = if damage.below(2) == 0 { "*" } else { etag.as_str() };
        let answer = patch(alice, location, matching, body).await;
        match answer.status {
            200 => {
                restarts += 1;
                answer.headers["etag"].to_str().unwrap().clone_into(etag);
            }
            204 | 413 | 422 => {}
            status => panic!("{index}: {status}: {}", answer.text),
        }
    }
    restarts
}

#[tokio::test]
async fn hundreds_of_broken_descriptions_leave_the_relay_and_the_camera_well() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, camera) = online(relay, &alice).await;
        let mut heard = serve(camera);
        let mut damage = Mutator::new(SEED);
        broken_offers(relay, &alice, &device, &mut damage).await;
        wait(relay, 0);
        let opened = watch(&alice, &device, OFFER).await;
        let header = |name: &str| opened.headers[name].to_str().unwrap().to_owned();
        let (location, mut etag) = (header("location"), header("etag"));
        let restarts = broken_fragments(relay, &alice, &location, &mut etag, &mut damage).await;
        let mut socket = with_ticket(&alice).await;
        let session = location.rsplit('/').next().unwrap();
        for index in 1..=many(CANDIDATES) {
            wait(relay, index);
            if index % CANDIDATES_PER_SOCKET == 0 {
                socket = with_ticket(&alice).await;
            }
            let broken = damage.mutate(CANDIDATE);
            let candidate = String::from_utf8_lossy(&broken).trim_end().to_owned();
            let request =
                json!({"type": "candidate", "session_id": session, "candidate": candidate});
            say(&mut socket, request).await;
            // Answered in turn, so that none is refused because too many wait.
            say(&mut socket, json!({"type": "ping"})).await;
            hear(&mut socket, "pong").await;
        }

        // The camera is still there, and serves whoever comes next.
        wait(relay, 0);
        assert_eq!(watch(&alice, &device, OFFER).await.status, 201);
        assert!(relay.app().broker.online(device.id()));
        let mut kinds = [0; 3];
        while let Ok(signal) = heard.try_recv() {
            match signal.kind {
                SignalKind::Offer => kinds[0] += 1,
                SignalKind::Restart => kinds[1] += 1,
                _ => kinds[2] += 1,
            }
        }
        tracing::info!("the camera heard of {kinds:?} offers, restarts and others");
        let heard_enough = kinds[0] > many(OFFERS) / 6 && kinds[2] > many(FRAGMENTS) / 4;
        assert!(heard_enough && kinds[1] >= restarts, "{kinds:?}, {restarts}");
    })
    .await;
}

#[tokio::test]
async fn what_would_not_fit_into_a_camera_s_packet_is_refused() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, camera) = online(relay, &alice).await;
        let _heard = serve(camera);
        // Each of these is two bytes long in JSON.
        let quotes = format!("{OFFER}{}", format!("a={}\r\n", "\"".repeat(4_000)).repeat(7));
        assert!(quotes.len() < 32 * 1024);
        watch(&alice, &device, quotes).await.is_problem(413, "too_large");
        assert_eq!(watch(&alice, &device, OFFER).await.status, 201);
    })
    .await;
}

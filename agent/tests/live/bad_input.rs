//! Descriptions and candidates that no browser would send, by the thousand.

#![expect(clippy::print_stdout, reason = "what a run found is read in its output")]

use std::collections::HashMap;

use nightjar_shared::{
    ids::SessionId,
    sdp::{Offer, is_candidate},
    session::SessionEndReason,
    signal::{Signal, SignalKind},
};
use tokio::time;

use crate::{
    PATIENCE, TURN,
    camera::{Camera, resident_kib, settled, workers},
    mutation::Mutator,
    viewer::Viewer,
};

const INPUTS: usize = 10_000;
/// Of the offers that the camera's own reader refuses, one in so many goes through its worker: what
/// it costs to refuse one there is always the same.
const REFUSED_SAMPLE: usize = 8;
/// After so many the pools of the media engine have their size.
const WARM_UP_INPUTS: usize = 1_000;
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// Sessions that are answered at the same time.
const AT_ONCE: usize = 6;
const CANDIDATES: usize = 3;
const RESTARTS: usize = 2;

/// 10,000 inputs may keep so much; what the sessions of a day would leak is more.
const GROWTH_MAX_KIB: u64 = 24 * 1_024;

const CHROMIUM: &str = include_str!("../../../fuzz/seeds/offer/chromium.sdp");

const CANDIDATE: &str =
    "candidate:1467250027 1 udp 2122260223 127.0.0.1 9 typ host generation 0 ufrag p0vR";
const MDNS_CANDIDATE: &str = "candidate:1 1 udp 2113937151 \
    b5cb0f2c-ddd7-4e5e-9d4c-1be6d4cc1a44.local 9 typ host generation 0 network-cost 999";

const FRAGMENT: &str = "a=ice-ufrag:anew\r\na=ice-pwd:0123456789012345678901\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
    a=candidate:1 1 udp 2122260223 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n";

/// Whether a reason speaks of what was offered, and not of the camera.
fn is_of_an_offer(reason: SessionEndReason) -> bool {
    use SessionEndReason as Reason;
    matches!(
        reason,
        Reason::InvalidOffer
            | Reason::OfferTooLarge
            | Reason::IncompleteOffer
            | Reason::UnsupportedOffer
            | Reason::NoVideoSection
            | Reason::NoCommonCodec
    )
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    inputs: usize,
    /// Offers that the camera's own reader let through to the media engine.
    offers_through: usize,
    answered: usize,
    refused: usize,
    refused_here: usize,
    candidates_through: usize,
    restarts_through: usize,
    restarted: usize,
}

struct Flood {
    mutator: Mutator,
    offers: Vec<String>,
    tally: Tally,
}

impl Flood {
    async fn new() -> Self {
        let offers = vec![
            CHROMIUM.to_owned(),
            Viewer::new().offer().await,
            Viewer::wanting(&["audio", "video"]).offer().await,
        ];
        Self { mutator: Mutator::new(SEED), offers, tally: Tally::default() }
    }

    /// As text: what is not UTF-8 does not pass the relay.
    fn broken(&mut self, text: &str) -> String {
        String::from_utf8_lossy(&self.mutator.mutate(text)).into_owned()
    }

    async fn until(&mut self, inputs: usize, camera: &mut Camera) {
        while self.tally.inputs < inputs {
            self.wave(camera).await;
        }
    }

    /// An offer for the worker. Most of those that are refused by its reader, which is the same
    /// code here and there, end here.
    fn next_offer(&mut self) -> (String, Option<Offer>) {
        loop {
            let offer = self.mutator.one_of(&self.offers.clone()).clone();
            let sdp = self.broken(&offer);
            self.tally.inputs += 1;
            let parsed = Offer::parse(&sdp).ok();
            if parsed.is_some() || self.mutator.below(REFUSED_SAMPLE) == 0 {
                return (sdp, parsed);
            }
            self.tally.refused_here += 1;
        }
    }

    /// A few sessions side by side, each with all that can be sent to one.
    async fn wave(&mut self, camera: &mut Camera) {
        let mut offers = HashMap::new();
        for _ in 0..AT_ONCE {
            let (sdp, parsed) = self.next_offer();
            let signal = Signal {
                sdp: Some(sdp),
                reply_to: Some("replica-1".to_owned()),
                trickle: self.mutator.below(2) == 0,
                expires_in_ms: 15_000,
                ..Signal::new(SessionId::generate(), SignalKind::Offer)
            };
            offers.insert(signal.session_id, parsed);
            camera.signals.send(signal).await.unwrap();
        }
        let ids: Vec<SessionId> = offers.keys().copied().collect();
        // Some of them come before the answer.
        for id in &ids {
            self.candidates(*id, camera).await;
        }
        let mut restarts = 0;
        for reply in replies(&ids, camera).await {
            let offer = offers.remove(&reply.session_id).unwrap();
            self.tally.offers_through += usize::from(offer.is_some());
            if reply.kind == SignalKind::Answer {
                self.tally.answered += 1;
                let offer = offer.expect("an answer to what is no offer");
                restarts += self.restarts(reply.session_id, &offer, camera).await;
            } else {
                let reason = reply.end_reason();
                assert!(reason.is_some_and(is_of_an_offer), "{:?}", reply.reason);
                self.tally.refused += 1;
            }
        }
        self.hear_restarts(restarts, camera).await;
        for id in ids {
            camera.signals.send(Signal::new(id, SignalKind::Bye)).await.unwrap();
        }
    }

    async fn candidates(&mut self, id: SessionId, camera: &Camera) {
        for _ in 0..CANDIDATES {
            let text = *self.mutator.one_of(&[CANDIDATE, MDNS_CANDIDATE]);
            let broken = self.broken(text);
            let candidate = broken.trim_end_matches(['\r', '\n']).to_owned();
            self.tally.candidates_through += usize::from(is_candidate(&candidate));
            let sdp_mid = *self.mutator.one_of(&[Some("0"), Some("video0"), Some("\u{0}"), None]);
            let signal = Signal {
                candidate: Some(candidate),
                sdp_mid: sdp_mid.map(str::to_owned),
                ..Signal::new(id, SignalKind::Candidate)
            };
            camera.signals.send(signal).await.unwrap();
        }
        self.tally.inputs += CANDIDATES;
    }

    /// Gives how many of them the media engine gets to see.
    async fn restarts(&mut self, id: SessionId, offer: &Offer, camera: &Camera) -> usize {
        let mut through = 0;
        for _ in 0..RESTARTS {
            let fragment = self.broken(FRAGMENT);
            through += usize::from(offer.restarted(&fragment).is_ok());
            let signal = Signal {
                sdp: Some(fragment),
                reply_to: Some("replica-1".to_owned()),
                ..Signal::new(id, SignalKind::Restart)
            };
            camera.signals.send(signal).await.unwrap();
        }
        self.tally.inputs += RESTARTS;
        self.tally.restarts_through += through;
        through
    }

    /// Each of them is answered, or ends its session.
    async fn hear_restarts(&mut self, count: usize, camera: &mut Camera) {
        let mut heard = 0;
        while heard < count {
            let reply = next(camera).await;
            match reply.kind {
                SignalKind::Answer => {
                    heard += 1;
                    self.tally.restarted += 1;
                }
                SignalKind::Bye => panic!("a session ended: {:?}", reply.reason),
                _ => {}
            }
        }
    }
}

async fn next(camera: &mut Camera) -> Signal {
    time::timeout(PATIENCE, camera.replies.recv()).await.expect("a reply").unwrap().1
}

/// What the camera says to each of these offers.
async fn replies(ids: &[SessionId], camera: &mut Camera) -> Vec<Signal> {
    let mut replies: Vec<Signal> = Vec::new();
    while replies.len() < ids.len() {
        let reply = next(camera).await;
        let is_first = replies.iter().all(|known| known.session_id != reply.session_id);
        let is_one = matches!(reply.kind, SignalKind::Answer | SignalKind::Bye);
        if is_first && is_one && ids.contains(&reply.session_id) {
            replies.push(reply);
        }
    }
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_broken_descriptions_and_candidates_disturb_nobody() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(u32::try_from(4 * AT_ONCE).unwrap());
    let (mut watching, _) = camera.watch().await;
    watching.receive(5).await;
    let worker = workers();
    let mut flood = Flood::new().await;

    flood.until(WARM_UP_INPUTS, &mut camera).await;
    camera.until_viewers(1).await;
    let before = (settled(worker[0], None).await, resident_kib(worker[0]));
    flood.until(INPUTS, &mut camera).await;
    camera.until_viewers(1).await;
    let after = (settled(worker[0], Some(before.0)).await, resident_kib(worker[0]));

    let tally = flood.tally;
    watching.receive_more(10).await;
    println!("{tally:?}; {before:?} became {after:?}");
    assert_eq!(workers(), worker, "the same worker held out");
    assert!(after.0.is_within(before.0), "{before:?} became {after:?}");
    assert!(after.1 < before.1 + GROWTH_MAX_KIB, "{before:?} became {after:?}");
    assert_eq!(watching.missing_packets(), 0, "the neighbour's stream has no hole");
    assert!(tally.answered > 300 && tally.refused > 300, "{tally:?}");
    assert!(tally.candidates_through > 200 && tally.restarted > 100, "{tally:?}");
    camera.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_huge_empty_or_out_of_turn_is_refused_or_ignored() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let (mut watching, _) = camera.watch().await;
    watching.receive(5).await;
    let worker = workers();
    for (sdp, reason) in [
        (String::new(), SessionEndReason::InvalidOffer),
        ("garbage".repeat(10_000), SessionEndReason::OfferTooLarge),
        ("v=0\r\n".repeat(3_000_000), SessionEndReason::OfferTooLarge),
    ] {
        assert_eq!(camera.offer(sdp).await.end_reason(), Some(reason));
    }
    let (_viewer, id) = camera.watch().await;
    let huge = "a=x\r\n".repeat(3_000_000);
    for signal in [
        Signal { candidate: Some(huge.clone()), ..Signal::new(id, SignalKind::Candidate) },
        Signal { sdp: Some(huge), ..Signal::new(id, SignalKind::Restart) },
        Signal::new(id, SignalKind::Candidate),
        Signal::new(id, SignalKind::Restart),
        Signal::new(id, SignalKind::Answer),
        Signal::new(id, SignalKind::Report),
        Signal::new(id, SignalKind::Unknown),
        Signal::new(SessionId::generate(), SignalKind::Bye),
    ] {
        let signal = Signal { reply_to: Some("replica-1".to_owned()), ..signal };
        camera.signals.send(signal).await.unwrap();
    }
    watching.receive_more(25).await;
    camera.until_viewers(2).await;
    assert_eq!(workers(), worker, "the same worker held out");
    camera.stop().await;
}

//! By which ways others could reach this camera, as the media engine itself finds out.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use gstreamer as gst;
use nightjar_shared::{sdp::Offer, signal::IceServer};
use tokio::{sync::mpsc, time::timeout};

use super::peer::{Peer, PeerEvent, WARM_UP_OFFER};

/// Candidates that wait to be looked at. When full, further ones are left out: there are few kinds.
const CANDIDATES: usize = 64;
/// How long a TURN server may take for an allocation, by UDP and then by TCP.
const GATHER_MAX: Duration = Duration::from_secs(6);

/// Gathers candidates with these servers, as for a viewer, until one is relayed or none comes any more.
/// Returns their kinds: `host`, `srflx`, `relay`.
pub async fn candidate_kinds(servers: &[IceServer]) -> anyhow::Result<BTreeSet<String>> {
    gst::init().context("GStreamer does not start")?;
    let offer = Offer::parse(WARM_UP_OFFER)?;
    let (found, mut candidates) = mpsc::channel(CANDIDATES);
    let on_event = Arc::new(move |event| {
        if let PeerEvent::Candidate(_, text) = event {
            let _ = found.try_send(text);
        }
    });
    let (peer, _) = Peer::answer(None, offer, servers, true, on_event).await?;
    let mut kinds = BTreeSet::new();
    let gathered = timeout(GATHER_MAX, async {
        while let Some(text) = candidates.recv().await {
            let kind = text.split(" typ ").nth(1).and_then(|rest| rest.split(' ').next());
            kinds.extend(kind.map(str::to_owned));
            if kinds.contains("relay") {
                break;
            }
        }
    });
    // Whatever came until then counts.
    let _ = gathered.await;
    peer.close().await;
    Ok(kinds)
}

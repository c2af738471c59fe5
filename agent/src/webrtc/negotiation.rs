//! The steps of offer and answer with `webrtcbin`, and the cures for what `GStreamer` 1.22 gets
//! wrong by default.

use std::{future::Future, time::Duration};

use anyhow::{Context as _, bail};
use gstreamer::{self as gst, glib, prelude::*};
use gstreamer_app::AppSrc;
use gstreamer_sdp::{SDPMediaRef, SDPMessage};
use gstreamer_webrtc::{
    WebRTCICEGatheringState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSDPType,
    WebRTCSessionDescription,
};
use nightjar_shared::sdp::{Offer, PLAYOUT_DELAY, TRANSPORT_CC, is_candidate};
use tokio::{sync::watch, time};

use super::ice::IceServers;

/// Each step of a negotiation takes milliseconds, but the first loads plugins: on a slow board
/// that takes seconds. This is for one that never ends.
const STEP_LIMIT: Duration = Duration::from_secs(20);

/// How far apart ICE sends its checks: the least that RFC 8445 (section 14.2) allows. A viewer waits
/// for the answer to a check of the camera's before media can flow; the engine's 20 ms would be
/// added to each first picture.
const ICE_PACING_MS: u32 = 5;

/// A `webrtcbin` that asks no router and no TCP peer for help.
pub(super) fn element() -> anyhow::Result<gst::Element> {
    let webrtc = gst::ElementFactory::make("webrtcbin")
        .property_from_str("bundle-policy", "max-bundle")
        .build()
        .context("GStreamer has no webrtcbin: install gstreamer1.0-plugins-bad")?;
    let ice = webrtc.property::<Option<glib::Object>>("ice-agent").context("no ICE agent")?;
    if ice.has_property("agent") {
        let agent = ice.property::<glib::Object>("agent");
        // UPnP costs 200 ms and probes the owner's router; ICE over TCP only adds candidates.
        for name in ["upnp", "ice-tcp"] {
            if agent.has_property(name) {
                agent.set_property(name, false);
            }
        }
        if agent.has_property("stun-pacing-timer") {
            agent.set_property("stun-pacing-timer", ICE_PACING_MS);
        }
    }
    Ok(webrtc)
}

/// Is called before candidates are gathered.
pub(super) fn use_servers(webrtc: &gst::Element, servers: &IceServers) {
    if let Some(url) = &servers.stun {
        webrtc.set_property("stun-server", url);
    }
    for url in &servers.turn {
        if !webrtc.emit_by_name::<bool>("add-turn-server", &[url]) {
            tracing::warn!("a TURN server cannot be used");
        }
    }
}

/// Links the source of packets, to send only, with the codec that the offer's payload type stands
/// for.
pub(super) fn add_stream(
    webrtc: &gst::Element,
    packets: &AppSrc,
    offer: &Offer,
    ssrc: u32,
) -> anyhow::Result<()> {
    let sink = webrtc.request_pad_simple("sink_%u").context("webrtcbin takes no stream")?;
    let output = packets.static_pad("src").context("appsrc without a pad")?;
    let caps = gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("encoding-name", "H264")
        .field("clock-rate", 90_000_i32)
        .field("payload", i32::from(offer.payload_type));
    // No packet has flowed when the answer is made: what it says comes from these caps. Without
    // the SSRC it would announce retransmissions of stream 0, and the browser would show nothing.
    //
    // The profile is left out, as the camera's need not be the one that was offered. The answer
    // gets it in the end, see `complete`.
    let preferences = caps
        .field("packetization-mode", "1")
        .field("ssrc", ssrc)
        .field("rtcp-fb-nack", true)
        .field("rtcp-fb-nack-pli", true)
        .field("rtcp-fb-ccm-fir", true);
    // The session would number packets by itself if their caps named the extension.
    let mut preferences = preferences.build();
    packets.set_caps(Some(&preferences));
    if let Some(id) = offer.transport_cc {
        let caps = preferences.make_mut();
        caps.set("rtcp-fb-transport-cc", true);
        caps.set(format!("extmap-{id}"), TRANSPORT_CC);
    }
    output.link(&sink)?;
    let transceiver = webrtc
        .emit_by_name::<Option<WebRTCRTPTransceiver>>("get-transceiver", &[&0_i32])
        .context("webrtcbin made no transceiver")?;
    transceiver.set_property("direction", WebRTCRTPTransceiverDirection::Sendonly);
    transceiver.set_property("do-nack", true);
    transceiver.set_property("codec-preferences", preferences);
    Ok(())
}

/// Which candidates a description waits for.
///
/// The media engine calls gathering complete only when each server was tried from each address of
/// the machine, also from those that cannot reach it, which takes seconds. So what decides is the
/// first candidate of the kind that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathering {
    /// The viewer hears of candidates one by one.
    None,
    /// This machine's own addresses: known at once.
    Host,
    /// Until a STUN server has told the address that it sees.
    Reflexive,
    /// Until a TURN server lends an address.
    Relayed,
}

impl Gathering {
    pub(super) fn with(servers: &IceServers) -> Self {
        match (&servers.stun, servers.turn.is_empty()) {
            (_, false) => Self::Relayed,
            (Some(_), true) => Self::Reflexive,
            (None, true) => Self::Host,
        }
    }

    fn limit(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Host => Duration::from_millis(250),
            Self::Reflexive | Self::Relayed => Duration::from_secs(2),
        }
    }

    fn is_enough(self, candidate: &str) -> bool {
        match self {
            Self::None | Self::Host => false,
            Self::Reflexive => candidate.contains(" typ srflx"),
            Self::Relayed => candidate.contains(" typ relay"),
        }
    }
}

/// The candidates of one connection. They are found once: when ICE begins anew nothing tells of them
/// again, so that waiting would only end at its limit.
#[derive(Clone)]
pub(super) struct Candidates {
    wanted: Gathering,
    /// True once a description need not wait any longer.
    found: watch::Receiver<bool>,
}

impl Candidates {
    /// Is made before anything is described.
    pub(super) fn watch(webrtc: &gst::Element, wanted: Gathering) -> Self {
        let (sender, found) = watch::channel(false);
        let enough = sender.clone();
        webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
            let state = webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state");
            if state == WebRTCICEGatheringState::Complete {
                sender.send_replace(true);
            }
        });
        watch_candidates(webrtc, move |_, candidate| {
            if wanted.is_enough(&candidate) {
                enough.send_replace(true);
            }
        });
        Self { wanted, found }
    }

    /// A description with the candidates known so far is better than none.
    async fn wait(&mut self) {
        let found = self.found.wait_for(|found| *found);
        if time::timeout(self.wanted.limit(), found).await.is_err() {
            tracing::debug!("describing before all candidates are known");
        }
    }
}

/// Runs offer -> answer and waits, for a while, for the candidates. The first time and again when
/// ICE begins anew.
pub(super) async fn answer(
    webrtc: &gst::Element,
    offer: &Offer,
    mut candidates: Candidates,
) -> anyhow::Result<String> {
    let description = SDPMessage::parse_buffer(offer.rewritten().as_bytes()).context("not SDP")?;
    let description = WebRTCSessionDescription::new(WebRTCSDPType::Offer, description);
    call(webrtc, "set-remote-description", Some(&description)).await?;
    let reply = call(webrtc, "create-answer", None).await?.context("no answer was made")?;
    let answer =
        reply.get::<WebRTCSessionDescription>("answer").context("a reply without an answer")?;
    call(webrtc, "set-local-description", Some(&answer)).await?;
    candidates.wait().await;
    let local = webrtc
        .property::<Option<WebRTCSessionDescription>>("local-description")
        .context("no local description")?;
    let sdp = local.sdp();
    let video = sdp.medias().find(|media| media.media() == Some("video"));
    if video.is_none_or(|media| media.port() == 0) {
        bail!("the video section was rejected");
    }
    Ok(offer.answered(&complete(&sdp.as_text()?, offer)))
}

/// What the camera offers: the description, and what still has to become the local one.
pub(super) struct Offered {
    pub(super) text: String,
    /// `None` once candidates are gathered.
    pending: Option<WebRTCSessionDescription>,
}

/// Makes an offer. Without `gathering` it names no candidates: they are gathered when
/// [`accept`] is called, with the servers that are known by then.
pub(super) async fn offer(
    webrtc: &gst::Element,
    offer: &Offer,
    mut candidates: Candidates,
) -> anyhow::Result<Offered> {
    let reply = call(webrtc, "create-offer", None).await?.context("no offer was made")?;
    let made =
        reply.get::<WebRTCSessionDescription>("offer").context("a reply without an offer")?;
    if candidates.wanted == Gathering::None {
        let text = complete(&made.sdp().as_text()?, offer);
        return Ok(Offered { text, pending: Some(made) });
    }
    call(webrtc, "set-local-description", Some(&made)).await?;
    candidates.wait().await;
    let local = webrtc
        .property::<Option<WebRTCSessionDescription>>("local-description")
        .context("no local description")?;
    Ok(Offered { text: complete(&local.sdp().as_text()?, offer), pending: None })
}

/// Takes the answer to an offer of the camera's.
pub(super) async fn accept(
    webrtc: &gst::Element,
    offered: Offered,
    answer: &str,
    servers: &IceServers,
) -> anyhow::Result<()> {
    let answer = SDPMessage::parse_buffer(answer.as_bytes()).context("not SDP")?;
    let video = answer.medias().find(|media| media.media() == Some("video"));
    // Who knows no H.264 may say so by a direction alone.
    let takes = |media: &SDPMediaRef| {
        media.port() != 0
            && ["inactive", "sendonly"].iter().all(|word| media.attribute_val(word).is_none())
    };
    if !video.is_some_and(takes) {
        bail!("the video section was rejected");
    }
    if let Some(offer) = offered.pending {
        use_servers(webrtc, servers);
        call(webrtc, "set-local-description", Some(&offer)).await?;
    }
    let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, answer);
    call(webrtc, "set-remote-description", Some(&answer)).await.map(drop)
}

/// Says in the answer which H.264 it is, as browsers take an answer that does not for another
/// profile than they offered, and the header extension that `GStreamer` does not know.
fn complete(answer: &str, offer: &Offer) -> String {
    let codec = format!("a=rtpmap:{} ", offer.payload_type);
    let format = format!("a=fmtp:{}", offer.payload_type);
    let mut completed = String::with_capacity(answer.len() + 200);
    for line in answer.lines() {
        if offer.profile_level_id.is_some() && line.starts_with(&format) {
            continue;
        }
        completed.extend([line, "\r\n"]);
        if !line.starts_with(&codec) {
            continue;
        }
        if let Some(profile) = &offer.profile_level_id {
            completed.extend([&format, " level-asymmetry-allowed=1;packetization-mode=1;"]);
            completed.extend(["profile-level-id=", profile, "\r\n"]);
        }
        if let Some(id) = offer.playout_delay {
            completed.extend(["a=extmap:", &id.to_string(), " ", PLAYOUT_DELAY, "\r\n"]);
        }
    }
    completed
}

/// Ignores what is not a candidate.
pub(super) fn add_candidate(webrtc: &gst::Element, section: u32, candidate: &str) {
    if is_candidate(candidate) {
        webrtc.emit_by_name::<()>("add-ice-candidate", &[&section, &candidate]);
    }
}

/// Calls back with the section and the text of each candidate as it is found.
pub(super) fn watch_candidates(
    webrtc: &gst::Element,
    on_candidate: impl Fn(u32, String) + Send + Sync + 'static,
) {
    webrtc.connect("on-ice-candidate", false, move |values| {
        let section = values.get(1).and_then(|value| value.get::<u32>().ok());
        let candidate = values.get(2).and_then(|value| value.get::<String>().ok());
        if let (Some(section), Some(candidate)) = (section, candidate) {
            on_candidate(section, candidate);
        }
        None
    });
}

/// What `webrtcbin` has counted; `None` when it does not answer.
pub(super) fn statistics(
    webrtc: &gst::Element,
) -> impl Future<Output = Option<gst::Structure>> + Send + use<> {
    let (promise, reply) = gst::Promise::new_future();
    webrtc.emit_by_name::<()>("get-stats", &[&None::<gst::Pad>, &promise]);
    async move {
        let reply = time::timeout(STEP_LIMIT, reply).await.ok()?.ok()??;
        Some(reply.to_owned())
    }
}

/// Emits an action signal with a promise and waits for the reply.
///
/// Not an `async fn`: the signal's arguments must not live across an await, as they are not
/// `Send`.
fn call(
    webrtc: &gst::Element,
    signal: &'static str,
    description: Option<&WebRTCSessionDescription>,
) -> impl Future<Output = anyhow::Result<Option<gst::Structure>>> + Send + use<> {
    let (promise, reply) = gst::Promise::new_future();
    match description {
        Some(description) => webrtc.emit_by_name::<()>(signal, &[description, &promise]),
        None => webrtc.emit_by_name::<()>(signal, &[&None::<gst::Structure>, &promise]),
    }
    async move {
        let reply = time::timeout(STEP_LIMIT, reply)
            .await
            .with_context(|| format!("{signal} takes too long"))?
            .map_err(|error| anyhow::anyhow!("{signal}: {error:?}"))?;
        let Some(reply) = reply else { return Ok(None) };
        if let Ok(error) = reply.get::<glib::Error>("error") {
            bail!("{signal}: {}", error.message());
        }
        Ok(Some(reply.to_owned()))
    }
}

//! One WebRTC connection, of a viewer or to an SFU: a pipeline of its own, so that its failures
//! are its own.

mod arrivals;
mod backlog;
mod graph;
mod publication;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use gstreamer as gst;
use nightjar_core::{monotonic::MonotonicNanos, picture::Layer, rtp::layers::LayerChoice};
use nightjar_shared::{
    sdp::{InvalidOffer, Offer},
    signal::IceServer,
};
use tokio::task::spawn_blocking;

pub use self::graph::Spare;
use self::{backlog::Backlog, graph::Graph, publication::Publication};
pub use super::packets::SharedFrame;
use super::{
    ice::IceServers,
    measure::{self, Sample},
    negotiation::{self, Candidates, Gathering},
    packets::Packets,
};
use crate::{clock::monotonic_now, lock::lock};

/// Of pictures that wait for the network; a viewer that is further behind skips to a key frame.
const MAX_BACKLOG: Duration = Duration::from_secs(1);

/// How long a viewer that goes over to another layer waits for it without a picture: what is sent
/// meanwhile of the old one would only keep its path full.
const LAYER_PATIENCE: Duration = Duration::from_secs(2);

/// An offer of nobody's, for [`warm_up`] and to try the network.
pub(super) const WARM_UP_OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    a=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:warm\r\na=ice-pwd:warmwarmwarmwarmwarmwarm\r\n\
    a=fingerprint:sha-256 00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:\
    00:00:00:00:00:00:00:00\r\na=setup:actpass\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n\
    a=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1;profile-level-id=42e01f\r\n";

/// What happens to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    Connected,
    /// The viewer lost pictures, or has just come.
    KeyFrameWanted,
    /// A way to reach the camera: the section it is for, and its text.
    Candidate(u32, String),
    /// The other end does not hold the certificate that its description names.
    NotAuthentic,
    /// The connection has failed or was closed by the viewer.
    Ended,
}

/// Called from threads of the media engine, which it must not hold up.
pub type OnEvent = Arc<dyn Fn(PeerEvent) + Send + Sync>;

/// Why an offer gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error(transparent)]
    InvalidOffer(#[from] InvalidOffer),
    #[error("the media engine refuses the offer: {0:#}")]
    Refused(anyhow::Error),
    #[error("the media engine does not work: {0:#}")]
    Engine(anyhow::Error),
}

/// Makes and drops a connection, so that the first viewer does not wait for plugins to load.
pub async fn warm_up() -> anyhow::Result<()> {
    gst::init().context("GStreamer does not start")?;
    let offer = Offer::parse(WARM_UP_OFFER)?;
    let (peer, _) = Peer::answer(None, offer, &[], false, Arc::new(|_| {})).await?;
    peer.close().await;
    Ok(())
}

/// Starts a connection's pipeline.
async fn start(
    spare: Option<Spare>,
    offer: Offer,
    servers: IceServers,
    on_event: OnEvent,
) -> Result<Graph, PeerError> {
    spawn_blocking(move || Graph::start(spare, &offer, &servers, &on_event))
        .await
        .map_err(|panic| PeerError::Engine(panic.into()))?
        .map_err(PeerError::Engine)
}

/// A connection that was answered, or offered by the camera. Dropping it closes it, which blocks
/// for some milliseconds.
pub struct Peer {
    graph: Graph,
    packets: Packets,
    backlog: Backlog,
    offer: Offer,
    /// Of a connection that the camera itself offered.
    publication: Option<Publication>,
    /// Whether frames are held back up to the next key frame.
    starting: bool,
    /// Which layer is sent, and which is to be sent from its next key frame on.
    layer: Layer,
    choice: LayerChoice,
    /// The newest frame that was sent: time goes on when layers change.
    last_sent: MonotonicNanos,
    /// How old it was then.
    age: Option<Duration>,
    frames_sent: u64,
    candidates: Candidates,
    /// Held while a description is answered: `webrtcbin` mixes two of them up.
    negotiating: Arc<tokio::sync::Mutex<()>>,
}

impl Peer {
    /// Answers a viewer's offer, sooner with a spare. The answer carries the candidates that are
    /// found soon, or none if the viewer hears of them by events (`trickle`).
    pub async fn answer(
        spare: Option<Spare>,
        offer: Offer,
        servers: &[IceServer],
        trickle: bool,
        on_event: OnEvent,
    ) -> Result<(Self, String), PeerError> {
        let servers = IceServers::new(servers);
        let gathering = if trickle { Gathering::None } else { Gathering::with(&servers) };
        let graph = start(spare, offer.clone(), servers, on_event).await?;
        let candidates = Candidates::watch(graph.webrtc(), gathering);
        let answer = negotiation::answer(graph.webrtc(), &offer, candidates.clone()).await;
        match answer {
            Ok(mut answer) => {
                answer.push_str(&graph.clock_line());
                Ok((Self::new(graph, offer, candidates), answer))
            }
            Err(error) => {
                // Closing blocks.
                let _ = spawn_blocking(move || drop(graph)).await;
                Err(PeerError::Refused(error))
            }
        }
    }

    /// Offers the camera's picture. With `complete` the offer carries the candidates that are
    /// found soon, for those who want to hear of no more.
    pub async fn offer(
        servers: &[IceServer],
        complete: bool,
        on_event: OnEvent,
    ) -> Result<(Self, String), PeerError> {
        let offer = Offer::of_the_camera();
        let servers = IceServers::new(servers);
        let gathering = if complete { Gathering::with(&servers) } else { Gathering::None };
        let graph = start(None, offer.clone(), servers, on_event).await?;
        let candidates = Candidates::watch(graph.webrtc(), gathering);
        match Publication::offer(graph.webrtc(), &offer, candidates.clone()).await {
            Ok((publication, text)) => {
                let peer = Self::new(graph, offer.described_by(&text), candidates);
                Ok((Self { publication: Some(publication), ..peer }, text))
            }
            Err(error) => {
                // Closing blocks.
                let _ = spawn_blocking(move || drop(graph)).await;
                Err(PeerError::Engine(error))
            }
        }
    }

    /// Takes the answer to [`Self::offer`], and gathers what the offer did not carry.
    pub fn accept(
        &mut self,
        answer: String,
        servers: &[IceServer],
    ) -> impl Future<Output = Result<(), PeerError>> + Send + use<> {
        let (webrtc, certificate) = (self.graph.webrtc().clone(), self.graph.certificate.clone());
        let servers = IceServers::new(servers);
        let publication = self.publication.as_mut();
        let accepted = publication.map(|it| it.accept(webrtc, certificate, answer, servers));
        async move {
            match accepted {
                Some(accepted) => accepted.await.map_err(PeerError::Refused),
                None => Ok(()),
            }
        }
    }

    fn new(graph: Graph, offer: Offer, candidates: Candidates) -> Self {
        Self {
            packets: Packets::new(offer.payload_type, graph.stream, offer.transport_cc),
            backlog: Backlog::default(),
            graph,
            offer,
            publication: None,
            starting: true,
            layer: Layer::Main,
            choice: LayerChoice::new(monotonic_now()),
            last_sent: MonotonicNanos::default(),
            age: None,
            frames_sent: 0,
            candidates,
            negotiating: Arc::default(),
        }
    }

    /// Sends a frame of one of the layers, if it is this viewer's; false when this one and the
    /// following are skipped up to a key frame.
    pub fn send(&mut self, layer: Layer, frame: &SharedFrame) -> bool {
        let follows = frame.captured_at() > self.last_sent;
        if layer == self.choice.layer() && layer != self.layer && frame.is_key_frame() && follows {
            self.layer = layer;
            self.graph.resending.forget();
        }
        let now = monotonic_now();
        if layer != self.layer {
            return true;
        }
        if self.leaves(now) {
            // Should the other layer not come, what follows refers to what was left out.
            self.starting = true;
            return true;
        }
        let queued = self.graph.source.current_level_buffers();
        let behind = self.backlog.before(frame.captured_at(), queued) > MAX_BACKLOG;
        if frame.is_key_frame() {
            self.starting = behind;
        } else if behind {
            self.starting = true;
        }
        if self.starting || !follows {
            return false;
        }
        self.last_sent = frame.captured_at();
        self.age = Some(now.since(self.last_sent));
        self.backlog.push(self.last_sent, frame.packets());
        let mut groups = self.packets.of(frame).into_iter();
        let sent = frame.packets() > 0
            && groups.all(|group| self.graph.source.push_buffer_list(group).is_ok());
        self.frames_sent += u64::from(sent);
        sent
    }

    /// Decides anew which layer this viewer gets, beside a main one of so many kbit/s. It goes
    /// over at that layer's next key frame, without a break in the stream: the parameter sets
    /// come with every key frame.
    pub fn choose_layer(&mut self, main_kbps: u32, now: MonotonicNanos) -> Layer {
        if let Some(estimate) = self.estimate_kbps() {
            let before = self.choice.layer();
            let after = self.choice.decide(estimate, main_kbps, now);
            // What was lost of a layer that the path cannot carry is lost.
            if (before, after) == (Layer::Main, Layer::Low) {
                self.graph.resending.forget();
            }
        }
        self.choice.layer()
    }

    /// Whether this viewer's path is too narrow for the layer that it still gets.
    fn leaves(&self, now: MonotonicNanos) -> bool {
        self.layer == Layer::Main
            && self.choice.layer() == Layer::Low
            && now.since(self.choice.since()) < LAYER_PATIENCE
    }

    /// The layer that was decided on.
    pub fn wanted_layer(&self) -> Layer {
        self.choice.layer()
    }

    /// The layer that is sent now.
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// What the way to this viewer carries; nothing before its first feedback.
    pub(crate) fn estimate_kbps(&self) -> Option<u32> {
        lock(&self.graph.estimator).estimate_kbps()
    }

    /// Begins ICE anew with the viewer's new user and password; gives the new answer, when those to
    /// earlier ones are given. What flows goes on where it can.
    pub fn restart(
        &mut self,
        fragment: &str,
    ) -> Result<impl Future<Output = Result<String, PeerError>> + Send + use<>, PeerError> {
        let offer = self.offer.restarted(fragment)?;
        self.offer = offer.clone();
        // The viewer was silent while its network changed.
        self.graph.arrivals.wait_anew();
        let (webrtc, candidates) = (self.graph.webrtc().clone(), self.candidates.clone());
        let negotiating = Arc::clone(&self.negotiating);
        Ok(async move {
            let _turn = negotiating.lock().await;
            negotiation::answer(&webrtc, &offer, candidates).await.map_err(PeerError::Refused)
        })
    }

    /// How the connection fares now.
    pub fn measure(&self) -> impl Future<Output = Option<Sample>> + Send + use<> {
        let (frames_sent, layer, age) = (self.frames_sent, self.layer, self.age);
        let known = Sample { frames_sent, layer, age, ..Sample::default() };
        let statistics = negotiation::statistics(self.graph.webrtc());
        async move { Some(measure::read(statistics.await?.as_ref(), known)) }
    }

    /// The name of a section, for the viewer.
    pub fn mid_of(&self, section: u32) -> Option<&str> {
        self.offer.mid_of(section)
    }

    /// Adds a candidate, as in `a=candidate:` without the `a=`. What is not one is ignored.
    pub fn add_candidate(&self, candidate: &str, mid: Option<&str>) {
        if let Some(section) = self.offer.section_of(mid) {
            negotiation::add_candidate(self.graph.webrtc(), section, candidate);
        }
    }

    /// Whether the viewer tells of every packet, many times a second, as browsers do. An SFU was
    /// offered that, but need not do it.
    pub fn gives_feedback(&self) -> bool {
        self.offer.transport_cc.is_some() && self.publication.is_none()
    }

    /// When something last arrived from the viewer; nothing tells of one that vanished but its
    /// silence.
    pub fn last_heard(&self) -> Option<MonotonicNanos> {
        self.graph.arrivals.last()
    }

    /// Closes the connection without blocking the caller.
    pub async fn close(self) {
        if spawn_blocking(move || drop(self)).await.is_err() {
            tracing::error!("closing a viewer's pipeline panicked");
        }
    }
}

//! A connection that the camera itself offers, to an SFU.

use anyhow::Context as _;
use nightjar_shared::authenticity::first_fingerprint;

use super::{
    Candidates, Gathering, Graph, IceServer, IceServers, Offer, OnEvent, Peer, PeerError,
    negotiation, spawn_blocking,
};

impl Peer {
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
        let parts = offer.clone();
        let graph = spawn_blocking(move || Graph::start(None, &parts, &servers, &on_event))
            .await
            .map_err(|panic| PeerError::Engine(panic.into()))?
            .map_err(PeerError::Engine)?;
        let candidates = Candidates::watch(graph.webrtc(), gathering);
        match negotiation::offer(graph.webrtc(), &offer, candidates.clone()).await {
            Ok(offered) => {
                let text = offered.text.clone();
                let mut peer = Self::new(graph, offer.described_by(&text), candidates);
                peer.offered = Some(offered);
                peer.is_publication = true;
                Ok((peer, text))
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
        let (webrtc, offered) = (self.graph.webrtc().clone(), self.offered.take());
        let certificate = self.graph.certificate.clone();
        let servers = IceServers::new(servers);
        async move {
            // A second answer changes nothing.
            let Some(offered) = offered else { return Ok(()) };
            let fingerprint = first_fingerprint(&answer).context("the answer names no certificate");
            certificate.expect(fingerprint.map_err(PeerError::Refused)?);
            negotiation::accept(&webrtc, offered, &answer, &servers)
                .await
                .map_err(PeerError::Refused)
        }
    }
}

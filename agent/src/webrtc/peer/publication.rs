//! The camera's own offer, to an SFU, and the answer to it.

use anyhow::Context as _;
use gstreamer as gst;
use nightjar_shared::{authenticity::first_fingerprint, sdp::Offer};

use crate::webrtc::{
    certificate::PeerCertificate,
    ice::IceServers,
    negotiation::{self, Candidates, Offered},
};

/// What the camera offered of itself.
pub(super) struct Publication {
    /// Until it has its answer.
    offered: Option<Offered>,
}

impl Publication {
    /// Offers the camera's picture; returns the offer's text, too.
    pub(super) async fn offer(
        webrtc: &gst::Element,
        offer: &Offer,
        candidates: Candidates,
    ) -> anyhow::Result<(Self, String)> {
        let offered = negotiation::offer(webrtc, offer, candidates).await?;
        let text = offered.text.clone();
        Ok((Self { offered: Some(offered) }, text))
    }

    /// Takes the answer, and gathers what the offer did not carry. A second answer changes nothing.
    pub(super) fn accept(
        &mut self,
        webrtc: gst::Element,
        certificate: PeerCertificate,
        answer: String,
        servers: IceServers,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        let offered = self.offered.take();
        async move {
            let Some(offered) = offered else { return Ok(()) };
            let fingerprint = first_fingerprint(&answer).context("the answer names no certificate");
            certificate.expect(fingerprint?);
            negotiation::accept(&webrtc, offered, &answer, &servers).await
        }
    }
}

//! What stands in front of a listener, and who is asking through it.

use std::{io, net::SocketAddr};

use http::HeaderMap;
use tokio::net::TcpStream;

use super::forwarded;
use crate::{config::Proxies, listener::proxy_header};

/// What stands in front of a listener; without any setting, clients themselves.
#[derive(Debug, Clone, Default)]
pub struct Front {
    /// Who is believed when it says on whose behalf it asks.
    pub proxies: Proxies,
    /// Connections begin with the PROXY protocol's header.
    pub proxy_protocol: bool,
    /// A proxy ends TLS for this listener: what is spoken here in the clear is for it alone.
    pub plain: bool,
    /// Browsers are told to come by https alone from now on.
    pub https_alone: bool,
}

/// Whether a trusted proxy made the connection that a request came by: its word on the request counts.
#[derive(Debug, Clone, Copy)]
pub struct ByProxy(pub bool);

impl Front {
    pub(super) fn is_closed_to(&self, is_proxy: bool) -> bool {
        !is_proxy && (self.proxy_protocol || self.plain)
    }

    /// Lets a proxy say whose connection this is, where connections begin with that.
    pub(super) async fn introduce(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
    ) -> io::Result<SocketAddr> {
        if self.proxy_protocol { proxy_header::read(stream, peer).await } else { Ok(peer) }
    }

    /// Returns whose request this is: with port 0 where a header says it.
    pub(super) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let client = forwarded::client(peer.ip(), headers, &self.proxies);
        if client == peer.ip() { peer } else { SocketAddr::new(client, 0) }
    }
}

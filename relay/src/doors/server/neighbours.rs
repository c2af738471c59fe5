//! What else is served at the port of a listener, for networks that let nothing but https out: a server
//! of another name, and TURN.

use std::{net::SocketAddr, sync::Arc};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use super::{Held, activity::Watched};

/// The two ways of a stream.
pub type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

/// Takes a stream that speaks another protocol, with our address and the client's, until it ends.
pub type TakeStream =
    Arc<dyn Fn(Halves, SocketAddr, SocketAddr) -> BoxFuture<'static, ()> + Send + Sync>;

type ServeNamed =
    Arc<dyn Fn(TlsStream<Watched>, Held, SocketAddr) -> BoxFuture<'static, ()> + Send + Sync>;

/// Whom a listener hands its connections to that are not its own.
#[derive(Clone, Default)]
pub struct Neighbours {
    /// Connections that begin with a STUN message, in the clear or within TLS.
    pub stun: Option<TakeStream>,
    /// Connections that want another name's certificate.
    pub named: Option<Named>,
}

impl Neighbours {
    /// Finds the server of the name that a TLS client asks for.
    pub(super) fn named(&self, name: Option<&str>) -> Option<&Named> {
        self.named
            .as_ref()
            .filter(|named| name.is_some_and(|it| it.eq_ignore_ascii_case(&named.host)))
    }
}

/// A server that has a name, and no listener of its own.
#[derive(Clone)]
pub struct Named {
    pub(super) host: String,
    pub(super) serve: ServeNamed,
}

/// Returns whether a client came for a proof of our name alone, which it has seen in the handshake: an ACME
/// server (RFC 8737).
pub(super) fn came_for_proof(protocol: Option<&[u8]>) -> bool {
    protocol == Some(b"acme-tls/1")
}

/// Returns whether a connection that begins with this byte speaks STUN: requests of all its methods
/// begin with 0, TLS with 22 and HTTP with a letter.
pub(super) fn begins_stun(first: u8) -> bool {
    first == 0
}

//! From a connection that is accepted to the one that it is for: HTTP in the clear or within TLS, or a
//! neighbour.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::server::TlsStream;

use super::{
    BoxError, Held, Server,
    activity::{Activity, Watched},
    body::RequestBody,
    connections::Place,
    neighbours::{self, Halves, TakeStream},
    rewound::Rewound,
};

impl<H, F, B> Server<H>
where
    H: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.cancel.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => self.begin(stream, peer),
                Err(error) if is_connection_error(&error) => {}
                Err(error) => {
                    // Out of descriptors, most likely: closing connections will help.
                    tracing::warn!(listener = self.name, %error, "cannot accept a connection");
                    sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    fn begin(&self, mut stream: TcpStream, peer: SocketAddr) {
        let is_proxy = self.front.proxies.contain(peer.ip());
        if self.front.is_closed_to(is_proxy) {
            tracing::debug!(listener = self.name, "closed to all but trusted proxies");
            return;
        }
        // When full, the new connection is closed: those that are served stay served.
        let Some(mut permit) = self.connections.admit(peer.ip(), is_proxy) else { return };
        // Small answers must not wait for more; a failure costs time, nothing else.
        let _ = stream.set_nodelay(true);
        let server = self.clone();
        self.tracker.spawn(async move {
            let introduced = timeout(server.limits.head, server.front.introduce(&mut stream, peer));
            let client = match introduced.await {
                Ok(Ok(client)) => client,
                Ok(Err(error)) => {
                    tracing::debug!(%error, listener = server.name, "no PROXY header");
                    return;
                }
                Err(_) => return server.timed_out.increment(),
            };
            let is_proxy = server.front.proxies.contain(client.ip());
            if client != peer && !permit.pass_to(client.ip(), is_proxy) {
                return;
            }
            if let Some(stun) = &server.neighbours.stun {
                match timeout(server.limits.head, begins_stun(&stream)).await {
                    Ok(Ok(true)) => {
                        // It has a place among the clients of TURN.
                        drop(permit);
                        return server.take_stun(stun, stream, client).await;
                    }
                    Ok(Ok(false)) => {}
                    Ok(Err(_)) => return,
                    Err(_) => return server.timed_out.increment(),
                }
            }
            let (activity, place) = (Arc::new(Activity::default()), Place::new(permit));
            let stream = Watched::new(stream, activity.clone(), place.clone());
            let held = Held { activity, place };
            match server.acceptor.clone() {
                None => server.serve_connection(stream, held, client).await,
                Some(acceptor) => {
                    match timeout(server.limits.head, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => server.serve_encrypted(stream, held, client).await,
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => server.timed_out.increment(),
                    }
                }
            }
        });
    }

    async fn take_stun(&self, stun: &TakeStream, stream: TcpStream, client: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        let (read, write) = stream.into_split();
        let halves: Halves = (Box::new(read), Box::new(write));
        self.cancel.run_until_cancelled(stun(halves, local, client)).await;
    }

    /// Serves what came within TLS, or hands it on to whom it is for.
    async fn serve_encrypted(self, mut stream: TlsStream<Watched>, held: Held, client: SocketAddr) {
        if neighbours::came_for_proof(stream.get_ref().1.alpn_protocol()) {
            // It has seen what it wanted; that it hears of the end is a courtesy.
            let _ = timeout(self.limits.head, stream.shutdown()).await;
            return;
        }
        if let Some(named) = self.neighbours.named(stream.get_ref().1.server_name()) {
            return (named.serve)(stream, held, client).await;
        }
        let Some(stun) = self.neighbours.stun.clone() else {
            return self.serve_connection(stream, held, client).await;
        };
        let first = match timeout(self.limits.head, stream.read_u8()).await {
            Ok(Ok(first)) => first,
            Ok(Err(_)) => return,
            Err(_) => return self.timed_out.increment(),
        };
        let local = stream.get_ref().0.local_address();
        let stream = Rewound::new(first, stream);
        if !neighbours::begins_stun(first) {
            return self.serve_connection(stream, held, client).await;
        }
        let Ok(local) = local else { return };
        held.place.give_up();
        let (read, write) = tokio::io::split(stream);
        let halves: Halves = (Box::new(read), Box::new(write));
        self.cancel.run_until_cancelled(stun(halves, local, client)).await;
    }
}

/// Looks at the first byte of a connection, and leaves it there.
async fn begins_stun(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(neighbours::begins_stun(first[0])),
    }
}

/// Returns whether an error is of the one connection that was about to be accepted.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

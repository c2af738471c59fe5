//! TURN over TCP and over TLS, on listeners of its own and on those of others.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Shared,
    client::{Client, Way},
    framing::Frames,
};

/// A handshake that takes longer is no client's.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Serves clients whose streams came to another listener. Clones share it.
#[derive(Clone)]
pub struct StreamDoor(pub(super) Arc<Shared>);

impl StreamDoor {
    /// Serves a client until it is gone; at once where there are too many of its network.
    pub async fn serve(
        &self,
        read: Box<dyn AsyncRead + Send + Unpin>,
        write: Box<dyn AsyncWrite + Send + Unpin>,
        local: SocketAddr,
        client: SocketAddr,
    ) {
        if let Some(seat) = self.0.streams.enter(client.ip()) {
            let way = Way::Tcp { read: Frames::new(read), write };
            Client::new(self.0.clone(), way, seat, local, client).run().await;
        }
    }
}

pub(super) struct Listener {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    pub(super) fn plain(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }

    pub(super) fn with_tls(listener: TcpListener, config: &Arc<rustls::ServerConfig>) -> Self {
        // What is negotiated for the web's doors is not spoken here.
        let mut config = rustls::ServerConfig::clone(config);
        config.alpn_protocols = vec![b"stun.turn".to_vec()];
        Self { listener, tls: Some(TlsAcceptor::from(Arc::new(config))) }
    }

    pub(super) async fn serve(
        self,
        shared: Arc<Shared>,
        tracker: TaskTracker,
        cancel: CancellationToken,
    ) {
        let Ok(local) = self.listener.local_addr() else { return };
        loop {
            let accepted = tokio::select! {
                () = cancel.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer): (TcpStream, SocketAddr) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a TURN client");
                    // Out of descriptors, most likely: clients that end will help.
                    sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let Some(seat) = shared.streams.enter(peer.ip()) else { continue };
            // Media must not wait for more; a failure costs time, nothing else.
            let _ = stream.set_nodelay(true);
            let (shared, tls) = (shared.clone(), self.tls.clone());
            let served = async move {
                match way(stream, tls).await {
                    Ok(way) => Client::new(shared, way, seat, local, peer).run().await,
                    Err(error) => tracing::debug!(%error, "a TURN client speaks no TLS"),
                }
            };
            tracker.spawn(cancel.clone().run_until_cancelled_owned(served));
        }
    }
}

async fn way(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Way> {
    let Some(tls) = tls else {
        let (read, write) = stream.into_split();
        return Ok(Way::Tcp { read: Frames::new(read), write: Box::new(write) });
    };
    let stream = timeout(HANDSHAKE_MAX, tls.accept(stream)).await??;
    let (read, write) = tokio::io::split(stream);
    Ok(Way::Tcp { read: Frames::new(read), write: Box::new(write) })
}

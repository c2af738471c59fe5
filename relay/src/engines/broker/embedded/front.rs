//! The door before rmqtt's: it accepts connections itself, so that no network takes all places and nobody
//! keeps one for nothing, ends TLS, and carries what comes within it to rmqtt, which listens on loopback.
//!
//! rmqtt 0.24 accepts whoever comes, asks nobody, and waits for the version in a CONNECT without an end;
//! what it does with an accepted connection cannot be called from outside. What comes to other doors of the relay
//! has the same places, and is carried over by those doors.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::places::{Place, Places};
use crate::{
    config::Proxies,
    engines::{
        broker::EmbeddedBrokerConfig,
        metrics::{Counter, Gauge, Metrics},
    },
    listener::{self, proxy_header},
};

/// After an error that concerns all: out of descriptors, most likely.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);
/// How long connections live on at most when the broker stops, which says goodbye on them.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Of each direction of a connection: messages are short.
const BUFFER_BYTES: usize = 4 * 1024;
/// Of what is carried before the broker has answered: most of a CONNECT.
const FIRST_BYTES: usize = 512;

pub(super) struct Front {
    listener: TcpListener,
    door: Arc<Door>,
}

/// What each connection asks for.
struct Door {
    proxies: Proxies,
    proxy_protocol: bool,
    acceptor: TlsAcceptor,
    /// For the header of a proxy, and again for TLS.
    handshake: Duration,
    /// For what is within TLS, until the broker has answered.
    patience: Duration,
    broker: SocketAddr,
    admission: Admission,
    timed_out: Counter,
}

impl Front {
    pub(super) fn bind(
        config: EmbeddedBrokerConfig,
        admission: Admission,
        broker: SocketAddr,
        metrics: &Metrics,
    ) -> io::Result<Self> {
        let listener = listener::listen(config.listen)?;
        let door = Door {
            proxies: config.proxies,
            proxy_protocol: config.proxy_protocol,
            acceptor: TlsAcceptor::from(config.tls),
            handshake: config.limits.handshake,
            patience: config.limits.patience(),
            broker,
            admission,
            timed_out: metrics.counter(
                "nightjar_mqtt_timeouts_total",
                "Connections closed because the client said nothing in time.",
                &[],
            ),
        };
        Ok(Self { listener, door: Arc::new(door) })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Lets connections in until `cancel` is cancelled; they live on until the broker's end is `over`.
    pub(super) async fn serve(
        self,
        tracker: TaskTracker,
        cancel: CancellationToken,
        over: CancellationToken,
    ) {
        while let Some(accepted) = cancel.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    let Some(open) = self.door.admit(peer.ip()) else { continue };
                    let (door, over) = (self.door.clone(), over.clone());
                    tracker.spawn(async move {
                        tokio::select! {
                            () = door.serve(stream, peer, open) => {}
                            () = over.cancelled() => {}
                        }
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an MQTT connection");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}

impl Door {
    fn admit(&self, peer: IpAddr) -> Option<Open> {
        let is_proxy = self.proxies.contain(peer);
        if self.proxy_protocol && !is_proxy {
            tracing::debug!("MQTT is closed to all but trusted proxies");
            return None;
        }
        self.admission.admit(peer, is_proxy)
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, open: Open) {
        match self.converse(stream, peer, open).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => self.timed_out.increment(),
            // It hung up or spoke no MQTT.
            Err(error) => tracing::debug!(%error, "an MQTT connection ended"),
        }
    }

    async fn converse(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        mut open: Open,
    ) -> io::Result<()> {
        // Messages are short, and somebody waits for each; a failure costs time, nothing else.
        let _ = stream.set_nodelay(true);
        if self.proxy_protocol {
            let client = timeout(self.handshake, proxy_header::read(&mut stream, peer)).await??;
            let is_proxy = self.proxies.contain(client.ip());
            if client != peer && !self.admission.pass(&mut open, client.ip(), is_proxy) {
                return Ok(());
            }
        }
        let stream = timeout(self.handshake, self.acceptor.accept(stream)).await??;
        self.carry(stream).await
    }

    /// Carries bytes both ways until the broker is done with the connection. A client that does not hang
    /// up then keeps no place by that.
    async fn carry(&self, mut camera: TlsStream<TcpStream>) -> io::Result<()> {
        let mut inner = timeout(self.patience, self.introduce(&mut camera)).await??;
        let (from_broker, to_broker) = inner.split();
        let (from_camera, to_camera) = tokio::io::split(camera);
        let mut up = pin!(pass(from_camera, to_broker));
        let mut down = pin!(pass(from_broker, to_camera));
        tokio::select! {
            over = &mut up => {
                over?;
                down.await
            }
            over = &mut down => {
                over?;
                timeout(LAST_WORDS, up).await.unwrap_or(Ok(()))
            }
        }
    }

    /// Carries what a camera says first, until the broker has answered.
    async fn introduce(&self, camera: &mut TlsStream<TcpStream>) -> io::Result<TcpStream> {
        let mut words = [0; FIRST_BYTES];
        let mut length = camera.read(&mut words).await?;
        let mut inner = TcpStream::connect(self.broker).await?;
        let _ = inner.set_nodelay(true);
        loop {
            let Some(said) = words.get(..length).filter(|said| !said.is_empty()) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            inner.write_all(said).await?;
            let mut answer = [0];
            tokio::select! {
                // Looked at, and left there.
                answered = inner.peek(&mut answer) => return answered.map(|_| inner),
                more = camera.read(&mut words) => length = more?,
            }
        }
    }
}

/// Passes on what comes from one end, and that it ended.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut words = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut words).await? {
            0 => return to.shutdown().await,
            length => to.write_all(&words[..length]).await?,
        }
        to.flush().await?;
    }
}

/// Who may have a connection, by whichever door. Clones share it.
#[derive(Clone)]
pub(super) struct Admission {
    places: Places,
    open: Gauge,
    refused: Counter,
}

impl Admission {
    pub(super) fn new(places: Places, metrics: &Metrics) -> Self {
        Self {
            places,
            open: metrics.gauge("nightjar_mqtt_connections", "Open connections.", &[]),
            refused: metrics.counter(
                "nightjar_mqtt_connections_refused_total",
                "Connections closed at once because there were too many.",
                &[],
            ),
        }
    }

    /// Gives a connection its place. One of a proxy's is nobody's in particular.
    pub(super) fn admit(&self, client: IpAddr, is_proxy: bool) -> Option<Open> {
        let Some(place) = self.places.admit(client, is_proxy) else {
            self.refused.increment();
            return None;
        };
        self.open.add(1);
        Some(Open { count: self.open.clone(), place })
    }

    /// Waits until no connection is open.
    async fn emptied(&self) {
        self.places.emptied().await;
    }

    /// Counts a connection as that of the client for whom a proxy opened it, unless that one has too many.
    fn pass(&self, open: &mut Open, client: IpAddr, is_proxy: bool) -> bool {
        let has_room = open.place.pass_to(client, is_proxy);
        if !has_room {
            self.refused.increment();
        }
        has_room
    }
}

/// A connection that is counted.
pub(super) struct Open {
    count: Gauge,
    place: Place,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.add(-1);
    }
}

/// Waits for the broker's end, and until what it says then has arrived: a camera that has heard it hangs
/// up.
pub(super) async fn grace_after(cancel: CancellationToken, admission: Admission) {
    cancel.cancelled().await;
    let _ = timeout(LAST_WORDS, admission.emptied()).await;
}

//! The door before rmqtt's: it accepts connections itself, so that no network takes all places, and
//! hands what it lets in over to rmqtt, which listens on loopback.
//!
//! rmqtt 0.24 accepts whoever comes and asks nobody; what it does with an accepted connection cannot
//! be called from outside. So bytes are carried over. TLS is rmqtt's own, on loopback too. What comes to
//! other doors of the relay, within their TLS, has the same places, and is carried over by those doors.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::copy_bidirectional_with_sizes,
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::places::{Place, Places};
use crate::{
    engines::metrics::{Counter, Gauge, Metrics},
    listener,
};

/// After an error that concerns all: out of descriptors, most likely.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);
/// How long connections live on when the broker stops, which says goodbye on them.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Of each direction of a connection: messages are short.
const BUFFER_BYTES: usize = 4 * 1024;

pub(super) struct Front {
    listener: TcpListener,
    admission: Admission,
}

impl Front {
    pub(super) fn bind(listen: SocketAddr, admission: Admission) -> io::Result<Self> {
        Ok(Self { listener: listener::listen(listen)?, admission })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Lets connections in, on to `broker`, until `cancel` is cancelled.
    pub(super) async fn serve(
        self,
        broker: SocketAddr,
        tracker: TaskTracker,
        cancel: CancellationToken,
    ) {
        while let Some(accepted) = cancel.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => {
                    let Some(open) = self.admission.admit(peer.ip()) else { continue };
                    let cancel = cancel.clone();
                    tracker.spawn(async move {
                        tokio::select! {
                            () = carry(stream, broker, open) => {}
                            () = grace_after(cancel) => {}
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

    pub(super) fn admit(&self, client: IpAddr) -> Option<Open> {
        let Some(place) = self.places.admit(client) else {
            self.refused.increment();
            return None;
        };
        Some(Open::new(self.open.clone(), place))
    }
}

/// A connection that is counted.
pub(super) struct Open {
    count: Gauge,
    _place: Place,
}

impl Open {
    fn new(count: Gauge, place: Place) -> Self {
        count.add(1);
        Self { count, _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.add(-1);
    }
}

/// Waits until what the broker says at its end has arrived.
pub(super) async fn grace_after(cancel: CancellationToken) {
    cancel.cancelled().await;
    sleep(LAST_WORDS).await;
}

async fn carry(mut camera: TcpStream, broker: SocketAddr, _open: Open) {
    let carried = async {
        let mut inner = TcpStream::connect(broker).await?;
        // Messages are short, and somebody waits for each; a failure costs time, nothing else.
        let _ = (camera.set_nodelay(true), inner.set_nodelay(true));
        let (own, theirs) = (BUFFER_BYTES, BUFFER_BYTES);
        copy_bidirectional_with_sizes(&mut camera, &mut inner, own, theirs).await
    };
    if let Err(error) = carried.await {
        // It hung up, or the broker listens anew at this moment: the camera comes again.
        tracing::debug!(%error, "an MQTT connection ended");
    }
}

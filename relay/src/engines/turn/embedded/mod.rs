//! A TURN server in the relay's own process, so that one command works behind NAT too. Protocol by
//! `turn-server-proto`; sockets, credentials, peers, quotas and metering are ours.
//!
//! Every client has a task and a protocol state of its own: what one of them sends breaks nothing
//! but its own allocations.

mod client;
mod framing;
mod lobby;
mod permission;
mod registry;
mod relay_ports;
mod stream;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use nightjar_shared::{
    ids::{AccountId, SessionId, SiteId},
    time::UnixMillis,
};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::stream::StreamDoor;
use self::{
    client::{Client, Way},
    lobby::Lobby,
    registry::Registry,
    relay_ports::RelayPorts,
};
use super::{Holder, OwnCredentials, PeerPolicy, credentials::Secret, in_url};
use crate::{clock::Clock, engines::metrics::Metrics, listener};

/// Datagrams of one client that wait for its task. When full, the next ones are lost, as on any
/// network.
const DATAGRAMS: usize = 256;

/// As large as a datagram on the internet gets, and then some.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Where the server listens and what it may do.
#[derive(Debug, Clone)]
pub struct EmbeddedTurnConfig {
    /// For UDP and TCP alike.
    pub listen: SocketAddr,
    /// For TLS, with the certificate of this configuration.
    pub tls: Option<(SocketAddr, Arc<rustls::ServerConfig>)>,
    /// The port of https, where its listener hands TURN's streams to [`Embedded::stream_door`]: then these
    /// are the ones in the URLs, because no network closes that port.
    pub web_port: Option<u16>,
    /// The host in the URLs that browsers and cameras get.
    pub host: String,
    /// The address at which peers reach what is relayed.
    pub address: IpAddr,
    /// First and last port for allocations.
    pub relay_ports: (u16, u16),
    pub peers: PeerPolicy,
}

/// The running server.
pub struct Embedded {
    shared: Arc<Shared>,
    urls: Vec<String>,
    own: OwnCredentials,
}

/// What all clients share.
struct Shared {
    secret: Secret,
    registry: Registry,
    /// Who came by UDP, where an address may be a lie. They do not push out who came by a stream.
    datagrams: Lobby,
    streams: Lobby,
    ports: RelayPorts,
    peers: PeerPolicy,
    clock: Clock,
}

impl Embedded {
    /// Listens on UDP and TCP, and on TLS where there is a certificate. Port 0 takes any port that is free for both.
    pub async fn start(
        config: EmbeddedTurnConfig,
        clock: Clock,
        metrics: &Metrics,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> anyhow::Result<Self> {
        let (udp, tcp) = bind(config.listen).await?;
        let port = udp.local_addr()?.port();
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
        let mut peers = config.peers;
        // The machine's own are known by themselves; this may be that of the router before it.
        peers.deny(config.address);
        let (first, last) = config.relay_ports;
        let ports = u32::from(last.saturating_sub(first)) + 1;
        let shared = Arc::new(Shared {
            // A restart ends all allocations, so the secret need not outlive the process.
            secret: Secret::new(&secret),
            registry: Registry::new(ports, metrics),
            datagrams: Lobby::default(),
            streams: Lobby::default(),
            ports: RelayPorts::new(config.listen.ip(), config.address, config.relay_ports),
            peers,
            clock,
        });
        let host = config.host.parse().map_or(config.host, in_url);
        let mut urls = vec![
            format!("stun:{host}:{port}"),
            format!("turn:{host}:{port}?transport=udp"),
            format!("turn:{host}:{}?transport=tcp", config.web_port.unwrap_or(port)),
        ];
        tracker.spawn(serve_udp(udp, shared.clone(), tracker.clone(), cancel.clone()));
        if let Some((listen, tls)) = config.tls {
            let listener = listener::listen(listen).with_context(|| {
                format!(
                    "turn.tls_listen = \"{listen}\": cannot listen there; stop what does, choose \
                     another, or write turn.tls = false"
                )
            })?;
            let own_port = listener.local_addr()?.port();
            let port = config.web_port.unwrap_or(own_port);
            urls.push(format!("turns:{host}:{port}?transport=tcp"));
            let tls = stream::Listener::with_tls(listener, &tls);
            tracker.spawn(tls.serve(shared.clone(), tracker.clone(), cancel.clone()));
        }
        let tcp = stream::Listener::plain(tcp);
        tracker.spawn(tcp.serve(shared.clone(), tracker.clone(), cancel));
        let own = own_credentials(&shared, &urls);
        Ok(Self { shared, urls, own })
    }

    /// Returns the door for streams that come to another listener.
    pub fn stream_door(&self) -> StreamDoor {
        StreamDoor(self.shared.clone())
    }

    pub(super) fn urls(&self) -> &[String] {
        &self.urls
    }

    pub(super) fn own_credentials(&self) -> &OwnCredentials {
        &self.own
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.shared.secret
    }

    pub(super) fn admit(&self, holder: Holder, expires_at: UnixMillis, now: UnixMillis) -> bool {
        self.shared.registry.admit(holder, expires_at, now)
    }

    pub(super) fn take_usage(&self, now: UnixMillis) -> Vec<(SiteId, u64)> {
        self.shared.registry.take_usage(now)
    }

    pub(super) fn carried(&self, session_id: SessionId) -> Option<u64> {
        self.shared.registry.carried(session_id)
    }

    pub(super) fn ahead(&self, now: UnixMillis) -> Vec<Holder> {
        self.shared.registry.ahead(now)
    }

    pub(super) fn take_unseen(&self, now: UnixMillis) -> Vec<Holder> {
        self.shared.registry.take_unseen(now)
    }

    pub(super) fn end(&self, session_id: SessionId) {
        self.shared.registry.end(session_id);
    }

    pub(super) fn end_site(&self, site_id: SiteId) {
        self.shared.registry.end_site(site_id);
    }
}

/// Makes credentials with which the relay's own user may try an allocation, for as long as this process runs.
fn own_credentials(shared: &Shared, urls: &[String]) -> OwnCredentials {
    let holder = Holder {
        site_id: SiteId::generate(),
        account_id: AccountId::generate(),
        session_id: SessionId::generate(),
        is_ahead: false,
    };
    shared.registry.admit(holder, registry::NEVER, shared.clock.now());
    let user = shared.secret.user(holder.site_id, holder.session_id, registry::NEVER);
    let password = shared.secret.password(&user);
    let urls = urls.iter().filter(|url| url.starts_with("turn:")).cloned().collect();
    OwnCredentials { urls, user, password }
}

/// Binds one port for UDP and TCP, so that one rule of a firewall serves both.
async fn bind(listen: SocketAddr) -> anyhow::Result<(Arc<UdpSocket>, TcpListener)> {
    let mut attempts = if listen.port() == 0 { 16 } else { 1 };
    loop {
        attempts -= 1;
        let tcp = listener::listen(listen);
        let udp = match &tcp {
            Ok(tcp) => UdpSocket::bind(tcp.local_addr()?).await,
            Err(_) => UdpSocket::bind(listen).await,
        };
        match (tcp, udp) {
            (Ok(tcp), Ok(udp)) => return Ok((Arc::new(udp), tcp)),
            (Err(error), _) | (_, Err(error)) if attempts == 0 => {
                return Err(error).with_context(|| {
                    format!(
                        "turn.listen = \"{listen}\": cannot listen there on UDP and TCP; stop what \
                         does, choose another, or write engine = \"none\""
                    )
                });
            }
            _ => {}
        }
    }
}

async fn serve_udp(
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    tracker: TaskTracker,
    cancel: CancellationToken,
) {
    let Ok(local) = socket.local_addr() else { return };
    let mut clients: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut sweep_at = lobby::CLIENTS_MAX;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let received = tokio::select! {
            () = cancel.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        // An error is the echo of an earlier datagram that a client did not take.
        let Ok((length, peer)) = received else { continue };
        let datagram = buffer[..length].to_vec();
        let unsent = match clients.get(&peer).map(|client| client.try_send(datagram)) {
            None => buffer[..length].to_vec(),
            Some(Err(mpsc::error::TrySendError::Closed(datagram))) => datagram,
            Some(Ok(()) | Err(mpsc::error::TrySendError::Full(_))) => continue,
        };
        if clients.len() >= sweep_at {
            clients.retain(|_, client| !client.is_closed());
            // The lobby and the ports bound what is left; nobody is looked at for every datagram.
            sweep_at = clients.len() + lobby::CLIENTS_MAX;
        }
        if !framing::begins_like_stun(&unsent) {
            continue;
        }
        let Some(seat) = shared.datagrams.enter(peer.ip()) else { continue };
        let (sender, inbox) = mpsc::channel(DATAGRAMS);
        let _ = sender.try_send(unsent);
        clients.insert(peer, sender);
        let way = Way::Udp { socket: socket.clone(), inbox };
        let client = Client::new(shared.clone(), way, seat, local, peer);
        tracker.spawn(cancel.clone().run_until_cancelled_owned(client.run()));
    }
}

/// Returns where a socket that listens everywhere is reached from this machine.
fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

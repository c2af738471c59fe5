//! One client of the TURN server: its protocol state, its way to us, its relay sockets.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::UdpSocket,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use turn_server_proto::{
    api::{SocketAllocateError, Transmit, TurnServerApi as _, TurnServerPollRet},
    server::TurnServer,
    stun::types::{TransportType, attribute::Username, message::Message},
    types::{AddressFamily, Instant as ProtocolInstant, transmit::TransmitBuild},
};

use super::{
    DATAGRAM_BYTES_MAX, Shared,
    framing::{self, Frames},
    lobby::{Lobby, Seat},
    permission,
    registry::Place,
    relay_ports::RelaySocket,
};
use crate::engines::turn::credentials::{Grant, Secret};

/// A client without an allocation is forgotten after this.
const IDLE: Duration = Duration::from_secs(30);

/// Between two looks at what the protocol has to do, at most.
const TICK: Duration = Duration::from_secs(5);

/// A client that takes nothing for so long is gone.
const SEND_MAX: Duration = Duration::from_secs(5);

const REALM: &str = "nightjar";

/// How a client reaches us.
pub(super) enum Way {
    Udp {
        socket: Arc<UdpSocket>,
        inbox: mpsc::Receiver<Vec<u8>>,
    },
    /// Plain or within TLS.
    Tcp {
        read: Frames,
        write: Box<dyn AsyncWrite + Send + Unpin>,
    },
}

impl Way {
    fn transport(&self) -> TransportType {
        match self {
            Self::Udp { .. } => TransportType::Udp,
            Self::Tcp { .. } => TransportType::Tcp,
        }
    }

    /// Waits for the next message: `None` when the client is gone. Safe to cancel.
    async fn next(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Udp { inbox, .. } => inbox.recv().await,
            Self::Tcp { read, .. } => read.next().await.ok().flatten(),
        }
    }

    async fn send(&mut self, data: &[u8], client: SocketAddr) -> io::Result<()> {
        match self {
            _ if data.is_empty() => Ok(()),
            // A datagram that cannot be sent is lost, as on any network.
            Self::Udp { socket, .. } => {
                let _ = socket.send_to(data, client).await;
                Ok(())
            }
            Self::Tcp { write, .. } => {
                let padded = framing::padded(data);
                let sent = async {
                    write.write_all(&padded).await?;
                    // TLS keeps what its socket does not take at once.
                    write.flush().await
                };
                timeout(SEND_MAX, sent).await.map_err(io::Error::from)?
            }
        }
    }
}

/// Returns whether this is a STUN message whose class is request.
fn is_request(message: &[u8]) -> bool {
    message.len() >= 2 && message[0] & 0xC1 == 0 && message[1] & 0x10 == 0
}

pub(super) struct Client {
    shared: Arc<Shared>,
    way: Way,
    local: SocketAddr,
    remote: SocketAddr,
    server: TurnServer,
    /// Whose credential this client shows. It may not change.
    grant: Option<Grant>,
    relay: Option<(RelaySocket, Place)>,
    /// The peer that was asked about last, and whether it may be reached.
    peer: Option<(IpAddr, bool)>,
    /// Held for as long as there is no allocation.
    seat: Option<Seat>,
    /// The last request that changed something, and its answer: a client that repeats itself,
    /// because the answer was lost, gets the same one.
    answered: Option<(Vec<u8>, Vec<u8>)>,
    started: Instant,
}

/// What happens next to a client.
enum Happening {
    FromClient(Option<Vec<u8>>),
    FromPeer(io::Result<(usize, SocketAddr)>),
    Tick,
    Ended,
}

impl Client {
    pub(super) fn new(
        shared: Arc<Shared>,
        way: Way,
        seat: Seat,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Self {
        let server = TurnServer::new(way.transport(), local, REALM.to_owned());
        Self {
            shared,
            way,
            local,
            remote,
            server,
            grant: None,
            relay: None,
            peer: None,
            seat: Some(seat),
            answered: None,
            started: Instant::now(),
        }
    }

    /// Serves the client until it is gone, idle, or told to end.
    pub(super) async fn run(mut self) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let mut heard_at = Instant::now();
        loop {
            let done = match self.next(&mut buffer).await {
                Happening::FromClient(Some(message)) => {
                    heard_at = Instant::now();
                    self.hear(message).await
                }
                Happening::FromPeer(Ok((length, peer))) => {
                    self.pass_to_client(&buffer[..length], peer).await
                }
                // The echo of a datagram that a peer did not take.
                Happening::FromPeer(Err(_)) | Happening::Tick => Ok(()),
                Happening::FromClient(None) | Happening::Ended => return,
            };
            if done.is_err() || self.settle().await.is_err() || !self.has_place() {
                return;
            }
            if self.relay.is_none() && heard_at.elapsed() >= IDLE {
                return;
            }
        }
    }

    /// Keeps a client's place in the lobby: one with an allocation makes room, and waits there
    /// again without it.
    fn has_place(&mut self) -> bool {
        if self.relay.is_some() {
            self.seat = None;
        } else if self.seat.is_none() {
            self.seat = self.lobby().enter(self.remote.ip());
        }
        self.relay.is_some() || self.seat.is_some()
    }

    fn lobby(&self) -> &Lobby {
        match self.way {
            Way::Udp { .. } => &self.shared.datagrams,
            Way::Tcp { .. } => &self.shared.streams,
        }
    }

    async fn next(&mut self, buffer: &mut [u8]) -> Happening {
        let tick = Instant::now() + TICK;
        let Some((relay, place)) = &self.relay else {
            let evicted = self.seat.as_ref().map(|seat| seat.evicted.clone()).unwrap_or_default();
            return tokio::select! {
                () = evicted.cancelled() => Happening::Ended,
                message = self.way.next() => Happening::FromClient(message),
                () = sleep_until(tick) => Happening::Tick,
            };
        };
        tokio::select! {
            () = place.ended.cancelled() => Happening::Ended,
            message = self.way.next() => Happening::FromClient(message),
            received = relay.receive(buffer) => Happening::FromPeer(received),
            () = sleep_until(tick) => Happening::Tick,
        }
    }

    async fn hear(&mut self, message: Vec<u8>) -> io::Result<()> {
        let is_request = is_request(&message);
        if let Some((_, answer)) =
            self.answered.as_ref().filter(|(request, _)| is_request && *request == message)
        {
            // An empty one is still being made.
            let answer = answer.clone();
            return self.way.send(&answer, self.remote).await;
        }
        if is_request {
            self.recognise(&message);
        }
        let now = self.now();
        let request = is_request.then(|| message.clone());
        let transmit = Transmit::new(message, self.way.transport(), self.remote, self.local);
        let answer = self.server.recv(transmit, now).map(TransmitBuild::build);
        if let Some(mut answer) = answer {
            if let Some(request) = &request {
                self.refuse_denied_peers(request, &mut answer);
            }
            self.transmit(answer, request).await?;
        } else if let Some(request) = request {
            // The answer follows when the socket is there.
            self.answered = Some((request, Vec::new()));
        }
        Ok(())
    }

    /// Puts a refusal in the place of an answer that grants what must not be reached.
    fn refuse_denied_peers(&mut self, request: &[u8], answer: &mut Transmit<Vec<u8>>) {
        let is_denied = permission::peers(request).into_iter().any(|peer| !self.may_reach(peer));
        if is_denied
            && permission::is_granted(&answer.data)
            && let Some(refusal) =
                permission::refuse(request, REALM, |user| self.shared.secret.password(user))
        {
            answer.data = refusal;
        }
    }

    /// Learns whose credential a request shows; the protocol then asks for its password.
    fn recognise(&mut self, message: &[u8]) {
        if self.grant.is_some() {
            return;
        }
        let Ok(message) = Message::from_bytes(message) else { return };
        let Ok(user) = message.attribute::<Username>() else { return };
        let user = user.username();
        if let Some(grant) = Secret::read(user, self.shared.clock.now()) {
            self.server.add_user(user.to_owned(), self.shared.secret.password(user));
            self.grant = Some(grant);
        }
    }

    async fn pass_to_client(&mut self, data: &[u8], peer: SocketAddr) -> io::Result<()> {
        let is_allowed = self.may_reach(peer);
        let Some((socket, place)) = self.relay.as_ref().filter(|_| is_allowed) else {
            return Ok(());
        };
        place.count(data.len());
        let transmit = Transmit::new(data, TransportType::Udp, peer, socket.address);
        let now = self.now();
        match self.server.recv(transmit, now).map(TransmitBuild::build) {
            Some(message) => self.way.send(&message.data, self.remote).await,
            None => Ok(()),
        }
    }

    /// Does what the protocol asks for.
    async fn settle(&mut self) -> io::Result<()> {
        loop {
            let now = self.now();
            match self.server.poll(now) {
                TurnServerPollRet::WaitUntil(_) => break,
                TurnServerPollRet::AllocateSocket { allocation_transport, family, .. } => {
                    self.allocate(allocation_transport, family).await;
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    self.relay.take_if(|(relay, _)| relay.address == listen_addr);
                }
                TurnServerPollRet::TcpConnect { relayed_addr, peer_addr, .. } => {
                    tracing::debug!(%relayed_addr, %peer_addr, "TCP peers are not served");
                    return Err(io::ErrorKind::Unsupported.into());
                }
                TurnServerPollRet::TcpClose { .. } => {
                    return Err(io::ErrorKind::NotConnected.into());
                }
            }
        }
        loop {
            let now = self.now();
            let Some(message) = self.server.poll_transmit(now) else { return Ok(()) };
            let request = self.answered.as_ref().filter(|(_, answer)| answer.is_empty());
            let request = request.map(|(request, _)| request.clone());
            self.transmit(message, request).await?;
        }
    }

    async fn allocate(&mut self, transport: TransportType, family: AddressFamily) {
        let outcome = self.open_relay(transport, family).await;
        let now = self.now();
        let own = self.way.transport();
        let (local, client) = (self.local, self.remote);
        self.server.allocated_socket(own, local, client, transport, family, outcome, now);
    }

    async fn open_relay(
        &mut self,
        transport: TransportType,
        family: AddressFamily,
    ) -> Result<SocketAddr, SocketAllocateError> {
        let ports = &self.shared.ports;
        if transport != TransportType::Udp || !ports.is_of_family(family == AddressFamily::IPV6) {
            return Err(SocketAllocateError::AddressFamilyNotSupported);
        }
        let grant = self.grant.filter(|_| self.relay.is_none());
        let place = grant.and_then(|grant| Place::take(&self.shared, grant, self.remote.ip()));
        let place = place.ok_or(SocketAllocateError::InsufficientCapacity)?;
        let relay = ports.open().await.map_err(|error| {
            tracing::warn!(%error, "no port is free for a TURN allocation");
            SocketAllocateError::InsufficientCapacity
        })?;
        let address = relay.address;
        self.relay = Some((relay, place));
        Ok(address)
    }

    /// Sends what the protocol made, to the client or to a peer.
    async fn transmit(
        &mut self,
        message: Transmit<Vec<u8>>,
        request: Option<Vec<u8>>,
    ) -> io::Result<()> {
        if message.from == self.local {
            self.way.send(&message.data, self.remote).await?;
            if let Some(request) = request {
                self.answered = Some((request, message.data));
            }
            return Ok(());
        }
        // A peer that must not be reached is silent.
        let is_allowed = self.may_reach(message.to);
        let relay = self.relay.as_ref().filter(|(relay, _)| relay.address == message.from);
        let Some((relay, place)) = relay else { return Ok(()) };
        if is_allowed {
            place.count(message.data.len());
            // A datagram that cannot be sent is lost, as on any network.
            let _ = relay.send(&message.data, message.to).await;
        }
        Ok(())
    }

    /// Returns whether this is a socket of ours, or a peer that is allowed: mostly the same peer as
    /// before.
    fn may_reach(&mut self, peer: SocketAddr) -> bool {
        if self.shared.ports.has(peer) {
            return true;
        }
        match self.peer {
            Some((known, is_allowed)) if known == peer.ip() => is_allowed,
            _ => {
                let is_allowed = self.shared.peers.allows(peer.ip());
                self.peer = Some((peer.ip(), is_allowed));
                is_allowed
            }
        }
    }

    fn now(&self) -> ProtocolInstant {
        let elapsed = i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX);
        ProtocolInstant::from_nanos(elapsed)
    }
}

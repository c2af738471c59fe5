//! The sockets that face the peers.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::net::UdpSocket;

/// How often a port is drawn that somebody else has.
const ATTEMPTS: u32 = 32;

pub(super) struct RelayPorts {
    listen: IpAddr,
    /// Where a socket of ours is reached from this machine.
    near: IpAddr,
    /// Where peers reach it.
    far: IpAddr,
    range: (u16, u16),
    open: Arc<Mutex<HashSet<u16>>>,
}

/// A socket that faces peers. Dropping it closes it.
pub(super) struct RelaySocket {
    pub(super) socket: UdpSocket,
    /// As the peers know it.
    pub(super) address: SocketAddr,
    near: IpAddr,
    open: Arc<Mutex<HashSet<u16>>>,
}

impl RelayPorts {
    pub(super) fn new(listen: IpAddr, far: IpAddr, range: (u16, u16)) -> Self {
        Self { listen, near: super::reachable(listen), far, range, open: Arc::default() }
    }

    pub(super) fn is_of_family(&self, ipv6: bool) -> bool {
        self.far.is_ipv6() == ipv6
    }

    /// Opens a socket on a port that nobody can foresee.
    pub(super) async fn open(&self) -> io::Result<RelaySocket> {
        let (first, last) = self.range;
        let span = u32::from(last.saturating_sub(first)) + 1;
        for _ in 0..ATTEMPTS {
            let random = getrandom::u32().map_err(io::Error::other)?;
            let offset = u16::try_from(random % span).unwrap_or_default();
            let port = first.saturating_add(offset);
            let Ok(socket) = UdpSocket::bind((self.listen, port)).await else { continue };
            lock(&self.open).insert(port);
            let address = SocketAddr::new(self.far, port);
            return Ok(RelaySocket { socket, address, near: self.near, open: self.open.clone() });
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Returns whether this is one of our own sockets: both sides of a session may be relayed.
    pub(super) fn has(&self, peer: SocketAddr) -> bool {
        peer.ip() == self.far && lock(&self.open).contains(&peer.port())
    }
}

impl RelaySocket {
    /// Sends to a peer; what is meant for a socket of ours stays on this machine.
    pub(super) async fn send(&self, data: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.socket.send_to(data, self.nearer(peer)).await
    }

    /// Waits for the next datagram, with where its sender is known to be.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, peer) = self.socket.recv_from(buffer).await?;
        let is_ours = peer.ip() == self.near && lock(&self.open).contains(&peer.port());
        let peer = if is_ours { SocketAddr::new(self.address.ip(), peer.port()) } else { peer };
        Ok((length, peer))
    }

    fn nearer(&self, peer: SocketAddr) -> SocketAddr {
        let is_ours = peer.ip() == self.address.ip() && lock(&self.open).contains(&peer.port());
        if is_ours { SocketAddr::new(self.near, peer.port()) } else { peer }
    }
}

impl Drop for RelaySocket {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.address.port());
    }
}

fn lock(open: &Mutex<HashSet<u16>>) -> MutexGuard<'_, HashSet<u16>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

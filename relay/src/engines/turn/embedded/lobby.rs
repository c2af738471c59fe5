//! Clients without an allocation. A single datagram makes one, so there are only so many, and only
//! so many of one network.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::network;

/// Clients without an allocation, for each kind of transport. For the next one the oldest must go:
/// it had its time to allocate something.
pub(super) const CLIENTS_MAX: usize = 4096;

/// Of one household or address, as at the web's doors. The next one is not answered. Many viewers
/// share the address of a mobile network, but each is here for moments only.
const CLIENTS_PER_NETWORK_MAX: usize = 256;

#[derive(Clone, Default)]
pub(super) struct Lobby(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// By the order in which they came.
    clients: BTreeMap<u64, Waiting>,
    by_network: HashMap<IpAddr, usize>,
    entered: u64,
}

struct Waiting {
    network: IpAddr,
    evicted: CancellationToken,
}

/// A client's place in the lobby; dropping it gives the place back.
pub(super) struct Seat {
    lobby: Lobby,
    number: u64,
    /// Cancelled when somebody else needs the place.
    pub(super) evicted: CancellationToken,
}

impl Lobby {
    /// Gives a client a place: `None` when its network has as many as it may.
    pub(super) fn enter(&self, client: IpAddr) -> Option<Seat> {
        let network = network::of(client);
        let mut inner = self.lock();
        if inner.by_network.get(&network).is_some_and(|own| *own >= CLIENTS_PER_NETWORK_MAX) {
            return None;
        }
        if inner.clients.len() >= CLIENTS_MAX
            && let Some((_, oldest)) = inner.clients.pop_first()
        {
            inner.leave(oldest.network);
            oldest.evicted.cancel();
        }
        let number = inner.entered;
        inner.entered += 1;
        *inner.by_network.entry(network).or_default() += 1;
        let evicted = CancellationToken::new();
        inner.clients.insert(number, Waiting { network, evicted: evicted.clone() });
        drop(inner);
        Some(Seat { lobby: self.clone(), number, evicted })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn leave(&mut self, network: IpAddr) {
        if let Some(own) = self.by_network.get_mut(&network) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.lobby.lock();
        if let Some(waiting) = inner.clients.remove(&self.number) {
            inner.leave(waiting.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_network_has_so_many_places_and_gets_them_back() {
        let lobby = Lobby::default();
        let (own, other) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let mut seats: Vec<Seat> =
            (0..CLIENTS_PER_NETWORK_MAX).filter_map(|_| lobby.enter(own)).collect();
        assert_eq!(seats.len(), CLIENTS_PER_NETWORK_MAX);
        assert!(lobby.enter("2001:db8::2".parse().unwrap()).is_none());
        assert!(lobby.enter(other).is_some());
        seats.pop();
        assert!(lobby.enter(own).is_some());
        drop(seats);
        let inner = lobby.lock();
        assert!(inner.clients.is_empty() && inner.by_network.is_empty());
    }

    #[test]
    fn when_it_is_full_the_oldest_goes() {
        let lobby = Lobby::default();
        let client = |number: usize| Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into();
        let seats: Vec<Seat> =
            (0..=CLIENTS_MAX).filter_map(|number| lobby.enter(client(number))).collect();
        assert_eq!(seats.len(), CLIENTS_MAX + 1);
        let evicted = seats.iter().filter(|seat| seat.evicted.is_cancelled()).count();
        assert!(seats[0].evicted.is_cancelled() && evicted == 1, "{evicted}");
        drop(seats);
        assert!(lobby.lock().by_network.is_empty());
    }
}

//! Places for connections.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::network;

/// Places for connections: so many in all, and so many of one network. Clones share them.
#[derive(Clone)]
pub(super) struct Places(Arc<Inner>);

struct Inner {
    taken: Mutex<Taken>,
    /// Whoever waits for the last to go.
    emptied: Notify,
    total_max: usize,
    network_max: usize,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One connection's place; dropping it frees the place.
pub(super) struct Place {
    places: Places,
    network: IpAddr,
}

impl Places {
    pub(super) fn new(total_max: usize, network_max: usize) -> Self {
        Self(Arc::new(Inner {
            taken: Mutex::default(),
            emptied: Notify::new(),
            total_max,
            network_max,
        }))
    }

    /// Gives a connection its place. A proxy is held to the total only.
    pub(super) fn admit(&self, address: IpAddr, is_proxy: bool) -> Option<Place> {
        let network = network::of(address);
        let mut taken = self.taken();
        if taken.total >= self.0.total_max || !self.has_room(&taken, network, is_proxy) {
            return None;
        }
        taken.total += 1;
        *taken.by_network.entry(network).or_default() += 1;
        drop(taken);
        Some(Place { places: self.clone(), network })
    }

    /// Waits until nobody has a place.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.taken().total == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn has_room(&self, taken: &Taken, network: IpAddr, is_proxy: bool) -> bool {
        is_proxy || taken.by_network.get(&network).is_none_or(|own| *own < self.0.network_max)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn leave(&mut self, network: IpAddr) {
        if let Some(own) = self.by_network.get_mut(&network) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Place {
    /// Counts the connection as another one's, unless that one has too many.
    pub(super) fn pass_to(&mut self, address: IpAddr, is_proxy: bool) -> bool {
        let network = network::of(address);
        let mut taken = self.places.taken();
        if !self.places.has_room(&taken, network, is_proxy) {
            return false;
        }
        taken.leave(self.network);
        *taken.by_network.entry(network).or_default() += 1;
        drop(taken);
        self.network = network;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.total = taken.total.saturating_sub(1);
        taken.leave(self.network);
        if taken.total == 0 {
            self.places.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_cannot_take_all_places() {
        let places = Places::new(10, 2);
        let first: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        let stranger: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let held: Vec<_> = [first, neighbour].map(|ip| places.admit(ip, false)).into();
        assert!(held.iter().all(Option::is_some));
        assert!(places.admit(first, false).is_none());
        assert!(places.admit(stranger, false).is_some());
        drop(held);
        assert!(places.admit(first, false).is_some());
    }

    #[tokio::test]
    async fn whoever_waits_for_the_last_to_go_is_told() {
        let places = Places::new(10, 2);
        places.emptied().await;
        let held = places.admit(IpAddr::from([192, 0, 2, 1]), false);
        let mut told = std::pin::pin!(places.emptied());
        assert!(futures::poll!(told.as_mut()).is_pending());
        drop(held);
        told.await;
    }
}

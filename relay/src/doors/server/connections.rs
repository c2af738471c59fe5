//! How many connections there are, and from where.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::ServerOptions;
use crate::{
    engines::metrics::{Counter, Gauge, Metrics},
    network,
};

#[derive(Clone)]
pub(super) struct Connections(Arc<Inner>);

struct Inner {
    state: Mutex<Counts>,
    total_max: usize,
    network_max: usize,
    open: Gauge,
    refused: Counter,
}

#[derive(Default)]
struct Counts {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One connection's place; dropping it frees the place.
pub(super) struct Permit {
    connections: Connections,
    network: IpAddr,
}

impl Connections {
    pub(super) fn new(options: &ServerOptions, metrics: &Metrics) -> Self {
        let labels = [("listener", options.name)];
        Self(Arc::new(Inner {
            state: Mutex::default(),
            total_max: options.limits.connections,
            network_max: options.limits.connections_per_network,
            open: metrics.gauge("nightjar_http_connections", "Open connections.", &labels),
            refused: metrics.counter(
                "nightjar_http_connections_refused_total",
                "Connections closed at once because there were too many.",
                &labels,
            ),
        }))
    }

    /// Gives a connection its place. One of a proxy's is nobody's in particular.
    pub(super) fn admit(&self, address: IpAddr, is_proxy: bool) -> Option<Permit> {
        let network = network::of(address);
        let mut counts = self.counts();
        if counts.total >= self.0.total_max || !self.has_room(&counts, network, is_proxy) {
            self.0.refused.increment();
            return None;
        }
        counts.total += 1;
        *counts.by_network.entry(network).or_default() += 1;
        drop(counts);
        self.0.open.add(1);
        Some(Permit { connections: self.clone(), network })
    }

    fn has_room(&self, counts: &Counts, network: IpAddr, is_proxy: bool) -> bool {
        is_proxy
            || network.is_loopback()
            || counts.by_network.get(&network).is_none_or(|own| *own < self.0.network_max)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn leave(&mut self, network: IpAddr) {
        if let Some(own) = self.by_network.get_mut(&network) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Permit {
    /// Counts the connection as another one's, for whom a proxy opened it, unless that one has too many.
    pub(super) fn pass_to(&mut self, address: IpAddr, is_proxy: bool) -> bool {
        let network = network::of(address);
        let mut counts = self.connections.counts();
        let has_room = self.connections.has_room(&counts, network, is_proxy);
        if has_room {
            counts.leave(self.network);
            *counts.by_network.entry(network).or_default() += 1;
        }
        drop(counts);
        if has_room {
            self.network = network;
        } else {
            self.connections.0.refused.increment();
        }
        has_room
    }
}

/// A connection's place, which its door may give up early: for one that has a place elsewhere. Clones
/// share it.
#[derive(Clone)]
pub struct Place(Arc<Mutex<Option<Permit>>>);

impl Place {
    pub(super) fn new(permit: Permit) -> Self {
        Self(Arc::new(Mutex::new(Some(permit))))
    }

    /// Frees the place.
    pub fn give_up(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.0.open.add(-1);
        let mut counts = self.connections.counts();
        counts.total = counts.total.saturating_sub(1);
        counts.leave(self.network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::server::{Front, Hosts, Neighbours, ServerLimits};

    fn connections(total: usize, per_network: usize) -> Connections {
        let limits = ServerLimits {
            connections: total,
            connections_per_network: per_network,
            ..ServerLimits::default()
        };
        let front = Front::default();
        let (hosts, neighbours) = (Hosts::Any, Neighbours::default());
        let options = ServerOptions { name: "test", tls: None, limits, front, hosts, neighbours };
        Connections::new(&options, &Metrics::default())
    }

    #[test]
    fn one_network_cannot_take_all_places() {
        let connections = connections(10, 2);
        let first: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        let stranger: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let held: Vec<_> = [first, neighbour].map(|ip| connections.admit(ip, false)).into();
        assert!(held.iter().all(Option::is_some));
        assert!(connections.admit(first, false).is_none());
        assert!(connections.admit(stranger, false).is_some());
        drop(held);
        assert!(connections.admit(first, false).is_some());
    }

    #[test]
    fn a_proxy_is_held_to_the_total_only() {
        for (proxy, is_proxy) in [("127.0.0.1", false), ("192.0.2.1", true)] {
            let connections = connections(3, 1);
            let proxy: IpAddr = proxy.parse().unwrap();
            let held: Vec<_> = (0..3).filter_map(|_| connections.admit(proxy, is_proxy)).collect();
            assert_eq!(held.len(), 3);
            assert!(connections.admit(proxy, is_proxy).is_none());
        }
    }

    #[test]
    fn whom_a_proxy_introduces_has_places_of_its_own() {
        let connections = connections(10, 1);
        let [proxy, client, other] = ["192.0.2.1", "198.51.100.1", "198.51.100.2"]
            .map(|text| text.parse::<IpAddr>().unwrap());
        let mut permits: Vec<_> = (0..3).filter_map(|_| connections.admit(proxy, true)).collect();
        let mut introduce = |address| {
            let mut permit = permits.pop().unwrap();
            permit.pass_to(address, false).then_some(permit)
        };
        let first = introduce(client);
        assert!(first.is_some());
        assert!(introduce(client).is_none());
        assert!(introduce(other).is_some());
        drop(first);
        assert!(connections.admit(client, false).is_some());
        assert!(connections.counts().by_network.is_empty());
    }
}

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

    pub(super) fn admit(&self, address: IpAddr) -> Option<Permit> {
        let network = network::of(address);
        let mut counts = self.counts();
        let full = counts.total >= self.0.total_max
            || (!network.is_loopback()
                && counts.by_network.get(&network).is_some_and(|own| *own >= self.0.network_max));
        if full {
            self.0.refused.increment();
            return None;
        }
        counts.total += 1;
        *counts.by_network.entry(network).or_default() += 1;
        drop(counts);
        self.0.open.add(1);
        Some(Permit { connections: self.clone(), network })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.0.open.add(-1);
        let mut counts = self.connections.counts();
        counts.total = counts.total.saturating_sub(1);
        if let Some(own) = counts.by_network.get_mut(&self.network) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::server::ServerLimits;

    fn connections(total: usize, per_network: usize) -> Connections {
        let limits = ServerLimits {
            connections: total,
            connections_per_network: per_network,
            ..ServerLimits::default()
        };
        let options = ServerOptions { name: "test", tls: None, limits };
        Connections::new(&options, &Metrics::default())
    }

    #[test]
    fn one_network_cannot_take_all_places() {
        let connections = connections(10, 2);
        let first: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        let stranger: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let held: Vec<_> = [first, neighbour].map(|ip| connections.admit(ip)).into();
        assert!(held.iter().all(Option::is_some));
        assert!(connections.admit(first).is_none());
        assert!(connections.admit(stranger).is_some());
        drop(held);
        assert!(connections.admit(first).is_some());
    }

    #[test]
    fn a_proxy_on_loopback_is_held_to_the_total_only() {
        let connections = connections(3, 1);
        let proxy: IpAddr = "127.0.0.1".parse().unwrap();
        let held: Vec<_> = (0..3).filter_map(|_| connections.admit(proxy)).collect();
        assert_eq!(held.len(), 3);
        assert!(connections.admit(proxy).is_none());
    }
}

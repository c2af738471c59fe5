//! Whom the TURN server talks to on behalf of its clients: the internet, not the network that the
//! relay stands in.

use std::net::IpAddr;

use crate::network::{Network, is_of_this_machine, is_public};

/// Decides about peers.
#[derive(Debug, Clone)]
pub struct PeerPolicy {
    allowed: Vec<Network>,
    denied: Vec<Network>,
}

impl PeerPolicy {
    /// Makes the rules: public addresses are allowed, but for this machine's. `allowed` are exceptions, for a
    /// relay inside a private network.
    pub fn new(allowed: Vec<Network>) -> Self {
        Self { allowed, denied: Vec::new() }
    }

    /// Refuses this one too: what else listens there is not for the internet.
    pub(super) fn deny(&mut self, address: IpAddr) {
        self.denied.push(Network::from(address));
    }

    /// Asks the kernel about addresses that no list knows: not for every datagram.
    pub fn allows(&self, peer: IpAddr) -> bool {
        let within = |networks: &[Network]| networks.iter().any(|network| network.contains(peer));
        within(&self.allowed)
            || is_public(peer) && !within(&self.denied) && !is_of_this_machine(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &PeerPolicy, address: &str) -> bool {
        policy.allows(address.parse().unwrap())
    }

    #[test]
    fn the_internet_is_allowed_and_what_is_near_is_not() {
        let policy = PeerPolicy::new(Vec::new());
        for address in ["8.8.8.8", "9.9.9.9", "100.128.0.1", "172.32.0.1", "2606:4700::1111"] {
            assert!(allows(&policy, address), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.1.1",
            "224.0.0.251",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
        ] {
            assert!(!allows(&policy, address), "{address}");
        }
    }

    #[test]
    fn an_address_of_the_machines_own_is_denied_like_one_of_its_network() {
        let mut policy = PeerPolicy::new(Vec::new());
        assert!(allows(&policy, "8.8.8.8"));
        policy.deny("8.8.8.8".parse().unwrap());
        assert!(!allows(&policy, "8.8.8.8") && !allows(&policy, "::ffff:8.8.8.8"));
        assert!(allows(&policy, "8.8.8.9"));
    }

    #[test]
    fn exceptions_are_exact() {
        let allowed = vec!["10.0.1.0/24".parse().unwrap(), "fd00::1".parse().unwrap()];
        let policy = PeerPolicy::new(allowed);
        assert!(allows(&policy, "10.0.1.7") && allows(&policy, "::ffff:10.0.1.7"));
        assert!(!allows(&policy, "10.0.2.7"));
        assert!(allows(&policy, "fd00::1") && !allows(&policy, "fd00::2"));
    }
}

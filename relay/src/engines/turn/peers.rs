//! Whom the TURN server talks to on behalf of its clients: the internet, not the network that the
//! relay stands in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::network::Network;

/// Which peers are refused, unless the configuration allows them: whatever is no address of the
/// public internet. Cloud metadata services (`169.254.169.254`, `fd00:ec2::254`, `100.100.100.200`) are
/// among them.
const DENIED: [&str; 22] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/96",
    "64:ff9b::/32",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/9",
];
/// The old site-local block and multicast.
const DENIED_ABOVE: [&str; 2] = ["fec0::/10", "ff00::/8"];

/// Decides about peers.
#[derive(Debug, Clone)]
pub struct PeerPolicy {
    allowed: Vec<Network>,
    denied: Vec<Network>,
}

impl PeerPolicy {
    /// Makes the rules. `allowed` are exceptions, for a relay inside a private network.
    pub fn new(allowed: Vec<Network>) -> Self {
        let denied = DENIED.iter().chain(&DENIED_ABOVE).filter_map(|text| text.parse().ok());
        Self { allowed, denied: denied.collect() }
    }

    /// Refuses this one too: what else listens there is not for the internet.
    pub(super) fn deny(&mut self, address: IpAddr) {
        self.denied.push(Network::from(address));
    }

    /// Asks the kernel about addresses that no list knows: not for every datagram.
    pub fn allows(&self, peer: IpAddr) -> bool {
        let within = |networks: &[Network]| networks.iter().any(|network| network.contains(peer));
        within(&self.allowed) || !(within(&self.denied) || is_of_this_machine(peer))
    }
}

/// Returns whether an address is one of this machine's own, which change while it runs. What is
/// sent there is sent from there, so asking the system which address it would use finds out, and
/// nothing is sent.
fn is_of_this_machine(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        // A port that nobody listens at; the call only chooses a route.
        socket.connect(SocketAddr::new(address, 9))?;
        socket.local_addr()
    };
    // What cannot be reached is nobody's.
    source().is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &PeerPolicy, address: &str) -> bool {
        policy.allows(address.parse().unwrap())
    }

    #[test]
    fn every_block_of_the_list_is_one() {
        assert_eq!(PeerPolicy::new(Vec::new()).denied.len(), DENIED.len() + DENIED_ABOVE.len());
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
        assert!(is_of_this_machine("127.0.0.1".parse().unwrap()));
        assert!(!is_of_this_machine("192.0.2.1".parse().unwrap()));
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

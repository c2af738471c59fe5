//! Whom the TURN server talks to on behalf of its clients: the internet, not the network that the
//! relay stands in.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    str::FromStr,
};

/// A block of addresses, written as `10.0.0.0/8` or as one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: u128,
    mask: u128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a block of addresses like 10.0.0.0/8")]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse().map_err(|_| NotANetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(bits);
        let host_bits = bits.checked_sub(length).ok_or(NotANetwork)?;
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        Ok(Self { address: as_bits(address) & mask, mask })
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        as_bits(address) & self.mask == self.address
    }
}

/// Returns IPv4 as the IPv6 that means the same.
fn as_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

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
        self.denied.push(Network { address: as_bits(address), mask: u128::MAX });
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

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "x", "10.0.0.0/x", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("8.8.8.8".parse().unwrap()));
    }
}

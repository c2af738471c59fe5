//! Which addresses are on the public internet, and not near: what a stranger may have the relay talk to.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::LazyLock,
};

use super::Network;

/// IPv4 that is no address of the public internet (IANA's registry of special-purpose addresses). Metadata
/// services of clouds are among them: `169.254.169.254`, `100.100.100.200`, `192.0.0.192`, and Azure's, which
/// looks public.
const NOT_PUBLIC_V4: [&str; 15] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
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
];
/// All of IPv6 that is given out. What holds IPv4 in other forms (translated, NAT64) lies outside.
const GIVEN_OUT_V6: &str = "2000::/3";
/// Of that: Teredo and others of the IETF's, documentation, 6to4, which holds IPv4.
const NOT_PUBLIC_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

struct Lists {
    not_public: Vec<Network>,
    given_out_v6: Option<Network>,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| Lists {
    not_public: NOT_PUBLIC_V4
        .iter()
        .chain(&NOT_PUBLIC_V6)
        .filter_map(|text| text.parse().ok())
        .collect(),
    given_out_v6: GIVEN_OUT_V6.parse().ok(),
});

/// Returns whether an address is one of the public internet's, whatever form it has.
pub fn is_public(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_given_out =
        address.is_ipv4() || LISTS.given_out_v6.is_some_and(|network| network.contains(address));
    is_given_out && !LISTS.not_public.iter().any(|network| network.contains(address))
}

/// Returns whether an address is one of this machine's own, which change while it runs. What is
/// sent there is sent from there, so asking the system which address it would use finds out, and
/// nothing is sent.
pub fn is_of_this_machine(address: IpAddr) -> bool {
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

    #[test]
    fn every_block_of_the_lists_is_one() {
        assert_eq!(LISTS.not_public.len(), NOT_PUBLIC_V4.len() + NOT_PUBLIC_V6.len());
        assert!(LISTS.given_out_v6.is_some());
    }

    #[test]
    fn the_internet_is_public_and_what_is_near_in_any_form_is_not() {
        let public = [
            "1.1.1.1",
            "9.9.9.9",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "223.255.255.254",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:9.9.9.9",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        let near = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.255.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.251",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in near {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn this_machine_knows_its_own_addresses() {
        assert!(is_of_this_machine("127.0.0.1".parse().unwrap()));
        assert!(!is_of_this_machine("192.0.2.1".parse().unwrap()));
    }
}

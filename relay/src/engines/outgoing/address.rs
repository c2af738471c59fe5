//! Addresses that users name, read as browsers read them: so an IPv4 address in any of its spellings is
//! the address.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

/// Longer than any push service's.
const BYTES_MAX: usize = 2_048;
const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;
/// Above them nobody is well known. Below, only the web's own ports are for the web.
const WELL_KNOWN_BELOW: u16 = 1_024;
/// Ports above that belong to other protocols, by the list of the Fetch standard.
const NOT_FOR_THE_WEB: [u16; 20] = [
    1_719, 1_720, 1_723, 2_049, 3_659, 4_045, 4_190, 5_060, 5_061, 6_000, 6_566, 6_665, 6_666,
    6_667, 6_668, 6_669, 6_679, 6_697, 10_080, 11_211,
];

/// An address of another server.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    #[error("This is no address: write one like https://example.org/path.")]
    Form,
    #[error("This address is too long.")]
    Length,
    #[error("Use https: http is for networks that this relay's operator allows.")]
    Scheme,
    #[error("An address holds no name and password here.")]
    Credentials,
    #[error("This port is not one of the web's.")]
    Port,
    #[error("This address is the relay's own.")]
    Own,
    #[error("This address is a private one: the relay's operator would have to allow it.")]
    Near,
}

/// The relay's own places, which it reaches on nobody's behalf.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// As they stand in its public addresses.
    pub hosts: Vec<String>,
    /// At which it listens.
    pub ports: Vec<u16>,
}

impl Own {
    pub(super) fn has_host(&self, address: &Address) -> bool {
        let host = address.host();
        // Where the relay is reached as localhost, what else is there is told apart by its port.
        self.hosts
            .iter()
            .any(|own| bare(own) == bare(host) && (!is_local_name(own) || self.has_port(address)))
    }

    pub(super) fn has_port(&self, address: &Address) -> bool {
        self.ports.contains(&address.port())
    }
}

fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

fn is_local_name(host: &str) -> bool {
    let bare = bare(host);
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, AddressProblem> {
        if text.len() > BYTES_MAX {
            return Err(AddressProblem::Length);
        }
        // The parser forgives what a person did not mean.
        let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\';
        if text.contains(is_odd) || !text.contains("://") {
            return Err(AddressProblem::Form);
        }
        let url = Url::parse(text).map_err(|_| AddressProblem::Form)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(AddressProblem::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressProblem::Credentials);
        }
        if url.fragment().is_some() || url.host().is_none() || url.port() == Some(0) {
            return Err(AddressProblem::Form);
        }
        let address = Self(url);
        let own_port = if address.is_https() { HTTPS_PORT } else { HTTP_PORT };
        let port = address.port();
        let is_the_webs =
            port == own_port || port >= WELL_KNOWN_BELOW && !NOT_FOR_THE_WEB.contains(&port);
        if is_the_webs { Ok(address) } else { Err(AddressProblem::Port) }
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Returns the host, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Returns scheme, host and port.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// Returns the address that stands in the place of a name, if one does.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }
}

/// Its path may be a secret.
impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Address").field(&self.origin()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_of_the_web_is_refused_by_name() {
        for (text, problem) in [
            ("", AddressProblem::Form),
            ("example.org", AddressProblem::Form),
            ("https:example.org", AddressProblem::Form),
            ("https:///", AddressProblem::Form),
            ("https://a b", AddressProblem::Form),
            ("https:\\\\example.org", AddressProblem::Form),
            ("https://example.org/\n", AddressProblem::Form),
            ("https://example.org/#x", AddressProblem::Form),
            ("https://exa%mple.org/", AddressProblem::Form),
            ("https://1.2.3.4.5/", AddressProblem::Form),
            ("https://[::1", AddressProblem::Form),
            ("ftp://example.org/", AddressProblem::Scheme),
            ("file:///etc/passwd", AddressProblem::Scheme),
            ("gopher://example.org/", AddressProblem::Scheme),
            ("https://user@example.org/", AddressProblem::Credentials),
            ("https://user:password@example.org/", AddressProblem::Credentials),
            ("https://example.org@169.254.169.254/", AddressProblem::Credentials),
            ("https://example.org:22/", AddressProblem::Port),
            ("https://example.org:25/", AddressProblem::Port),
            ("https://example.org:80/", AddressProblem::Port),
            ("http://example.org:443/", AddressProblem::Port),
            ("https://example.org:6667/", AddressProblem::Port),
            ("https://example.org:0/", AddressProblem::Form),
            ("https://example.org:99999/", AddressProblem::Form),
        ] {
            assert_eq!(Address::parse(text).unwrap_err(), problem, "{text}");
        }
        let long = format!("https://example.org/{}", "x".repeat(BYTES_MAX));
        assert_eq!(Address::parse(&long).unwrap_err(), AddressProblem::Length);
        let address = Address::parse("HTTPS://ExAmple.org:8443/Path?q=1").unwrap();
        assert_eq!(address.as_str(), "https://example.org:8443/Path?q=1");
        assert_eq!(format!("{address:?}"), "Address(\"https://example.org:8443\")");
    }

    #[test]
    fn the_relay_itself_is_named_by_host_or_on_its_own_machine_by_port() {
        let own = Own {
            hosts: vec!["cam.example.org".to_owned(), "localhost".to_owned()],
            ports: vec![8080],
        };
        let is_own = |text: &str| own.has_host(&Address::parse(text).unwrap());
        assert!(is_own("https://cam.example.org/") && is_own("https://CAM.example.org.:8443/"));
        assert!(is_own("http://localhost:8080/") && !is_own("http://localhost:9090/"));
        assert!(!is_own("https://example.org/"));
    }
}

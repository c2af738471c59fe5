//! Addresses of other servers that a camera names and that its viewers are sent to.

use std::net::IpAddr;

/// Longer than any real address, and short enough for a header.
const MAX_LENGTH: usize = 2_048;

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    #[error("an address is at most {MAX_LENGTH} characters of plain ASCII")]
    NotPlain,
    #[error("it must begin with https://; http:// is for this machine alone")]
    NotSecure,
    #[error("it names no host")]
    NoHost,
    #[error("it carries a user name or password; leave that out")]
    Credentials,
    #[error("it has a fragment, which no server would see")]
    Fragment,
}

/// Checks that `text` is an https URL, or an http one of this machine, without a user, a password
/// or a fragment.
pub fn check(text: &str) -> Result<(), InvalidAddress> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte);
    if text.len() > MAX_LENGTH || !text.bytes().all(plain) {
        return Err(InvalidAddress::NotPlain);
    }
    let (scheme, rest) = text.split_once("://").ok_or(InvalidAddress::NotSecure)?;
    if rest.contains('#') {
        return Err(InvalidAddress::Fragment);
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(InvalidAddress::Credentials);
    }
    let host = host_of(authority).ok_or(InvalidAddress::NoHost)?;
    match scheme {
        "https" => Ok(()),
        "http" if is_this_machine(host) => Ok(()),
        _ => Err(InvalidAddress::NotSecure),
    }
}

/// Cuts off the port, and the brackets of an IPv6 address.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    (!host.is_empty() && is_port).then_some(host)
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_https_and_this_machine_by_http_too() {
        for allowed in [
            "https://sfu.example/whep/porch",
            "https://sfu.example:8443/whep?app=live&stream=porch",
            "https://[2001:db8::1]/x",
            "http://localhost:7090/whep/endpoint/porch",
            "http://127.0.0.1/x",
            "http://[::1]:8080",
        ] {
            assert_eq!(check(allowed), Ok(()), "{allowed}");
        }
    }

    #[test]
    fn everything_else_is_refused_for_a_reason() {
        for (refused, reason) in [
            ("", InvalidAddress::NotSecure),
            ("sfu.example", InvalidAddress::NotSecure),
            ("http://sfu.example/x", InvalidAddress::NotSecure),
            ("http://localhost.sfu.example/x", InvalidAddress::NotSecure),
            ("ftp://localhost/x", InvalidAddress::NotSecure),
            ("javascript://localhost/x", InvalidAddress::NotSecure),
            ("https://", InvalidAddress::NoHost),
            ("https:///x", InvalidAddress::NoHost),
            ("https://sfu.example:0/", InvalidAddress::NoHost),
            ("https://sfu.example:x/", InvalidAddress::NoHost),
            ("https://me:secret@sfu.example/", InvalidAddress::Credentials),
            ("https://me@sfu.example/", InvalidAddress::Credentials),
            ("https://sfu.example/#x", InvalidAddress::Fragment),
            ("https://sfu.example/a b", InvalidAddress::NotPlain),
            ("https://sfu.example/\r\nSet-Cookie:x", InvalidAddress::NotPlain),
            ("https://sfu.exämple/", InvalidAddress::NotPlain),
        ] {
            assert_eq!(check(refused), Err(reason), "{refused:?}");
        }
        assert!(check(&format!("https://x/{}", "a".repeat(MAX_LENGTH))).is_err());
    }
}

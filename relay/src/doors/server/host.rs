//! Whether a request says, once and legibly, which host it is for.
//!
//! Nothing of the relay decides by that name: links, cookies, origins and signatures go by the
//! configured addresses. A proxy in front may, and must not read another one than we do.

use http::{HeaderMap, HeaderValue, Request, Uri, Version, header, uri::Authority};

/// For which hosts a listener answers. Only where two names share a port: a browser may ask on a
/// connection to one of them for what the other one has, and asks again when it hears so (RFC 9110,
/// 15.5.20).
#[derive(Debug, Clone, Default)]
pub enum Hosts {
    #[default]
    Any,
    /// The neighbour's are not ours.
    AllBut(String),
    Only(String),
}

impl Hosts {
    pub(super) fn include<B>(&self, request: &Request<B>) -> bool {
        let is_for = |host: &str| {
            let named = request.uri().host().map(str::to_owned).or_else(|| {
                let authority = request.headers().get(header::HOST).and_then(authority);
                authority.map(|authority| authority.host().to_owned())
            });
            named.is_some_and(|named| named.eq_ignore_ascii_case(host))
        };
        match self {
            Self::Any => true,
            Self::AllBut(host) => !is_for(host),
            Self::Only(host) => is_for(host),
        }
    }
}

/// Returns whether the host is named as RFC 9112 (3.2) and RFC 9113 (8.3.1) ask.
pub(super) fn is_named(version: Version, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => return version < Version::HTTP_11 || is_in(uri, version),
        (Some(host), None) => host,
        (Some(_), Some(_)) => return false,
    };
    let Some(host) = authority(host) else { return false };
    // HTTP/1.1 has a rule for a URI that names another host: the URI's counts.
    version != Version::HTTP_2
        || uri.authority().is_none_or(|named| named.as_str().eq_ignore_ascii_case(host.as_str()))
}

/// HTTP/2 names the host as a part of the URI; HTTP/1.1 must say it in the header, too.
fn is_in(uri: &Uri, version: Version) -> bool {
    version > Version::HTTP_11 && uri.host().is_some()
}

fn authority(host: &HeaderValue) -> Option<Authority> {
    let text = host.to_str().ok()?;
    let is_plain = !text.is_empty() && !text.contains(['@', '/', ',', ' ', '\t']);
    is_plain
        .then(|| text.parse::<Authority>().ok())
        .flatten()
        .filter(|named| !named.host().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(version: Version, uri: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        is_named(version, &uri.parse().unwrap(), &headers)
    }

    #[test]
    fn http_1_1_has_one_host_that_is_one() {
        let named = |hosts: &[&str]| named(Version::HTTP_11, "/", hosts);
        for host in ["cam.example.org", "CAM:8443", "[::1]:8080", "127.0.0.1", "cam_1"] {
            assert!(named(&[host]), "{host}");
        }
        assert!(!named(&[]));
        assert!(!named(&["a", "b"]) && !named(&["a", "a"]));
        for host in ["", " ", "a, b", "a/b", "user@a", "a b", ":80", "[::1", "\u{e9}", "a:b:c"] {
            assert!(!named(&[host]), "{host:?}");
        }
    }

    #[test]
    fn a_neighbour_s_host_is_known_by_uri_and_header() {
        let by_header = Request::get("/").header(header::HOST, "Store.example:443").body(());
        let by_uri = Request::get("https://store.example/").body(());
        let own = Request::get("/").header(header::HOST, "cam.example").body(()).unwrap();
        let store = "store.example".to_owned();
        for request in [by_header.unwrap(), by_uri.unwrap()] {
            assert!(Hosts::Any.include(&request));
            assert!(Hosts::Only(store.clone()).include(&request));
            assert!(!Hosts::AllBut(store.clone()).include(&request));
        }
        assert!(Hosts::AllBut(store.clone()).include(&own));
        assert!(!Hosts::Only(store).include(&own));
    }

    #[test]
    fn older_and_newer_versions_have_their_own_rules() {
        assert!(named(Version::HTTP_10, "/", &[]));
        assert!(!named(Version::HTTP_10, "/", &["a", "b"]));
        assert!(named(Version::HTTP_2, "https://a/", &[]));
        assert!(named(Version::HTTP_2, "https://a/", &["A"]));
        assert!(!named(Version::HTTP_2, "https://a/", &["b"]));
        assert!(named(Version::HTTP_2, "/", &["a"]) && !named(Version::HTTP_2, "/", &[]));
    }
}

//! Addresses as people write them, and the one spelling by which programs compare them: the one that
//! browsers use (WHATWG URL), so lower case, IDN in ASCII, no default port, no slash at the end.

use std::net::IpAddr;

use url::{Host, Url};

use super::ConfigError;

/// Registered for MQTT over TLS.
const MQTT_PORT: u16 = 8883;
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Returns the spelling of an origin: scheme, host and maybe a port, nothing after it. http is for
/// localhost alone: elsewhere passwords and pictures would travel in the clear.
pub(super) fn web_origin(key: &'static str, text: &str) -> Result<String, ConfigError> {
    let refuse = |remedy: String| ConfigError::value(key, text, remedy);
    let url = parse(text).map_err(refuse)?;
    match url.scheme() {
        "https" => {}
        "http" if url.host_str().is_some_and(is_localhost) => {}
        _ => return Err(refuse("use https:// (http:// is for localhost alone)".to_owned())),
    }
    Ok(url.origin().ascii_serialization())
}

/// Returns the spelling of the address at which the relay itself reaches a store. Unencrypted within
/// one's own network alone: the relay's requests carry signatures that are good for a minute.
pub(super) fn endpoint(key: &'static str, text: &str) -> Result<String, ConfigError> {
    let remedy = "write where the relay reaches the store, like https://s3.example.org (http:// \
                  within your own network alone)";
    let refuse = |_| ConfigError::value(key, text, remedy);
    let url = parse(text).map_err(refuse)?;
    if url.scheme() == "http" && !url.host_str().is_some_and(is_own_network) {
        return Err(refuse(String::new()));
    }
    Ok(url.origin().ascii_serialization())
}

fn is_own_network(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_loopback(),
        Ok(IpAddr::V6(address)) => address.is_unique_local() || address.is_loopback(),
        // A name without a dot is one of a container's neighbours.
        Err(_) => !bare.contains('.'),
    }
}

/// Returns the spelling of the address that cameras are given: `mqtts://HOST:PORT`.
pub(super) fn mqtt(key: &'static str, text: &str) -> Result<String, ConfigError> {
    let refuse = |remedy: String| ConfigError::value(key, text, remedy);
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("mqtts") {
        return Err(refuse("cameras use MQTT over TLS: write mqtts://HOST:PORT".to_owned()));
    }
    // Parsed as a scheme that the URL standard knows, whose hosts it understands.
    let url = parse(&format!("https://{rest}")).map_err(refuse)?;
    let port = match url.port_or_known_default() {
        Some(port) if names_port(rest) => port,
        _ => MQTT_PORT,
    };
    Ok(format!("mqtts://{}:{port}", url.host_str().unwrap_or_default()))
}

/// Returns whether `text`, in any spelling, is the origin `canonical`.
pub(super) fn is_origin(text: &str, canonical: &str) -> bool {
    text == canonical
        || parse(text).is_ok_and(|url| url.origin().ascii_serialization() == canonical)
}

/// Returns whether a host, an IPv6 address in brackets or without them, is this machine itself.
pub(super) fn is_localhost(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Parses an origin of http or https, or says what to write instead.
fn parse(text: &str) -> Result<Url, String> {
    const EXAMPLE: &str = "write an origin like https://cam.example.org";
    let (_, authority) = text.split_once("://").ok_or(EXAMPLE)?;
    if authority.starts_with('[') && authority.contains('%') {
        return Err("an address with a zone (%eth0) means something on one machine alone: write \
                    another address, or a name"
            .to_owned());
    }
    // The parser forgives what a person did not mean.
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\')
        || authority.contains(['@', '?', '#'])
        || authority.starts_with('/')
    {
        return Err(EXAMPLE.to_owned());
    }
    let mut url = Url::parse(text).map_err(|error| format!("{error}; {EXAMPLE}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.path() != "/" {
        return Err(EXAMPLE.to_owned());
    }
    match url.host() {
        Some(Host::Domain(domain)) => {
            let bare = domain.strip_suffix('.').unwrap_or(domain).to_owned();
            check_name(&bare)?;
            url.set_host(Some(&bare)).map_err(|error| error.to_string())?;
        }
        Some(Host::Ipv4(address)) => check_address(address.into())?,
        Some(Host::Ipv6(address)) => check_address(address.into())?,
        None => return Err(EXAMPLE.to_owned()),
    }
    Ok(url)
}

fn check_name(name: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label) {
        Ok(())
    } else {
        Err("this is no name of a host: write one like cam.example.org".to_owned())
    }
}

/// Refuses addresses at which nobody can reach the relay.
fn check_address(address: IpAddr) -> Result<(), String> {
    let reason = match address.to_canonical() {
        address if address.is_unspecified() => "stands for all addresses",
        address if address.is_multicast() => "stands for a group of machines",
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            "means something on one link alone"
        }
        _ => return Ok(()),
    };
    Err(format!("{address} {reason}: write the address or name that people and cameras use"))
}

/// Returns whether an authority names its port.
fn names_port(authority: &str) -> bool {
    let authority = authority.trim_end_matches('/');
    authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
        && !authority.ends_with(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(text: &str) -> Result<String, String> {
        web_origin("public_url", text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_origin_in_any_spelling_has_one() {
        for (text, canonical) in [
            ("https://cam.example.org", "https://cam.example.org"),
            ("https://cam.example.org/", "https://cam.example.org"),
            ("HTTPS://Cam.Example.ORG:443/", "https://cam.example.org"),
            ("https://cam.example.org.:8443", "https://cam.example.org:8443"),
            ("https://Bücher.example", "https://xn--bcher-kva.example"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("http://LOCALHOST:80", "http://localhost"),
            ("http://localhost:0", "http://localhost:0"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[0:0:0:0:0:0:0:1]:8080/", "http://[::1]:8080"),
            ("https://[2001:DB8::00A1]", "https://[2001:db8::a1]"),
            ("https://cam_1.example.org", "https://cam_1.example.org"),
        ] {
            assert_eq!(web(text).as_deref(), Ok(canonical), "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_in_one_line() {
        for text in [
            "",
            "cam.example.org",
            "https:cam.example.org",
            "https:///cam",
            "https://",
            "https://:443",
            "https://cam.example.org/cameras",
            "https://cam.example.org?x",
            "https://cam.example.org#x",
            "https://user@cam.example.org",
            "https://cam.example.org\\x",
            " https://cam.example.org",
            "https://cam\n.example.org",
            "https://cam.example.org:99999",
            "https://cam..example.org",
            "https://-cam.example.org",
            "https://*.example.org",
            "https://256.1.1.1",
            "https://0.0.0.0:8080",
            "https://[::]",
            "https://224.0.0.1",
            "https://[fe80::1]",
            "https://[fe80::1%25eth0]:8080",
            "https://[fe80::1%eth0]:8080",
            "https://[::1",
            "https://::1",
            "ftp://cam.example.org",
            "http://cam.example.org",
            "http://192.0.2.1",
            "http://localhost.example.org",
        ] {
            let message = web(text).expect_err(text);
            assert!(message.starts_with("public_url = "), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        assert!(web("https://[fe80::1%eth0]").unwrap_err().contains("zone"));
    }

    #[test]
    fn a_store_is_reached_without_tls_within_ones_own_network() {
        let endpoint = |text| endpoint("store.endpoint", text).map_err(|error| error.to_string());
        for (text, canonical) in [
            ("HTTP://Minio:9000/", "http://minio:9000"),
            ("http://10.0.0.1:9000", "http://10.0.0.1:9000"),
            ("http://[FD00::1]:9000", "http://[fd00::1]:9000"),
            ("https://s3.example.org:443", "https://s3.example.org"),
        ] {
            assert_eq!(endpoint(text).as_deref(), Ok(canonical), "{text}");
        }
        for text in ["", "http://s3.example.org", "http://192.0.2.1", "https://s3.example.org/x"] {
            assert!(endpoint(text).unwrap_err().starts_with("store.endpoint = "), "{text}");
        }
    }

    #[test]
    fn cameras_are_given_a_host_and_a_port() {
        let mqtt = |text| mqtt("mqtt.public_url", text).map_err(|error| error.to_string());
        for (text, canonical) in [
            ("mqtts://localhost:8883", "mqtts://localhost:8883"),
            ("MQTTS://Cam.Example.org", "mqtts://cam.example.org:8883"),
            ("mqtts://cam.example.org:443", "mqtts://cam.example.org:443"),
            ("mqtts://cam.example.org/", "mqtts://cam.example.org:8883"),
            ("mqtts://[::1]", "mqtts://[::1]:8883"),
            ("mqtts://[0::1]:0", "mqtts://[::1]:0"),
            ("mqtts://bücher.example:1", "mqtts://xn--bcher-kva.example:1"),
        ] {
            assert_eq!(mqtt(text).as_deref(), Ok(canonical), "{text}");
        }
        for text in ["mqtt://x", "mqtts:x", "mqtts://", "mqtts://[fe80::1%2]:1", "mqtts://x/y"] {
            assert!(mqtt(text).unwrap_err().starts_with("mqtt.public_url = "), "{text}");
        }
    }

    #[test]
    fn an_origin_that_a_program_sends_is_compared_in_any_spelling() {
        assert!(is_origin("HTTPS://CAM.example.org:443", "https://cam.example.org"));
        for other in ["null", "", "https://cam.example.org.evil", "http://cam.example.org"] {
            assert!(!is_origin(other, "https://cam.example.org"), "{other}");
        }
    }
}

//! On whose behalf a proxy asks, by `X-Forwarded-For` and `Forwarded` (RFC 7239).
//!
//! Each proxy appends the address that it was reached from, so that only the end of such a list can be
//! believed: it is read backwards from the connection itself, for as long as the one who said it is
//! trusted. What cannot be read ends the walk at the last proxy that is known: strangers who send
//! nonsense share that one's allowance, and nobody else's.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header::FORWARDED};

use crate::config::Proxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// No chain of proxies is as long; what stands further to the left was sent by a client.
const HOPS_MAX: usize = 32;

/// Returns the address of the client: `peer`, unless that is a trusted proxy which says otherwise.
///
/// A proxy writes one of the two headers and passes the other one on as a client wrote it. Where both
/// are there and name different clients, neither is believed.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, proxies: &Proxies) -> IpAddr {
    if !proxies.contain(peer) {
        return peer;
    }
    let walk = |name: HeaderName, read: fn(&str) -> Vec<Hop>| {
        let has_header = headers.contains_key(&name);
        has_header.then(|| last_untrusted(peer, headers, &name, read, proxies))
    };
    match (walk(X_FORWARDED_FOR, addresses), walk(FORWARDED, elements)) {
        (Some(client), None) | (None, Some(client)) => client,
        (Some(client), Some(other)) if client == other => client,
        (None, None) | (Some(_), Some(_)) => peer,
    }
}

/// One entry of a list: nothing where it cannot be read, or hides whom it means.
type Hop = Option<IpAddr>;

fn last_untrusted(
    peer: IpAddr,
    headers: &HeaderMap,
    name: &HeaderName,
    read: fn(&str) -> Vec<Hop>,
    proxies: &Proxies,
) -> IpAddr {
    let mut known = peer;
    // Several lines of one header are one list, in their order.
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    let hops = lines
        .into_iter()
        .rev()
        .flat_map(|line| line.to_str().map_or_else(|_| vec![None], read).into_iter().rev());
    for hop in hops.take(HOPS_MAX) {
        let Some(address) = hop else { break };
        known = address;
        if !proxies.contain(address) {
            break;
        }
    }
    known
}

/// Reads one line of `X-Forwarded-For`.
fn addresses(line: &str) -> Vec<Hop> {
    line.split(',').map(|entry| node(unquoted(entry.trim()))).collect()
}

/// Reads one line of `Forwarded`. In a line that is not well formed nothing can be told from anything
/// else, because a quote that a client left open swallows what a proxy wrote after it.
fn elements(line: &str) -> Vec<Hop> {
    let mut rest = line;
    let mut hops = Vec::new();
    loop {
        let Some((hop, after)) = element(rest) else { return vec![None] };
        hops.push(hop);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return hops,
            None => return vec![None],
        }
    }
}

/// Reads one element, `for=…;proto=…`, and returns what follows it.
fn element(text: &str) -> Option<(Hop, &str)> {
    let mut rest = text;
    let mut client = None;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with(',') {
            break;
        }
        if let Some(after) = rest.strip_prefix(';') {
            rest = after;
            continue;
        }
        let (name, after) = rest.split_once('=')?;
        if name.is_empty() || name.contains(|byte: char| !byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (value, after) = value(after)?;
        rest = after.trim_start();
        if !(rest.is_empty() || rest.starts_with([',', ';'])) {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && client.replace(value).is_some() {
            return None;
        }
    }
    Some((client.and_then(|client| node(&client)), rest))
}

/// Reads a token or a quoted string. Tokens may hold the colons and brackets that some proxies write
/// without quotes.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
        let (token, rest) = text.split_at_checked(end)?;
        return (!token.is_empty() && !token.contains('"')).then(|| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, quoted.get(index + 1..)?)),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// Reads the address of a node: `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`, each of them maybe with
/// a port, which RFC 7239 lets a proxy hide, too. `unknown` and names like `_hidden` are none.
fn node(text: &str) -> Hop {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        (IpAddr::V6(address.parse().ok()?), port)
    } else {
        let (address, port) = text.split_at_checked(text.find(':')?)?;
        (IpAddr::V4(address.parse().ok()?), port)
    };
    (port.is_empty() || is_port(port.strip_prefix(':')?)).then(|| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    let is_hidden = text.strip_prefix('_').is_some_and(|name| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    });
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_hidden || is_number
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// What counts as the client of a request from `peer`, where `10.0.0.0/8` and `fd00::/8` are trusted.
    fn seen(peer: &str, lines: &[(HeaderName, &str)]) -> IpAddr {
        let proxies = Proxies::from(["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        client(ip(peer), &headers, &proxies)
    }

    fn x_forwarded_for(line: &str) -> IpAddr {
        seen(PROXY, &[(X_FORWARDED_FOR, line)])
    }

    fn forwarded(line: &str) -> IpAddr {
        seen(PROXY, &[(FORWARDED, line)])
    }

    #[test]
    fn a_stranger_is_not_believed() {
        for name in [X_FORWARDED_FOR, FORWARDED] {
            assert_eq!(seen("192.0.2.1", &[(name, "for=198.51.100.1")]), ip("192.0.2.1"));
        }
        assert_eq!(seen("192.0.2.1", &[(X_FORWARDED_FOR, "198.51.100.1")]), ip("192.0.2.1"));
    }

    #[test]
    fn the_last_hop_that_is_no_proxy_counts_however_much_was_put_before_it() {
        for line in [
            "192.0.2.1",
            "198.51.100.7, 192.0.2.1",
            "198.51.100.7, 192.0.2.1, 10.1.1.1,10.2.2.2",
            "garbage, \u{1}unknown, 192.0.2.1",
            "10.9.9.9, 192.0.2.1",
            "192.0.2.1:4711",
            "  192.0.2.1\t",
            "\"192.0.2.1\"",
            "::ffff:192.0.2.1",
        ] {
            let line = line.replace('\u{1}', "");
            assert_eq!(x_forwarded_for(&line), ip("192.0.2.1"), "{line}");
        }
        for line in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443", "2001:DB8:0::0:1"] {
            assert_eq!(x_forwarded_for(line), ip("2001:db8::1"), "{line}");
        }
        let lines = [(X_FORWARDED_FOR, "198.51.100.7"), (X_FORWARDED_FOR, "192.0.2.1")];
        assert_eq!(seen(PROXY, &lines), ip("192.0.2.1"));
        assert_eq!(seen("fd00::1", &lines), ip("192.0.2.1"));
        // All are proxies: the one that began.
        assert_eq!(x_forwarded_for("10.3.3.3, 10.2.2.2"), ip("10.3.3.3"));
    }

    #[test]
    fn what_cannot_be_read_counts_as_the_proxy_that_sent_it() {
        for line in [
            "",
            ",",
            "unknown",
            "_hidden",
            "localhost",
            "192.0.2.1, unknown",
            "192.0.2.1, 256.0.0.1",
            "192.0.2.1,",
            "192.0.2.1:port",
            "192.0.2.1:123456",
            "[192.0.2.1]",
            "[2001:db8::1",
            "fe80::1%eth0",
            "192.0.2.1 198.51.100.1",
            "for=192.0.2.1",
            "\u{e9}",
        ] {
            assert_eq!(x_forwarded_for(line), ip(PROXY), "{line}");
        }
        assert_eq!(x_forwarded_for("192.0.2.1, unknown, 10.2.2.2"), ip("10.2.2.2"));
        let long = "10.2.2.2,".repeat(3000) + "10.2.2.2";
        assert_eq!(x_forwarded_for(&long), ip("10.2.2.2"));
        assert_eq!(x_forwarded_for(&format!("192.0.2.1,{long}")), ip("10.2.2.2"));
    }

    #[test]
    fn rfc_7239_is_read_in_all_its_forms() {
        for line in [
            "for=192.0.2.1",
            "For=\"192.0.2.1:4711\"",
            "for=192.0.2.1:4711",
            "for=\"192.0.2.1:_port\"",
            "for=\"192.0.2.\\1\"",
            "proto=http;by=203.0.113.43 ; FOR=192.0.2.1;host=\"a,b;c\"",
            "for=198.51.100.7, for=192.0.2.1;;proto=https",
            "for=unknown, for=192.0.2.1",
            "for=192.0.2.1, for=10.2.2.2;by=10.1.1.1",
            ", for=192.0.2.1",
        ] {
            assert_eq!(forwarded(line), ip("192.0.2.1"), "{line}");
        }
        for line in ["for=\"[2001:db8::1]\"", "for=\"[2001:db8::1]:443\"", "for=[2001:db8::1]"] {
            assert_eq!(forwarded(line), ip("2001:db8::1"), "{line}");
        }
        let lines = [(FORWARDED, "for=\"open"), (FORWARDED, "for=192.0.2.1")];
        assert_eq!(seen(PROXY, &lines), ip("192.0.2.1"));
    }

    #[test]
    fn a_client_cannot_hide_what_a_proxy_appends_behind_its_own_words() {
        for line in [
            "for=198.51.100.7;x=\", for=192.0.2.1",
            "for=198.51.100.7;x=\", for=\"[2001:db8::1]\"",
            "for=198.51.100.7\\, for=\"192.0.2.1\"x",
            "for=198.51.100.7;for=192.0.2.1",
            "for=\"192.0.2.1",
            "for=",
            "for",
            "for=_hidden",
            "for=unknown",
            "for=\"_gazonk\"",
            "for=192.0.2.1 x",
            "proto=https",
            "=192.0.2.1",
            "f or=192.0.2.1",
        ] {
            assert_eq!(forwarded(line), ip(PROXY), "{line}");
        }
    }

    #[test]
    fn of_two_headers_that_disagree_neither_is_believed() {
        let both =
            |x: &str, forwarded: &str| seen(PROXY, &[(X_FORWARDED_FOR, x), (FORWARDED, forwarded)]);
        assert_eq!(both("192.0.2.1", "for=192.0.2.1"), ip("192.0.2.1"));
        assert_eq!(both("192.0.2.1", "for=198.51.100.7"), ip(PROXY));
        assert_eq!(both("192.0.2.1", "for=unknown"), ip(PROXY));
    }
}

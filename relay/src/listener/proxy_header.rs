//! The PROXY protocol's header, with which load balancers begin a connection that they pass on:
//! version 2 (binary) and version 1 (a line).

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use ppp::{HeaderResult, v1, v2};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::TcpStream,
};

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, and the length of what follows.
const V2_FIXED_BYTES: usize = 16;
/// Addresses need 216 bytes at most; the rest are notes about TLS and the like.
const V2_REST_BYTES_MAX: usize = 2048;
/// From the specification: the longest line, with its end.
const V1_BYTES_MAX: usize = 107;

/// Reads the header and nothing after it. Returns the client's address; `peer`, the proxy's own, where
/// the proxy asks for itself or does not know.
pub(crate) async fn read(stream: &mut TcpStream, peer: SocketAddr) -> io::Result<SocketAddr> {
    let header = read_header(stream).await?;
    Ok(client(&header)?.unwrap_or(peer))
}

async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut header = vec![0; V2_SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == V2_SIGNATURE {
        let mut fixed = [0; V2_FIXED_BYTES - V2_SIGNATURE.len()];
        stream.read_exact(&mut fixed).await?;
        let rest = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if rest > V2_REST_BYTES_MAX {
            return Err(invalid("the PROXY header is too long"));
        }
        header.extend_from_slice(&fixed);
        let start = header.len();
        header.resize(start + rest, 0);
        stream.read_exact(header.get_mut(start..).unwrap_or_default()).await?;
        return Ok(header);
    }
    // A line has no length: byte by byte, so that what follows it stays where it is.
    while !header.ends_with(b"\r\n") {
        if header.len() >= V1_BYTES_MAX || !header.starts_with(b"PROXY ") {
            return Err(invalid("no PROXY header"));
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}

fn client(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    let address = |ip: IpAddr, port: u16| Some(SocketAddr::new(ip.to_canonical(), port));
    match HeaderResult::parse(header) {
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(found)) => {
                address(found.source_address.into(), found.source_port)
            }
            (v2::Command::Proxy, v2::Addresses::IPv6(found)) => {
                address(found.source_address.into(), found.source_port)
            }
            _ => None,
        }),
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(found) => address(found.source_address.into(), found.source_port),
            v1::Addresses::Tcp6(found) => address(found.source_address.into(), found.source_port),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V1(Err(error)) => Err(invalid(error)),
        HeaderResult::V2(Err(error)) => Err(invalid(error)),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(bytes: &[u8]) -> io::Result<Option<SocketAddr>> {
        let mut stream = bytes;
        let header = read_header(&mut stream).await?;
        // What follows is left for TLS or HTTP.
        let rest = bytes.len() - header.len();
        assert!(stream.len() == rest, "{} bytes were read too many", rest - stream.len());
        client(&header)
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
        header.extend(addresses);
        header.extend(b"GET / HTTP/1.1\r\n");
        header
    }

    fn v4_addresses() -> Vec<u8> {
        [&[192, 0, 2, 1], &[10, 0, 0, 1], 4711_u16.to_be_bytes().as_slice(), &[1, 187]].concat()
    }

    #[tokio::test]
    async fn both_versions_are_read_to_their_last_byte() {
        let client = Some("192.0.2.1:4711".parse().unwrap());
        assert_eq!(said(&v2(1, 0x11, &v4_addresses())).await.unwrap(), client);
        // With a note of the proxy's (a TLV of type 4) after the addresses.
        let noted = [v4_addresses(), vec![4, 0, 2, 0, 0]].concat();
        assert_eq!(said(&v2(1, 0x11, &noted)).await.unwrap(), client);
        let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(said(line).await.unwrap(), client);
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n";
        assert_eq!(said(line).await.unwrap(), Some("[2001:db8::1]:4711".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_proxy_may_ask_for_itself() {
        assert_eq!(said(&v2(0, 0x11, &v4_addresses())).await.unwrap(), None);
        assert_eq!(said(&v2(1, 0x00, &[])).await.unwrap(), None);
        assert_eq!(said(b"PROXY UNKNOWN\r\n").await.unwrap(), None);
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            b"PROXY TCP4 300.0.2.1 10.0.0.1 4711 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1\r\n".to_vec(),
            [b"PROXY ".as_slice(), &[b'x'; 200], b"\r\n"].concat(),
            b"PROXY TCP4 192".to_vec(),
            v2(1, 0x11, &[192, 0, 2, 1]),
            v2(1, 0x11, &[0; V2_REST_BYTES_MAX + 1]),
            v2(7, 0x11, &v4_addresses()),
            V2_SIGNATURE.to_vec(),
        ] {
            assert!(said(&bytes).await.is_err(), "{}", String::from_utf8_lossy(&bytes));
        }
    }
}

//! How the relay listens.

pub(crate) mod proxy_header;

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be let in: as many as come at once when a relay is back and all its cameras and
/// apps return. With the usual 128, the kernel drops the last step of a handshake, and a client believes
/// for a minute that it is connected.
const BACKLOG: u32 = 4_096;

/// Listens at an address, also when a relay that had it was stopped a moment ago.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, time::Duration};

    use super::*;

    const BURST: usize = 600;
    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_burst_of_connections_waits_to_be_let_in() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody lets them in meanwhile: one too many would wait for its handshake.
        let connect = |_| TcpStream::connect_timeout(&address, LIMIT).unwrap();
        let clients: Vec<_> = (0..BURST).map(connect).collect();
        let mut known = Vec::new();
        for _ in 0..BURST {
            let accepted = tokio::time::timeout(LIMIT, listener.accept()).await;
            known.push(accepted.expect("a client believes that it is connected").unwrap().1);
        }
        for client in &clients {
            assert!(known.contains(&client.local_addr().unwrap()));
        }
    }
}

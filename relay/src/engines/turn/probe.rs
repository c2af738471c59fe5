//! A look at a TURN server as its clients see it: a place is allocated, and given back.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket},
    time::Duration,
};

use turn_server_proto::{
    stun::types::{
        attribute::{ErrorCode, Nonce, Realm, Username},
        message::{
            IntegrityAlgorithm, Message, MessageClass, MessageWrite as _, MessageWriteExt as _,
            MessageWriteVec, Method,
        },
    },
    types::{
        TurnCredentials,
        attribute::{Lifetime, RequestedTransport, XorRelayedAddress},
        message::{ALLOCATE, REFRESH},
    },
};

/// A request may be lost on its way.
const TRIES: u32 = 3;
/// The head of a STUN message says at its third byte how much follows (RFC 8489, 5).
const HEAD_BYTES: usize = 20;
const MESSAGE_BYTES_MAX: usize = 2_048;

/// Why there is no place.
#[derive(Debug, thiserror::Error)]
pub enum ProbeFailure {
    #[error("`{0}` is no address that can be tried")]
    Address(String),
    #[error("no address is found: {0}")]
    NoName(String),
    #[error("no answer")]
    Silent,
    #[error("{0}")]
    Unreachable(String),
    #[error("refused with {0}")]
    Refused(u16),
    #[error("the answer is no STUN message that fits")]
    Nonsense,
}

impl From<io::Error> for ProbeFailure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

enum Way {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// Allocates at a server that is named as in `turn:HOST:PORT?transport=udp` or `tcp`, and returns where it
/// relays. Blocks.
pub fn allocate(
    url: &str,
    user: &str,
    password: &str,
    within: Duration,
) -> Result<SocketAddr, ProbeFailure> {
    let wrong = || ProbeFailure::Address(url.to_owned());
    let rest = url.strip_prefix("turn:").ok_or_else(wrong)?;
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = match authority.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => authority.to_owned(),
        _ => format!("{authority}:3478"),
    };
    let addresses =
        authority.to_socket_addrs().map_err(|error| ProbeFailure::NoName(error.to_string()))?;
    let mut last = wrong();
    for address in addresses {
        let way = if query == "transport=tcp" {
            Way::by_tcp(address, within)
        } else {
            Way::by_udp(address, within)
        };
        match way.and_then(|way| allocate_at(way, user, password)) {
            Ok(relayed) => return Ok(relayed),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn allocate_at(mut way: Way, user: &str, password: &str) -> Result<SocketAddr, ProbeFailure> {
    let first = way.ask(request(ALLOCATE)?)?;
    let asked = Message::from_bytes(&first).map_err(|_| ProbeFailure::Nonsense)?;
    let (Ok(realm), Ok(nonce)) = (asked.attribute::<Realm>(), asked.attribute::<Nonce>()) else {
        return Err(refusal(&asked).unwrap_or(ProbeFailure::Nonsense));
    };
    let proof =
        Proof { user, password, realm: realm.realm().to_owned(), nonce: nonce.nonce().to_owned() };
    let answer = way.ask(proof.sign(request(ALLOCATE)?)?)?;
    let answer = Message::from_bytes(&answer).map_err(|_| ProbeFailure::Nonsense)?;
    if let Some(refused) = refusal(&answer) {
        return Err(refused);
    }
    let relayed = answer.attribute::<XorRelayedAddress>().map_err(|_| ProbeFailure::Nonsense)?;
    let relayed = relayed.addr(answer.transaction_id());
    let mut over = Message::builder_request(REFRESH, MessageWriteVec::new());
    over.add_attribute(&Lifetime::new(0)).map_err(|_| ProbeFailure::Nonsense)?;
    // What is not given back ends by itself.
    let _ = way.ask(proof.sign(over)?);
    Ok(relayed)
}

struct Proof<'a> {
    user: &'a str,
    password: &'a str,
    realm: String,
    nonce: String,
}

impl Proof<'_> {
    fn sign(&self, mut request: MessageWriteVec) -> Result<MessageWriteVec, ProbeFailure> {
        let nonsense = |_| ProbeFailure::Nonsense;
        let credentials =
            TurnCredentials::new(self.user, self.password).into_long_term_credentials(&self.realm);
        let nonce = Nonce::new(&self.nonce).map_err(|_| ProbeFailure::Nonsense)?;
        let realm = Realm::new(&self.realm).map_err(|_| ProbeFailure::Nonsense)?;
        let user = Username::new(self.user).map_err(|_| ProbeFailure::Nonsense)?;
        request.add_attribute(&nonce).map_err(nonsense)?;
        request.add_attribute(&realm).map_err(nonsense)?;
        request.add_attribute(&user).map_err(nonsense)?;
        request
            .add_message_integrity(&credentials.into(), IntegrityAlgorithm::Sha1)
            .map_err(nonsense)?;
        Ok(request)
    }
}

fn request(method: Method) -> Result<MessageWriteVec, ProbeFailure> {
    let mut request = Message::builder_request(method, MessageWriteVec::new());
    request
        .add_attribute(&RequestedTransport::new(RequestedTransport::UDP))
        .map_err(|_| ProbeFailure::Nonsense)?;
    Ok(request)
}

fn refusal(message: &Message<'_>) -> Option<ProbeFailure> {
    message.has_class(MessageClass::Error).then(|| {
        message
            .attribute::<ErrorCode>()
            .map_or(ProbeFailure::Nonsense, |error| ProbeFailure::Refused(error.code()))
    })
}

impl Way {
    fn by_tcp(address: SocketAddr, within: Duration) -> Result<Self, ProbeFailure> {
        let stream = TcpStream::connect_timeout(&address, within)?;
        stream.set_read_timeout(Some(within))?;
        stream.set_write_timeout(Some(within))?;
        Ok(Self::Tcp(stream))
    }

    fn by_udp(address: SocketAddr, within: Duration) -> Result<Self, ProbeFailure> {
        let any: SocketAddr =
            if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(within / TRIES))?;
        Ok(Self::Udp(socket))
    }

    fn ask(&mut self, request: MessageWriteVec) -> Result<Vec<u8>, ProbeFailure> {
        let request = request.finish();
        match self {
            Self::Udp(socket) => {
                let mut buffer = vec![0; MESSAGE_BYTES_MAX];
                for _ in 0..TRIES {
                    socket.send(&request)?;
                    match socket.recv(&mut buffer) {
                        Ok(length) => {
                            buffer.truncate(length);
                            return Ok(buffer);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(ProbeFailure::Silent)
            }
            Self::Tcp(stream) => {
                stream.write_all(&request)?;
                let mut message = vec![0; HEAD_BYTES];
                stream.read_exact(&mut message)?;
                let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
                if length > MESSAGE_BYTES_MAX {
                    return Err(ProbeFailure::Nonsense);
                }
                message.resize(HEAD_BYTES + length, 0);
                stream.read_exact(&mut message[HEAD_BYTES..])?;
                Ok(message)
            }
        }
    }
}

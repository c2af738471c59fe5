//! A TURN client over UDP that does what no well-behaved one does.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::UdpSocket, time::timeout};
use turn_server_proto::{
    stun::types::{
        attribute::{ErrorCode, Nonce, Realm, Username},
        message::{
            BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass,
            MessageWrite as _, MessageWriteExt as _, MessageWriteVec, Method,
        },
    },
    types::{
        TurnCredentials,
        attribute::{
            ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
        },
        message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND},
    },
};

use crate::support::{PATIENCE, within};

/// How long silence is listened to before it counts as one.
const SILENCE: Duration = Duration::from_millis(300);

pub(crate) struct TurnClient {
    socket: UdpSocket,
    credentials: LongTermKeyCredentials,
    nonce: String,
}

/// What a server says of an error, as STUN numbers it.
pub(crate) const UNAUTHORIZED: u16 = 401;
pub(crate) const FORBIDDEN: u16 = 403;
pub(crate) const ALLOCATION_MISMATCH: u16 = 437;
pub(crate) const INSUFFICIENT_CAPACITY: u16 = 508;

/// A socket of this address that speaks to the server at this port of loopback.
pub(crate) async fn socket(from: &str, port: &str) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    socket.connect(format!("127.0.0.1:{port}")).await.unwrap();
    socket
}

pub(crate) fn binding() -> Vec<u8> {
    request(BINDING).finish()
}

/// Whether the server answers somebody who only asks for its address.
pub(crate) async fn is_answered(socket: &UdpSocket) -> bool {
    let mut buffer = [0; 2048];
    // A datagram may be lost on a loaded machine.
    for _ in 0..5 {
        socket.send(&binding()).await.unwrap();
        if timeout(SILENCE, socket.recv(&mut buffer)).await.is_ok() {
            return true;
        }
    }
    false
}

impl TurnClient {
    /// Says hello, and hears what the server wants to be shown.
    pub(crate) async fn new(port: &str, user: &str, password: &str) -> Self {
        let socket = socket("127.0.0.1", port).await;
        let answer = ask(&socket, request(ALLOCATE).finish()).await;
        let answer = Message::from_bytes(&answer).unwrap();
        let realm = answer.attribute::<Realm>().unwrap().realm().to_owned();
        let nonce = answer.attribute::<Nonce>().unwrap().nonce().to_owned();
        let credentials = TurnCredentials::new(user, password).into_long_term_credentials(&realm);
        Self { socket, credentials, nonce }
    }

    /// Where peers reach what was allocated, or the code of the refusal.
    pub(crate) async fn allocate(&self) -> Result<SocketAddr, u16> {
        let mut request = request(ALLOCATE);
        request.add_attribute(&RequestedTransport::new(RequestedTransport::UDP)).unwrap();
        let answer = self.ask(request).await?;
        let answer = Message::from_bytes(&answer).unwrap();
        Ok(answer.attribute::<XorRelayedAddress>().unwrap().addr(answer.transaction_id()))
    }

    /// Keeps the allocation for so long; 0 gives it back.
    pub(crate) async fn refresh(&self, seconds: u32) -> Result<(), u16> {
        let mut request = request(REFRESH);
        request.add_attribute(&Lifetime::new(seconds)).unwrap();
        self.ask(request).await.map(drop)
    }

    pub(crate) async fn permit(&self, peer: SocketAddr) -> Result<(), u16> {
        let mut request = request(CREATE_PERMISSION);
        let peer = XorPeerAddress::new(peer, request.transaction_id());
        request.add_attribute(&peer).unwrap();
        self.ask(request).await.map(drop)
    }

    pub(crate) async fn bind(&self, peer: SocketAddr) -> Result<(), u16> {
        let mut request = request(CHANNEL_BIND);
        request.add_attribute(&ChannelNumber::new(0x4000)).unwrap();
        let peer = XorPeerAddress::new(peer, request.transaction_id());
        request.add_attribute(&peer).unwrap();
        self.ask(request).await.map(drop)
    }

    pub(crate) async fn send(&self, peer: SocketAddr, data: &[u8]) {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let id = message.transaction_id();
        message.add_attribute(&XorPeerAddress::new(peer, id)).unwrap();
        message.add_attribute(&Data::new(data)).unwrap();
        self.socket.send(&message.finish()).await.unwrap();
    }

    /// Whether the server still hears this client at all.
    pub(crate) async fn is_heard(&self) -> bool {
        is_answered(&self.socket).await
    }

    /// Asks with the credential, and hears the answer or the code of the refusal.
    async fn ask(&self, mut request: MessageWriteVec) -> Result<Vec<u8>, u16> {
        let credentials = &self.credentials;
        request.add_attribute(&Nonce::new(&self.nonce).unwrap()).unwrap();
        request.add_attribute(&Realm::new(credentials.realm()).unwrap()).unwrap();
        request.add_attribute(&Username::new(credentials.username()).unwrap()).unwrap();
        let key = credentials.clone().into();
        request.add_message_integrity(&key, IntegrityAlgorithm::Sha1).unwrap();
        let answer = ask(&self.socket, request.finish()).await;
        let message = Message::from_bytes(&answer).unwrap();
        if message.has_class(MessageClass::Error) {
            return Err(message.attribute::<ErrorCode>().unwrap().code());
        }
        Ok(answer)
    }
}

fn request(method: Method) -> MessageWriteVec {
    Message::builder_request(method, MessageWriteVec::new())
}

/// Asks again until there is an answer, as every client does over UDP.
async fn ask(socket: &UdpSocket, request: Vec<u8>) -> Vec<u8> {
    let mut buffer = vec![0; 2048];
    let asked = async {
        loop {
            socket.send(&request).await.unwrap();
            let Ok(received) = timeout(SILENCE, socket.recv(&mut buffer)).await else { continue };
            let length = received.unwrap();
            let answer = Message::from_bytes(&buffer[..length]).unwrap();
            if answer.transaction_id() == Message::from_bytes(&request).unwrap().transaction_id() {
                return length;
            }
        }
    };
    let length = within(PATIENCE, asked).await;
    buffer.truncate(length);
    buffer
}

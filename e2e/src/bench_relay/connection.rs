//! A camera's connection as lean as it can be: of ten thousand in one process each must cost less than what
//! is measured.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use nightjar_shared::topic::{self, Channel, Topic};
use rumqttc::{
    tokio_rustls::{
        TlsConnector,
        client::TlsStream,
        rustls::{
            ClientConfig, RootCertStore,
            client::Resumption,
            pki_types::{CertificateDer, ServerName, pem::PemObject as _},
        },
    },
    v5::mqttbytes::{
        Error, QoS,
        v5::{Connect, ConnectReturnCode, Filter, Login, Packet, PingReq, Publish, Subscribe},
    },
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::people::Camera;
use crate::api;

const PACKET_BYTES_MAX: u32 = 64 * 1024;
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// As the agent's.
const KEEP_ALIVE_S: u16 = 30;

/// To a broker at a port of loopback, whose certificate this authority signed for `localhost`.
#[derive(Clone)]
pub(super) struct Broker {
    port: u16,
    tls: TlsConnector,
}

impl Broker {
    pub(super) fn new(port: u16, ca: &Path) -> Result<Self> {
        Ok(Self { port, tls: trusting(ca)? })
    }

    /// Opens a connection from an address of the camera's own: the relay lets in so many from one household, and
    /// all of loopback is this machine's.
    async fn reach(&self, camera: &Camera) -> Result<TcpStream> {
        let [.., high, low] = *camera.id.as_uuid().as_bytes();
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 1, high, low], 0)))?;
        Ok(socket.connect(SocketAddr::from(([127, 0, 0, 1], self.port))).await?)
    }
}

/// Makes TLS that trusts this authority alone.
pub(super) fn trusting(ca: &Path) -> Result<TlsConnector> {
    api::install_crypto();
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(ca).context("cannot read the authority")?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // Each camera is a machine of its own, and a relay that was restarted knows nobody.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A camera that is connected and listens.
pub(super) struct Connection {
    camera: Camera,
    stream: TlsStream<TcpStream>,
    received: BytesMut,
    last_packet: u16,
}

impl Connection {
    /// Connects and subscribes as an agent does.
    pub(super) async fn open(broker: &Broker, camera: Camera) -> Result<Self> {
        timeout(ANSWER_LIMIT, Self::connect(broker, camera)).await.context("no answer")?
    }

    async fn connect(broker: &Broker, camera: Camera) -> Result<Self> {
        let stream = broker.reach(&camera).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let stream = broker.tls.connect(name, stream).await?;
        let mut connection = Self { camera, stream, received: BytesMut::new(), last_packet: 0 };
        let id = connection.camera.id.to_string();
        let connect = Connect {
            keep_alive: KEEP_ALIVE_S,
            client_id: id.clone(),
            clean_start: true,
            properties: None,
        };
        let login = Login::new(id, connection.camera.token.clone());
        connection.write(&Packet::Connect(connect, None, Some(login))).await?;
        let Packet::ConnAck(answer) = connection.read().await? else { bail!("no answer") };
        ensure!(answer.code == ConnectReturnCode::Success, "refused: {:?}", answer.code);
        let filter = Filter::new(topic::down_filter(connection.camera.id), QoS::AtLeastOnce);
        let mut subscribe = Subscribe::new(filter, None);
        subscribe.pkid = connection.next_packet();
        connection.write(&Packet::Subscribe(subscribe)).await?;
        let Packet::SubAck(_) = connection.read().await? else { bail!("not subscribed") };
        Ok(connection)
    }

    /// Says something and waits until it is taken.
    pub(super) async fn say(&mut self, channel: Channel, message: &Value) -> Result<()> {
        let number = self.send(channel, message).await?;
        let taken = async {
            loop {
                match self.read().await? {
                    Packet::PubAck(taken) if taken.pkid == number => return anyhow::Ok(()),
                    _ => {}
                }
            }
        };
        timeout(ANSWER_LIMIT, taken).await.context("the relay took nothing")?
    }

    /// Says something; its number comes back when it is taken.
    pub(super) async fn send(&mut self, channel: Channel, message: &Value) -> Result<u16> {
        let topic = Topic::new(self.camera.id, channel).to_string();
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, message.to_string(), None);
        publish.pkid = self.next_packet();
        self.write(&Packet::Publish(publish.clone())).await?;
        Ok(publish.pkid)
    }

    /// Waits for the next message, which it acknowledges; pings meanwhile.
    pub(super) async fn next(&mut self) -> Result<Bytes> {
        loop {
            let wait = Duration::from_secs(u64::from(KEEP_ALIVE_S) * 3 / 4);
            match timeout(wait, self.read()).await {
                Err(_) => self.write(&Packet::PingReq(PingReq)).await?,
                Ok(Ok(Packet::Publish(message))) => {
                    let taken = rumqttc::v5::mqttbytes::v5::PubAck::new(message.pkid, None);
                    if message.qos == QoS::AtLeastOnce {
                        self.write(&Packet::PubAck(taken)).await?;
                    }
                    return Ok(message.payload);
                }
                Ok(packet) => {
                    packet?;
                }
            }
        }
    }

    fn next_packet(&mut self) -> u16 {
        self.last_packet = self.last_packet % 60_000 + 1;
        self.last_packet
    }

    async fn write(&mut self, packet: &Packet) -> Result<()> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).context("a packet that is none")?;
        self.stream.write_all(&bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Safe to cancel: what came of a packet is kept.
    async fn read(&mut self) -> Result<Packet> {
        loop {
            match Packet::read(&mut self.received, Some(PACKET_BYTES_MAX)) {
                Ok(packet) => return Ok(packet),
                Err(Error::InsufficientBytes(_)) => {
                    let read = self.stream.read_buf(&mut self.received).await?;
                    ensure!(read > 0, "the broker ended the connection");
                }
                Err(error) => bail!("no packet: {error:?}"),
            }
        }
    }
}

//! A camera's side of a broker: rumqttc over TLS.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use nightjar_shared::{
    ids::CameraId,
    topic::{Channel, Topic},
};
use rumqttc::{
    Outgoing, TlsConfiguration, Transport,
    v5::{
        AsyncClient, ConnectionError, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{ConnAck, LastWill, Packet, PubAckReason, Publish, SubscribeReasonCode},
        },
    },
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::task::TaskTracker;

use crate::{
    issuer::pinning,
    support::{PATIENCE, within},
};

/// What a client presents when it connects.
pub(crate) struct Connection {
    pub(crate) address: SocketAddr,
    pub(crate) ca_pem: String,
    pub(crate) client_id: String,
    pub(crate) user_name: String,
    pub(crate) token: String,
    pub(crate) last_will: Option<LastWill>,
    /// Where it goes through http instead.
    pub(crate) websocket: Option<String>,
}

impl Connection {
    pub(crate) async fn open(self) -> Result<Camera, ConnectionError> {
        let tls = || TlsConfiguration::Rustls(Arc::new(pinning(&self.ca_pem)));
        let (host, transport) = match self.websocket {
            Some(url) if url.starts_with("ws:") => (url, Transport::Ws),
            Some(url) => (url, Transport::wss_with_config(tls())),
            None => (self.address.ip().to_string(), Transport::tls_with_config(tls())),
        };
        let mut options = MqttOptions::new(self.client_id, host, self.address.port());
        options
            .set_transport(transport)
            .set_credentials(self.user_name, self.token)
            .set_keep_alive(Duration::from_mins(5))
            // As the agent has it: a longer one ends its connection.
            .set_max_packet_size(Some(64 * 1024));
        if let Some(will) = self.last_will {
            options.set_last_will(will);
        }
        let (client, mut events) = AsyncClient::new(options, 64);
        let connack = loop {
            if let Event::Incoming(Packet::ConnAck(connack)) =
                within(PATIENCE, Box::pin(events.poll())).await?
            {
                break connack;
            }
        };
        let (sender, packets) = mpsc::channel(1024);
        let task = TaskTracker::new().spawn(forward(events, sender));
        Ok(Camera { client, connack, packets, messages: Vec::new(), task })
    }
}

/// Ends at the first error, or when goodbye is said: a camera of these tests does not reconnect.
async fn forward(mut events: EventLoop, packets: mpsc::Sender<Packet>) {
    while let Ok(event) = Box::pin(events.poll()).await {
        let open = match event {
            Event::Incoming(packet) => packets.send(packet).await.is_ok(),
            Event::Outgoing(outgoing) => outgoing != Outgoing::Disconnect,
        };
        if !open {
            return;
        }
    }
}

pub(crate) struct Camera {
    pub(crate) client: AsyncClient,
    pub(crate) connack: ConnAck,
    packets: mpsc::Receiver<Packet>,
    messages: Vec<Publish>,
    task: JoinHandle<()>,
}

impl Camera {
    /// The next packet that is no message; nothing when the connection has ended.
    pub(crate) async fn answer(&mut self) -> Option<Packet> {
        loop {
            match within(PATIENCE, self.packets.recv()).await? {
                Packet::Publish(message) => self.messages.push(message),
                Packet::PingResp(_) => {}
                packet => return Some(packet),
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, filter: &str) -> SubscribeReasonCode {
        self.client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        match self.answer().await {
            Some(Packet::SubAck(suback)) => suback.return_codes[0],
            other => panic!("subscribing to {filter}: {other:?}"),
        }
    }

    pub(crate) async fn publish(
        &mut self,
        topic: &str,
        retain: bool,
        payload: &str,
    ) -> PubAckReason {
        self.client
            .publish(topic, QoS::AtLeastOnce, retain, payload.to_owned().into_bytes())
            .await
            .unwrap();
        match self.answer().await {
            Some(Packet::PubAck(puback)) => puback.reason,
            other => panic!("publishing to {topic}: {other:?}"),
        }
    }

    pub(crate) async fn message(&mut self) -> Publish {
        while self.messages.is_empty() {
            match within(PATIENCE, self.packets.recv()).await {
                Some(Packet::Publish(message)) => self.messages.push(message),
                Some(_) => {}
                None => panic!("the connection ended before a message came"),
            }
        }
        self.messages.remove(0)
    }

    /// Whether a message came; the ping's answer says that nothing more is on its way.
    pub(crate) async fn heard_nothing(&mut self, own: &str) -> bool {
        assert_eq!(self.publish(own, false, "are you there?").await, PubAckReason::Success);
        self.messages.is_empty()
    }

    pub(crate) async fn until_closed(&mut self) {
        while let Some(packet) = self.answer().await {
            assert!(matches!(packet, Packet::Disconnect(_)), "{packet:?}");
        }
    }

    /// As if its power were cut: no goodbye.
    pub(crate) fn vanish(self) {
        self.task.abort();
    }
}

pub(crate) fn up_event(camera_id: CameraId) -> String {
    Topic::new(camera_id, Channel::UpEvent).to_string()
}

pub(crate) fn presence(camera_id: CameraId) -> String {
    Topic::new(camera_id, Channel::UpPresence).to_string()
}

pub(crate) fn last_will(topic: &str) -> LastWill {
    LastWill::new(topic, "gone", QoS::AtLeastOnce, true, None)
}

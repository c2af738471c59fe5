//! The way into the MQTT client.

use nightjar_shared::{
    ids::CameraId,
    topic::{Channel, Topic, down_filter},
};
use rumqttc::v5::{AsyncClient, mqttbytes::QoS};

use tokio::sync::mpsc;

use super::{
    error::LinkError,
    in_flight::{InFlight, PacketKind},
    simulated::Sent,
};

/// The largest message either way; a session description has at most half of it.
pub(in crate::uplink) const MAX_PACKET_BYTES: u32 = 64 * 1024;

/// The way into the broker.
pub(super) enum Client {
    Network(AsyncClient),
    Simulated(mpsc::Sender<Sent>),
}

/// Hands publications to the client and remembers their order.
pub(in crate::uplink) struct Publisher {
    pub(super) client: Client,
    pub(super) camera_id: CameraId,
    pub(super) in_flight: InFlight,
}

impl Publisher {
    /// Subscribes to everything that is for this camera.
    pub(in crate::uplink) async fn subscribe(&self) -> Result<(), LinkError> {
        let filter = down_filter(self.camera_id);
        match &self.client {
            Client::Network(client) => Ok(client.subscribe(filter, QoS::AtLeastOnce).await?),
            Client::Simulated(packets) => send(packets, Sent::Subscribe(filter)).await,
        }
    }

    /// Publishes on one of this camera's topics.
    pub(in crate::uplink) async fn publish(
        &self,
        channel: Channel,
        retain: bool,
        payload: Vec<u8>,
        kind: PacketKind,
    ) -> Result<(), LinkError> {
        let topic = Topic::new(self.camera_id, channel).to_string();
        self.in_flight.handed_over(kind);
        match &self.client {
            Client::Network(client) => {
                Ok(client.publish(topic, QoS::AtLeastOnce, retain, payload).await?)
            }
            Client::Simulated(packets) => {
                send(packets, Sent::Publish { topic, retain, payload }).await
            }
        }
    }

    /// Asks the client to close the connection.
    pub(in crate::uplink) async fn disconnect(&self) -> Result<(), LinkError> {
        match &self.client {
            Client::Network(client) => Ok(client.disconnect().await?),
            Client::Simulated(packets) => send(packets, Sent::Disconnect).await,
        }
    }
}

async fn send(packets: &mpsc::Sender<Sent>, sent: Sent) -> Result<(), LinkError> {
    packets.send(sent).await.map_err(|_| LinkError::Ended)
}

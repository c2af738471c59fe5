//! The way into the MQTT client.

use std::sync::{Arc, Mutex};

use nightjar_shared::{
    ids::CameraId,
    topic::{Channel, Topic, down_filter},
};
use rumqttc::v5::{AsyncClient, mqttbytes::QoS};

use super::LinkError;
use crate::{
    lock::lock,
    uplink::inflight::{InFlight, Publication},
};

/// Hands publications to the client and remembers their order.
pub(in crate::uplink) struct Publisher {
    pub(super) client: AsyncClient,
    pub(super) camera_id: CameraId,
    pub(super) in_flight: Arc<Mutex<InFlight>>,
}

impl Publisher {
    pub(in crate::uplink) async fn subscribe(&self) -> Result<(), LinkError> {
        Ok(self.client.subscribe(down_filter(self.camera_id), QoS::AtLeastOnce).await?)
    }

    pub(in crate::uplink) async fn publish(
        &self,
        channel: Channel,
        retain: bool,
        payload: Vec<u8>,
        publication: Publication,
    ) -> Result<(), LinkError> {
        let topic = Topic::new(self.camera_id, channel).to_string();
        lock(&self.in_flight).handed_over(publication);
        Ok(self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await?)
    }

    pub(in crate::uplink) async fn disconnect(&self) -> Result<(), LinkError> {
        Ok(self.client.disconnect().await?)
    }
}

//! The camera that is there for one walk.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use http::StatusCode;
use nightjar_shared::{
    command::CommandMessage,
    ids::{BootId, CameraId},
    pairing::{claim_proof, token_proof},
    topic::{Channel, Topic, down_filter},
};
use rumqttc::{
    TlsConfiguration, Transport,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{LastWill, Packet},
        },
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Failure, client::Client};
use crate::engines::tls::{self, Trust};

/// As cameras have it.
const PACKET_BYTES_MAX: u32 = 64 * 1024;
const UPDATE: &str =
    "relay and program are of different versions: use the program that came with the relay";
const MQTT: &str = "let TCP to mqtt.listen in, and see that mqtt.public_url leads there";

/// A camera that is paired.
pub(super) struct Camera {
    pub(super) id: CameraId,
    /// Its doors, by its own token.
    pub(super) doors: Client,
    token: String,
    mqtt_url: String,
    ca_pem: String,
}

/// Takes a pairing by its secret.
pub(super) async fn claim(doors: &Client, secret: &str) -> Result<Camera, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| {
        Failure::new(error.to_string(), "try again: this machine has no chance")
    })?;
    let key = SigningKey::from_bytes(&seed);
    let sign = |text: &str| STANDARD.encode(key.sign(text.as_bytes()).to_bytes());
    let public_key = STANDARD.encode(key.verifying_key().as_bytes());
    let nonce = nonce(doors).await?;
    let claimed = doors.post("pairings/claim", json!({
        "protocol": nightjar_shared::PROTOCOL_VERSION, "secret": secret, "public_key": public_key,
        "nonce": nonce, "signature": sign(&claim_proof(&nonce, &public_key)),
        "name": "smoke test", "model": "nightjar-relay smoke",
        "agent_version": env!("CARGO_PKG_VERSION"),
    }));
    let claimed = claimed.await?.expect(StatusCode::OK, UPDATE)?;
    let id: Option<CameraId> = claimed["camera_id"].as_str().and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Failure::new("the claim was answered without an id", UPDATE))?;
    let nonce = self::nonce(doors).await?;
    let signature = sign(&token_proof(&nonce, id));
    let body = json!({ "camera_id": id, "nonce": nonce, "signature": signature });
    let issued = doors.post("agent/token", body).await?.expect(StatusCode::OK, UPDATE)?;
    let token = text(&issued["token"]);
    Ok(Camera {
        id,
        doors: doors.with_token(Some(token.clone())),
        token,
        mqtt_url: text(&claimed["mqtt"]["url"]),
        ca_pem: text(&claimed["ca_pem"]),
    })
}

async fn nonce(doors: &Client) -> Result<String, Failure> {
    let challenge = doors.get("agent/challenge").await?.expect(StatusCode::OK, UPDATE)?;
    Ok(text(&challenge["nonce"]))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A camera's connection.
pub(super) struct Connection {
    id: CameraId,
    client: AsyncClient,
    events: EventLoop,
}

impl Camera {
    pub(super) fn mqtt_url(&self) -> &str {
        &self.mqtt_url
    }

    /// Connects, subscribes, and says that it is there.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let wrong = || Failure::new(format!("mqtt.public_url = {}", self.mqtt_url), MQTT);
        let authority = self.mqtt_url.strip_prefix("mqtts://").ok_or_else(wrong)?;
        let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
        let trust = Trust::Authority(self.ca_pem.clone());
        let tls = tls::client_config(&trust).map_err(|error| Failure::new(error, UPDATE))?;
        let id = self.id.to_string();
        let host = host.trim_matches(['[', ']']);
        let mut options = MqttOptions::new(&id, host, port.parse().map_err(|_| wrong())?);
        let presence = Topic::new(self.id, Channel::UpPresence).to_string();
        let word = |online| json!({ "online": online, "boot_id": BootId::from(Uuid::nil()) });
        let will = LastWill::new(&presence, word(false).to_string(), QoS::AtLeastOnce, true, None);
        options
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)))
            .set_credentials(id, self.token.clone())
            .set_keep_alive(Duration::from_secs(30))
            .set_max_packet_size(Some(PACKET_BYTES_MAX))
            .set_last_will(will);
        let (client, events) = AsyncClient::new(options, 16);
        let mut connection = Connection { id: self.id, client, events };
        connection.until(|packet| matches!(packet, Packet::ConnAck(_)).then_some(())).await?;
        connection.client.subscribe(down_filter(self.id), QoS::AtLeastOnce).await.map_err(lost)?;
        connection.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await?;
        connection.say(&presence, true, &word(true)).await?;
        Ok(connection)
    }
}

impl Connection {
    async fn until<T>(&mut self, found: impl Fn(&Packet) -> Option<T>) -> Result<T, Failure> {
        loop {
            // Its future is large.
            let event = Box::pin(self.events.poll()).await.map_err(lost)?;
            if let Event::Incoming(packet) = event
                && let Some(found) = found(&packet)
            {
                return Ok(found);
            }
        }
    }

    async fn say(&mut self, topic: &str, retain: bool, message: &Value) -> Result<(), Failure> {
        let payload = message.to_string();
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.map_err(lost)?;
        self.until(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await
    }

    /// Waits for a command, and says that it is done.
    pub(super) async fn obey(&mut self) -> Result<(), Failure> {
        let topic = Topic::new(self.id, Channel::DownCommand).to_string();
        let command = |packet: &Packet| match packet {
            Packet::Publish(message) if message.topic == topic.as_bytes() => {
                serde_json::from_slice::<CommandMessage>(&message.payload).ok()
            }
            _ => None,
        };
        let command = self.until(command).await?;
        let ack = json!({ "command_id": command.command_id, "outcome": "acked" });
        let topic = Topic::new(self.id, Channel::UpAck).to_string();
        self.say(&topic, false, &ack).await
    }
}

fn lost(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string(), MQTT)
}

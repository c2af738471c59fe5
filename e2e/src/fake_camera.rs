//! A camera that speaks the protocol by hand and films nothing: for what no agent would say.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use nightjar_shared::{
    ids::{BootId, CameraId, EventId},
    pairing::{claim_proof, token_proof},
    signal::{Signal, SignalKind},
    topic::{self, Channel, Topic},
};
use rumqttc::{
    TlsConfiguration, Transport,
    v5::{
        AsyncClient, Event, MqttOptions,
        mqttbytes::{QoS, v5::Packet},
    },
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use uuid::Uuid;

use crate::api::{Api, text};

/// To a broker that is well.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// To a message, by a relay that has much to do.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// What waits to be sent over MQTT; the sender waits with it.
const QUEUE: usize = 256;

/// A paired camera with a token.
pub struct FakeCamera {
    pub id: CameraId,
    /// Calls the relay with the device token.
    pub api: Api,
    key: SigningKey,
    mqtt_port: u16,
    ca_pem: String,
}

impl FakeCamera {
    /// Pairs with a site by a code, and gets a token.
    pub async fn pair(owner: &Api, site_id: &str) -> Result<Self> {
        let opened = owner.post(&format!("sites/{site_id}/pairings"), json!({})).await?;
        let code = text(&opened.expect(201)?.json(), "code").context("a pairing without a code")?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| anyhow!("no random numbers: {error}"))?;
        let key = SigningKey::from_bytes(&seed);
        let stranger = owner.anonymous();
        let nonce = nonce(&stranger).await?;
        let public_key = STANDARD.encode(key.verifying_key().as_bytes());
        let body = json!({
            "protocol": 1, "code": code, "public_key": public_key, "nonce": nonce,
            "signature": sign(&key, &claim_proof(&nonce, &public_key)), "name": "front door",
            "model": "fake", "agent_version": "0.1.0",
        });
        let claimed = stranger.post("pairings/claim", body).await?.expect(200)?.json();
        let id = text(&claimed, "camera_id").context("a claim without a camera")?.parse()?;
        let ca_pem = text(&claimed, "ca_pem").context("a claim without a CA")?;
        let url = text(&claimed["mqtt"], "url").context("a claim without a broker")?;
        let port = url.rsplit(':').next().context("a broker without a port")?;
        let mqtt_port = port.parse().context("a broker's port is a number")?;
        let mut camera = Self { id, api: stranger, key, mqtt_port, ca_pem };
        camera.renew_token().await?;
        Ok(camera)
    }

    /// Gets a new token, good for an hour.
    pub async fn renew_token(&mut self) -> Result<()> {
        let stranger = self.api.anonymous();
        let nonce = nonce(&stranger).await?;
        let signature = sign(&self.key, &token_proof(&nonce, self.id));
        let body = json!({ "camera_id": self.id, "nonce": nonce, "signature": signature });
        let answer = stranger.post("agent/token", body).await?.expect(200)?.json();
        let token = text(&answer, "token").context("an answer without a token")?;
        self.api = stranger.with_token(token);
        Ok(())
    }

    /// Connects to the broker.
    pub async fn connect(&self) -> Result<Connected> {
        let token = self.api.token().context("a camera without a token")?;
        let mut options = MqttOptions::new(self.id.to_string(), "localhost", self.mqtt_port);
        let tls = TlsConfiguration::Simple {
            ca: self.ca_pem.clone().into_bytes(),
            alpn: None,
            client_auth: None,
        };
        options
            .set_transport(Transport::tls_with_config(tls))
            .set_credentials(self.id.to_string(), token)
            .set_keep_alive(Duration::from_mins(1));
        let (client, mut events) = AsyncClient::new(options, QUEUE);
        let connected = async {
            loop {
                let event = events.poll().await.context("the broker refused the camera")?;
                if matches!(event, Event::Incoming(Packet::ConnAck(_))) {
                    return anyhow::Ok(());
                }
            }
        };
        timeout(CONNECT_LIMIT, connected).await.context("the broker did not answer")??;
        let (counted, acknowledged) = watch::channel(0);
        let (heard, messages) = mpsc::channel(QUEUE);
        let mut polling = JoinSet::new();
        polling.spawn(async move {
            // Ends with the connection: a camera of these runs does not come back.
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Packet::PubAck(_)) => {
                        counted.send_modify(|count| *count += 1);
                    }
                    // What nobody reads is lost: most of these cameras only speak.
                    Event::Incoming(Packet::Publish(message)) => {
                        heard.try_send((message.payload, Instant::now())).ok();
                    }
                    _ => {}
                }
            }
        });
        Ok(Connected { id: self.id, client, acknowledged, messages, polling })
    }
}

/// A camera's connection to the broker. Dropping it cuts the connection.
pub struct Connected {
    id: CameraId,
    client: AsyncClient,
    acknowledged: watch::Receiver<usize>,
    /// What the relay said, each with the time at which it came.
    messages: mpsc::Receiver<(Bytes, Instant)>,
    polling: JoinSet<()>,
}

impl Connected {
    /// Sends an event; fails when the connection has ended.
    pub async fn send_event(&mut self, quality: QoS) -> Result<()> {
        anyhow::ensure!(self.polling.try_join_next().is_none(), "the broker ended the connection");
        let topic = Topic::new(self.id, Channel::UpEvent).to_string();
        let body = event(EventId::generate(), "started", 1).to_string();
        self.client.publish(topic, quality, false, body).await.context("the connection has ended")
    }

    /// Says something and waits until the relay has taken it; fails when the connection ends before.
    pub async fn say(&mut self, channel: Channel, message: &Value) -> Result<()> {
        let (before, topic) = (self.acknowledged(), Topic::new(self.id, channel).to_string());
        let body = message.to_string();
        let said = self.client.publish(topic, QoS::AtLeastOnce, false, body).await;
        said.context("the connection has ended")?;
        let heard = self.acknowledged.wait_for(|count| *count > before);
        let heard = timeout(ANSWER_LIMIT, heard).await.context("the relay took nothing")?;
        heard.map(drop).context("the broker ended the connection")
    }

    /// Listens to what the relay says.
    pub async fn listen(&self) -> Result<()> {
        let filter = topic::down_filter(self.id);
        self.client.subscribe(filter, QoS::AtLeastOnce).await.context("the connection has ended")
    }

    /// Waits for the next signal, and gives it with the time at which it came.
    pub async fn signal(&mut self, within: Duration) -> Result<(Signal, Instant)> {
        loop {
            let next = timeout(within, self.messages.recv()).await.context("heard nothing")?;
            let (payload, at) = next.context("the broker ended the connection")?;
            if let Ok(signal) = serde_json::from_slice(&payload) {
                return Ok((signal, at));
            }
        }
    }

    /// Answers the next offer with this description, and gives the offer.
    pub async fn answer(&mut self, description: &str, within: Duration) -> Result<Signal> {
        loop {
            let (offer, _) = self.signal(within).await?;
            if offer.kind != SignalKind::Offer {
                continue;
            }
            let replica = offer.reply_to.clone().context("an offer that wants no answer")?;
            let answer = Signal::answer(offer.session_id, description.to_owned());
            self.say(Channel::UpSignal { replica }, &serde_json::to_value(answer)?).await?;
            return Ok(offer);
        }
    }

    /// Counts the messages that the broker has acknowledged.
    pub fn acknowledged(&self) -> usize {
        *self.acknowledged.borrow()
    }
}

/// Makes an event that began or ended.
pub fn event(id: EventId, state: &str, at: i64) -> Value {
    json!({
        "protocol": 1, "event_id": id, "kind": "motion", "state": state, "at": at,
        "clock": "synced", "boot_id": boot_id(), "uptime_ms": 5_000,
    })
}

/// Makes an event with all that one can have: some KB.
pub fn large_event(at: i64) -> Value {
    let boxes = vec![json!({"x": 0.123_45, "y": 0.123_45, "width": 0.25, "height": 0.125}); 64];
    let zones: Vec<String> = (0..16).map(|zone| format!("{zone:x>40}")).collect();
    let mut event = event(EventId::generate(), "started", at);
    event["boxes"] = json!(boxes);
    event["zones"] = json!(zones);
    event
}

/// Makes what a camera that is well says of itself.
pub fn health() -> Value {
    json!({
        "protocol": 1, "at": 1, "boot_id": boot_id(), "uptime_ms": 1_000, "agent_version": "0.1.0",
        "capture": {"running": true, "source": "synthetic", "encoder": "x264enc",
            "width": 1280, "height": 720, "fps": 15.0},
        "armed": true, "privacy": false, "recording": false, "disk_free_bytes": 1_000_000,
        "retention_days": 1.5, "queue_length": 0, "viewers": 0, "errors": [],
    })
}

fn boot_id() -> BootId {
    BootId::from(Uuid::nil())
}

async fn nonce(stranger: &Api) -> Result<String> {
    let challenge = stranger.get("agent/challenge").await?.expect(200)?.json();
    text(&challenge, "nonce").context("a challenge without a nonce")
}

fn sign(key: &SigningKey, proof: &str) -> String {
    STANDARD.encode(key.sign(proof.as_bytes()).to_bytes())
}

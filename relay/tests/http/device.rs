//! A camera's side: its key, its tokens, its messages over HTTP and MQTT.

use std::{collections::BTreeMap, net::SocketAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use nightjar_relay::engines::db::Executor as _;
use nightjar_shared::{
    command::CommandMessage,
    ids::{BootId, CameraId, ClipId, EventId},
    pairing::{claim_proof, token_proof},
    signal::Signal,
    topic::{self, Channel, Topic},
};
use rumqttc::v5::mqttbytes::{QoS, v5::Packet};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    mqtt_client::{self, Connection},
    person::{Answer, Person},
    relay::{TestRelay, eventually},
};

pub(crate) struct Device {
    key: SigningKey,
    /// Who calls the doors: with a bearer token, without a page.
    pub(crate) caller: Person,
    id: Option<CameraId>,
    ca_pem: String,
    /// By which it says one thing after the other, as soon as it has said one.
    uplink: Mutex<Option<mqtt_client::Camera>>,
}

impl Device {
    pub(crate) fn new(origin: &str) -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let caller = Person { page: None, ..Person::new(origin) };
        let key = SigningKey::from_bytes(&seed);
        Self { key, caller, id: None, ca_pem: String::new(), uplink: Mutex::default() }
    }

    pub(crate) fn id(&self) -> CameraId {
        self.id.unwrap()
    }

    pub(crate) fn public_key(&self) -> String {
        STANDARD.encode(self.key.verifying_key().as_bytes())
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        STANDARD.encode(self.key.sign(text.as_bytes()).to_bytes())
    }

    pub(crate) async fn nonce(&self) -> String {
        let challenge = self.caller.get("agent/challenge").await.body(200);
        challenge["nonce"].as_str().unwrap().to_owned()
    }

    /// A claim as it should be; `field` is `code` or `secret`.
    pub(crate) async fn claim_body(&self, field: &str, value: &str) -> Value {
        let nonce = self.nonce().await;
        let public_key = self.public_key();
        let signature = self.sign(&claim_proof(&nonce, &public_key));
        json!({
            "protocol": 1, field: value, "public_key": public_key, "nonce": nonce,
            "signature": signature, "name": "Front door", "model": "Test board",
            "agent_version": "0.1.0",
        })
    }

    /// Claims, and remembers what it was told.
    pub(crate) async fn claim_by(&mut self, field: &str, value: &str) -> Answer {
        let body = self.claim_body(field, value).await;
        let answer = self.caller.post("pairings/claim", body).await;
        if answer.status == 200 {
            let response = answer.json();
            self.id = Some(response["camera_id"].as_str().unwrap().parse().unwrap());
            response["ca_pem"].as_str().unwrap().clone_into(&mut self.ca_pem);
        }
        answer
    }

    pub(crate) async fn token_body(&self) -> Value {
        let nonce = self.nonce().await;
        let signature = self.sign(&token_proof(&nonce, self.id()));
        json!({"camera_id": self.id(), "nonce": nonce, "signature": signature})
    }

    pub(crate) async fn get_token(&mut self) {
        let body = self.token_body().await;
        let response = self.caller.post("agent/token", body).await.body(200);
        self.caller.token = Some(response["token"].as_str().unwrap().to_owned());
    }

    /// Says something over a connection that it keeps, without a word of its presence; gives what the
    /// relay made of it: `ok`, or the code of a refusal. A test says the rest by [`Device::connect`],
    /// or all of it here: of two connections the broker ends the first.
    pub(crate) async fn say(&self, relay: &TestRelay, channel: Channel, message: &Value) -> String {
        let mut uplink = self.uplink.lock().await;
        let topic = Topic::new(self.id(), channel).to_string();
        loop {
            let (mut camera, was_open) = match uplink.take() {
                Some(camera) => (camera, true),
                None => (self.connection(relay).open().await.unwrap(), false),
            };
            let before = outcomes(relay);
            let answered = published(&mut camera, &topic, message).await;
            let told = outcomes(relay);
            // A refusal before what another camera may have said meanwhile.
            let changed =
                told.iter().filter(|(outcome, count)| before.get(*outcome) != Some(count));
            let outcome = changed.max_by_key(|(outcome, _)| *outcome != "ok");
            if answered {
                *uplink = Some(camera);
            }
            if let Some((outcome, _)) = outcome {
                return outcome.clone();
            }
            // One that the relay has closed meanwhile says nothing.
            assert!(was_open && !answered, "the relay has not counted {message}");
        }
    }

    /// Tells of an event, which is taken.
    pub(crate) async fn report(&self, relay: &TestRelay, event: Value) {
        assert_eq!(self.say(relay, Channel::UpEvent, &event).await, "ok", "{event}");
    }

    /// Tells how it is, which is taken.
    pub(crate) async fn beat(&self, relay: &TestRelay, health: Value) {
        assert_eq!(self.say(relay, Channel::UpHealth, &health).await, "ok", "{health}");
    }

    /// Vanishes, and comes back with what it says next.
    pub(crate) async fn vanish(&self, relay: &TestRelay) {
        if let Some(camera) = self.uplink.lock().await.take() {
            camera.vanish();
        }
        let noted = "select count(*) as count from cameras
             where camera_id = $1 and offline_due_at is not null";
        let is_noted = async || {
            let rows = relay.app().db.query(noted, vec![self.id().into()]).await.unwrap();
            rows[0].get::<i64>("count").unwrap() == 1
        };
        eventually(is_noted, |noted| *noted).await;
    }

    pub(crate) fn connection(&self, relay: &TestRelay) -> Connection {
        let id = self.id().to_string();
        Connection {
            address: mqtt_address(relay),
            ca_pem: self.ca_pem.clone(),
            client_id: id.clone(),
            user_name: id,
            token: self.caller.token.clone().unwrap(),
            last_will: None,
            websocket: None,
        }
    }

    /// Connects over MQTT, subscribes and says that it is there.
    pub(crate) async fn connect(&self, relay: &TestRelay) -> Online {
        self.connect_by(relay, None, &self.ca_pem).await
    }

    /// The same within http, or within https that this authority vouches for.
    pub(crate) async fn connect_within_http(&self, relay: &TestRelay, ca_pem: &str) -> Online {
        let url = relay.app().config.public_url.replacen("http", "ws", 1);
        self.connect_by(relay, Some(format!("{url}/mqtt")), ca_pem).await
    }

    async fn connect_by(
        &self,
        relay: &TestRelay,
        websocket: Option<String>,
        ca_pem: &str,
    ) -> Online {
        let id = self.id();
        let will = json!({"online": false, "boot_id": boot_id()}).to_string();
        let presence = mqtt_client::presence(id);
        let mut last_will = mqtt_client::last_will(&presence);
        last_will.message = will.into_bytes().into();
        let connection = Connection {
            ca_pem: ca_pem.to_owned(),
            last_will: Some(last_will),
            websocket,
            ..self.connection(relay)
        };
        let mut camera = connection.open().await.unwrap();
        camera.subscribe(&topic::down_filter(id)).await;
        let there = json!({"online": true, "boot_id": boot_id()}).to_string();
        camera.publish(&presence, true, &there).await;
        Online { id, replica: relay.app().replica.clone(), mqtt: camera }
    }
}

/// Publishes; tells whether that was acknowledged before the connection ended.
async fn published(camera: &mut mqtt_client::Camera, topic: &str, message: &Value) -> bool {
    let payload = message.to_string().into_bytes();
    let said = camera.client.publish(topic, QoS::AtLeastOnce, false, payload).await;
    said.is_ok() && matches!(camera.answer().await, Some(Packet::PubAck(_)))
}

/// How many messages of cameras had each outcome.
fn outcomes(relay: &TestRelay) -> BTreeMap<String, u64> {
    let mut outcomes = BTreeMap::new();
    for line in relay.app().metrics.render().lines() {
        let Some(line) = line.strip_prefix("nightjar_mqtt_messages_total{") else { continue };
        let (labels, count) = line.rsplit_once(' ').unwrap();
        let outcome = labels.split("outcome=\"").nth(1).unwrap().split('"').next().unwrap();
        *outcomes.entry(outcome.to_owned()).or_default() += count.parse::<u64>().unwrap();
    }
    outcomes
}

/// Where cameras are told to connect: the relay's own port, or a proxy's.
fn mqtt_address(relay: &TestRelay) -> SocketAddr {
    let (_, port) = relay.app().config.mqtt.public_url.rsplit_once(':').unwrap();
    SocketAddr::new(relay.app().broker.address().ip(), port.parse().unwrap())
}

/// A camera with a connection.
pub(crate) struct Online {
    pub(crate) id: CameraId,
    replica: String,
    pub(crate) mqtt: mqtt_client::Camera,
}

impl Online {
    pub(crate) async fn say(&mut self, channel: Channel, message: &Value) {
        let topic = Topic::new(self.id, channel).to_string();
        self.mqtt.publish(&topic, false, &message.to_string()).await;
    }

    pub(crate) async fn signal(&mut self, signal: &Signal) {
        let channel = Channel::UpSignal { replica: self.replica.clone() };
        self.say(channel, &serde_json::to_value(signal).unwrap()).await;
    }

    /// The next command that arrives.
    pub(crate) async fn command(&mut self) -> CommandMessage {
        self.next(Channel::DownCommand).await
    }

    /// The next signal that arrives.
    pub(crate) async fn heard_signal(&mut self) -> Signal {
        self.next(Channel::DownSignal).await
    }

    async fn next<T: serde::de::DeserializeOwned>(&mut self, channel: Channel) -> T {
        let message = self.mqtt.message().await;
        let expected = Topic::new(self.id, channel).to_string();
        assert_eq!(message.topic, expected.as_bytes());
        serde_json::from_slice(&message.payload).unwrap()
    }
}

pub(crate) fn boot_id() -> BootId {
    BootId::from(Uuid::nil())
}

/// The health of a camera that is well.
pub(crate) fn health() -> Value {
    json!({
        "protocol": 1, "at": 0, "boot_id": boot_id(), "uptime_ms": 1000,
        "agent_version": "0.2.0",
        "capture": {"running": true, "source": "synthetic", "encoder": "x264enc",
            "width": 1280, "height": 720, "fps": 15.0},
        "armed": true, "privacy": false, "recording": false, "disk_free_bytes": 1_000_000,
        "retention_days": 1.5, "queue_length": 0, "viewers": 0, "errors": [],
    })
}

pub(crate) fn event(event_id: EventId, state: &str, at: i64) -> Value {
    json!({
        "protocol": 1, "event_id": event_id, "kind": "motion", "state": state, "at": at,
        "clock": "synced", "boot_id": boot_id(), "uptime_ms": 5000,
    })
}

pub(crate) fn announcement(clip_id: ClipId, event_id: Option<EventId>, at: i64) -> Value {
    let mut body = json!({"clip_id": clip_id, "started_at": at, "clock": "synced"});
    if let Some(event_id) = event_id {
        body["event_id"] = json!(event_id);
    }
    body
}

/// A request for the upload of `content`.
pub(crate) fn part(index: u32, kind: &str, content: &[u8]) -> Value {
    let picture = matches!(kind, "thumbnail" | "still" | "snapshot");
    json!({
        "index": index, "kind": kind, "length": content.len(),
        "sha256": hex::encode(Sha256::digest(content)),
        "content_type": if picture { "image/jpeg" } else { "video/mp4" },
    })
}

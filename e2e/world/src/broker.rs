//! The broker between relay and cameras, as rmqtt is seen from both sides: it asks the relay who may
//! connect and judges topics by the relay's own rules; a message counts when the relay has handled it;
//! sessions end with their connection, and a last will speaks for one that broke.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use nightjar_agent::uplink::simulated::{Dialled, Sent};
use nightjar_relay::engines::broker::{
    Arrival, AuthenticationRequest, Delivery, Handled, Message, Order, acl,
};
use nightjar_shared::{ids::CameraId, topic::Topic};
use rumqttc::{
    Outgoing,
    v5::{
        ConnectionError, Event, Incoming,
        mqttbytes::{
            QoS,
            v5::{
                ConnectReturnCode, PubAck, PubAckReason, Publish, PublishProperties, SubAck,
                SubscribeReasonCode,
            },
        },
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{relay, world::World};

/// How long a camera waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a camera does without a sign of life, and how long the broker does.
const CAMERA_PATIENCE: Duration = Duration::from_secs(15);
const BROKER_PATIENCE: Duration = Duration::from_millis(22_500);
const EVENTS: usize = 64;

/// The sessions of cameras.
#[derive(Default)]
pub(crate) struct Broker {
    sessions: Mutex<HashMap<CameraId, Session>>,
    /// Since when cameras are connected and subscribed, or are not.
    changed: Mutex<HashMap<CameraId, (bool, Instant)>>,
}

#[derive(Clone)]
struct Session {
    number: u64,
    subscribed: bool,
    down: mpsc::Sender<Down>,
    /// Ends the connection from the broker's side.
    ended: CancellationToken,
}

struct Down {
    topic: Topic,
    payload: Bytes,
    expires_at: Instant,
}

impl Broker {
    fn session(&self, camera_id: CameraId) -> Option<Session> {
        self.sessions.lock().unwrap().get(&camera_id).cloned()
    }

    /// Whether a camera is connected and has subscribed, and since when that is so.
    pub(crate) fn state(&self, camera_id: CameraId) -> (bool, Option<Instant>) {
        let changed = self.changed.lock().unwrap().get(&camera_id).copied();
        changed.map_or((false, None), |(connected, since)| (connected, Some(since)))
    }

    fn change(&self, camera_id: CameraId, connected: bool) {
        let mut changed = self.changed.lock().unwrap();
        if changed.get(&camera_id).is_none_or(|(before, _)| *before != connected) {
            changed.insert(camera_id, (connected, Instant::now()));
        }
    }

    /// Ends every connection at once, without wills: the relay is gone, and the broker with it.
    pub(crate) fn end_all(&self) {
        for (camera_id, session) in self.sessions.lock().unwrap().drain() {
            session.ended.cancel();
            self.change(camera_id, false);
        }
    }

    /// Breaks the connection of a camera, which both ends notice.
    pub(crate) fn break_connection(&self, camera_id: CameraId) {
        if let Some(session) = self.session(camera_id) {
            session.ended.cancel();
        }
    }

    /// Serves the relay's orders for as long as it runs.
    pub(crate) async fn serve(world: Arc<World>, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Publish { topic, payload, expires_in, delivery } => {
                    // As MQTT counts.
                    let seconds = expires_in.as_millis().div_ceil(1_000).max(1);
                    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap());
                    let expires_at = Instant::now() + seconds;
                    let down = Down { topic, payload, expires_at };
                    let session = world.broker.session(down.topic.camera_id);
                    let session = session.filter(|session| session.subscribed);
                    let sent = session.is_some_and(|session| session.down.try_send(down).is_ok());
                    let sent = if sent { Delivery::Sent } else { Delivery::NotConnected };
                    let _ = delivery.send(Ok(sent));
                }
                Order::Kick(camera_id) => world.broker.break_connection(camera_id),
                // Its cameras come by no other door.
                Order::Admit { .. } => {}
            }
        }
    }

    /// One connection of the camera with this number, from its CONNECT to its end.
    pub(crate) async fn connect(world: Arc<World>, number: usize, dialled: Dialled) {
        let dead = world.cameras[number].process_death();
        let connection = Connection { world, number, dialled, packets: 0 };
        connection.run(&dead).await;
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The camera said goodbye.
    Farewell,
    /// It broke, and both sides saw it.
    Broken,
    /// Nothing came through for too long.
    Silent,
    /// The relay is gone.
    RelayGone,
}

struct Connection {
    world: Arc<World>,
    number: usize,
    dialled: Dialled,
    packets: u16,
}

impl Connection {
    async fn run(mut self, dead: &CancellationToken) {
        let way = &self.world.cameras[self.number].to_relay;
        self.world.network.travel().await;
        if !way.is_open() {
            tokio::select! {
                biased;
                () = dead.cancelled() => return,
                () = way.opens() => {}
                () = sleep(CONNECT_TIMEOUT) => {}
            }
        }
        let Some(relay) = self.world.relay.running().filter(|_| way.is_open()) else {
            self.fail(io::Error::from(io::ErrorKind::ConnectionRefused).into()).await;
            return;
        };
        let Some(camera_id) = self.authenticate(&relay).await else {
            self.fail(ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized)).await;
            return;
        };
        let (session, down) = self.begin_session(camera_id);
        relay.connected.insert(camera_id);
        let _ = relay.arrivals.send(Arrival::Connected { camera_id }).await;
        self.world.note(&format!("camera {} connects ({})", self.number, session.number));
        let end = self.serve(camera_id, &relay, &session, down, dead).await;
        self.world.note(&format!("connection {} ends: {end:?}", session.number));
        if end != End::Farewell {
            self.fail(io::Error::from(io::ErrorKind::ConnectionReset).into()).await;
        }
        self.end_session(camera_id, &relay, session.number, end).await;
    }

    async fn fail(&self, error: ConnectionError) {
        let _ = self.dialled.events.send(Err(error)).await;
    }

    async fn tell(&self, event: Event) {
        let _ = self.dialled.events.send(Ok(event)).await;
    }

    async fn authenticate(&self, relay: &relay::Running) -> Option<CameraId> {
        let Dialled { client_id, user_name, password, will, .. } = &self.dialled;
        let camera_id = acl::claimed_identity(client_id, Some(user_name)).ok()?;
        acl::check_last_will(camera_id, &will.0).ok()?;
        let (answer, verdict) = oneshot::channel();
        let token = password.clone();
        let request = AuthenticationRequest { camera_id, token, answer };
        relay.authentications.send(request).await.ok()?;
        verdict.await.unwrap_or(false).then_some(camera_id)
    }

    /// A session that stands already is taken over.
    fn begin_session(&self, camera_id: CameraId) -> (Session, mpsc::Receiver<Down>) {
        let (down, downs) = mpsc::channel(EVENTS);
        let number = self.world.next_connection();
        let ended = CancellationToken::new();
        let session = Session { number, subscribed: false, down, ended };
        let mut sessions = self.world.broker.sessions.lock().unwrap();
        if let Some(before) = sessions.insert(camera_id, session.clone()) {
            before.ended.cancel();
        }
        (session, downs)
    }

    async fn serve(
        &mut self,
        camera_id: CameraId,
        relay: &relay::Running,
        session: &Session,
        mut down: mpsc::Receiver<Down>,
        dead: &CancellationToken,
    ) -> End {
        let world = self.world.clone();
        let way = &world.cameras[self.number].to_relay;
        loop {
            tokio::select! {
                biased;
                () = dead.cancelled() => return End::Broken,
                () = relay.app.cancel.cancelled() => return End::RelayGone,
                () = session.ended.cancelled() => return End::Broken,
                sent = self.dialled.packets.recv() => match sent {
                    None => return End::Broken,
                    Some(Sent::Disconnect) => {
                        self.tell(Event::Outgoing(Outgoing::Disconnect)).await;
                        return End::Farewell;
                    }
                    Some(sent) => {
                        let sending = self.carry_up(camera_id, relay, session, sent);
                        tokio::select! {
                            biased;
                            end = broken(dead, relay, session) => return end,
                            () = way.is_cut_for(CAMERA_PATIENCE) => return End::Silent,
                            end = sending => if let Some(end) = end { return end },
                        }
                    }
                },
                Some(message) = down.recv() => {
                    tokio::select! {
                        biased;
                        end = broken(dead, relay, session) => return end,
                        () = way.is_cut_for(CAMERA_PATIENCE) => return End::Silent,
                        () = self.carry_down(message) => {}
                    }
                }
                () = way.is_cut_for(CAMERA_PATIENCE) => return End::Silent,
            }
        }
    }

    /// Brings one packet of the camera to the relay, and the answer back.
    async fn carry_up(
        &mut self,
        camera_id: CameraId,
        relay: &relay::Running,
        session: &Session,
        sent: Sent,
    ) -> Option<End> {
        let world = self.world.clone();
        let way = &world.cameras[self.number].to_relay;
        match sent {
            Sent::Subscribe(filter) => {
                way.opens().await;
                world.network.travel().await;
                let allowed = acl::check_subscribe(camera_id, &filter).is_ok();
                if allowed {
                    self.subscribe(camera_id, session.number);
                    let _ = relay.arrivals.send(Arrival::Ready { camera_id }).await;
                }
                let code = if allowed {
                    SubscribeReasonCode::Success(QoS::AtLeastOnce)
                } else {
                    SubscribeReasonCode::NotAuthorized
                };
                let ack = SubAck { pkid: 1, return_codes: vec![code], properties: None };
                world.network.travel().await;
                self.tell(Event::Incoming(Incoming::SubAck(ack))).await;
                None
            }
            Sent::Publish { topic, retain, payload } => {
                self.packets = self.packets.checked_add(1).unwrap_or(1);
                let pkid = self.packets;
                self.tell(Event::Outgoing(Outgoing::Publish(pkid))).await;
                way.opens().await;
                world.network.travel().await;
                way.opens().await;
                let Ok(channel) = acl::check_publish(camera_id, &topic, retain) else {
                    return Some(End::Broken);
                };
                let copies = if world.network.doubles() { 2 } else { 1 };
                for _ in 0..copies {
                    let (handled, outcome) = oneshot::channel();
                    let (channel, payload) = (channel.clone(), payload.clone().into());
                    let message = Message { camera_id, channel, payload, handled };
                    let _ = relay.arrivals.send(Arrival::Message(message)).await;
                    if outcome.await != Ok(Handled::Done) {
                        return Some(End::Broken);
                    }
                }
                way.opens().await;
                world.network.travel().await;
                let ack = PubAck { pkid, reason: PubAckReason::Success, properties: None };
                self.tell(Event::Incoming(Incoming::PubAck(ack))).await;
                None
            }
            Sent::Disconnect => None,
        }
    }

    fn subscribe(&self, camera_id: CameraId, number: u64) {
        let mut sessions = self.world.broker.sessions.lock().unwrap();
        let session = sessions.get_mut(&camera_id).filter(|session| session.number == number);
        if let Some(session) = session {
            session.subscribed = true;
            self.world.broker.change(camera_id, true);
        }
    }

    /// Brings a message to the camera, maybe twice, unless its time is over.
    async fn carry_down(&self, message: Down) {
        let world = &self.world;
        let way = &world.cameras[self.number].to_relay;
        let copies = if world.network.doubles() { 2 } else { 1 };
        for _ in 0..copies {
            way.opens().await;
            let left = message.expires_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            world.network.travel().await;
            way.opens().await;
            let properties = PublishProperties {
                message_expiry_interval: Some(u32::try_from(left.as_secs()).unwrap()),
                ..PublishProperties::default()
            };
            let (topic, payload) = (message.topic.to_string(), message.payload.clone());
            let publish = Publish::new(&topic, QoS::AtLeastOnce, payload, Some(properties));
            self.tell(Event::Incoming(Incoming::Publish(publish))).await;
        }
    }

    /// Speaks the last will of a session that broke, and forgets the session.
    async fn end_session(self, camera_id: CameraId, relay: &relay::Running, number: u64, end: End) {
        if end == End::RelayGone {
            return;
        }
        if end == End::Silent {
            sleep(BROKER_PATIENCE.saturating_sub(CAMERA_PATIENCE)).await;
        }
        {
            let mut sessions = self.world.broker.sessions.lock().unwrap();
            if sessions.get(&camera_id).is_none_or(|session| session.number != number) {
                // It was taken over: it does not speak for the camera any more.
                return;
            }
            sessions.remove(&camera_id);
        }
        self.world.broker.change(camera_id, false);
        relay.connected.remove(camera_id);
        if end != End::Farewell {
            let will = self.dialled.will.1.clone().into();
            let (handled, _) = oneshot::channel();
            let channel = nightjar_shared::topic::Channel::UpPresence;
            let message = Message { camera_id, channel, payload: will, handled };
            let _ = relay.arrivals.send(Arrival::Message(message)).await;
        }
        let _ = relay.arrivals.send(Arrival::Disconnected { camera_id }).await;
    }
}

async fn broken(dead: &CancellationToken, relay: &relay::Running, session: &Session) -> End {
    tokio::select! {
        biased;
        () = dead.cancelled() => End::Broken,
        () = relay.app.cancel.cancelled() => End::RelayGone,
        () = session.ended.cancelled() => End::Broken,
    }
}

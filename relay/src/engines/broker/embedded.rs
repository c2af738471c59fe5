//! rmqtt in this process. The one place that knows the crate.
//!
//! Facts about rmqtt 0.24 that this file works around, each held by a test in `tests/mqtt.rs`:
//! the last will is published without any ACL check; a session is taken over by client id alone;
//! the listener needs `SO_REUSEADDR` to restart; retained messages are off until a storage says
//! otherwise; its publish hook runs before its ACL hook, so messages are consumed in the latter.

use std::{
    collections::HashMap,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use nightjar_shared::{
    ids::CameraId,
    topic::{Channel, Topic},
};
use rmqtt::{
    codec::v5::{PublishAckReason, PublishProperties, SubscribeAckReason},
    context::ServerContext,
    hook::{Handler, HookResult, Parameter, ReturnType, Type},
    net::{Builder, Listener},
    retain::{DefaultRetainStorage, RetainStorage},
    server::MqttServer,
    types::{
        AuthResult, ClientId, CodecPublish, ConnectInfo, From as Sender, FromType, Id, LastWill,
        Publish, PublishAclResult, PublishResult, QoS, Retain, SubscribeAclResult, TopicFilter,
        TopicName,
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Arrival, AuthenticationRequest, BrokerError, BrokerInbox, BrokerLimits, Delivery,
    EmbeddedBrokerConfig, Handled, Message,
    acl::{self, Refusal},
};
use crate::{
    clock,
    engines::metrics::{Gauge, Metrics},
};

/// Cameras whose credentials wait to be verified. When full, a camera waits for its turn until
/// its time for authentication is over, and is refused.
const AUTHENTICATION_QUEUE: usize = 256;
/// Arrivals that wait for the relay. When full, the broker waits: the sending camera gets no
/// PUBACK, and MQTT's own flow control holds it back.
const ARRIVAL_QUEUE: usize = 256;
const TOKEN_BYTES_MAX: usize = 4096;
/// Sessions do not outlive their connection: what a camera has missed is in the database, and is
/// sent again when it is ready. (Zero would mean "unlimited" to rmqtt.)
const SESSION_EXPIRY: Duration = Duration::from_secs(1);
/// How long the farewell to all cameras may take at shutdown.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct EmbeddedBroker {
    context: ServerContext,
    state: Arc<State>,
    address: SocketAddr,
    tracker: TaskTracker,
}

/// What the hooks share.
struct State {
    authentications: mpsc::Sender<AuthenticationRequest>,
    arrivals: mpsc::Sender<Arrival>,
    /// The session that speaks for each connected camera. A session that was taken over is not
    /// in here any more, and what it still says is ignored.
    online: Mutex<HashMap<CameraId, Id>>,
    closing: AtomicBool,
    limits: BrokerLimits,
    metrics: Metrics,
    connected: Gauge,
}

impl EmbeddedBroker {
    pub(super) async fn start(
        config: EmbeddedBrokerConfig,
        metrics: &Metrics,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> anyhow::Result<(Self, BrokerInbox)> {
        let (authentications, authentications_in) = mpsc::channel(AUTHENTICATION_QUEUE);
        let (arrivals, arrivals_in) = mpsc::channel(ARRIVAL_QUEUE);
        let state = Arc::new(State {
            authentications,
            arrivals,
            online: Mutex::default(),
            closing: AtomicBool::new(false),
            limits: config.limits.clone(),
            metrics: metrics.clone(),
            connected: metrics.gauge("nightjar_mqtt_cameras", "Connected cameras.", &[]),
        });
        let context = ServerContext::new()
            .mqtt_max_sessions(isize::try_from(config.limits.sessions).unwrap_or(isize::MAX))
            .busy_check_enable(false)
            .build()
            .await;
        install_hooks(&context, &state).await;
        let listener = listen(&config)?;
        let address = listener.local_addr().map_err(|error| anyhow!("{error}"))?;
        let server = MqttServer::new(context.clone()).listener_by_id(listener, address.port());
        let broker = Self { context, state, address, tracker: tracker.clone() };
        let run = broker.clone().run(server.build(), cancel);
        tracker.spawn(run);
        let inbox = BrokerInbox { authentications: authentications_in, arrivals: arrivals_in };
        Ok((broker, inbox))
    }

    async fn run(self, server: MqttServer, cancel: CancellationToken) {
        // Dropping the server closes its listener, so that the port is free for the next start.
        tokio::select! {
            ended = server.run() => tracing::error!(?ended, "MQTT broker ended by itself"),
            () = cancel.cancelled() => {}
        }
        // Wills and disconnects that the relay causes by stopping say nothing about cameras.
        self.state.closing.store(true, Ordering::Relaxed);
        let sessions: Vec<Id> = lock(&self.state.online).values().cloned().collect();
        let farewells = sessions.into_iter().map(|id| disconnect(&self.context, id));
        if timeout(FAREWELL, join_all(farewells)).await.is_err() {
            tracing::warn!("some cameras were not disconnected in time");
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn online(&self, camera_id: CameraId) -> bool {
        lock(&self.state.online).contains_key(&camera_id)
    }

    pub(super) fn kick(&self, camera_id: CameraId) {
        let session = lock(&self.state.online).get(&camera_id).cloned();
        if let Some(session) = session {
            let context = self.context.clone();
            // Not awaited by the caller: the session may be waiting for that caller to handle one
            // of its messages.
            self.tracker.spawn(async move { disconnect(&context, session).await });
        }
    }

    pub(super) async fn publish(
        &self,
        topic: &Topic,
        payload: Bytes,
        expires_in: Duration,
    ) -> Result<Delivery, BrokerError> {
        let from = Id::new(self.context.node.id(), 0, None, None, "relay".into(), None);
        let seconds = u32::try_from(expires_in.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        let publish = CodecPublish {
            dup: false,
            retain: false,
            qos: QoS::AtLeastOnce,
            topic: topic.to_string().into(),
            packet_id: None,
            payload,
            properties: Some(PublishProperties {
                message_expiry_interval: NonZeroU32::new(seconds.max(1)),
                ..PublishProperties::default()
            }),
        };
        let publish = Publish::from(publish).create_time(clock::now().0);
        let shared = self.context.extends.shared().await;
        match shared.forwards(None, Sender::from_admin(from), publish).await {
            Ok(0) => Ok(Delivery::NotConnected),
            Ok(_) => Ok(Delivery::Sent),
            Err((_, failures)) => Err(BrokerError::Routing(
                failures.into_iter().map(|(.., reason)| reason.to_string()).collect(),
            )),
        }
    }
}

/// Ends a session, whatever it is doing. rmqtt itself gives up after 5 s.
async fn disconnect(context: &ServerContext, session: Id) {
    let mut entry = context.extends.shared().await.entry(session);
    if let Err(error) = entry.kick(true, true, true).await {
        tracing::warn!(%error, "a camera could not be disconnected");
    }
}

fn listen(config: &EmbeddedBrokerConfig) -> anyhow::Result<Listener> {
    let limits = &config.limits;
    Builder::new()
        .name("nightjar")
        .laddr(config.listen)
        .reuseaddr(Some(true))
        .nodelay(true)
        .tls_cert(Some(config.certificate_path.to_string_lossy()))
        .tls_key(Some(config.private_key_path.to_string_lossy()))
        .allow_anonymous(false)
        .allow_zero_keepalive(false)
        .max_keepalive(limits.keep_alive_s)
        .max_connections(limits.sessions)
        .max_packet_size(limits.packet_bytes)
        .max_inflight(NonZeroU16::new(limits.inflight).unwrap_or(NonZeroU16::MIN))
        .max_mqueue_len(limits.queue_length)
        .max_subscriptions(limits.subscriptions)
        .max_clientid_len(64)
        .max_topic_levels(8)
        .max_qos_allowed(QoS::AtLeastOnce)
        .handshake_timeout(limits.handshake)
        .session_expiry_interval(SESSION_EXPIRY)
        .max_session_expiry_interval(SESSION_EXPIRY)
        .bind()
        .and_then(Listener::tls)
        .map_err(|error| anyhow!("{error:#}"))
        .with_context(|| format!("cannot listen for MQTT on {}", config.listen))
}

async fn install_hooks(context: &ServerContext, state: &Arc<State>) {
    let register = context.extends.hook_mgr().register();
    for kind in [
        Type::ClientAuthenticate,
        Type::ClientConnected,
        Type::ClientDisconnected,
        Type::ClientSubscribeCheckAcl,
        Type::SessionSubscribed,
        Type::MessagePublishCheckAcl,
        Type::MessagePublish,
    ] {
        register.add(kind, Box::new(Hooks(state.clone()))).await;
    }
    register.start().await;
    *context.extends.retain_mut().await =
        Box::new(PresenceStorage { storage: DefaultRetainStorage::new(), state: state.clone() });
}

struct Hooks(Arc<State>);

#[async_trait]
impl Handler for Hooks {
    async fn hook(&self, parameter: &Parameter, result: Option<HookResult>) -> ReturnType {
        let answer = match parameter {
            Parameter::ClientAuthenticate(connect) => {
                HookResult::AuthResult(self.0.authenticate(connect).await)
            }
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                HookResult::SubscribeAclResult(self.0.may_subscribe(
                    &session.id,
                    &subscribe.topic_filter,
                    subscribe.opts.qos(),
                ))
            }
            Parameter::MessagePublishCheckAcl(session, publish) => {
                HookResult::PublishAclResult(self.0.receive(&session.id, publish).await)
            }
            Parameter::MessagePublish(_, from, publish) => {
                if matches!(from.typ(), FromType::LastWill) {
                    self.0.receive_last_will(from, publish).await;
                }
                return (true, result);
            }
            Parameter::ClientConnected(session) => {
                self.0.connected(&session.id).await;
                return (true, result);
            }
            Parameter::SessionSubscribed(session, _) => {
                self.0.ready(&session.id).await;
                return (true, result);
            }
            Parameter::ClientDisconnected(session, _) => {
                self.0.disconnected(&session.id).await;
                return (true, result);
            }
            _ => return (true, result),
        };
        (false, Some(answer))
    }
}

impl State {
    async fn authenticate(&self, connect: &ConnectInfo) -> AuthResult {
        match self.verify(connect).await {
            Ok(()) => AuthResult::Allow(false, None),
            Err(refusal) => {
                self.count(refusal);
                AuthResult::BadUsernameOrPassword
            }
        }
    }

    async fn verify(&self, connect: &ConnectInfo) -> Result<(), Refusal> {
        let user_name = connect.username().map(|name| -> &str { name });
        let camera_id = acl::claimed_identity(connect.client_id(), user_name)?;
        if let Some(will) = connect.last_will() {
            let topic = match &will {
                LastWill::V3(will) => &will.topic,
                LastWill::V5(will) => &will.topic,
            };
            acl::check_last_will(camera_id, topic)?;
        }
        let token = connect
            .password()
            .filter(|password| password.len() <= TOKEN_BYTES_MAX)
            .and_then(|password| String::from_utf8(password.to_vec()).ok())
            .ok_or(Refusal::Credential)?;
        let (answer, verdict) = oneshot::channel();
        let request = AuthenticationRequest { camera_id, token, peer: connect.ipaddress(), answer };
        let verified = timeout(self.limits.authentication, async {
            self.authentications.send(request).await.is_ok() && verdict.await.unwrap_or(false)
        });
        if verified.await.unwrap_or(false) { Ok(()) } else { Err(Refusal::Credential) }
    }

    fn may_subscribe(&self, session: &Id, filter: &str, qos: QoS) -> SubscribeAclResult {
        let allowed = camera_of(session)
            .ok_or(Refusal::Subscribe)
            .and_then(|camera_id| acl::check_subscribe(camera_id, filter));
        match allowed {
            Ok(()) => SubscribeAclResult::new_success(qos, None),
            Err(refusal) => {
                self.count(refusal);
                SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized)
            }
        }
    }

    async fn receive(&self, session: &Id, publish: &Publish) -> PublishAclResult {
        let allowed = camera_of(session).ok_or(Refusal::Publish).and_then(|camera_id| {
            Ok((camera_id, acl::check_publish(camera_id, &publish.topic, publish.retain)?))
        });
        let (camera_id, channel) = match allowed {
            Ok(allowed) => allowed,
            Err(refusal) => {
                self.count(refusal);
                return PublishAclResult::rejected(false, None);
            }
        };
        match self.deliver(camera_id, channel, publish.payload.clone()).await {
            Handled::Done => PublishAclResult::allow(),
            Handled::TryAgain => PublishAclResult(PublishResult::reason_code(
                PublishAckReason::UnspecifiedError,
                None,
                true,
            )),
        }
    }

    /// A will counts only while its session speaks for the camera: one that was taken over must
    /// not declare offline a camera that is back already.
    async fn receive_last_will(&self, from: &Id, publish: &Publish) {
        if let Some(camera_id) = self.speaks_for(from)
            && !self.closing.load(Ordering::Relaxed)
            && acl::check_last_will(camera_id, &publish.topic).is_ok()
        {
            self.deliver(camera_id, Channel::UpPresence, publish.payload.clone()).await;
        }
    }

    async fn deliver(&self, camera_id: CameraId, channel: Channel, payload: Bytes) -> Handled {
        let (handled, outcome) = oneshot::channel();
        let message = Arrival::Message(Message { camera_id, channel, payload, handled });
        let delivery = timeout(self.limits.handling, async {
            self.arrivals.send(message).await.ok()?;
            outcome.await.ok()
        });
        delivery.await.ok().flatten().unwrap_or(Handled::TryAgain)
    }

    async fn connected(&self, session: &Id) {
        let Some(camera_id) = camera_of(session) else { return };
        let count = {
            let mut online = lock(&self.online);
            online.insert(camera_id, session.clone());
            online.len()
        };
        self.connected.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.tell(Arrival::Connected { camera_id }).await;
    }

    async fn ready(&self, session: &Id) {
        if let Some(camera_id) = self.speaks_for(session) {
            self.tell(Arrival::Ready { camera_id }).await;
        }
    }

    async fn disconnected(&self, session: &Id) {
        let Some(camera_id) = self.speaks_for(session) else { return };
        let count = {
            let mut online = lock(&self.online);
            online.remove(&camera_id);
            online.len()
        };
        self.connected.set(i64::try_from(count).unwrap_or(i64::MAX));
        if !self.closing.load(Ordering::Relaxed) {
            self.tell(Arrival::Disconnected { camera_id }).await;
        }
    }

    async fn tell(&self, arrival: Arrival) {
        // Nobody listens any more only when the relay is stopping.
        let _ = self.arrivals.send(arrival).await;
    }

    /// The camera whose current session this is.
    fn speaks_for(&self, session: &Id) -> Option<CameraId> {
        let camera_id = camera_of(session)?;
        (lock(&self.online).get(&camera_id) == Some(session)).then_some(camera_id)
    }

    fn count(&self, refusal: Refusal) {
        let rule = refusal.to_string();
        self.metrics
            .counter(
                "nightjar_mqtt_refused_total",
                "What the broker refused, by rule.",
                &[("rule", &rule)],
            )
            .increment();
    }
}

/// Retained presence, kept for as long as the broker runs.
struct PresenceStorage {
    storage: DefaultRetainStorage,
    state: Arc<State>,
}

#[async_trait]
impl RetainStorage for PresenceStorage {
    fn enable(&self) -> bool {
        true
    }

    /// rmqtt would let a retained message expire after minutes; presence holds until it changes.
    async fn set(
        &self,
        topic: &TopicName,
        retain: Retain,
        _expiry: Option<Duration>,
    ) -> rmqtt::Result<()> {
        if self.state.speaks_for(&retain.from).is_none() {
            return Ok(());
        }
        self.storage.set_with_timeout(topic, retain, None).await
    }

    async fn get(&self, filter: &TopicFilter) -> rmqtt::Result<Vec<(TopicName, Retain)>> {
        self.storage.get_message(filter).await
    }

    async fn count(&self) -> isize {
        self.storage.count().await
    }

    async fn max(&self) -> isize {
        self.storage.max().await
    }
}

/// The camera of an authenticated session: its client id was checked against its credential.
fn camera_of(session: &Id) -> Option<CameraId> {
    let client_id: &ClientId = &session.client_id;
    client_id.parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

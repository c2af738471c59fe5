//! What the broker asks of the relay: who may connect, and who may say and hear what.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use nightjar_shared::{ids::CameraId, topic::Channel};
use rmqtt::{
    codec::v5::{PublishAckReason, SubscribeAckReason},
    context::ServerContext,
    hook::{Handler, HookResult, Parameter, ReturnType, Type},
    types::{
        AuthResult, ClientId, ConnectInfo, FromType, Id, LastWill, Publish, PublishAclResult,
        PublishResult, QoS, SubscribeAclResult,
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::engines::{
    broker::{
        Arrival, AuthenticationRequest, BrokerLimits, Connected, Handled, Message,
        acl::{self, Refusal},
    },
    metrics::{Gauge, Metrics},
};

const TOKEN_BYTES_MAX: usize = 4096;

/// What the hooks share.
pub(super) struct State {
    authentications: mpsc::Sender<AuthenticationRequest>,
    arrivals: mpsc::Sender<Arrival>,
    /// The session that speaks for each connected camera. A session that was taken over is not
    /// in here any more, and what it still says is ignored.
    online: Mutex<HashMap<CameraId, Speaker>>,
    /// Its cameras, for the relay.
    connected: Connected,
    closing: AtomicBool,
    limits: BrokerLimits,
    metrics: Metrics,
    count: Gauge,
}

/// The session that speaks for a camera.
struct Speaker {
    session: Id,
    /// How many messages were sent to it that it has not acknowledged.
    unheard: watch::Sender<usize>,
}

pub(super) async fn install(context: &ServerContext, state: &Arc<State>) {
    let register = context.extends.hook_mgr().register();
    for kind in [
        Type::ClientAuthenticate,
        Type::ClientConnected,
        Type::ClientDisconnected,
        Type::ClientSubscribeCheckAcl,
        Type::SessionSubscribed,
        Type::MessagePublishCheckAcl,
        Type::MessagePublish,
        Type::MessageAcked,
    ] {
        register.add(kind, Box::new(Hooks(state.clone()))).await;
    }
    register.start().await;
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
            Parameter::MessageAcked(session, ..) => {
                self.0.heard(&session.id);
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
    pub(super) fn new(
        authentications: mpsc::Sender<AuthenticationRequest>,
        arrivals: mpsc::Sender<Arrival>,
        limits: BrokerLimits,
        connected: Connected,
        metrics: &Metrics,
    ) -> Self {
        Self {
            authentications,
            arrivals,
            online: Mutex::default(),
            closing: AtomicBool::new(false),
            limits,
            metrics: metrics.clone(),
            connected,
            count: metrics.gauge("nightjar_mqtt_cameras", "Connected cameras.", &[]),
        }
    }

    /// Finds the session that speaks for a camera.
    pub(super) fn session(&self, camera_id: CameraId) -> Option<Id> {
        self.online().get(&camera_id).map(|speaker| speaker.session.clone())
    }

    /// Counts a message that is about to be sent to a camera.
    pub(super) fn sending(&self, camera_id: CameraId) {
        self.count_unheard(camera_id, |unheard| unheard.saturating_add(1));
    }

    /// Takes back what [`Self::sending`] counted: the message found no session.
    pub(super) fn not_sent(&self, camera_id: CameraId) {
        self.count_unheard(camera_id, |unheard| unheard.saturating_sub(1));
    }

    fn heard(&self, session: &Id) {
        if let Some(camera_id) = self.speaks_for(session) {
            self.count_unheard(camera_id, |unheard| unheard.saturating_sub(1));
        }
    }

    fn count_unheard(&self, camera_id: CameraId, count: impl FnOnce(usize) -> usize) {
        if let Some(speaker) = self.online().get(&camera_id) {
            speaker.unheard.send_modify(|unheard| *unheard = count(*unheard));
        }
    }

    /// Waits until a camera has acknowledged all that was sent to it, or is gone.
    pub(super) async fn all_heard(&self, camera_id: CameraId) {
        let unheard = self.online().get(&camera_id).map(|speaker| speaker.unheard.subscribe());
        if let Some(mut unheard) = unheard {
            // An error says that the session is gone.
            drop(unheard.wait_for(|unheard| *unheard == 0).await);
        }
    }

    /// Closes the door: from now on wills and disconnects are the relay's own doing. Gives the open
    /// sessions.
    pub(super) fn close(&self) -> Vec<Id> {
        self.closing.store(true, Ordering::Relaxed);
        self.online().values().map(|speaker| speaker.session.clone()).collect()
    }

    fn online(&self) -> MutexGuard<'_, HashMap<CameraId, Speaker>> {
        self.online.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn authenticate(&self, connect: &ConnectInfo) -> AuthResult {
        match self.verify(connect).await {
            Ok(()) => AuthResult::Allow(false, None),
            Err(refusal) => {
                self.count_refusal(refusal);
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
        let request = AuthenticationRequest { camera_id, token, answer };
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
                self.count_refusal(refusal);
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
                self.count_refusal(refusal);
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

    /// Takes a last will, which counts only while its session speaks for the camera: one that was
    /// taken over must not declare a camera offline that is back already.
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
            let mut online = self.online();
            let speaker = Speaker { session: session.clone(), unheard: watch::Sender::new(0) };
            online.insert(camera_id, speaker);
            self.connected.insert(camera_id);
            online.len()
        };
        self.count.set(i64::try_from(count).unwrap_or(i64::MAX));
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
            let mut online = self.online();
            online.remove(&camera_id);
            self.connected.remove(camera_id);
            online.len()
        };
        self.count.set(i64::try_from(count).unwrap_or(i64::MAX));
        if !self.closing.load(Ordering::Relaxed) {
            self.tell(Arrival::Disconnected { camera_id }).await;
        }
    }

    async fn tell(&self, arrival: Arrival) {
        // Nobody listens any more only when the relay is stopping.
        let _ = self.arrivals.send(arrival).await;
    }

    /// Finds the camera whose current session this is.
    pub(super) fn speaks_for(&self, session: &Id) -> Option<CameraId> {
        let camera_id = camera_of(session)?;
        (self.session(camera_id).as_ref() == Some(session)).then_some(camera_id)
    }

    fn count_refusal(&self, refusal: Refusal) {
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

/// Finds the camera of an authenticated session: its client id was checked against its credential.
fn camera_of(session: &Id) -> Option<CameraId> {
    let client_id: &ClientId = &session.client_id;
    client_id.parse().ok()
}

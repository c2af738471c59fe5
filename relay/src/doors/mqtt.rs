//! The door of cameras: their connections and messages, on the way to the domain.

pub(super) mod websocket;

use std::{
    collections::HashSet,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, future::BoxFuture};
use nightjar_shared::{ids::CameraId, range::Check, topic::Channel};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, time::sleep};
use tracing::Instrument as _;

use super::json;
use crate::{
    app::App,
    domain::{answers, cameras, devices, events, health, live},
    engines::broker::{Arrival, AuthenticationRequest, BrokerInbox, Handled, Message},
    error::{Error, ProblemCode, Result},
    telemetry,
};

/// Credentials that are verified at a time.
const AUTHENTICATIONS: usize = 16;
/// Arrivals that are handled at a time. One camera's are always handled one after the other. Most wait for
/// the database, not for a processor.
const LANES: usize = 64;
/// Arrivals that wait in one lane. When full, all wait: the broker then holds the cameras back.
const LANE_QUEUE: usize = 8;
/// Cameras whose nonsense was logged once. When full, further ones are only counted.
const REPORTED_MAX: usize = 10_000;

/// Serves what comes from the broker until the relay stops.
pub fn serve(app: &Arc<App>, inbox: BrokerInbox) {
    let door = Arc::new(Door { app: app.clone(), reported: Mutex::default() });
    let run = |task: Task| {
        let cancel = app.cancel.clone();
        app.spawn_essential("mqtt", async move {
            cancel.run_until_cancelled(task).await;
        });
    };
    run(Box::pin(door.clone().authenticate(inbox.authentications)));
    let (lanes, queues): (Vec<_>, Vec<_>) = (0..LANES).map(|_| mpsc::channel(LANE_QUEUE)).unzip();
    for queue in queues {
        run(Box::pin(door.clone().handle_all(queue)));
    }
    run(Box::pin(distribute(app.clone(), inbox.arrivals, lanes)));
}

type Task = BoxFuture<'static, ()>;

struct Door {
    app: Arc<App>,
    reported: Mutex<HashSet<CameraId>>,
}

async fn distribute(
    app: Arc<App>,
    mut arrivals: mpsc::Receiver<Arrival>,
    lanes: Vec<mpsc::Sender<Arrival>>,
) {
    while let Some(arrival) = arrivals.recv().await {
        let camera_id = match &arrival {
            Arrival::Connected { camera_id }
            | Arrival::Ready { camera_id }
            | Arrival::Disconnected { camera_id } => *camera_id,
            Arrival::Message(message) => message.camera_id,
        };
        let lane = &lanes[lane_of(camera_id)];
        let wait = waits(&app, &arrival);
        if !wait.is_zero() {
            // The broker reads on for this camera when this message is handled: there is one such
            // task for a connection.
            let (lane, cancel) = (lane.clone(), app.cancel.clone());
            app.tracker.spawn(async move {
                let delayed = async {
                    sleep(wait).await;
                    // As below: nobody handles it any more.
                    let _ = lane.send(arrival).await;
                };
                cancel.run_until_cancelled(delayed).await;
            });
        } else if lane.send(arrival).await.is_err() {
            return;
        }
    }
}

/// Returns how long a message waits because its camera sends too many.
fn waits(app: &App, arrival: &Arrival) -> Duration {
    let Arrival::Message(message) = arrival else { return Duration::ZERO };
    let (key, now) = (message.camera_id.to_string(), app.now());
    let wait = app.limits.camera_messages.reserve(&key, now);
    match message.channel {
        Channel::UpEvent => wait.max(app.limits.camera_events.reserve(&key, now)),
        _ => wait,
    }
}

/// Identifiers are random at their end.
fn lane_of(camera_id: CameraId) -> usize {
    usize::from(camera_id.as_uuid().as_bytes()[15]) % LANES
}

impl Door {
    async fn authenticate(self: Arc<Self>, requests: mpsc::Receiver<AuthenticationRequest>) {
        futures::stream::unfold(requests, async |mut requests| {
            Some((requests.recv().await?, requests))
        })
        .for_each_concurrent(AUTHENTICATIONS, |request| self.verify(request))
        .await;
    }

    async fn verify(&self, request: AuthenticationRequest) {
        let known = match devices::verify_token(&self.app, &request.token).await {
            Ok(device) => device.is_some_and(|device| device.camera_id == request.camera_id),
            Err(error) => {
                tracing::error!(camera.id = %request.camera_id, %error, "cannot verify a camera");
                false
            }
        };
        // The camera may have given up waiting.
        let _ = request.answer.send(known);
    }

    async fn handle_all(self: Arc<Self>, mut arrivals: mpsc::Receiver<Arrival>) {
        while let Some(arrival) = arrivals.recv().await {
            self.handle(arrival).await;
        }
    }

    async fn handle(&self, arrival: Arrival) {
        let app = &self.app;
        match arrival {
            // What a camera says of itself begins when it is ready.
            Arrival::Connected { camera_id } => {
                tracing::debug!(camera.id = %camera_id, "connected");
            }
            Arrival::Ready { camera_id } => {
                log_failure(camera_id, cameras::ready(app, camera_id)).await;
            }
            Arrival::Disconnected { camera_id } => {
                log_failure(camera_id, cameras::disconnected(app, camera_id)).await;
            }
            Arrival::Message(message) => {
                let began = Instant::now();
                let span = telemetry::arrival(name(&message.channel), message.camera_id);
                let outcome = self.receive(&message).instrument(span).await;
                self.measure(&message.channel, began);
                let handled = self.judge(message.camera_id, &message.channel, outcome);
                // The camera may have disconnected meanwhile.
                let _ = message.handled.send(handled);
            }
        }
    }

    async fn receive(&self, message: &Message) -> Result<()> {
        let (app, camera_id) = (&*self.app, message.camera_id);
        match &message.channel {
            Channel::UpEvent => events::record(app, camera_id, parse(message)?).await,
            Channel::UpHealth => health::take(app, camera_id, parse(message)?).await,
            Channel::UpConfiguration => {
                cameras::configuration(app, camera_id, parse(message)?).await
            }
            Channel::UpAck => answers::acknowledge(app, camera_id, parse(message)?).await,
            Channel::UpPresence => cameras::presence(app, camera_id, parse(message)?).await,
            Channel::UpSignal { replica } => {
                live::signal_from_camera(app, camera_id, replica, parse(message)?).await
            }
            Channel::DownCommand | Channel::DownSignal => Err(malformed()),
        }
    }

    /// Decides what a camera's mistake means: it would be one the next time, too, so the camera
    /// must not send it for ever.
    fn judge(&self, camera_id: CameraId, channel: &Channel, outcome: Result<()>) -> Handled {
        let channel = name(channel);
        self.count(channel, &outcome);
        match outcome {
            Ok(()) => Handled::Done,
            // It says nothing of the message, and passes.
            Err(Error::Refused(refusal))
                if refusal.code == ProblemCode::NoSpace || refusal.status == 503 =>
            {
                Handled::TryAgain
            }
            Err(Error::Refused(refusal)) => {
                if self.is_first(camera_id) {
                    let code = refusal.code.as_str();
                    tracing::warn!(camera.id = %camera_id, channel, code, "a message was refused");
                }
                Handled::Done
            }
            Err(Error::Internal(error)) => {
                tracing::error!(
                    camera.id = %camera_id, channel, error = format!("{error:#}"),
                    "a message could not be handled; its camera will send it again"
                );
                Handled::TryAgain
            }
        }
    }

    fn count(&self, channel: &'static str, outcome: &Result<()>) {
        let outcome = match outcome {
            Ok(()) => "ok",
            Err(error) => error.code().as_str(),
        };
        self.app
            .metrics
            .counter(
                "nightjar_mqtt_messages_total",
                "Messages from cameras, by what became of them.",
                &[("channel", channel), ("outcome", outcome)],
            )
            .increment();
    }

    fn measure(&self, channel: &Channel, began: Instant) {
        self.app
            .metrics
            .histogram(
                "nightjar_mqtt_message_duration_seconds",
                "How long messages from cameras took to be handled, by channel.",
                &[("channel", name(channel))],
            )
            .observe(began.elapsed());
    }

    fn is_first(&self, camera_id: CameraId) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.len() < REPORTED_MAX && reported.insert(camera_id)
    }
}

async fn log_failure(camera_id: CameraId, outcome: impl Future<Output = Result<()>>) {
    if let Err(error) = outcome.await {
        tracing::error!(camera.id = %camera_id, %error, "a change of connection was not handled");
    }
}

fn parse<T: DeserializeOwned + Check>(message: &Message) -> Result<T> {
    json::parse(&message.payload, |_| malformed())
}

fn malformed() -> Error {
    Error::bad_request(ProblemCode::Malformed, "The message is not what its topic says.")
}

/// Returns a label for metrics and logs.
fn name(channel: &Channel) -> &'static str {
    match channel {
        Channel::DownCommand | Channel::DownSignal => "down",
        Channel::UpEvent => "event",
        Channel::UpHealth => "health",
        Channel::UpConfiguration => "configuration",
        Channel::UpAck => "ack",
        Channel::UpPresence => "presence",
        Channel::UpSignal { .. } => "signal",
    }
}

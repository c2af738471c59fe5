//! Live viewing as far as signalling goes: the real sessions of a camera, with a worker that answers
//! offers and says how viewers fare, and people who watch for a while.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, header};
use nightjar_agent::live::{Effect, Sdp, Sessions, WorkerOrder, WorkerReport};
use nightjar_shared::{
    ids::SessionId,
    session::SessionEndReason,
    signal::{SessionStatistics, Signal},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{network::Fate, world::World};

const MAX_VIEWERS: u32 = 3;
/// A worker reports on each viewer this often,
const MEASURED_EVERY: Duration = Duration::from_secs(2);
/// and gives up one that it does not hear for this long.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(8);
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11:22\r\na=recvonly\r\n";

/// What a camera answers says whose it is and which session's.
fn answer(camera: usize, session_id: SessionId) -> String {
    format!("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=camera:{camera}:{session_id}\r\n")
}

/// The worker of a camera: reports that are due, in order.
#[derive(Default)]
struct Worker {
    due: BTreeMap<(Instant, u64), WorkerReport>,
    count: u64,
    /// Since when each viewer was not heard of.
    silent_since: BTreeMap<SessionId, Instant>,
}

impl Worker {
    fn say(&mut self, after: Duration, report: WorkerReport) {
        self.count += 1;
        self.due.insert((Instant::now() + after, self.count), report);
    }

    fn next_at(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    fn take_due(&mut self) -> Vec<WorkerReport> {
        let now = Instant::now();
        let later = self.due.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.due, later).into_values().collect()
    }
}

/// Serves the signals of one camera for as long as its process lives.
pub(crate) async fn serve(
    world: Arc<World>,
    number: usize,
    mut signals: mpsc::Receiver<Signal>,
    replies: mpsc::Sender<(String, Signal)>,
    viewers: watch::Sender<u32>,
) {
    let clock = world.cameras[number].hands.clock();
    let mut sessions = Sessions::new(MAX_VIEWERS);
    let mut worker = Worker::default();
    sessions.worker_started();
    loop {
        // Offers that nobody answered are forgotten in time.
        let look_at = Instant::now() + Duration::from_secs(1);
        let waits = sessions.viewers() > 0;
        let wake_at = worker.next_at().unwrap_or(look_at).min(look_at);
        let effects = tokio::select! {
            biased;
            signal = signals.recv() => match signal {
                Some(signal) => sessions.on_signal(signal, clock.monotonic()),
                None => return,
            },
            () = sleep_until(wake_at), if waits || worker.next_at().is_some() => {
                let mut effects = sessions.expire(clock.monotonic());
                for report in worker.take_due() {
                    effects.extend(report_of(&world, &mut worker, report, &mut sessions));
                }
                effects
            }
        };
        for effect in effects {
            match effect {
                Effect::Reply { to, signal } => {
                    // When the queue is full a reply is lost, and the viewer's request ends.
                    let _ = replies.try_send((to, *signal));
                }
                Effect::Order(order) => obey(&world, number, &mut worker, &order),
                Effect::ForceKeyFrame(_) | Effect::ProvideKeyFrame | Effect::FitEncoders(_) => {}
            }
        }
        viewers.send_if_modified(|known| {
            std::mem::replace(known, sessions.viewers()) != sessions.viewers()
        });
    }
}

fn obey(world: &World, number: usize, worker: &mut Worker, order: &WorkerOrder) {
    match *order {
        WorkerOrder::Offer { session_id, .. } => {
            let takes = {
                let mut chance = world.chance();
                // Rarely longer than anyone waits.
                if chance.percent(5) { chance.millis(4_000, 9_000) } else { chance.millis(20, 400) }
            };
            worker.silent_since.insert(session_id, Instant::now() + takes);
            let sdp = Sdp(answer(number, session_id));
            worker.say(takes, WorkerReport::Answer { session_id, sdp });
            let streams = takes + Duration::from_millis(300);
            worker.say(streams, WorkerReport::Streaming { session_id });
        }
        WorkerOrder::Close { session_id } => {
            worker.silent_since.remove(&session_id);
        }
        _ => {}
    }
}

/// Hands a report on, and plans the next one.
fn report_of(
    world: &World,
    worker: &mut Worker,
    report: WorkerReport,
    sessions: &mut Sessions,
) -> Vec<Effect> {
    if let WorkerReport::Streaming { session_id } | WorkerReport::Measured { session_id, .. } =
        report
    {
        let Some(since) = worker.silent_since.get_mut(&session_id) else { return Vec::new() };
        if world.model().watching.contains(&session_id) {
            *since = Instant::now();
        } else if since.elapsed() >= GIVEN_UP_AFTER {
            worker.silent_since.remove(&session_id);
            let reason = SessionEndReason::ViewerGone;
            return sessions.on_report(WorkerReport::Ended { session_id, reason, detail: None });
        }
        let statistics = SessionStatistics {
            local_candidate: None,
            remote_candidate: None,
            rtt_ms: None,
            latency_ms: None,
            loss: None,
            bitrate_bps: 1,
            fps: 10.0,
            layer: None,
        };
        worker.say(MEASURED_EVERY, WorkerReport::Measured { session_id, statistics });
    }
    sessions.on_report(report)
}

impl World {
    /// Somebody watches a camera for a while, then says so, or not.
    pub(crate) fn watch(self: &Arc<Self>) {
        let (owner, camera, lasts, says_bye) = {
            let mut chance = self.chance();
            let (owner, camera) =
                (chance.index(self.owners.len()), chance.index(self.cameras.len()));
            (owner, camera, chance.millis(100, 20_000), chance.percent(60))
        };
        let world = self.clone();
        tokio::spawn(async move {
            let Some(session_id) = world.open_session(owner, camera).await else { return };
            world.model().watching.insert(session_id);
            sleep(lasts).await;
            world.model().watching.remove(&session_id);
            world.note(&format!("a viewer of camera {camera} leaves"));
            if says_bye {
                world.try_to_ask(owner, "DELETE", &format!("live/{session_id}"), None).await;
            }
        });
    }

    async fn open_session(&self, owner: usize, camera: usize) -> Option<SessionId> {
        let camera_id = self.cameras[camera].camera_id()?;
        let fate = self.network.fate();
        self.network.travel().await;
        if matches!(fate, Fate::Lost | Fate::Refused) {
            return None;
        }
        let offer = Request::builder()
            .method("POST")
            .uri(format!("/api/v1/cameras/{camera_id}/whep"))
            .header(header::COOKIE, &self.owners[owner].cookie)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/sdp")
            .body(Body::from(OFFER))
            .unwrap();
        let response = self.relay.running()?.answer(offer).await?;
        let status = response.status().as_u16();
        self.note(&format!("owner {owner} watches camera {camera}: {status}"));
        if self.cameras[camera].owner != owner && status != 404 {
            self.violate(format!("owner {owner} watches the foreign camera {camera}: {status}"));
        }
        if status != 201 || fate == Fate::AnswerLost {
            return None;
        }
        let place = response.headers().get(header::LOCATION)?.to_str().ok()?;
        let session_id: SessionId = place.rsplit('/').next()?.parse().ok()?;
        let told = String::from_utf8_lossy(response.body()).into_owned();
        if told != answer(camera, session_id) {
            self.violate(format!("owner {owner} gets another answer than camera {camera}'s"));
        }
        Some(session_id)
    }
}

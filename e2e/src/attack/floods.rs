//! One account or one camera that asks and tells as fast as a script does.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use nightjar_shared::ids::ClipId;
use rumqttc::v5::mqttbytes::QoS;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    bystanders::{Bystanders, Experience},
    target::Target,
};
use crate::{api::Api, bench::Figure, fake_camera::FakeCamera};

const LENGTH: Duration = Duration::from_secs(10);
/// Callers at once, each waiting for its answer.
const CALLERS: usize = 10;
/// Offered, not taken: as many as a script sends that has a core for itself.
const MESSAGES_PER_MS: usize = 15;
/// Above what is quiet.
const RATIO_GOAL: f64 = 3.0;
const UNPAIR_GOAL_MS: f64 = 2_000.0;

/// What one flood did.
struct Flood {
    sent: usize,
    /// What was not refused.
    taken: usize,
}

pub(super) async fn all(directory: &Path) -> Result<Vec<Figure>> {
    let target = Target::start(directory).await?;
    let bystanders = Bystanders::sign_up(&target.relay).await?;
    // The first requests pay for caches that are cold.
    bystanders.quiet(Duration::from_secs(2)).await?;
    let mut figures = Vec::new();
    // Before the floods: whose account floods may not even pair for a while.
    let [at_most_once, at_least_once, by_http] = [
        target.hostile_camera().await?,
        target.hostile_camera().await?,
        target.hostile_camera().await?,
    ];

    let quiet = bystanders.quiet(LENGTH).await?;
    let (flood, felt) = bystanders.during(tickets(&target)).await?;
    figures.extend(rows("one account asks for tickets", &flood, &quiet, &felt));

    for (quality, camera) in [(QoS::AtMostOnce, &at_most_once), (QoS::AtLeastOnce, &at_least_once)]
    {
        let quiet = bystanders.quiet(LENGTH).await?;
        let (flood, felt) = bystanders.during(Box::pin(messages(camera, quality))).await?;
        let what = format!("one camera sends events by MQTT, QoS {}", quality as u8);
        figures.extend(rows(&what, &flood, &quiet, &felt));
    }

    let camera = by_http;
    let quiet = bystanders.quiet(LENGTH).await?;
    let flood = async {
        let mut unpairing = JoinSet::new();
        unpairing.spawn(unpair_amid(target.hostile.clone(), camera.id.to_string()));
        let flood = clips(&camera.api).await?;
        let unpaired = unpairing.join_next().await;
        let unpaired = unpaired.ok_or_else(|| anyhow::anyhow!("nothing was unpaired"))??;
        Ok((flood, unpaired?))
    };
    let ((flood, unpaired), felt) = bystanders.during(flood).await?;
    figures.extend(rows("one camera announces clips by HTTP", &flood, &quiet, &felt));
    figures.push(
        Figure::new("unpairing it meanwhile", unpaired.as_secs_f64() * 1_000.0, "ms")
            .at_most(UNPAIR_GOAL_MS),
    );
    Ok(figures)
}

fn rows(what: &str, flood: &Flood, quiet: &Experience, felt: &Experience) -> [Figure; 5] {
    let ratio = felt.p99_ms / quiet.p99_ms;
    [
        Figure::count(format!("{what}: sent in 10 s"), flood.sent),
        Figure::count(format!("{what}: of these taken"), flood.taken),
        Figure::new(format!("{what}: others' p99 before"), quiet.p99_ms, "ms"),
        Figure::new(format!("{what}: others' p99 meanwhile"), felt.p99_ms, "ms"),
        Figure::new(format!("{what}: that is"), ratio, "times").at_most(RATIO_GOAL),
    ]
}

async fn tickets(target: &Target) -> Result<Flood> {
    call(|api| async move { api.post("ws/tickets", json!({})).await }, &target.hostile).await
}

async fn clips(camera: &Api) -> Result<Flood> {
    let announce = |api: Api| async move {
        let body = json!({ "clip_id": ClipId::generate(), "started_at": 1 });
        api.post("agent/clips", body).await
    };
    call(announce, camera).await
}

/// Calls by some loops at once, until the time is up. Refusals and errors slow none of them down.
async fn call<F>(
    request: impl Fn(Api) -> F + Copy + Send + Sync + 'static,
    caller: &Api,
) -> Result<Flood>
where
    F: Future<Output = Result<crate::api::Answer>> + Send,
{
    let (sent, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (api, sent, taken) = (caller.clone(), Arc::clone(&sent), Arc::clone(&taken));
        callers.spawn(async move {
            let until = Instant::now() + LENGTH;
            while Instant::now() < until {
                let answer = request(api.clone()).await;
                sent.fetch_add(1, Ordering::Relaxed);
                if answer.is_ok_and(|answer| answer.status.is_success()) {
                    taken.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    callers.join_all().await;
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    ensure!(count(&sent) > 0, "nothing was sent");
    Ok(Flood { sent: count(&sent), taken: count(&taken) })
}

/// Sends messages at the offered rate until the time is up or the broker has enough.
async fn messages(camera: &FakeCamera, quality: QoS) -> Result<Flood> {
    let mut connected = camera.connect().await?;
    let mut sent = 0;
    let sending = async {
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for _ in 0..MESSAGES_PER_MS {
                if connected.send_event(quality).await.is_err() {
                    return;
                }
                sent += 1;
            }
        }
    };
    let began = Instant::now();
    // Either the time is up, or the camera was thrown out.
    timeout(LENGTH, sending).await.ok();
    tokio::time::sleep_until((began + LENGTH).into()).await;
    // Of QoS 0 nothing is heard again.
    let taken = if quality == QoS::AtMostOnce { sent } else { connected.acknowledged() };
    Ok(Flood { sent, taken })
}

/// Removes the camera in the middle of its flood.
async fn unpair_amid(owner: Api, camera: String) -> Result<Duration> {
    tokio::time::sleep(LENGTH / 2).await;
    let began = Instant::now();
    owner.delete(&format!("cameras/{camera}")).await?.expect(204)?;
    Ok(began.elapsed())
}

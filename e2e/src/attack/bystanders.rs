//! Everybody else: accounts that do what people do, one request after the other. Mostly they look; now
//! and then one renames its camera.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nightjar_shared::ids::CameraId;
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::target::account;
use crate::{
    api::{Answer, Api},
    bench::percentile,
    fake_camera::FakeCamera,
    relay::Relay,
};

const NAMES: [&str; 2] = ["alice", "bob"];
/// Of so many requests one changes something.
const LOOKS_PER_CHANGE: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);
/// An answer later than this counts as none.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Times kept; more than any run makes, and one that makes more waits.
const TIMES_MAX: usize = 100_000;

/// Accounts, each with a camera.
pub(super) struct Bystanders(Vec<(Api, CameraId)>);

/// What became of their requests.
#[derive(Debug)]
pub(super) struct Experience {
    pub(super) p99_ms: f64,
    /// Refused, failed or not answered.
    pub(super) failures: usize,
}

impl Bystanders {
    pub(super) async fn sign_up(relay: &Relay) -> Result<Self> {
        let mut accounts = Vec::new();
        for name in NAMES {
            let (account, site) = account(relay, name).await?;
            let camera = FakeCamera::pair(&account, &site).await?.id;
            accounts.push((account, camera));
        }
        Ok(Self(accounts))
    }

    /// Asks for as long as `meanwhile` lasts.
    pub(super) async fn during<T>(
        &self,
        meanwhile: impl Future<Output = Result<T>>,
    ) -> Result<(T, Experience)> {
        let (sender, mut times) = mpsc::channel(TIMES_MAX);
        let mut loops = JoinSet::new();
        for (account, camera) in &self.0 {
            loops.spawn(ask(account.clone(), *camera, sender.clone()));
        }
        drop(sender);
        let outcome = meanwhile.await;
        loops.shutdown().await;
        let (mut answered, mut failures) = (Vec::new(), 0);
        while let Some(time) = times.recv().await {
            match time {
                Some(ms) => answered.push(ms),
                None => failures += 1,
            }
        }
        ensure!(!answered.is_empty(), "nobody else was answered at all");
        let p99_ms = percentile(&answered, 99);
        Ok((outcome.context("the attack broke off")?, Experience { p99_ms, failures }))
    }

    /// Asks for a while, with nothing else going on.
    pub(super) async fn quiet(&self, length: Duration) -> Result<Experience> {
        let nothing = async {
            sleep(length).await;
            Ok(())
        };
        Ok(self.during(nothing).await?.1)
    }
}

async fn ask(account: Api, camera: CameraId, times: mpsc::Sender<Option<f64>>) {
    for number in 0_usize.. {
        let began = Instant::now();
        let answer = timeout(ANSWER_LIMIT, request(&account, camera, number)).await;
        let well = answer.is_ok_and(|answer| answer.is_ok_and(|it| it.status.is_success()));
        let time = well.then(|| began.elapsed().as_secs_f64() * 1_000.0);
        if times.send(time).await.is_err() {
            return;
        }
        sleep(PAUSE).await;
    }
}

async fn request(account: &Api, camera: CameraId, number: usize) -> Result<Answer> {
    if number.is_multiple_of(LOOKS_PER_CHANGE) {
        let name = json!({ "name": format!("front door {number}") });
        return account.patch(&format!("cameras/{camera}"), name).await;
    }
    account.get(["auth/me", "cameras", "events?limit=20"][number % 3]).await
}

//! The side of the agent that faces the relay. It begins when the camera is paired, also while
//! the agent runs: `nightjar-agent pair` only has to leave its file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nightjar_shared::{
    configuration::Configuration,
    event::Health,
    ids::{BootId, CameraId},
    signal::Signal,
    time::UnixMillis,
};
use nightjar_update::Layout;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    cloud::Cloud,
    config::UploadConfig,
    identity::Identity,
    live::{Live, ViewerTrust},
    pairing::Pairing,
    record::recordings_dir,
    shutdown::{Ending, Shutdown, Stage},
    store::Store,
    tls::TimeFloor,
    update::{self, UpdateEnds},
    uplink::{self, Broker, CommandRequest},
    upload,
};

/// How soon a new pairing is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Name of a setting in the index.
const TIME_FLOOR: &str = "time_floor";
const SAVE_TIME_FIRST: Duration = Duration::from_mins(1);
const SAVE_TIME_EVERY: Duration = Duration::from_hours(1);

/// The latest time that the relay told. It does not hold for another pairing.
#[derive(Serialize, Deserialize)]
struct KeptTime {
    camera_id: CameraId,
    at: UnixMillis,
}

/// What a pairing that can be used gives.
struct Ready {
    floor: TimeFloor,
    cloud: Cloud,
    broker: Broker,
}

/// The key that the camera goes by.
pub(super) struct Key {
    pub(super) identity: Arc<Identity>,
    /// Why the camera's own cannot be used; then this is another one, which no relay knows.
    pub(super) problem: Option<String>,
}

/// What the uplink and the uploads will need.
pub(super) struct RelaySide {
    pub(super) data_dir: PathBuf,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) key: Key,
    pub(super) boot_id: BootId,
    pub(super) commands: mpsc::Sender<CommandRequest>,
    pub(super) signals_in: mpsc::Sender<Signal>,
    pub(super) signals_out: mpsc::Receiver<(String, Signal)>,
    pub(super) health: watch::Receiver<Option<Health>>,
    pub(super) configuration: watch::Receiver<Configuration>,
    pub(super) upload_config: watch::Receiver<UploadConfig>,
    /// Notified when a person wants an update now.
    pub(super) update_asked: Arc<Notify>,
    pub(super) layout: Layout,
    pub(super) live: Live,
    pub(super) uploads: Stage,
    pub(super) uplink: Stage,
    pub(super) guards: TaskTracker,
    pub(super) shutdown: Shutdown,
}

impl RelaySide {
    pub(super) async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.follow_pairing()).await;
    }

    async fn follow_pairing(self) {
        let data_dir = self.data_dir.clone();
        let shutdown = self.shutdown.clone();
        let (pairing, ready) = self.wait_for_usable_pairing().await;
        tracing::info!(camera.id = %pairing.camera_id, relay = %pairing.relay_url, "paired");
        let store = self.store.clone();
        let floor = ready.floor.clone();
        let other_authority = ready.cloud.other_authority();
        let identity = Arc::clone(&self.key.identity);
        self.connect(&pairing, ready);
        let pin = pin_other(other_authority, &data_dir, &pairing, identity, &floor);
        tokio::join!(pin, keep_time_floor(&store, pairing.camera_id, &floor), async {
            while Pairing::load(&data_dir).is_ok_and(|now| now.as_ref() == Some(&pairing)) {
                sleep(LOOK_EVERY).await;
            }
            tracing::info!("the pairing has changed");
            shutdown.request(Ending::Restart);
        });
    }

    /// What is wrong with a pairing is said once, and the camera works on without it.
    async fn wait_for_usable_pairing(&self) -> (Pairing, Ready) {
        let mut told = None;
        let mut refused = None;
        loop {
            let problem = match Pairing::load(&self.data_dir) {
                Ok(None) => self.key.problem.clone(),
                Ok(Some(pairing)) if refused.as_ref() == Some(&pairing) => None,
                Ok(Some(pairing)) => match self.prepare(&pairing).await {
                    Ok(ready) => return (pairing, ready),
                    Err(error) => {
                        refused = Some(pairing);
                        Some(format!("{error:#}"))
                    }
                },
                Err(error) => Some(error.to_string()),
            };
            if problem.is_some() && problem != told {
                let problem = problem.as_deref().unwrap_or_default();
                tracing::error!(problem, "working without the relay; pair the camera again");
                told = Some(problem.to_owned());
            }
            if self.key.problem.is_some() && Identity::open(&self.data_dir).is_ok() {
                tracing::info!("the camera has its key again");
                self.shutdown.request(Ending::Restart);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Makes of a pairing what can go wrong with it.
    async fn prepare(&self, pairing: &Pairing) -> anyhow::Result<Ready> {
        if let Some(problem) = &self.key.problem {
            anyhow::bail!("{problem}");
        }
        let kept = self.store.setting::<KeptTime>(TIME_FLOOR).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the time that the relay told last is not known");
            None
        });
        let kept = kept.filter(|kept| kept.camera_id == pairing.camera_id);
        let floor =
            TimeFloor::new(self.clock.clone(), kept.map_or(pairing.server_time, |kept| kept.at));
        let cloud = Cloud::new(pairing, Arc::clone(&self.key.identity), floor.clone())?;
        let broker = Broker::new(pairing, cloud.floor())?;
        Ok(Ready { floor, cloud, broker })
    }

    fn connect(self, pairing: &Pairing, ready: Ready) {
        let Ready { cloud, broker, .. } = ready;
        self.live.set_trust(ViewerTrust {
            camera_id: Some(pairing.camera_id),
            owner_keys: pairing.owner_keys.clone(),
        });
        let uploads = &self.uploads;
        upload::start(
            self.store.clone(),
            cloud.clone(),
            &recordings_dir(&self.data_dir),
            self.upload_config,
            self.clock.clone(),
            &uploads.tracker,
            uploads.cancel.clone(),
        );
        let updates = UpdateEnds {
            cloud: cloud.clone(),
            clock: self.clock.clone(),
            data_dir: self.data_dir.clone(),
            layout: self.layout,
            asked: self.update_asked,
        };
        update::start(updates, &uploads.tracker, uploads.cancel.clone());
        let ends = uplink::UplinkEnds {
            store: self.store,
            cloud,
            clock: self.clock,
            boot_id: self.boot_id,
            commands: self.commands,
            signals_in: self.signals_in,
            signals_out: self.signals_out,
            health: self.health,
            configuration: self.configuration,
        };
        let stage = &self.uplink;
        uplink::start(broker, ends, &stage.tracker, stage.cancel.clone());
        for stage in [self.uploads, self.uplink] {
            self.guards.spawn(stage.guard(self.shutdown.clone()));
        }
    }
}

/// Pins the authority that the relay goes over to, once the relay is seen to show a certificate by it. That the pairing
/// has changed is noticed by who follows it.
async fn pin_other(
    mut other: watch::Receiver<Option<String>>,
    data_dir: &Path,
    pairing: &Pairing,
    identity: Arc<Identity>,
    floor: &TimeFloor,
) {
    while other.changed().await.is_ok() {
        let Some(pem) = other.borrow_and_update().clone() else { continue };
        let pinned = match pairing.pin(&pem) {
            Ok(pinned) if pinned != *pairing => pinned,
            _ => continue,
        };
        let tried =
            async { Cloud::new(&pinned, Arc::clone(&identity), floor.clone())?.challenge().await };
        match tried.await {
            Ok(_) => match pinned.save(data_dir) {
                Ok(()) => {
                    tracing::info!("the relay has a new authority, which is pinned from now on");
                }
                Err(error) => tracing::error!(%error, "the relay's new authority is not pinned"),
            },
            Err(error) => {
                tracing::warn!(%error, "the relay names an authority by which it is not known");
            }
        }
    }
}

/// Keeps the time floor, so that a board without a battery does not begin its next run before the
/// time that the relay told last.
async fn keep_time_floor(store: &Store, camera_id: CameraId, floor: &TimeFloor) {
    // By then the relay has told its time, if it is there.
    let mut pause = SAVE_TIME_FIRST;
    loop {
        sleep(pause).await;
        pause = SAVE_TIME_EVERY;
        let kept = KeptTime { camera_id, at: floor.floor() };
        if let Err(error) = store.set_setting(TIME_FLOOR, &kept).await {
            tracing::warn!(%error, "the time floor was not kept");
        }
    }
}

//! The side of the agent that faces the relay. It begins when the camera is paired, also while
//! the agent runs: `nightjar-agent pair` only has to leave its file.

use std::{path::PathBuf, sync::Arc, time::Duration};

use nightjar_shared::{
    configuration::Configuration,
    event::Health,
    ids::{BootId, CameraId},
    signal::Signal,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, watch},
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
    uplink::{self, CommandRequest},
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

/// What the uplink and the uploads will need.
pub(super) struct RelaySide {
    pub(super) data_dir: PathBuf,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) identity: Arc<Identity>,
    pub(super) boot_id: BootId,
    pub(super) commands: mpsc::Sender<CommandRequest>,
    pub(super) signals_in: mpsc::Sender<Signal>,
    pub(super) signals_out: mpsc::Receiver<(String, Signal)>,
    pub(super) health: watch::Receiver<Option<Health>>,
    pub(super) configuration: watch::Receiver<Configuration>,
    pub(super) upload_config: watch::Receiver<UploadConfig>,
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
        let pairing = self.wait_for_pairing().await;
        tracing::info!(camera.id = %pairing.camera_id, relay = %pairing.relay_url, "paired");
        let store = self.store.clone();
        let floor = match self.connect(&pairing).await {
            Ok(floor) => floor,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the pairing cannot be used");
                return std::future::pending().await;
            }
        };
        tokio::join!(keep_time_floor(&store, pairing.camera_id, &floor), async {
            while Pairing::load(&data_dir).is_ok_and(|now| now.as_ref() == Some(&pairing)) {
                sleep(LOOK_EVERY).await;
            }
            tracing::info!("the pairing has changed");
            shutdown.request(Ending::Restart);
        });
    }

    async fn wait_for_pairing(&self) -> Pairing {
        let mut told = false;
        loop {
            match Pairing::load(&self.data_dir) {
                Ok(Some(pairing)) => return pairing,
                Ok(None) => {}
                Err(error) if told => drop(error),
                Err(error) => {
                    tracing::error!(%error, "working without the relay");
                    told = true;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn connect(self, pairing: &Pairing) -> anyhow::Result<TimeFloor> {
        let kept: Option<KeptTime> = self.store.setting(TIME_FLOOR).await?;
        let kept = kept.filter(|kept| kept.camera_id == pairing.camera_id);
        let floor =
            TimeFloor::new(self.clock.clone(), kept.map_or(pairing.server_time, |kept| kept.at));
        let cloud = Cloud::new(pairing, self.identity, floor.clone())?;
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
        uplink::start(pairing, ends, &stage.tracker, stage.cancel.clone())?;
        for stage in [self.uploads, self.uplink] {
            self.guards.spawn(stage.guard(self.shutdown.clone()));
        }
        Ok(floor)
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

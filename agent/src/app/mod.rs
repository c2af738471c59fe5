//! Wiring: every part and every channel of the agent begins here, and ends here in written order.

mod control;
mod health;
mod identify;
mod kept;
mod network;
mod provisioning;
mod relay;
mod vitals;
mod watchdog;

use std::{path::Path, sync::Arc};

use anyhow::Context;
use nightjar_shared::{
    configuration::Configuration, finding::Finding, ids::BootId, signal::Signal,
};
use nightjar_update::Layout;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::task::TaskTracker;

use self::{
    control::{Controller, Parts, watched},
    health::HealthSources,
    kept::{Kept, OwnersWill, Switches},
    provisioning::{CodeFollower, Provisioning},
    relay::{Key, RelaySide},
    vitals::VitalSources,
};
use crate::{
    board::SystemRoot,
    clock::{self, Clock},
    config::Config,
    encode::{Media, SPEEDS_FILE},
    identity::Identity,
    lens::{self, LENS_FILE, Lens, ReaderCommand},
    live::{self, WorkerCommand},
    motion,
    night::{self, NightStatus},
    record,
    shutdown::{self, Ending, Shutdown, Signals, Stage, stop_in_order},
    store::{INDEX_FILE, Store},
};

/// Commands on their way from the uplink, which sends the next one when the last has ended.
const COMMANDS: usize = 1;
/// Signals on their way to live sessions. When full, the uplink drops a further one: its session
/// times out.
const SIGNALS_IN: usize = 64;
/// Signals on their way from live sessions. When full, sessions wait; the uplink reads at all
/// times once the camera is paired.
const SIGNALS_OUT: usize = 64;

/// Runs the agent until it is told to stop.
pub async fn run(config: Config, data_dir: &Path, system: SystemRoot) -> anyhow::Result<Ending> {
    let shutdown = Shutdown::default();
    shutdown.end_on_panic();
    let guards = TaskTracker::new();
    let signals = Signals::new().context("cannot listen to signals")?;
    guards.spawn(signals.watch(shutdown.clone()));

    let stages = start(config, data_dir, system, &guards, &shutdown).await?;
    shutdown::notify_ready();
    let ending = shutdown.requested().await;
    // A program that told systemd that it stops is killed after a while, even if it has been replaced
    // by its next run in the same process.
    if ending != Ending::Restart {
        shutdown::notify_stopping();
    }
    stop_in_order(&stages).await;
    tracing::info!("stopped");
    Ok(ending)
}

/// Starts all parts. They stop in the order of the list that comes back: first nothing new
/// begins, then what is open is closed, and the relay hears the rest last.
async fn start(
    mut config: Config,
    data_dir: &Path,
    system: SystemRoot,
    guards: &TaskTracker,
    shutdown: &Shutdown,
) -> anyhow::Result<Vec<Stage>> {
    let (clock, store, stages) = (Clock::default(), open_index(data_dir)?, Stages::default());
    let boot_id = clock::boot_id().context("cannot tell this boot from others")?;
    let (key, kept) = (open_key(data_dir)?, Kept::new(store.clone(), data_dir));
    let OwnersWill { switches, configuration, drawn } = kept.load().await?;
    config.adopt(&configuration, drawn);
    announce(&config, switches);

    let (signals_in, signals_for_live) = mpsc::channel(SIGNALS_IN);
    let (signals_from_live, signals_out) = mpsc::channel(SIGNALS_OUT);
    let (commands_in, commands) = mpsc::channel(COMMANDS);
    let (switches_in, switches_out) = watch::channel(switches);
    let (health_in, health) = watch::channel(None);
    let (told_configuration, tell_configuration) = watch::channel(config.configuration());
    let (update_asked, layout) = (Arc::new(Notify::new()), Layout::at(system.directory()));
    let (upload, upload_config) = watch::channel(config.upload.clone());
    let ground = Ground { store: &store, clock: &clock, data_dir, identity: &key.identity };
    let signals = (signals_for_live, signals_from_live);
    let parts = stages.start_parts(&config, switches, ground, signals).await?;
    let control = Controller {
        kept,
        parts: parts.clone(),
        config: config.clone(),
        configuration,
        drawn,
        told: told_configuration,
        switches: switches_in,
        upload,
        update_asked: update_asked.clone(),
        shutdown: shutdown.clone(),
        tracker: stages.control.tracker.clone(),
    };
    stages.control.tracker.spawn(control.run(commands, stages.control.cancel.clone()));
    let will = (switches_out, tell_configuration.clone());
    let sources = stages.sources_of_health(&config, &parts, ground, boot_id, will.clone());
    stages.observe(sources.run(system, health_in, stages.observers.cancel.clone()));
    stages.watch(&parts, ground, will);
    let relay_side = RelaySide {
        data_dir: data_dir.to_owned(),
        clock,
        store,
        key,
        boot_id,
        commands: commands_in,
        signals_in,
        signals_out,
        health,
        configuration: tell_configuration,
        upload_config,
        update_asked,
        layout,
        live: parts.live,
        uploads: stages.uploads.clone(),
        uplink: stages.uplink.clone(),
        guards: guards.clone(),
        shutdown: shutdown.clone(),
    };
    stages.observe(relay_side.run(stages.observers.cancel.clone()));
    stages.guard(guards, shutdown);
    Ok(stages.in_order_of_their_end())
}

/// Names of the files below the data directory that the agent makes again where they are lost. Key and
/// pairing are not among them.
pub const FILES: [&str; 6] =
    [INDEX_FILE, "agent.db-wal", "agent.db-shm", kept::COPY_FILE, SPEEDS_FILE, LENS_FILE];

fn open_index(data_dir: &Path) -> anyhow::Result<Store> {
    record::make_room_for_index(data_dir);
    Ok(Store::open_or_begin(&data_dir.join(INDEX_FILE))?)
}

/// Reads the camera's key. One that is damaged keeps the camera from its relay, not from recording: it
/// goes by a key that no relay knows, and says what is wrong.
fn open_key(data_dir: &Path) -> anyhow::Result<Key> {
    let (identity, problem) = match Identity::open(data_dir) {
        Ok(identity) => (identity, None),
        Err(error) => (Identity::for_now()?, Some(error.to_string())),
    };
    Ok(Key { identity: Arc::new(identity), problem })
}

fn announce(config: &Config, switches: Switches) {
    tracing::info!(
        name = %config.name,
        source = config.source.kind.as_str(),
        armed = switches.armed,
        privacy = switches.privacy,
        "starting"
    );
}

/// What the owner wants, as it is now.
type Will = (watch::Receiver<Switches>, watch::Receiver<Configuration>);

/// What the parts stand on.
#[derive(Clone, Copy)]
struct Ground<'a> {
    store: &'a Store,
    clock: &'a Clock,
    data_dir: &'a Path,
    identity: &'a Arc<Identity>,
}

/// The parts of the agent as far as their tasks go.
struct Stages {
    control: Stage,
    observers: Stage,
    live: Stage,
    detection: Stage,
    recording: Stage,
    uploads: Stage,
    uplink: Stage,
    capture: Stage,
}

impl Default for Stages {
    fn default() -> Self {
        Self {
            control: Stage::new("control"),
            observers: Stage::new("observers"),
            live: Stage::new("live"),
            detection: Stage::new("detection"),
            recording: Stage::new("recording"),
            uploads: Stage::new("uploads"),
            uplink: Stage::new("uplink"),
            capture: Stage::new("capture"),
        }
    }
}

impl Stages {
    /// Starts what sees, records and streams.
    async fn start_parts(
        &self,
        config: &Config,
        switches: Switches,
        ground: Ground<'_>,
        signals: (mpsc::Receiver<Signal>, mpsc::Sender<(String, Signal)>),
    ) -> anyhow::Result<Parts> {
        let Self { capture, detection, recording, live, .. } = self;
        let Ground { store, clock, data_dir, identity } = ground;
        let cancel = capture.cancel.clone();
        let media = Media::start(&config.source, Some(data_dir), &capture.tracker, cancel)?;
        media.set_privacy(switches.privacy);
        let pictures = media.luma().context("somebody else reads the grey pictures")?;
        let motion = motion::start(
            pictures,
            &watched(config),
            clock.clone(),
            &detection.tracker,
            detection.cancel.clone(),
        );
        let recorder = record::start(
            record::Input {
                frames: media.frames(),
                stills: media.stills(),
                motion: motion.changes(),
                tampering: motion.tampering(),
            },
            store.clone(),
            &config.recording,
            data_dir,
            clock.clone(),
            &recording.tracker,
            recording.cancel.clone(),
        )
        .await?;
        let live = live::start(
            media.clone(),
            &config.live,
            WorkerCommand::this_program(),
            signals,
            Arc::clone(identity),
            &live.tracker,
            live.cancel.clone(),
        );
        let parts = Parts { media, motion, recorder, live };
        parts.switch(switches);
        self.find_an_owner(config, &parts, ground);
        Ok(parts)
    }

    /// Gathers what health is read from.
    fn sources_of_health(
        &self,
        config: &Config,
        parts: &Parts,
        ground: Ground<'_>,
        boot_id: BootId,
        (switches, configuration): Will,
    ) -> HealthSources {
        let Ground { store, clock, data_dir, .. } = ground;
        HealthSources {
            clock: clock.clone(),
            boot_id,
            source: config.source.kind,
            data_dir: data_dir.to_owned(),
            store: store.clone(),
            capture: parts.media.status(),
            record: parts.recorder.status(),
            viewers: parts.live.viewers(),
            sfu: parts.live.sfu(),
            night: self.switch_infrared(config, parts),
            switches,
            scheduled_off: parts.motion.scheduled_off(),
            configuration,
            network: self.look_at_network(data_dir, clock),
        }
    }

    /// Watches over what sees and records.
    fn watch(&self, parts: &Parts, ground: Ground<'_>, (switches, configuration): Will) {
        let Parts { media, motion, recorder, .. } = parts.clone();
        let Ground { store, clock, .. } = ground;
        let cancel = self.observers.cancel.clone();
        let vitals = VitalSources {
            media: media.clone(),
            recorder: recorder.clone(),
            store: store.clone(),
            clock: clock.clone(),
            switches: switches.clone(),
            configuration,
        };
        self.observe(vitals.run(cancel.clone()));
        let changes = media.camera_changes();
        self.observe(control::tell_disturbances(changes, motion, cancel.clone()));
        self.observe(watchdog::run(media, recorder, clock.clone(), switches, cancel));
    }

    /// Switches an infrared filter and lamp, where there are any.
    fn switch_infrared(&self, config: &Config, parts: &Parts) -> watch::Receiver<NightStatus> {
        let Stage { tracker, cancel, .. } = &self.observers;
        let status = night::start(&config.night, parts.media.clone(), tracker, cancel.clone());
        let motion = parts.motion.clone();
        self.observe(control::tell_of_infrared(status.clone(), motion, cancel.clone()));
        status
    }

    /// Pairs the camera in each way that needs no keyboard.
    fn find_an_owner(&self, config: &Config, parts: &Parts, ground: Ground<'_>) {
        self.look_for_code(config, parts, ground);
        self.pair_by_itself(config, parts, ground);
    }

    /// Looks for a pairing code for as long as the camera belongs to nobody.
    fn look_for_code(&self, config: &Config, parts: &Parts, ground: Ground<'_>) {
        if !config.qr.enabled {
            return;
        }
        let data_dir = ground.data_dir.to_owned();
        let (name, qr) = (config.name.clone(), config.qr.clone());
        let follower = CodeFollower { data_dir: data_dir.clone(), config: qr, name }.follower();
        let (media, clock) = (parts.media.clone(), ground.clock.clone());
        let lens = Lens { media, data_dir, clock, reader: ReaderCommand::this_program(), follower };
        let Stage { tracker, cancel, .. } = &self.observers;
        let looks = lens::start(lens, tracker, cancel.clone());
        let motion = parts.motion.clone();
        self.observe(control::tell_of_codes(looks, motion, cancel.clone()));
    }

    fn look_at_network(&self, data_dir: &Path, clock: &Clock) -> watch::Receiver<Vec<Finding>> {
        let (told, findings) = watch::channel(Vec::new());
        let cancel = self.observers.cancel.clone();
        self.observe(network::look(data_dir.to_owned(), clock.clone(), told, cancel));
        findings
    }

    /// Pairs the camera by what an installer left for it, or by a code that it shows.
    fn pair_by_itself(&self, config: &Config, parts: &Parts, ground: Ground<'_>) {
        let Ground { clock, data_dir, identity, .. } = ground;
        let provisioning = Provisioning {
            data_dir: data_dir.to_owned(),
            name: config.name.clone(),
            relay: config.relay.clone(),
            identity: Arc::clone(identity),
            stills: parts.media.stills(),
            clock: clock.clone(),
        };
        self.observe(provisioning.run(self.observers.cancel.clone()));
    }

    fn observe(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.observers.tracker.spawn(task);
    }

    /// Ends the agent when a part ends early. Uploads and uplink begin with the pairing.
    fn guard(&self, guards: &TaskTracker, shutdown: &Shutdown) {
        let Self { control, observers, live, detection, recording, capture, .. } = self;
        for stage in [control, observers, live, detection, recording, capture] {
            guards.spawn(stage.clone().guard(shutdown.clone()));
        }
    }

    /// Lists the parts in the order in which they stop. The uplink comes late, so that it sends what
    /// the others said while they stopped; the source comes last, because others read from it.
    fn in_order_of_their_end(self) -> Vec<Stage> {
        let Self { control, observers, live, detection, recording, uploads, uplink, capture } =
            self;
        vec![control, observers, live, detection, recording, uploads, uplink, capture]
    }
}

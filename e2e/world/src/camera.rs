//! A camera: the real store, uplink and uploads, without picture. What is captured and what carries
//! commands out is the world's.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use nightjar_agent::{
    clock::SimulatedClock,
    cloud::{Cloud, Visitor, Wire},
    config::UploadConfig,
    identity::Identity,
    pairing::Pairing,
    store::{INDEX_FILE, Store},
    tls::TimeFloor,
    uplink::{
        self, CommandRequest, Execution,
        claim::{self, Introduction, Ticket},
        simulated::Dial,
    },
    upload,
};
use nightjar_shared::{
    PROTOCOL_VERSION,
    command::Command,
    configuration::Configuration,
    event::{CaptureHealth, Health},
    ids::{BootId, CameraId},
};
use tokio::{
    sync::{mpsc, watch},
    time::{interval, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    broker::Broker,
    http, live,
    network::Way,
    recorder,
    relay::{BEGINNING, URL},
    world::World,
};

const QUEUE: usize = 64;
const HEALTH_EVERY: Duration = Duration::from_secs(30);

pub(crate) struct Camera {
    pub(crate) number: usize,
    /// Whose site it belongs to.
    pub(crate) owner: usize,
    pub(crate) directory: PathBuf,
    /// The machine's clock, which may be wrong.
    pub(crate) hands: SimulatedClock,
    pub(crate) to_relay: Way,
    pub(crate) to_store: Way,
    /// Read once: a paired camera keeps its identifier.
    id: OnceLock<CameraId>,
    /// Held while a process starts or ends: a machine runs one at a time.
    change: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A random identifier, as the kernel gives each boot one.
    boot_id: Option<BootId>,
    processes: u64,
    process: Option<Process>,
}

/// The agent while it runs.
#[derive(Clone)]
pub(crate) struct Process {
    /// Counts the processes of this camera.
    number: u64,
    pub(crate) store: Store,
    pub(crate) boot_id: BootId,
    /// Cancelled when it is killed, before anything else of it ends.
    dead: CancellationToken,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl Camera {
    pub(crate) fn new(number: usize, owner: usize, directory: PathBuf) -> Self {
        Self {
            number,
            owner,
            directory,
            hands: SimulatedClock::with_timers(BEGINNING),
            to_relay: Way::default(),
            to_store: Way::default(),
            id: OnceLock::new(),
            change: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn recordings(&self) -> PathBuf {
        self.directory.join("recordings")
    }

    pub(crate) fn process(&self) -> Option<Process> {
        self.state.lock().unwrap().process.clone()
    }

    fn pairing(&self) -> Option<Pairing> {
        Pairing::load(&self.directory).unwrap()
    }

    pub(crate) fn camera_id(&self) -> Option<CameraId> {
        if self.id.get().is_none()
            && let Some(pairing) = self.pairing()
        {
            self.id.get_or_init(|| pairing.camera_id);
        }
        self.id.get().copied()
    }

    /// Cancelled when the process that runs now is killed.
    pub(crate) fn process_death(&self) -> CancellationToken {
        self.process().map(|process| process.dead).unwrap_or_default()
    }

    /// Kills the agent: its connections break, and every task of it ends where it is.
    pub(crate) async fn kill(&self, world: &World) {
        let _alone = self.change.lock().await;
        let Some(process) = self.state.lock().unwrap().process.take() else { return };
        process.dead.cancel();
        process.cancel.cancel();
        process.tracker.close();
        process.tracker.wait().await;
        world.model().process_ended(self.number);
        world.note(&format!("camera {} is killed", self.number));
    }

    /// Ends the agent in order.
    async fn stop(&self, world: &World) {
        let _alone = self.change.lock().await;
        let Some(process) = self.state.lock().unwrap().process.take() else { return };
        process.cancel.cancel();
        process.tracker.close();
        process.tracker.wait().await;
        process.dead.cancel();
        world.model().process_ended(self.number);
        world.note(&format!("camera {} stops", self.number));
    }
}

/// Starts the agent of a camera, unless it runs. `rebooted` with its machine.
pub(crate) async fn start(world: &Arc<World>, number: usize, rebooted: bool) {
    let camera = &world.cameras[number];
    let _alone = camera.change.lock().await;
    if camera.process().is_some() {
        return;
    }
    std::fs::create_dir_all(camera.recordings()).unwrap();
    let store = Store::open(&camera.directory.join(INDEX_FILE)).unwrap();
    if let Some(fault) = world.fault {
        fault.plant_in_camera(camera);
    }
    let (boot_id, process_number) = {
        let mut state = camera.state.lock().unwrap();
        state.processes += 1;
        if rebooted || state.boot_id.is_none() {
            state.boot_id = Some(BootId::from(uuid::Uuid::new_v4()));
        }
        (state.boot_id.unwrap(), state.processes)
    };
    let process = Process {
        number: process_number,
        store,
        boot_id,
        dead: CancellationToken::new(),
        cancel: CancellationToken::new(),
        tracker: TaskTracker::new(),
    };
    nightjar_agent::record::adopt(
        &process.store,
        &camera.recordings(),
        boot_id,
        &camera.hands.clock(),
    )
    .await
    .unwrap();
    world.model().process_began(number);
    camera.state.lock().unwrap().process = Some(process.clone());
    world.note(&format!("camera {number} runs"));
    if let Some(pairing) = camera.pairing() {
        connect(world, number, &process, &pairing);
    }
}

/// Has the recorder of a camera record an event, unless it records one already.
pub(crate) fn record(world: &Arc<World>, number: usize) {
    let camera = &world.cameras[number];
    let Some(process) = camera.process() else { return };
    if world.model().records(number) {
        return;
    }
    run(&process, recorder::record(world.clone(), number, process.clone()));
}

/// Pairs a camera, as its owner does with a code.
pub(crate) async fn pair(world: &Arc<World>, number: usize, ticket: Ticket) {
    let camera = &world.cameras[number];
    let Some(process) = camera.process() else { return };
    let visitor = visitor(world, number, &process);
    let introduction = Introduction { name: format!("camera {number}"), model: "none".to_owned() };
    let claimed =
        claim::claim_as(&visitor, &camera.directory, URL, None, ticket, introduction, None);
    let claimed = process.dead.run_until_cancelled(claimed).await;
    match claimed {
        Some(Ok(pairing)) => {
            world.trace().name(&pairing.camera_id, format!("camera {number}"));
            world.note(&format!("camera {number} is paired"));
            connect(world, number, &process, &pairing);
        }
        Some(Err(error)) => world.note(&format!("camera {number} is not paired: {error}")),
        None => {}
    }
}

fn visitor(world: &Arc<World>, number: usize, process: &Process) -> Visitor {
    let camera = &world.cameras[number];
    let (wire, exchanges) = mpsc::channel(QUEUE);
    tokio::spawn(http::serve(world.clone(), number, exchanges, process.dead.clone()));
    let floor = TimeFloor::new(camera.hands.clock(), BEGINNING);
    Visitor::simulated(URL, floor, Wire(wire)).unwrap()
}

/// Has retention take a clip of a camera away.
pub(crate) async fn lose_clip(world: &World, number: usize) {
    if let Some(process) = world.cameras[number].process() {
        recorder::lose(world, number, &process).await;
    }
}

/// Starts what a paired camera does with its relay.
fn connect(world: &Arc<World>, number: usize, process: &Process, pairing: &Pairing) {
    let camera = &world.cameras[number];
    let identity = Arc::new(Identity::open(&camera.directory).unwrap());
    let cloud = Cloud::simulated(visitor(world, number, process), pairing.camera_id, identity);
    let (dial, mut dialled) = mpsc::channel(1);
    {
        let (world, dead) = (world.clone(), process.dead.clone());
        tokio::spawn(async move {
            while let Some(Some(connection)) = dead.run_until_cancelled(dialled.recv()).await {
                tokio::spawn(Broker::connect(world.clone(), number, connection));
            }
        });
    }
    let (commands_in, commands) = mpsc::channel(1);
    let (signals_in, signals) = mpsc::channel(QUEUE);
    let (replies, signals_out) = mpsc::channel(QUEUE);
    let (viewers_in, viewers) = watch::channel(0);
    let (health_in, health) = watch::channel(None);
    let (configuration_in, configuration) = watch::channel(Configuration::default());
    let (_, upload_config) = watch::channel(UploadConfig::default());
    let Process { store, boot_id, cancel, tracker, .. } = process.clone();
    upload::start(
        store.clone(),
        cloud.clone(),
        &camera.recordings(),
        upload_config,
        camera.hands.clock(),
        &tracker,
        cancel.clone(),
    );
    let ends = uplink::UplinkEnds {
        clock: camera.hands.clock(),
        store,
        cloud,
        boot_id,
        commands: commands_in,
        signals_in,
        signals_out,
        health,
        configuration,
    };
    uplink::start_simulated(pairing.camera_id, Dial(dial), ends, &tracker, cancel.clone());
    let executor = carry_out(world.clone(), number, process.clone(), commands, configuration_in);
    run(process, executor);
    run(process, live::serve(world.clone(), number, signals, replies, viewers_in));
    run(process, tell_health(world.clone(), number, boot_id, health_in, viewers));
}

fn run(process: &Process, task: impl Future<Output = ()> + Send + 'static) {
    let cancel = process.cancel.clone();
    process.tracker.spawn(async move {
        cancel.run_until_cancelled(task).await;
    });
}

/// Carries commands out: what each did is written into the model.
async fn carry_out(
    world: Arc<World>,
    number: usize,
    process: Process,
    mut commands: mpsc::Receiver<CommandRequest>,
    configuration: watch::Sender<Configuration>,
) {
    while let Some(CommandRequest { command, reply, .. }) = commands.recv().await {
        let takes = {
            let mut chance = world.chance();
            // Rarely longer than a command may take.
            if chance.percent(3) { chance.millis(28_000, 40_000) } else { chance.millis(0, 1_500) }
        };
        match command {
            Command::Configure(change) => {
                let mark = change.max_bytes.unwrap_or_default();
                world.command_begins(number, mark);
                sleep(takes).await;
                configuration.send_replace(Configuration::clone(&change));
                if reply.send(Execution::Done(None)).is_ok() {
                    world.model().command_done(mark);
                }
            }
            Command::Restart => {
                let _ = reply.send(Execution::Restarting);
                let world = world.clone();
                // The process cannot wait for its own end.
                tokio::spawn(async move {
                    if world.cameras[number]
                        .process()
                        .is_some_and(|now| now.number == process.number)
                    {
                        world.cameras[number].stop(&world).await;
                        sleep(Duration::from_secs(1)).await;
                        if world.cameras[number].process().is_none() {
                            start(&world, number, false).await;
                        }
                    }
                });
            }
            _ => {
                let _ = reply.send(Execution::Rejected("unsupported: not in this world".into()));
            }
        }
    }
}

async fn tell_health(
    world: Arc<World>,
    number: usize,
    boot_id: BootId,
    health: watch::Sender<Option<Health>>,
    mut viewers: watch::Receiver<u32>,
) {
    let clock = world.cameras[number].hands.clock();
    let mut ticks = interval(HEALTH_EVERY);
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {}
            Ok(()) = viewers.changed() => {}
        }
        health.send_replace(Some(Health {
            protocol: PROTOCOL_VERSION,
            at: clock.unix(),
            clock: clock.state(),
            boot_id,
            uptime_ms: clock.uptime_ms(),
            agent_version: "0".to_owned(),
            capture: CaptureHealth {
                running: true,
                source: "none".to_owned(),
                encoder: "none".to_owned(),
                transcoded: None,
                width: 640,
                height: 480,
                fps: 10.0,
                problem: None,
            },
            armed: true,
            scheduled_off: false,
            privacy: false,
            recording: false,
            manual_recording: false,
            disk_free_bytes: 0,
            disk_total_bytes: 0,
            recordings_bytes: 0,
            retention_days: 0.0,
            retention_horizon_days: None,
            queue_length: 0,
            queue_age_ms: None,
            write_errors: 0,
            viewers: *viewers.borrow_and_update(),
            sfu: None,
            temperature_celsius: None,
            errors: Vec::new(),
            notes: Vec::new(),
            findings: Vec::new(),
        }));
    }
}

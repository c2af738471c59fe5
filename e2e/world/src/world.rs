//! The world: one relay, two owners with a site each, and their cameras, on one thread.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nightjar_relay::engines::realtime::Reach;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    broker::Broker,
    camera::Camera,
    chance::Chance,
    faults::Fault,
    model::Model,
    network::{Network, Weather},
    relay::{Owner, Relay, Template, memory_directory},
    trace::Trace,
};

/// Whose camera each is: the first owner has two.
const OWNER_OF: [usize; 3] = [0, 0, 1];

pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) broker: Broker,
    pub(crate) relay: Relay,
    pub(crate) cameras: Vec<Camera>,
    pub(crate) owners: Vec<Owner>,
    pub(crate) fault: Option<Fault>,
    chance: Mutex<Chance>,
    trace: Mutex<Trace>,
    model: Mutex<Model>,
    violations: Mutex<Vec<String>>,
    connections: AtomicU64,
    pub(crate) database: OnceLock<Mutex<Connection>>,
    _directory: TempDir,
}

impl World {
    /// Makes a world in which nothing runs yet.
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Arc<Self> {
        let mut chance = Chance::new(seed);
        let weather = Weather::draw(&mut chance);
        let directory = memory_directory();
        let place = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let relay = Relay::new(place("relay"));
        Template::get().copy_to(&relay.data_dir);
        if let Some(fault) = fault {
            fault.plant_in_relay(&relay.data_dir);
        }
        let cameras = OWNER_OF.iter().enumerate();
        let cameras = cameras
            .map(|(number, owner)| Camera::new(number, *owner, place(&format!("camera-{number}"))));
        Arc::new(Self {
            network: Network::new(weather, Chance::new(chance.draw())),
            broker: Broker::default(),
            relay,
            cameras: cameras.collect(),
            owners: Template::get().owners.clone(),
            fault,
            chance: Mutex::new(chance),
            trace: Mutex::new(Trace::new()),
            model: Mutex::default(),
            violations: Mutex::default(),
            connections: AtomicU64::new(0),
            database: OnceLock::new(),
            _directory: directory,
        })
    }

    /// Starts the relay, and serves the orders to its broker.
    pub(crate) async fn start_relay(self: &Arc<Self>) {
        let orders = self.relay.start().await;
        tokio::spawn(Broker::serve(self.clone(), orders));
        self.model().relay_started();
        self.listen_for_owners();
        self.note("the relay runs");
    }

    pub(crate) async fn kill_relay(&self) {
        self.relay.kill().await;
        self.broker.end_all();
        self.model().relay_stopped();
        self.note("the relay is killed");
    }

    /// Reads what each owner's open socket is told: nothing of another's.
    fn listen_for_owners(self: &Arc<Self>) {
        let Some(relay) = self.relay.running() else { return };
        for (number, owner) in self.owners.iter().enumerate() {
            let socket = (owner.session.caller.account_id, (&owner.session.sign_in).into());
            let Ok(mut told) = relay.app.realtime.subscribe(socket.0, socket.1, Reach::ALL) else {
                continue;
            };
            let (world, cancel) = (self.clone(), relay.app.cancel.clone());
            tokio::spawn(async move {
                while let Some(Ok(message)) = cancel.run_until_cancelled(told.next()).await {
                    world.check_own(number, &message, "a socket");
                }
            });
        }
    }

    pub(crate) fn chance(&self) -> MutexGuard<'_, Chance> {
        self.chance.lock().unwrap()
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    pub(crate) fn trace(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap()
    }

    pub(crate) fn note(&self, text: &str) {
        self.trace().line(text);
    }

    /// Notes that an invariant does not hold.
    pub(crate) fn violate(&self, text: String) {
        self.note(&format!("VIOLATED: {text}"));
        self.violations.lock().unwrap().push(text);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// How late the second copy of a request comes.
    pub(crate) fn late(&self) -> Duration {
        self.chance().millis(10, 20_000)
    }
}

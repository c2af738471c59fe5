//! MQTT to the relay: commands and signals come down; events, acknowledgements, health, presence
//! and signals go up.
//!
//! `link` keeps the connection and only forwards, `drain` sends what waits in the outbox,
//! `commands` runs what the relay asks for, at most once. `mqtt` is the client library's side of
//! it. `claim` pairs the camera.

pub mod claim;
mod commands;
mod drain;
mod link;
mod mqtt;

use nightjar_shared::{
    configuration::Configuration,
    event::Health,
    ids::{BootId, CameraId},
    signal::Signal,
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    commands::{CommandRequest, Execution},
    mqtt::{AddressError, Broker, Route, simulated},
};
use self::{drain::DrainSources, link::Link};
use crate::{clock::Clock, cloud::Cloud, store::Store};

/// Commands that wait for their turn. When full, a further one is dropped: it expires, and the
/// relay tells its sender so.
const WAITING_COMMANDS: usize = 32;

/// The ends that the uplink needs of the rest of the agent.
pub struct UplinkEnds {
    pub store: Store,
    pub cloud: Cloud,
    pub clock: Clock,
    pub boot_id: BootId,
    /// Where commands are carried out, one at a time.
    pub commands: mpsc::Sender<CommandRequest>,
    /// Signals for live sessions. When full, a further one is dropped: its session times out.
    pub signals_in: mpsc::Sender<Signal>,
    /// Signals from live sessions, with the replica that waits for them. Read at all times:
    /// without a connection they are dropped, because a session does not outlive it.
    pub signals_out: mpsc::Receiver<(String, Signal)>,
    /// The camera's health; published on every change.
    pub health: watch::Receiver<Option<Health>>,
    /// The settings that the camera goes by; published on every connection and every change.
    pub configuration: watch::Receiver<Configuration>,
}

/// Connects a paired camera, and keeps it connected until cancelled.
pub fn start(broker: Broker, ends: UplinkEnds, tracker: &TaskTracker, cancel: CancellationToken) {
    keep_connected(broker, ends, tracker, cancel);
}

/// Connects a simulated camera to the broker behind `dial`, and keeps it connected until cancelled.
pub fn start_simulated(
    camera_id: CameraId,
    dial: simulated::Dial,
    ends: UplinkEnds,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) {
    keep_connected(Broker::simulated(camera_id, dial), ends, tracker, cancel);
}

fn keep_connected(
    broker: Broker,
    ends: UplinkEnds,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) {
    let (commands_in, commands_out) = mpsc::channel(WAITING_COMMANDS);
    let runner = commands::Runner::new(ends.store.clone(), ends.commands, ends.clock.clone());
    let link = Link {
        broker,
        cloud: ends.cloud,
        clock: ends.clock,
        boot_id: ends.boot_id,
        commands: commands_in,
        signals: ends.signals_in,
        sources: DrainSources {
            store: ends.store,
            signals: ends.signals_out,
            health: ends.health,
            configuration: ends.configuration,
        },
        kept_route: None,
    };
    tracker.spawn(runner.run(commands_out, cancel.clone()));
    tracker.spawn(link.run(cancel));
}

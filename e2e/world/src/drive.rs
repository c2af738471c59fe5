//! Random transitions, the end that all of them come to, and what must hold on the way.

use std::{sync::Arc, time::Duration};

use nightjar_agent::uplink::claim::Ticket;
use nightjar_shared::{pairing::JoinCode, time::ClockState};
use serde_json::json;
use tokio::{
    runtime,
    time::{Instant, sleep},
};

use crate::{camera, check::text, faults::Fault, network::Weather, relay::Template, world::World};

/// Transitions of one seed: each planted fault shows within them, and 200 seeds take some 20 s.
const TRANSITIONS: usize = 30;
/// How often the relay does what it does every second: half as often, for speed.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// Once all networks are good and everything runs, nothing is on its way after this.
const QUIET_WITHIN: Duration = Duration::from_mins(20);

/// How a seed went.
#[derive(Debug)]
pub struct Run {
    pub violations: Vec<String>,
    /// Of all that happened.
    pub digest: u64,
    /// The last of what happened.
    pub tail: String,
}

/// Lets a world go through what `seed` gives. The same seed goes the same way.
pub fn run(seed: u64, fault: Option<Fault>) -> Run {
    Template::get();
    // A thread of its own: what is simulated is so by thread.
    let thread = std::thread::Builder::new().name(format!("seed {seed}")).spawn(move || {
        nightjar_agent::machine::simulate(seed);
        nightjar_relay::blocking::stay_on_this_thread();
        let runtime =
            runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(live_through(seed, fault))
    });
    thread.unwrap().join().unwrap()
}

async fn live_through(seed: u64, fault: Option<Fault>) -> Run {
    let world = World::new(seed, fault);
    world.start_relay().await;
    tokio::spawn(sweep(world.clone()));
    for number in 0..world.cameras.len() {
        camera::start(&world, number, true).await;
        open_pairing(&world, number);
    }
    for _ in 0..TRANSITIONS {
        if !world.violations().is_empty() {
            break;
        }
        transition(&world).await;
        let pause = {
            let mut chance = world.chance();
            match chance.below(10) {
                0..5 => chance.millis(0, 300),
                5..9 => chance.millis(0, 4_000),
                _ => chance.millis(5_000, 30_000),
            }
        };
        sleep(pause).await;
        if world.chance().percent(30) {
            world.check_now().await;
        }
    }
    if world.violations().is_empty() {
        settle(&world).await;
    }
    if world.violations().is_empty() {
        world.check_end().await;
    }
    let (digest, tail) = {
        let trace = world.trace();
        (trace.digest(), trace.tail())
    };
    Run { violations: world.violations(), digest, tail }
}

async fn sweep(world: Arc<World>) {
    loop {
        sleep(SWEEP_EVERY).await;
        if let Some(relay) = world.relay.running() {
            relay.sweep().await;
        }
        if world.fault == Some(Fault::LostPart) {
            world.lose_object();
        }
    }
}

/// An owner opens a pairing and types its code into the camera, again until it is paired. A code is
/// good for ten minutes.
fn open_pairing(world: &Arc<World>, number: usize) {
    let world = world.clone();
    tokio::spawn(async move {
        let owner = world.cameras[number].owner;
        let site_id = world.owners[owner].site_id;
        let mut code: Option<(JoinCode, Instant)> = None;
        while world.cameras[number].camera_id().is_none() {
            code.take_if(|(_, since)| since.elapsed() > Duration::from_mins(9));
            if code.is_none() {
                let path = format!("sites/{site_id}/pairings");
                let opened = world.try_to_ask(owner, "POST", &path, Some(json!({}))).await;
                let opened = opened.filter(|(status, _)| *status == 201);
                let opened = opened.and_then(|(_, opened)| text(&opened, "code").parse().ok());
                code = opened.map(|code| (code, Instant::now()));
            }
            if let Some((code, _)) = &code {
                camera::pair(&world, number, Ticket::Code(code.clone())).await;
            }
            sleep(Duration::from_secs(5)).await;
        }
    });
}

async fn transition(world: &Arc<World>) {
    let (kind, number) = {
        let mut chance = world.chance();
        (chance.below(100), chance.index(world.cameras.len()))
    };
    let camera = &world.cameras[number];
    match kind {
        0..24 => world.give_command(),
        24..36 => camera::record(world, number),
        36..45 => world.watch(),
        45..48 => world.delete_clip(),
        48..50 => camera::lose_clip(world, number).await,
        50..58 => {
            camera.to_relay.set_open(!camera.to_relay.is_open());
            world.note(&format!("camera {number} to relay: {}", camera.to_relay.is_open()));
        }
        58..64 => {
            camera.to_store.set_open(!camera.to_store.is_open());
            world.note(&format!("camera {number} to store: {}", camera.to_store.is_open()));
        }
        64..72 => {
            if let Some(camera_id) = camera.camera_id() {
                world.note(&format!("connection of camera {number} breaks"));
                world.broker.break_connection(camera_id);
            }
        }
        72..79 => camera.kill(world).await,
        79..88 => {
            if camera.process().is_none() {
                let rebooted = world.chance().percent(50);
                camera::start(world, number, rebooted).await;
            }
        }
        88..92 => {
            if world.relay.running().is_some() {
                world.kill_relay().await;
            }
        }
        92..96 => {
            if world.relay.running().is_none() {
                world.start_relay().await;
            }
        }
        _ => set_clock(world, number),
    }
}

/// A camera's wall clock is set, right or wrong.
fn set_clock(world: &World, number: usize) {
    let hands = &world.cameras[number].hands;
    let wrong = world.chance().percent(50);
    let now = world.relay.now();
    let by = world.chance().millis(1_000, 90_000_000);
    hands.set_unix(if wrong { now.minus(by) } else { now });
    hands.set_state(if wrong { ClockState::Unsynced } else { ClockState::Synced });
    world.note(&format!("camera {number}'s clock is {}", if wrong { "wrong" } else { "right" }));
}

/// Everything runs, nothing is in the way any more: all that was begun comes to its end.
async fn settle(world: &Arc<World>) {
    world.note("all is well from now on");
    world.network.set_weather(Weather::FAIR);
    if world.relay.running().is_none() {
        world.start_relay().await;
    }
    for (number, camera) in world.cameras.iter().enumerate() {
        camera.to_relay.set_open(true);
        camera.to_store.set_open(true);
        if camera.process().is_none() {
            camera::start(world, number, false).await;
        }
    }
    let since = Instant::now();
    // What was recorded last is still being written, and a command runs for 40 s at most; its late answer
    // counts.
    sleep(Duration::from_secs(45)).await;
    while !world.what_is_left().await.is_empty() {
        if since.elapsed() > QUIET_WITHIN {
            let what = world.what_is_left().await;
            world.violate(format!("after {QUIET_WITHIN:?} {what} is still on its way"));
            return;
        }
        sleep(Duration::from_secs(10)).await;
        world.check_now().await;
    }
    world.note("nothing is on its way any more");
    sleep(Duration::from_secs(10)).await;
}

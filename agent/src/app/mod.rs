//! Wiring: every part and every channel of the agent begins here, and ends here in written order.

mod control;
mod health;
mod relay;
mod watchdog;

use std::{path::Path, sync::Arc};

use anyhow::Context;
use nightjar_shared::signal::Signal;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use self::{
    control::{Control, Switches, saved_configuration},
    health::HealthSources,
    relay::RelaySide,
};
use crate::{
    clock,
    config::Config,
    identity::Identity,
    media::Media,
    shutdown::{self, Ending, Shutdown, Signals, Stage, stop_in_order},
    store::{INDEX_FILE, Store},
    uplink::CommandRequest,
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
pub async fn run(config: Config, data_dir: &Path) -> anyhow::Result<Ending> {
    let shutdown = Shutdown::default();
    shutdown.end_on_panic();
    let guards = TaskTracker::new();
    let signals = Signals::new().context("cannot listen to signals")?;
    guards.spawn(signals.watch(shutdown.clone()));

    let stages = start(config, data_dir, &guards, &shutdown).await?;
    shutdown::notify_ready();
    let ending = shutdown.requested().await;
    shutdown::notify_stopping();
    stop_in_order(&stages).await;
    tracing::info!("stopped");
    Ok(ending)
}

/// Starts all parts. They stop in the order of the list that comes back: first nothing new
/// begins, then what is open is closed, and the relay hears the rest last.
async fn start(
    mut config: Config,
    data_dir: &Path,
    guards: &TaskTracker,
    shutdown: &Shutdown,
) -> anyhow::Result<Vec<Stage>> {
    let boot_id = clock::boot_id().context("cannot tell this boot from others")?;
    let store = Store::open(&data_dir.join(INDEX_FILE))?;
    let identity = Arc::new(Identity::open(data_dir)?);
    let configuration = saved_configuration(&store).await?;
    config.adopt(&configuration);
    let switches = Switches::saved(&store).await?;
    tracing::info!(
        name = %config.name,
        source = config.source.kind.as_str(),
        armed = switches.armed,
        privacy = switches.privacy,
        "starting"
    );

    let capture = Stage::new("capture");
    let media = Media::start(&config.source, &capture.tracker, capture.cancel.clone())?;
    media.set_privacy(switches.privacy);

    let (signals_in, signals_for_live) = mpsc::channel::<Signal>(SIGNALS_IN);
    let (signals_from_live, signals_out) = mpsc::channel::<(String, Signal)>(SIGNALS_OUT);
    let (commands_in, commands) = mpsc::channel::<CommandRequest>(COMMANDS);
    let (switches_in, switches_out) = watch::channel(switches);
    let (health_in, health) = watch::channel(None);

    let control = Stage::new("control");
    let controls = Control {
        store: store.clone(),
        media: media.clone(),
        config: config.clone(),
        configuration,
        switches: switches_in,
        shutdown: shutdown.clone(),
    };
    control.tracker.spawn(controls.run(commands, control.cancel.clone()));

    let observers = Stage::new("observers");
    let sources = HealthSources {
        boot_id,
        source: config.source.kind,
        data_dir: data_dir.to_owned(),
        store: store.clone(),
        capture: media.status(),
        switches: switches_out.clone(),
    };
    observers.tracker.spawn(sources.run(health_in, observers.cancel.clone()));
    observers.tracker.spawn(watchdog::run(media.clone(), switches_out, observers.cancel.clone()));

    let (uploads, uplink) = (Stage::new("uploads"), Stage::new("uplink"));
    let relay_side = RelaySide {
        data_dir: data_dir.to_owned(),
        store,
        identity,
        boot_id,
        commands: commands_in,
        signals_in,
        signals_out,
        health,
        uploads: uploads.clone(),
        uplink: uplink.clone(),
        guards: guards.clone(),
        shutdown: shutdown.clone(),
    };
    observers.tracker.spawn(relay_side.run(observers.cancel.clone()));
    for stage in [&control, &observers, &capture] {
        guards.spawn(stage.clone().guard(shutdown.clone()));
    }
    Ok(vec![control, observers, uploads, uplink, capture])
}

//! Carries out the relay's commands, keeps what they change, and applies it to all parts.

use std::{path::Path, sync::Arc};

use nightjar_core::{
    monotonic::MonotonicNanos,
    orientation::{Change, Orientation},
    schedule::{DailyHours, Week},
};
use nightjar_shared::{
    command::{Command, CommandReason},
    configuration::{Configuration, PrivacyMask},
    ids::ClipId,
};
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{
    identify,
    kept::{Kept, OwnersWill, Switches},
};
use crate::{
    clock::monotonic_now,
    config::{Config, UploadConfig},
    encode::Media,
    live::Live,
    motion::{Motion, Watched},
    night::NightStatus,
    record::{RecordError, Recorder},
    shutdown::{Ending, Shutdown},
    store::StoreError,
    uplink::{CommandRequest, Execution},
};

/// The parts that switches and settings reach.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) media: Media,
    pub(super) motion: Motion,
    pub(super) recorder: Recorder,
    pub(super) live: Live,
}

/// What the detectors go by.
pub(super) fn watched(config: &Config) -> Watched {
    Watched { motion: config.motion.clone(), tamper: config.tamper.clone() }
}

impl Parts {
    /// Switches all parts. The source comes first: in privacy mode nothing leaves it, whatever the
    /// others do.
    pub(super) fn switch(&self, switches: Switches) {
        self.media.set_privacy(switches.privacy);
        self.live.set_privacy(switches.privacy);
        self.motion.set_privacy(switches.privacy);
        self.motion.arm(switches.armed);
        self.recorder.set_privacy(switches.privacy);
    }

    fn configure(&self, config: &Config) {
        self.media.set_bitrate_kbps(config.source.bitrate_kbps);
        self.cover(&config.source.masks, Orientation::of(&config.source.image));
        self.media.set_image(config.source.image);
        self.motion.configure(&watched(config));
        self.live.set_max_viewers(config.live.max_viewers);
        self.live.set_max_bitrate_kbps(config.source.bitrate_kbps);
        self.recorder.configure(config.recording.clone());
    }
}

impl Parts {
    /// Sets the privacy masks. The detector learns of it first, so that it does not take a mask for
    /// something that moved; what was seen before is forgotten, as far as it lies in memory.
    fn cover(&self, masks: &[PrivacyMask], drawn: Orientation) {
        if self.media.masks() == masks {
            return;
        }
        self.motion.disturbed(monotonic_now());
        self.media.set_masks(masks, drawn);
        self.recorder.forget_preroll();
    }
}

/// The task that owns switches and settings.
pub(super) struct Controller {
    pub(super) kept: Kept,
    pub(super) parts: Parts,
    /// The configuration as it runs now.
    pub(super) config: Config,
    pub(super) configuration: Configuration,
    /// How the picture was shown to which the zones and masks in it belong.
    pub(super) drawn: Orientation,
    /// What the relay is told of the settings.
    pub(super) told: watch::Sender<Configuration>,
    pub(super) switches: watch::Sender<Switches>,
    /// What the uploads go by, from when they begin.
    pub(super) upload: watch::Sender<UploadConfig>,
    /// Tells the updates that a person wants one now.
    pub(super) update_asked: Arc<Notify>,
    pub(super) shutdown: Shutdown,
    pub(super) tracker: TaskTracker,
}

impl Controller {
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<CommandRequest>,
        cancel: CancellationToken,
    ) {
        let mut offered = self.parts.media.image_controls();
        offered.mark_changed();
        loop {
            let request = tokio::select! {
                () = cancel.cancelled() => return,
                Ok(()) = offered.changed() => {
                    offered.mark_unchanged();
                    self.tell();
                    continue;
                }
                request = commands.recv() => match request {
                    Some(request) => request,
                    None => return,
                },
            };
            let kind = request.command.kind();
            let span = request.span.clone();
            let execution = async {
                let execution = self.execute(request.command, &cancel).await;
                tracing::info!(kind, ?execution, "command carried out");
                execution
            };
            let execution = execution.instrument(span).await;
            // When the command has timed out meanwhile, nothing waits for the answer any more.
            drop(request.reply.send(execution));
        }
    }

    async fn execute(&mut self, command: Command, cancel: &CancellationToken) -> Execution {
        let switches = *self.switches.borrow();
        match command {
            Command::Snapshot => clip(self.parts.recorder.snapshot_clip().await),
            Command::RecordStart => clip(self.parts.recorder.start_manual().await),
            Command::RecordStop => clip(self.parts.recorder.stop_manual().await),
            Command::Arm => self.switch(Switches { armed: true, ..switches }).await,
            Command::Disarm => self.switch(Switches { armed: false, ..switches }).await,
            Command::PrivacyOn => self.switch(Switches { privacy: true, ..switches }).await,
            Command::PrivacyOff => self.switch(Switches { privacy: false, ..switches }).await,
            Command::Configure(changes) => self.configure(*changes).await,
            Command::Restart => {
                self.shutdown.request(Ending::Restart);
                Execution::Restarting
            }
            Command::Update => {
                self.update_asked.notify_one();
                Execution::Done(None)
            }
            Command::Identify => {
                identify::blink(Path::new(identify::LIGHTS), &self.tracker, cancel.clone())
            }
        }
    }

    /// Keeps the switches, then switches: what an owner switched off must stay off whatever happens
    /// next.
    async fn switch(&mut self, switches: Switches) -> Execution {
        let (configuration, drawn) = (self.configuration.clone(), self.drawn);
        if let Err(error) = self.kept.keep(OwnersWill { switches, configuration, drawn }).await {
            return not_kept(&error);
        }
        self.parts.switch(switches);
        self.switches.send_replace(switches);
        Execution::Done(None)
    }

    async fn configure(&mut self, changes: Configuration) -> Execution {
        for schedule in [&changes.schedule, &changes.recording_schedule] {
            if let Some(Err(unknown)) = schedule.as_ref().map(Week::new) {
                return Execution::rejected(CommandReason::InvalidArguments, unknown);
            }
        }
        if let Some(Err(unknown)) = changes.upload_quiet_hours.as_ref().map(DailyHours::new) {
            return Execution::rejected(CommandReason::InvalidArguments, unknown);
        }
        if let Some(image) = &changes.image
            && let Some(offered) = self.parts.media.image_controls().borrow().as_ref()
            && let Err(refusal) = image.check_against(offered)
        {
            return Execution::rejected(CommandReason::InvalidArguments, refusal);
        }
        let is_anew = changes.tamper_enabled.is_some()
            || changes.image.is_some_and(|image| image != self.config.source.image)
            || changes.privacy_masks.is_some();
        let (configuration, drawn) = self.changed_by(changes);
        let switches = *self.switches.borrow();
        let will = OwnersWill { switches, configuration: configuration.clone(), drawn };
        if let Err(error) = self.kept.keep(will).await {
            return not_kept(&error);
        }
        self.config.adopt(&configuration, drawn);
        (self.configuration, self.drawn) = (configuration, drawn);
        self.parts.configure(&self.config);
        if is_anew {
            self.parts.motion.learn_scene_anew();
        }
        self.upload.send_replace(self.config.upload.clone());
        self.tell();
        Execution::Done(None)
    }

    /// What is set after a change, and how the picture is shown to which its zones and masks belong then.
    /// Those in a change are of the picture as it is shown before it.
    fn changed_by(&self, changes: Configuration) -> (Configuration, Orientation) {
        let before = Orientation::of(&self.config.source.image);
        let to = changes.image.as_ref().map_or(before, Orientation::of);
        let kept = shown_anew(self.configuration.clone(), Change { from: self.drawn, to });
        let changes = shown_anew(changes, Change { from: before, to });
        (kept.changed_by(changes), to)
    }

    /// Tells the relay what the camera goes by, and what it offers.
    fn tell(&self) {
        let image_controls = self.parts.media.image_controls().borrow().clone();
        let configuration = Configuration { image_controls, ..self.config.configuration() };
        self.told.send_if_modified(|told| {
            let differs = *told != configuration;
            *told = configuration;
            differs
        });
    }
}

/// The same settings for a picture that is shown in another way.
fn shown_anew(configuration: Configuration, change: Change) -> Configuration {
    let masks = configuration.privacy_masks.as_deref().map(|masks| change.masks(masks));
    let zones = configuration.motion_zones.as_deref().map(|zones| change.zones(zones));
    Configuration { privacy_masks: masks, motion_zones: zones, ..configuration }
}

/// Tells the detector when the camera changes its own picture.
pub(super) async fn tell_disturbances(
    mut changes: watch::Receiver<Option<MonotonicNanos>>,
    motion: Motion,
    cancel: CancellationToken,
) {
    while let Some(Ok(())) = cancel.run_until_cancelled(changes.changed()).await {
        if let Some(at) = *changes.borrow_and_update() {
            motion.disturbed(at);
        }
    }
}

/// Tells the watch over the camera when its infrared filter or lamp was switched.
pub(super) async fn tell_of_infrared(
    mut status: watch::Receiver<NightStatus>,
    motion: Motion,
    cancel: CancellationToken,
) {
    let mut known = None;
    while let Some(Ok(())) = cancel.run_until_cancelled(status.changed()).await {
        let switched_at = status.borrow_and_update().switched_at;
        if let Some(at) = switched_at.filter(|_| switched_at != known) {
            motion.infrared_switched(at);
        }
        known = switched_at;
    }
}

/// Tells the watch over the camera while a code may be held before the lens.
pub(super) async fn tell_of_codes(
    mut looks: watch::Receiver<bool>,
    motion: Motion,
    cancel: CancellationToken,
) {
    motion.look_for_code(*looks.borrow_and_update());
    while let Some(Ok(())) = cancel.run_until_cancelled(looks.changed()).await {
        motion.look_for_code(*looks.borrow_and_update());
    }
}

fn not_kept(error: &StoreError) -> Execution {
    Execution::failed(CommandReason::NotKept, error)
}

fn reason_of(error: &RecordError) -> CommandReason {
    match error {
        RecordError::AlreadyRecording => CommandReason::AlreadyRecording,
        RecordError::NotRecording => CommandReason::NotRecording,
        RecordError::Private => CommandReason::PrivacyMode,
        RecordError::NoPicture => CommandReason::NoPicture,
        RecordError::Busy => CommandReason::Busy,
        RecordError::Failed(_) => CommandReason::Failed,
    }
}

fn clip(outcome: Result<ClipId, RecordError>) -> Execution {
    match outcome {
        Ok(clip_id) => Execution::Done(Some(json!({ "clip_id": clip_id }))),
        Err(RecordError::Failed(cause)) => Execution::failed(CommandReason::Failed, cause),
        Err(error) => Execution::rejected(reason_of(&error), &error),
    }
}

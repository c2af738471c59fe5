//! Carries out the relay's commands, keeps what they change, and applies it to all parts.

use std::path::Path;

use nightjar_core::{
    monotonic::MonotonicNanos,
    schedule::{DailyHours, Week},
};
use nightjar_shared::{
    command::{Command, CommandReason},
    configuration::{Configuration, PrivacyMask},
    ids::ClipId,
};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    identify,
    kept::{Kept, OwnersWill, Switches},
};
use crate::{
    clock::monotonic_now,
    config::{Config, UploadConfig},
    encode::Media,
    live::Live,
    motion::Motion,
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
        self.cover(&config.source.masks);
        self.motion.configure(&config.motion);
        self.live.set_max_viewers(config.live.max_viewers);
        self.live.set_max_bitrate_kbps(config.source.bitrate_kbps);
        self.recorder.configure(config.recording.clone());
    }
}

impl Parts {
    /// Sets the privacy masks. The detector learns of it first, so that it does not take a mask for
    /// something that moved; what was seen before is forgotten, as far as it lies in memory.
    fn cover(&self, masks: &[PrivacyMask]) {
        if self.media.masks() == masks {
            return;
        }
        self.motion.disturbed(monotonic_now());
        self.media.set_masks(masks);
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
    /// What the relay is told of the settings.
    pub(super) told: watch::Sender<Configuration>,
    pub(super) switches: watch::Sender<Switches>,
    /// What the uploads go by, from when they begin.
    pub(super) upload: watch::Sender<UploadConfig>,
    pub(super) shutdown: Shutdown,
    pub(super) tracker: TaskTracker,
}

impl Controller {
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<CommandRequest>,
        cancel: CancellationToken,
    ) {
        while let Some(Some(request)) = cancel.run_until_cancelled(commands.recv()).await {
            let kind = request.command.kind();
            let execution = self.execute(request.command, &cancel).await;
            tracing::info!(kind, ?execution, "command carried out");
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
            Command::Identify => {
                identify::blink(Path::new(identify::LIGHTS), &self.tracker, cancel.clone())
            }
        }
    }

    /// Keeps the switches, then switches: what an owner switched off must stay off whatever happens
    /// next.
    async fn switch(&mut self, switches: Switches) -> Execution {
        let configuration = self.configuration.clone();
        if let Err(error) = self.kept.keep(OwnersWill { switches, configuration }).await {
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
        let configuration = self.configuration.clone().changed_by(changes);
        let will =
            OwnersWill { switches: *self.switches.borrow(), configuration: configuration.clone() };
        if let Err(error) = self.kept.keep(will).await {
            return not_kept(&error);
        }
        self.config.adopt(&configuration);
        self.configuration = configuration;
        self.parts.configure(&self.config);
        self.upload.send_replace(self.config.upload.clone());
        self.told.send_replace(self.config.configuration());
        Execution::Done(None)
    }
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

//! Carries out the relay's commands, keeps what they change, and applies it to all parts.

use nightjar_shared::command::{Command, Configuration};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    media::Media,
    shutdown::{Ending, Shutdown},
    store::{Store, StoreError},
    uplink::{CommandRequest, Execution},
};

/// Names of the settings in the index.
const SWITCHES: &str = "switches";
const CONFIGURATION: &str = "configuration";

/// What an owner switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Switches {
    /// Motion opens events.
    pub(super) armed: bool,
    /// No live, no recording, no motion.
    pub(super) privacy: bool,
}

impl Switches {
    /// As they were last switched; at first armed, without privacy.
    pub(super) async fn saved(store: &Store) -> Result<Self, StoreError> {
        let saved = store.setting(SWITCHES).await?;
        Ok(saved.unwrap_or(Self { armed: true, privacy: false }))
    }
}

/// The settings that `configure` has made so far; they come before those of agent.toml.
pub(super) async fn saved_configuration(store: &Store) -> Result<Configuration, StoreError> {
    Ok(store.setting(CONFIGURATION).await?.unwrap_or_default())
}

/// The handles that commands act on.
pub(super) struct Control {
    pub(super) store: Store,
    pub(super) media: Media,
    /// As running now.
    pub(super) config: Config,
    pub(super) configuration: Configuration,
    pub(super) switches: watch::Sender<Switches>,
    pub(super) shutdown: Shutdown,
}

impl Control {
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<CommandRequest>,
        cancel: CancellationToken,
    ) {
        while let Some(Some(request)) = cancel.run_until_cancelled(commands.recv()).await {
            let kind = request.command.kind();
            let execution = self.execute(request.command).await;
            tracing::info!(kind, ?execution, "command carried out");
            // Nobody waits any more when the command has timed out meanwhile.
            drop(request.reply.send(execution));
        }
    }

    async fn execute(&mut self, command: Command) -> Execution {
        let switches = *self.switches.borrow();
        match command {
            Command::Arm => self.switch(Switches { armed: true, ..switches }).await,
            Command::Disarm => self.switch(Switches { armed: false, ..switches }).await,
            Command::PrivacyOn => self.switch(Switches { privacy: true, ..switches }).await,
            Command::PrivacyOff => self.switch(Switches { privacy: false, ..switches }).await,
            Command::Configure(changes) => self.configure(*changes).await,
            Command::Restart => {
                self.shutdown.request(Ending::Restart);
                Execution::Restarting
            }
            Command::Snapshot | Command::RecordStart | Command::RecordStop | Command::Identify => {
                Execution::Rejected("not_available".to_owned())
            }
        }
    }

    /// Kept first: what an owner switched off must stay off whatever happens next.
    async fn switch(&mut self, switches: Switches) -> Execution {
        if let Err(error) = self.store.set_setting(SWITCHES, &switches).await {
            return Execution::Failed(format!("not_kept: {error}"));
        }
        self.media.set_privacy(switches.privacy);
        self.switches.send_replace(switches);
        Execution::Done(None)
    }

    async fn configure(&mut self, changes: Configuration) -> Execution {
        let configuration = self.configuration.clone().changed_by(changes);
        if let Err(error) = self.store.set_setting(CONFIGURATION, &configuration).await {
            return Execution::Failed(format!("not_kept: {error}"));
        }
        self.config.adopt(&configuration);
        self.configuration = configuration;
        self.media.set_bitrate_kbps(self.config.source.bitrate_kbps);
        Execution::Done(None)
    }
}

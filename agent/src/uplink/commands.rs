//! Runs what the relay asks for: at most once, in order, and never after its time.

use std::time::Duration;

use bytes::Bytes;
use nightjar_shared::{
    PROTOCOL_VERSION,
    command::{Command, CommandAck, CommandMessage, InvalidCommand, Outcome},
    ids::CommandId,
};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{unix_now, uptime_ms},
    store::{Begin, Store, StoreError},
};

/// The longest that a command may take; none needs more than a picture or the end of a clip.
const LONGEST_EXECUTION: Duration = Duration::from_secs(30);

/// A command as it came from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArrivedCommand {
    pub(super) payload: Bytes,
    /// Milliseconds since boot.
    pub(super) arrived_at_ms: u64,
    /// What is left of the message's life, as the broker counts it.
    pub(super) message_expiry: Option<Duration>,
}

impl ArrivedCommand {
    /// Milliseconds since boot after which the command must not run. The camera's wall clock has
    /// no say in it.
    fn deadline_ms(&self, message: &CommandMessage) -> u64 {
        let left_ms = self
            .message_expiry
            .map_or(u64::MAX, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        self.arrived_at_ms.saturating_add(message.expires_in_ms.min(left_ms))
    }
}

/// A command to carry out.
#[derive(Debug)]
pub struct CommandRequest {
    pub command: Command,
    pub reply: oneshot::Sender<Execution>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Execution {
    /// Carried out; the value is the acknowledgement's `result`.
    Done(Option<Value>),
    /// Not carried out, for this reason.
    Rejected(String),
    /// Begun, and gone wrong.
    Failed(String),
    /// The agent restarts: its next run acknowledges the command.
    Restarting,
}

/// Takes commands one at a time.
pub(super) struct Runner {
    store: Store,
    target: mpsc::Sender<CommandRequest>,
}

impl Runner {
    pub(super) fn new(store: Store, target: mpsc::Sender<CommandRequest>) -> Self {
        Self { store, target }
    }

    pub(super) async fn run(
        self,
        mut arrivals: mpsc::Receiver<ArrivedCommand>,
        cancel: CancellationToken,
    ) {
        if let Err(error) = self.settle_interrupted().await {
            tracing::error!(%error, "interrupted commands were not settled");
        }
        let commands = async {
            while let Some(arrived) = arrivals.recv().await {
                if let Err(error) = self.take(&arrived).await {
                    // Not written down means not run; the relay lets it expire.
                    tracing::error!(%error, "a command was left alone");
                }
            }
        };
        cancel.run_until_cancelled(commands).await;
    }

    /// A command that was running when the agent stopped has failed, but for the one that asked
    /// for that.
    async fn settle_interrupted(&self) -> Result<(), StoreError> {
        for command in self.store.interrupted_commands().await? {
            let execution = if command.kind == Command::Restart.kind() {
                Execution::Done(None)
            } else {
                interrupted()
            };
            self.finish(command.command_id, execution).await?;
        }
        Ok(())
    }

    async fn take(&self, arrived: &ArrivedCommand) -> Result<(), StoreError> {
        let message: CommandMessage = match serde_json::from_slice(&arrived.payload) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, "a command could not be read");
                return Ok(());
            }
        };
        let command_id = message.command_id;
        if uptime_ms() > arrived.deadline_ms(&message) {
            tracing::info!(%command_id, "a command came to its turn too late and is dropped");
            return Ok(());
        }
        match self.store.begin_command(command_id, &message.kind, unix_now()).await? {
            Begin::New => {
                let execution = match parse(&message) {
                    Ok(command) => self.execute(command).await,
                    Err(error) => Execution::Rejected(error.to_string()),
                };
                self.finish(command_id, execution).await
            }
            Begin::Running => Ok(()),
            // The relay asks again: the first acknowledgement got lost.
            Begin::Done(ack) => self.store.finish_command(&ack, unix_now()).await,
            Begin::Interrupted => self.finish(command_id, interrupted()).await,
        }
    }

    async fn execute(&self, command: Command) -> Execution {
        let (reply, outcome) = oneshot::channel();
        let kind = command.kind();
        let execution = async {
            self.target.send(CommandRequest { command, reply }).await.ok()?;
            outcome.await.ok()
        };
        match timeout(LONGEST_EXECUTION, execution).await {
            Ok(Some(execution)) => execution,
            Ok(None) => Execution::Failed("shutting_down: the agent is stopping".to_owned()),
            Err(_) => Execution::Failed(format!(
                "timed_out: `{kind}` was not done within {} s",
                LONGEST_EXECUTION.as_secs()
            )),
        }
    }

    async fn finish(&self, command_id: CommandId, execution: Execution) -> Result<(), StoreError> {
        let (outcome, reason, result) = match execution {
            Execution::Done(result) => (Outcome::Acked, None, result),
            Execution::Rejected(reason) => (Outcome::Rejected, Some(reason), None),
            Execution::Failed(reason) => (Outcome::Failed, Some(reason), None),
            Execution::Restarting => return Ok(()),
        };
        let ack = CommandAck { protocol: PROTOCOL_VERSION, command_id, outcome, reason, result };
        self.store.finish_command(&ack, unix_now()).await
    }
}

fn interrupted() -> Execution {
    Execution::Failed("interrupted: the agent restarted while it ran".to_owned())
}

fn parse(message: &CommandMessage) -> Result<Command, InvalidCommand> {
    if message.protocol > PROTOCOL_VERSION {
        return Err(InvalidCommand::UnsupportedProtocol {
            given: message.protocol,
            supported: PROTOCOL_VERSION,
        });
    }
    Command::parse(&message.kind, &message.arguments)
}

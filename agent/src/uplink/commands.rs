//! Runs what the relay asks for: at most once, in order, and never after its time.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use nightjar_shared::{
    PROTOCOL_VERSION,
    command::{Command, CommandAck, CommandMessage, CommandReason, InvalidCommand, Outcome},
    ids::CommandId,
    request_id::RequestId,
};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::{
    clock::Clock,
    store::{CommandHistory, Store, StoreError},
};

/// How long a command may take; none needs more than a picture or the end of a clip.
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
    /// Returns the milliseconds since boot after which the command must not run. The camera's wall
    /// clock has no say in it.
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
    /// Names the request that it came by, in what is logged of it.
    pub span: Span,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Execution {
    /// Carried out; the value is the acknowledgement's `result`.
    Done(Option<Value>),
    /// Not carried out. The text begins with a [`CommandReason`].
    Rejected(String),
    /// Begun, and gone wrong. The text begins with a [`CommandReason`].
    Failed(String),
    /// The agent restarts: its next run acknowledges the command.
    Restarting,
}

impl Execution {
    /// Makes a rejection; `detail` is for people.
    pub fn rejected(reason: CommandReason, detail: impl Display) -> Self {
        Self::Rejected(format!("{reason}: {detail}"))
    }

    /// Makes a failure; `detail` is for people.
    pub fn failed(reason: CommandReason, detail: impl Display) -> Self {
        Self::Failed(format!("{reason}: {detail}"))
    }
}

/// Takes commands one at a time.
pub(super) struct Runner {
    store: Store,
    target: mpsc::Sender<CommandRequest>,
    clock: Clock,
}

impl Runner {
    pub(super) fn new(store: Store, target: mpsc::Sender<CommandRequest>, clock: Clock) -> Self {
        Self { store, target, clock }
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

    /// Ends the commands that were running when the agent stopped: they have failed, except the one
    /// that asked for that.
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
        let request_id = message.request_id.as_ref().map(RequestId::as_str);
        let span = tracing::info_span!("command", command_id = %message.command_id, request_id);
        self.take_message(arrived, message).instrument(span).await
    }

    async fn take_message(
        &self,
        arrived: &ArrivedCommand,
        message: CommandMessage,
    ) -> Result<(), StoreError> {
        let command_id = message.command_id;
        if self.clock.uptime_ms() > arrived.deadline_ms(&message) {
            tracing::info!("a command came to its turn too late and is dropped");
            return Ok(());
        }
        match self.store.begin_command(command_id, &message.kind, self.clock.unix()).await? {
            CommandHistory::New => {
                let execution = match parse(&message) {
                    Ok(command) => self.execute(command).await,
                    Err(error) => Execution::Rejected(error.to_string()),
                };
                self.finish(command_id, execution).await
            }
            CommandHistory::Running => Ok(()),
            // The relay asks again: the first acknowledgement got lost.
            CommandHistory::Done(ack) => self.store.finish_command(&ack, self.clock.unix()).await,
            CommandHistory::Interrupted => self.finish(command_id, interrupted()).await,
        }
    }

    async fn execute(&self, command: Command) -> Execution {
        let (reply, outcome) = oneshot::channel();
        let kind = command.kind();
        let execution = async {
            let request = CommandRequest { command, reply, span: Span::current() };
            self.target.send(request).await.ok()?;
            outcome.await.ok()
        };
        match timeout(LONGEST_EXECUTION, execution).await {
            Ok(Some(execution)) => execution,
            Ok(None) => Execution::failed(CommandReason::ShuttingDown, "the agent is stopping"),
            Err(_) => Execution::failed(
                CommandReason::TimedOut,
                format_args!("`{kind}` was not done within {} s", LONGEST_EXECUTION.as_secs()),
            ),
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
        self.store.finish_command(&ack, self.clock.unix()).await
    }
}

fn interrupted() -> Execution {
    Execution::failed(CommandReason::Interrupted, "the agent restarted while it ran")
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

#[cfg(test)]
mod tests {
    use nightjar_shared::time::UnixMillis;
    use serde_json::json;
    use tempfile::TempDir;
    use tokio_util::task::TaskTracker;

    use super::*;

    /// One run of the agent as far as commands go: a runner on a real index, and the other end of
    /// its channel.
    struct Run {
        store: Store,
        arrivals: mpsc::Sender<ArrivedCommand>,
        requests: mpsc::Receiver<CommandRequest>,
        cancel: CancellationToken,
        tracker: TaskTracker,
    }

    impl Run {
        fn start(directory: &TempDir) -> Self {
            let store = Store::open(&directory.path().join("agent.db")).unwrap();
            let (target, requests) = mpsc::channel(1);
            let (arrivals, arrived) = mpsc::channel(8);
            let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
            tracker.spawn(
                Runner::new(store.clone(), target, Clock::default()).run(arrived, cancel.clone()),
            );
            Self { store, arrivals, requests, cancel, tracker }
        }

        /// As after a power cut: nothing is finished.
        async fn crash(self) {
            self.cancel.cancel();
            self.tracker.close();
            self.tracker.wait().await;
        }

        async fn deliver(&self, message: &CommandMessage) {
            self.arrivals.send(arrived(message)).await.unwrap();
        }

        async fn carry_out(&mut self, execution: Execution) -> Command {
            let request = self.requests.recv().await.unwrap();
            request.reply.send(execution).unwrap();
            request.command
        }

        /// The acknowledgements in the outbox, once there are `count`.
        async fn acks(&self, count: usize) -> Vec<CommandAck> {
            let wake = self.store.outbox_wake();
            let enough = async {
                loop {
                    let messages = self.store.next_messages(&[], 100).await.unwrap();
                    if messages.len() >= count {
                        return messages;
                    }
                    wake.notified().await;
                }
            };
            let messages = timeout(Duration::from_secs(10), enough).await.expect("no ack came");
            messages.iter().map(|it| serde_json::from_str(&it.payload).unwrap()).collect()
        }
    }

    fn message(kind: &str) -> CommandMessage {
        CommandMessage {
            protocol: PROTOCOL_VERSION,
            command_id: CommandId::generate(),
            kind: kind.to_owned(),
            arguments: json!({}),
            expires_in_ms: 15_000,
            issued_at: UnixMillis(0),
            request_id: None,
        }
    }

    fn arrived(message: &CommandMessage) -> ArrivedCommand {
        ArrivedCommand {
            payload: serde_json::to_vec(message).unwrap().into(),
            arrived_at_ms: Clock::default().uptime_ms(),
            message_expiry: None,
        }
    }

    #[tokio::test]
    async fn a_command_delivered_twice_runs_once_and_is_acknowledged_twice() {
        let directory = tempfile::tempdir().unwrap();
        let mut run = Run::start(&directory);
        let arm = message("arm");
        run.deliver(&arm).await;
        assert_eq!(run.carry_out(Execution::Done(Some(json!(1)))).await, Command::Arm);
        run.deliver(&arm).await;
        // A third one shows that the second delivery did not run: they go one after the other.
        run.deliver(&message("disarm")).await;
        assert_eq!(run.carry_out(Execution::Done(None)).await, Command::Disarm);
        let acks = run.acks(3).await;
        assert_eq!(acks[0], acks[1]);
        assert_eq!((acks[0].command_id, acks[0].result.clone()), (arm.command_id, Some(json!(1))));
    }

    #[tokio::test]
    async fn a_command_that_a_crash_interrupts_ends_as_failed_and_never_runs_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = Run::start(&directory);
        let snapshot = message("snapshot");
        first.deliver(&snapshot).await;
        let request = first.requests.recv().await.unwrap();
        first.crash().await;
        drop(request);

        let mut second = Run::start(&directory);
        let acks = second.acks(1).await;
        assert_eq!((acks[0].command_id, acks[0].outcome), (snapshot.command_id, Outcome::Failed));
        assert!(acks[0].reason.as_deref().unwrap().starts_with("interrupted"), "{acks:?}");
        second.deliver(&snapshot).await;
        second.deliver(&message("disarm")).await;
        assert_eq!(second.carry_out(Execution::Done(None)).await, Command::Disarm);
    }

    #[tokio::test]
    async fn a_restart_is_acknowledged_by_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = Run::start(&directory);
        let restart = message("restart");
        first.deliver(&restart).await;
        assert_eq!(first.carry_out(Execution::Restarting).await, Command::Restart);
        first.crash().await;

        let second = Run::start(&directory);
        let acks = second.acks(1).await;
        assert_eq!((acks[0].command_id, acks[0].outcome), (restart.command_id, Outcome::Acked));
    }

    #[tokio::test]
    async fn what_the_camera_does_not_know_is_rejected_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let run = Run::start(&directory);
        run.deliver(&message("self_destruct")).await;
        run.deliver(&CommandMessage { protocol: 9, ..message("arm") }).await;
        run.deliver(&CommandMessage {
            arguments: json!({"max_clip_s": 1}),
            ..message("configure")
        })
        .await;
        let acks = run.acks(3).await;
        for (ack, name) in
            acks.iter().zip(["unknown_kind", "unsupported_protocol", "invalid_arguments"])
        {
            assert_eq!(ack.outcome, Outcome::Rejected);
            assert!(ack.reason.as_deref().unwrap().starts_with(name), "{ack:?}");
        }
        assert!(acks[0].reason.as_deref().unwrap().contains("self_destruct"), "{acks:?}");
    }

    #[tokio::test]
    async fn an_expired_command_and_garbage_leave_no_trace() {
        let directory = tempfile::tempdir().unwrap();
        let mut run = Run::start(&directory);
        let late = message("arm");
        let by_its_own_word = ArrivedCommand { arrived_at_ms: 0, ..arrived(&late) };
        let by_the_broker = ArrivedCommand {
            arrived_at_ms: Clock::default().uptime_ms().saturating_sub(10),
            message_expiry: Some(Duration::ZERO),
            ..arrived(&late)
        };
        let garbage = ArrivedCommand { payload: Bytes::from_static(b"{"), ..arrived(&late) };
        for command in [by_its_own_word, by_the_broker, garbage] {
            run.arrivals.send(command).await.unwrap();
        }
        run.deliver(&message("disarm")).await;
        assert_eq!(run.carry_out(Execution::Done(None)).await, Command::Disarm);
        assert_eq!(run.acks(1).await.len(), 1);
    }
}

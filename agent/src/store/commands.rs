//! The commands that were seen: each runs at most once, whatever MQTT delivers twice.

use nightjar_shared::{command::CommandAck, ids::CommandId, time::UnixMillis};
use rusqlite::{OptionalExtension, params};

use super::{Result, Store, outbox, row::parsed};

/// How many finished commands are remembered. A command lives for a minute at most, so an older
/// one cannot come back.
const REMEMBERED_COMMANDS: i64 = 10_000;

/// What the index knows of a command that arrived.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandHistory {
    /// Never seen. It is written down now: run it.
    New,
    /// This process is running it: let it.
    Running,
    /// It has finished: send this again.
    Done(CommandAck),
    /// It was begun before the agent restarted and never finished.
    Interrupted,
}

/// A command that was begun and not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedCommand {
    pub command_id: CommandId,
    /// As spelled on the wire.
    pub kind: String,
}

impl Store {
    /// Writes a command down before it runs, and says what is known of it. `now` is the wall clock.
    pub async fn begin_command(
        &self,
        command_id: CommandId,
        kind: &str,
        now: UnixMillis,
    ) -> Result<CommandHistory> {
        let (run, kind) = (self.inner.run, kind.to_owned());
        self.write(move |transaction| {
            let seen: Option<(i64, Option<String>)> = transaction
                .query_row(
                    "select run, ack from commands where command_id = ?1",
                    [command_id.to_string()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            Ok(match seen {
                Some((_, Some(ack))) => CommandHistory::Done(serde_json::from_str(&ack)?),
                Some((begun_in, None)) if begun_in == run => CommandHistory::Running,
                Some((_, None)) => CommandHistory::Interrupted,
                None => {
                    transaction.execute(
                        "insert into commands (command_id, kind, run, begun_at)
                         values (?1, ?2, ?3, ?4)",
                        params![command_id.to_string(), kind, run, now.0],
                    )?;
                    CommandHistory::New
                }
            })
        })
        .await
    }

    /// Ends a command and puts its acknowledgement into the outbox, in one transaction.
    pub async fn finish_command(&self, ack: &CommandAck, now: UnixMillis) -> Result<()> {
        let command_id = ack.command_id.to_string();
        let payload = serde_json::to_string(ack)?;
        self.write(move |transaction| {
            transaction.execute(
                "update commands set ack = ?2 where command_id = ?1",
                params![command_id, payload],
            )?;
            transaction.execute(
                "delete from commands where ack is not null and position <=
                     (select max(position) from commands) - ?1",
                [REMEMBERED_COMMANDS],
            )?;
            outbox::enqueue_ack(transaction, &payload, now)
        })
        .await?;
        self.inner.outbox_wake.notify_one();
        Ok(())
    }

    /// Lists the commands that an earlier run of the agent began and did not finish, oldest first.
    pub async fn interrupted_commands(&self) -> Result<Vec<UnfinishedCommand>> {
        let run = self.inner.run;
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "select command_id, kind from commands
                 where ack is null and run <> ?1 order by position",
            )?;
            let rows = statement.query_map([run], |row| {
                Ok(UnfinishedCommand {
                    command_id: parsed(row, "command_id")?,
                    kind: row.get("kind")?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

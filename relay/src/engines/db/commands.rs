//! Commands and how far they got.

use nightjar_shared::{
    command::CommandState,
    ids::{AccountId, CameraId, CommandId},
    time::UnixMillis,
};
use serde_json::Value as Json;

use super::{
    DbError, Executor, Page, Value, columns, from_row,
    members::members_at_camera,
    newest_first,
    sites::{Membership, membership},
};

#[derive(Debug, Clone)]
pub struct CommandRow {
    pub command_id: CommandId,
    pub camera_id: CameraId,
    /// Absent for commands from before this was written down.
    pub issued_by: Option<AccountId>,
    /// Absent when the account is gone.
    pub issuer_name: Option<String>,
    pub kind: String,
    pub arguments: Json,
    pub state: CommandState,
    pub reason: Option<String>,
    pub result: Option<Json>,
    pub issued_at: UnixMillis,
    pub expires_at: UnixMillis,
    pub updated_at: UnixMillis,
    /// Of the request that brought it, for logs.
    pub request_id: Option<String>,
    /// By which its trace goes on.
    pub traceparent: Option<String>,
}

macro_rules! command_columns {
    () => {
        command_columns!("", "commands.")
    };
    ($table:literal) => {
        command_columns!($table, $table)
    };
    ($table:literal, $in_query:literal) => {
        concat!(
            columns!(
                $table:
                command_id, camera_id, issued_by, kind, arguments, state, reason, result, issued_at,
                expires_at, updated_at, request_id, traceparent
            ),
            ", (select name from accounts where accounts.account_id = ",
            $in_query,
            "issued_by) as issuer_name"
        )
    };
}

from_row!(CommandRow {
    command_id,
    camera_id,
    issued_by,
    issuer_name,
    kind,
    arguments,
    state,
    reason,
    result,
    issued_at,
    expires_at,
    updated_at,
    request_id,
    traceparent
});

/// Inserts a command; of one that a program issued, with the name of its key.
pub async fn insert(
    db: &impl Executor,
    command: &CommandRow,
    key_name: Option<String>,
) -> Result<(), DbError> {
    db.execute(
        "insert into commands (command_id, camera_id, kind, arguments, state, issued_at,
             expires_at, updated_at, issued_by, request_id, traceparent, key_name)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        vec![
            command.command_id.into(),
            command.camera_id.into(),
            command.kind.as_str().into(),
            Value::json(&command.arguments)?,
            command.state.into(),
            command.issued_at.into(),
            command.expires_at.into(),
            command.updated_at.into(),
            command.issued_by.into(),
            command.request_id.as_deref().into(),
            command.traceparent.as_deref().into(),
            key_name.into(),
        ],
    )
    .await
    .map(drop)
}

/// Finds the command and the account's role at its site, if it has one.
pub async fn for_member(
    db: &impl Executor,
    command_id: CommandId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Option<(CommandRow, Membership)>, DbError> {
    db.one(
        concat!(
            "select ",
            command_columns!("k."),
            ", ",
            membership!(),
            "
             from commands k
                 join cameras c on c.camera_id = k.camera_id
                 join ",
            members_at_camera!("c.site_id", "c.camera_id", "$3"),
            " where k.command_id = $1 and m.account_id = $2"
        ),
        vec![command_id.into(), account_id.into(), now.into()],
    )
    .await
}

/// Lists the commands of a camera.
pub async fn list(
    db: &impl Executor,
    page: &Page,
    camera_id: CameraId,
) -> Result<Vec<CommandRow>, DbError> {
    page.read(
        db,
        ("issued_at", "command_id"),
        concat!(
            "select ",
            command_columns!(),
            " from commands where camera_id = $4",
            newest_first!("issued_at", "command_id")
        ),
        [camera_id.into()],
    )
    .await
}

/// Lists what a camera may still run, oldest first: also what was sent and not answered, because
/// the camera may have missed it. It knows repeats by their id.
pub async fn unanswered(
    db: &impl Executor,
    camera_id: CameraId,
    now: UnixMillis,
) -> Result<Vec<CommandRow>, DbError> {
    db.all(
        concat!(
            "select ",
            command_columns!(),
            " from commands
             where camera_id = $1 and state in ('queued', 'sent') and expires_at > $2
             order by issued_at, command_id"
        ),
        vec![camera_id.into(), now.into()],
    )
    .await
}

pub async fn count_unanswered(db: &impl Executor, camera_id: CameraId) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from commands
             where camera_id = $1 and state in ('queued', 'sent')",
            vec![camera_id.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Gives the command as it is now, if it was queued until now.
pub async fn mark_sent(
    db: &impl Executor,
    command_id: CommandId,
    now: UnixMillis,
) -> Result<Option<CommandRow>, DbError> {
    db.one(
        concat!(
            "update commands set state = 'sent', updated_at = $2
             where command_id = $1 and state = 'queued'
             returning ",
            command_columns!()
        ),
        vec![command_id.into(), now.into()],
    )
    .await
}

pub struct Answer {
    pub command_id: CommandId,
    /// Who answers: a camera ends its own commands only.
    pub camera_id: CameraId,
    pub state: CommandState,
    pub reason: Option<String>,
    pub result: Option<Json>,
}

/// Gives the command as it is now, unless its camera has answered before: what it said stays. That a
/// command expired is a guess of the relay's, and gives way to an answer that comes late.
pub async fn finish(
    db: &impl Executor,
    answer: Answer,
    now: UnixMillis,
) -> Result<Option<CommandRow>, DbError> {
    let result = answer.result.as_ref().map(Value::json).transpose()?;
    db.one(
        concat!(
            "update commands set state = $3, reason = $4, result = $5, updated_at = $6
             where command_id = $1 and camera_id = $2
                 and state in ('queued', 'sent', 'expired')
             returning ",
            command_columns!()
        ),
        vec![
            answer.command_id.into(),
            answer.camera_id.into(),
            answer.state.into(),
            answer.reason.into(),
            result.unwrap_or(Value::Null),
            now.into(),
        ],
    )
    .await
}

/// Forgets commands that ended before `before`.
pub async fn delete_ended(db: &impl Executor, before: UnixMillis) -> Result<u64, DbError> {
    db.execute(
        "delete from commands where state not in ('queued', 'sent') and updated_at <= $1",
        vec![before.into()],
    )
    .await
}

/// Ends what nobody answered: queued commands past their expiry, and sent ones whose expiry was
/// before `sent_before`, since a camera may have begun one at the last moment; and those that were issued after
/// `far`, by a clock that was ahead.
pub async fn expire(
    db: &impl Executor,
    now: UnixMillis,
    sent_before: UnixMillis,
    far: UnixMillis,
) -> Result<Vec<CommandRow>, DbError> {
    db.all(
        concat!(
            "update commands set state = 'expired', updated_at = $1
             where (state = 'queued' and expires_at <= $1)
                 or (state = 'sent' and expires_at <= $2)
                 or (state in ('queued', 'sent') and issued_at > $3)
             returning ",
            command_columns!()
        ),
        vec![now.into(), sent_before.into(), far.into()],
    )
    .await
}

/// Lists who told a camera lately to begin something, and what it answered, newest first.
pub async fn answered_lately(
    db: &impl Executor,
    camera_id: CameraId,
    kind: &'static str,
    limit: u32,
) -> Result<Vec<CommandRow>, DbError> {
    db.all(
        concat!(
            "select ",
            command_columns!(),
            " from commands
             where camera_id = $1 and kind = $2 and state = 'acked' and result is not null
             order by issued_at desc limit $3"
        ),
        vec![camera_id.into(), kind.into(), limit.into()],
    )
    .await
}

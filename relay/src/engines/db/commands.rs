//! Commands and how far they got.

use nightjar_shared::{
    command::CommandState,
    ids::{AccountId, CameraId, CommandId},
    time::UnixMillis,
};
use serde_json::Value as Json;

use super::{DbError, Executor, Row, Value};

#[derive(Debug, Clone)]
pub struct CommandRow {
    pub command_id: CommandId,
    pub camera_id: CameraId,
    pub kind: String,
    pub arguments: Json,
    pub state: CommandState,
    pub reason: Option<String>,
    pub result: Option<Json>,
    pub issued_at: UnixMillis,
    pub expires_at: UnixMillis,
    pub updated_at: UnixMillis,
}

impl CommandRow {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            command_id: row.parse(0)?,
            camera_id: row.parse(1)?,
            kind: row.text(2)?.to_owned(),
            arguments: row.json(3)?,
            state: row.word(4)?,
            reason: row.text_or_null(5)?.map(str::to_owned),
            result: row.json_or_null(6)?,
            issued_at: row.time(7)?,
            expires_at: row.time(8)?,
            updated_at: row.time(9)?,
        })
    }
}

pub async fn insert(db: &impl Executor, command: &CommandRow) -> Result<(), DbError> {
    db.execute(
        "insert into commands (command_id, camera_id, kind, arguments, state, issued_at,
             expires_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        vec![
            command.command_id.into(),
            command.camera_id.into(),
            command.kind.as_str().into(),
            Value::json(&command.arguments)?,
            command.state.as_str().into(),
            command.issued_at.into(),
            command.expires_at.into(),
            command.updated_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// The command and the account's role at its site, if it has one.
pub async fn for_member(
    db: &impl Executor,
    command_id: CommandId,
    account_id: AccountId,
) -> Result<Option<(CommandRow, String)>, DbError> {
    let row = db
        .query_one(
            "select k.command_id, k.camera_id, k.kind, k.arguments, k.state, k.reason, k.result,
                 k.issued_at, k.expires_at, k.updated_at, m.role
             from commands k
                 join cameras c on c.camera_id = k.camera_id
                 join members m on m.site_id = c.site_id
             where k.command_id = $1 and m.account_id = $2",
            vec![command_id.into(), account_id.into()],
        )
        .await?;
    row.map(|row| Ok((CommandRow::read(&row)?, row.text(10)?.to_owned()))).transpose()
}

/// Newest first, below (`before_at`, `before_id`).
pub async fn list(
    db: &impl Executor,
    camera_id: CameraId,
    before_at: UnixMillis,
    before_id: &str,
    limit: u32,
) -> Result<Vec<CommandRow>, DbError> {
    let rows = db
        .query(
            "select command_id, camera_id, kind, arguments, state, reason, result, issued_at,
                 expires_at, updated_at
             from commands
             where camera_id = $1
                 and (issued_at < $2 or (issued_at = $2 and command_id < $3))
             order by issued_at desc, command_id desc limit $4",
            vec![camera_id.into(), before_at.into(), before_id.into(), limit.into()],
        )
        .await?;
    rows.iter().map(CommandRow::read).collect()
}

/// What a camera still may run, oldest first: also what was sent and not answered, since the
/// camera may have missed it. It tells repeats by their id.
pub async fn unanswered(
    db: &impl Executor,
    camera_id: CameraId,
    now: UnixMillis,
) -> Result<Vec<CommandRow>, DbError> {
    let rows = db
        .query(
            "select command_id, camera_id, kind, arguments, state, reason, result, issued_at,
                 expires_at, updated_at
             from commands
             where camera_id = $1 and state in ('queued', 'sent') and expires_at > $2
             order by issued_at, command_id",
            vec![camera_id.into(), now.into()],
        )
        .await?;
    rows.iter().map(CommandRow::read).collect()
}

pub async fn count_unanswered(db: &impl Executor, camera_id: CameraId) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) from commands
             where camera_id = $1 and state in ('queued', 'sent')",
            vec![camera_id.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.unsigned(0))
}

/// Gives the command as it is now, if it was queued until now.
pub async fn mark_sent(
    db: &impl Executor,
    command_id: CommandId,
    now: UnixMillis,
) -> Result<Option<CommandRow>, DbError> {
    let row = db
        .query_one(
            "update commands set state = 'sent', updated_at = $2
             where command_id = $1 and state = 'queued'
             returning command_id, camera_id, kind, arguments, state, reason, result, issued_at,
                 expires_at, updated_at",
            vec![command_id.into(), now.into()],
        )
        .await?;
    row.as_ref().map(CommandRow::read).transpose()
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
    let row = db
        .query_one(
            "update commands set state = $3, reason = $4, result = $5, updated_at = $6
             where command_id = $1 and camera_id = $2
                 and state in ('queued', 'sent', 'expired')
             returning command_id, camera_id, kind, arguments, state, reason, result, issued_at,
                 expires_at, updated_at",
            vec![
                answer.command_id.into(),
                answer.camera_id.into(),
                answer.state.as_str().into(),
                answer.reason.into(),
                result.unwrap_or(Value::Null),
                now.into(),
            ],
        )
        .await?;
    row.as_ref().map(CommandRow::read).transpose()
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
/// before `sent_before`, since a camera may have begun one at the last moment.
pub async fn expire(
    db: &impl Executor,
    now: UnixMillis,
    sent_before: UnixMillis,
) -> Result<Vec<CommandRow>, DbError> {
    let rows = db
        .query(
            "update commands set state = 'expired', updated_at = $1
             where (state = 'queued' and expires_at <= $1)
                 or (state = 'sent' and expires_at <= $2)
             returning command_id, camera_id, kind, arguments, state, reason, result, issued_at,
                 expires_at, updated_at",
            vec![now.into(), sent_before.into()],
        )
        .await?;
    rows.iter().map(CommandRow::read).collect()
}

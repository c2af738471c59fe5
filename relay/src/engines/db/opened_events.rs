//! Events that people and programs open at the relay, instead of cameras.

use nightjar_shared::{
    event::{EventKind, EventState, Trigger},
    ids::{AccountId, BootId, CameraId, ClipId, CommandId, EventId, SiteId},
    time::{ClockState, UnixMillis},
};

use super::{DbError, Executor, from_row};

/// An event that begins and ends at once.
#[derive(Debug, Clone)]
pub struct OpenedEvent {
    pub event_id: EventId,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub kind: EventKind,
    pub at: UnixMillis,
    /// The clip that shows it.
    pub clip_id: Option<ClipId>,
    pub label: Option<String>,
    pub words: Option<String>,
    pub search_text: String,
    pub triggered_by: Trigger,
    pub trigger_name: Option<String>,
    pub opened_by: AccountId,
}

pub async fn insert(db: &impl Executor, event: OpenedEvent) -> Result<(), DbError> {
    db.execute(
        // No boot of the camera's: a clock that is set later does not move it.
        "insert into events (event_id, camera_id, site_id, kind, state, started_at, ended_at, clock,
             boot_id, uptime_ms, clip_id, boxes, zones, label, words, search_text, triggered_by,
             trigger_name, started_by)
         values ($1, $2, $3, $4, $5, $6, $6, $7, $8, 0, $9, '[]', '[]', $10, $11, $12, $13, $14, $15)",
        vec![
            event.event_id.into(),
            event.camera_id.into(),
            event.site_id.into(),
            event.kind.into(),
            EventState::Ended.into(),
            event.at.into(),
            ClockState::Synced.into(),
            BootId::generate().into(),
            event.clip_id.into(),
            event.label.into(),
            event.words.into(),
            event.search_text.into(),
            event.triggered_by.into(),
            event.trigger_name.into(),
            event.opened_by.into(),
        ],
    )
    .await
    .map(drop)
}

/// A request that opened an event.
#[derive(Debug, Clone)]
pub struct RequestRow {
    pub event_id: EventId,
    pub body_hash: String,
}

from_row!(RequestRow { event_id, body_hash });

/// Notes which request opened an event. Says whether it is the first of its kind.
pub async fn insert_request(
    db: &impl Executor,
    request_hash: &str,
    request: &RequestRow,
) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into event_requests (request_hash, event_id, body_hash) values ($1, $2, $3)
             on conflict (request_hash) do nothing",
            vec![request_hash.into(), request.event_id.into(), request.body_hash.as_str().into()],
        )
        .await?;
    Ok(inserted == 1)
}

pub async fn request(
    db: &impl Executor,
    request_hash: &str,
) -> Result<Option<RequestRow>, DbError> {
    db.one(
        "select event_id, body_hash from event_requests where request_hash = $1",
        vec![request_hash.into()],
    )
    .await
}

/// Notes by which command an event is to be recorded.
pub async fn set_command(
    db: &impl Executor,
    event_id: EventId,
    command_id: CommandId,
) -> Result<(), DbError> {
    db.execute(
        "update events set command_id = $2 where event_id = $1",
        vec![event_id.into(), command_id.into()],
    )
    .await
    .map(drop)
}

/// Lets the events that a command is to record be shown by the clip that it began. Gives them.
pub async fn set_clip(
    db: &impl Executor,
    command_id: CommandId,
    clip_id: ClipId,
) -> Result<Vec<EventId>, DbError> {
    let rows = db
        .query(
            "update events set clip_id = $2 where command_id = $1 and clip_id is null
             returning event_id",
            vec![command_id.into(), clip_id.into()],
        )
        .await?;
    rows.iter().map(|row| row.get("event_id")).collect()
}

/// Deletes an event that no camera told of. Says whether it was there.
pub async fn delete(db: &impl Executor, event_id: EventId) -> Result<bool, DbError> {
    let deleted = db
        .execute(
            "delete from events where event_id = $1 and triggered_by in ('person', 'key')
                 and kind <> 'manual'",
            vec![event_id.into()],
        )
        .await?;
    Ok(deleted == 1)
}

/// Finds by which command an event is recorded.
pub async fn command_of(
    db: &impl Executor,
    event_id: EventId,
) -> Result<Option<CommandId>, DbError> {
    let row = db
        .query_one(
            "select command_id from events where event_id = $1 and command_id is not null",
            vec![event_id.into()],
        )
        .await?;
    row.map(|row| row.get("command_id")).transpose()
}

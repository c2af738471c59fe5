//! Events: each message about one goes into the outbox, and one that has begun is remembered until
//! it ends.

use nightjar_shared::{
    event::{EventKind, EventMessage, EventState},
    ids::{ClipId, EventId},
};
use rusqlite::{Connection, params};

use super::{
    Result, Store, outbox,
    row::{parsed, parsed_option},
};

/// An event that has begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenEvent {
    pub event_id: EventId,
    pub kind: EventKind,
    /// Its first clip.
    pub clip_id: Option<ClipId>,
}

impl Store {
    /// Puts a message about an event into the outbox.
    pub async fn enqueue_event(&self, message: EventMessage) -> Result<()> {
        self.write(move |transaction| enqueue_event(transaction, Some(&message))).await?;
        self.inner.outbox_wake.notify_one();
        Ok(())
    }

    /// Lists the events that have begun and not ended, oldest first.
    pub async fn open_events(&self) -> Result<Vec<OpenEvent>> {
        self.read(open_events).await
    }
}

pub(super) fn open_events(connection: &Connection) -> Result<Vec<OpenEvent>> {
    let mut statement = connection.prepare_cached("select * from open_events order by event_id")?;
    let rows = statement.query_map([], |row| {
        Ok(OpenEvent {
            event_id: parsed(row, "event_id")?,
            kind: parsed(row, "kind")?,
            clip_id: parsed_option(row, "clip_id")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn enqueue_event(connection: &Connection, message: Option<&EventMessage>) -> Result<()> {
    let Some(message) = message else { return Ok(()) };
    let event_id = message.event_id.to_string();
    match message.state {
        EventState::Started => {
            connection.execute(
                "insert into open_events (event_id, kind, clip_id) values (?1, ?2, ?3)
                 on conflict (event_id) do nothing",
                params![event_id, message.kind.as_str(), message.clip_id.map(|id| id.to_string())],
            )?;
        }
        EventState::Ended => {
            connection.execute("delete from open_events where event_id = ?1", [event_id])?;
        }
    }
    let payload = serde_json::to_string(message)?;
    outbox::enqueue_event(connection, message.event_id, &payload, message.at)
}

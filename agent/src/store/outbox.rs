//! The durable queue of messages to the relay: acks first, then the newest event, its messages in
//! their order. So news never waits for a backlog.

use nightjar_shared::{ids::EventId, time::UnixMillis, topic::Channel};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Result, Store,
    row::{UnknownWord, parsed},
};

/// How many messages may wait. When the outbox is full, the oldest event makes room: acks are few
/// and end commands that somebody waits for, and the clips of a dropped event still reach the
/// relay by their announcements. A camera with an event a minute holds a week.
pub const MAX_MESSAGES: usize = 20_000;

/// A message in the outbox; later messages have larger ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(i64);

/// What a message is, and with that, its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxKind {
    Event,
    Ack,
}

impl OutboxKind {
    /// Returns the topic that such messages go to.
    pub fn channel(self) -> Channel {
        match self {
            Self::Event => Channel::UpEvent,
            Self::Ack => Channel::UpAck,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Ack => "ack",
        }
    }
}

impl std::str::FromStr for OutboxKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "event" => Ok(Self::Event),
            "ack" => Ok(Self::Ack),
            other => Err(UnknownWord(other.to_owned())),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    pub id: MessageId,
    pub kind: OutboxKind,
    /// JSON, as it goes over the wire.
    pub payload: String,
    pub enqueued_at: UnixMillis,
}

impl Store {
    /// Lists the messages whose turn it is, at most `limit`, without those that are on their way.
    pub async fn next_messages(
        &self,
        on_the_way: &[MessageId],
        limit: usize,
    ) -> Result<Vec<OutboxMessage>> {
        let on_the_way = on_the_way.to_vec();
        self.read(move |connection| next_messages(connection, &on_the_way, limit)).await
    }

    /// Forgets a message that the broker has acknowledged.
    pub async fn remove_message(&self, id: MessageId) -> Result<()> {
        self.write(move |transaction| remove(transaction, id)).await
    }
}

fn next_messages(
    connection: &Connection,
    on_the_way: &[MessageId],
    limit: usize,
) -> Result<Vec<OutboxMessage>> {
    let on_the_way: Vec<i64> = on_the_way.iter().map(|id| id.0).collect();
    let mut statement = connection.prepare_cached(
        "select message_id, kind, payload, enqueued_at from outbox
         where message_id not in (select value from json_each(?1))
         order by rank desc, message_id limit ?2",
    )?;
    let rows = statement.query_map(params![serde_json::to_string(&on_the_way)?, limit], |row| {
        Ok(OutboxMessage {
            id: MessageId(row.get("message_id")?),
            kind: parsed(row, "kind")?,
            payload: row.get("payload")?,
            enqueued_at: UnixMillis(row.get("enqueued_at")?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn remove(connection: &Connection, id: MessageId) -> Result<()> {
    connection.execute("delete from outbox where message_id = ?1", [id.0])?;
    Ok(())
}

pub(super) fn enqueue_ack(connection: &Connection, payload: &str, now: UnixMillis) -> Result<()> {
    connection.execute(
        "insert into outbox (kind, payload, enqueued_at) values (?1, ?2, ?3)",
        params![OutboxKind::Ack.as_str(), payload, now.0],
    )?;
    make_room(connection, MAX_MESSAGES)
}

pub(super) fn enqueue_event(
    connection: &Connection,
    event_id: EventId,
    payload: &str,
    now: UnixMillis,
) -> Result<()> {
    insert_event(connection, event_id, payload, now)?;
    make_room(connection, MAX_MESSAGES)
}

/// Inserts a message about an event; what still waits of that event comes forward with it.
fn insert_event(
    connection: &Connection,
    event_id: EventId,
    payload: &str,
    now: UnixMillis,
) -> Result<()> {
    let event_id = event_id.to_string();
    connection.execute(
        "insert into outbox (kind, event_id, payload, enqueued_at) values (?1, ?2, ?3, ?4)",
        params![OutboxKind::Event.as_str(), event_id, payload, now.0],
    )?;
    let rank = connection.last_insert_rowid();
    connection
        .execute("update outbox set rank = ?1 where event_id = ?2", params![rank, event_id])?;
    Ok(())
}

/// Drops what would be told last until no more than `most` wait: the oldest event or, when only
/// acks wait, an ack.
fn make_room(connection: &Connection, most: usize) -> Result<()> {
    let waiting: usize =
        connection.query_row("select count(*) from outbox", [], |row| row.get(0))?;
    if waiting <= most {
        return Ok(());
    }
    let dropped: Option<i64> = connection
        .query_row(
            "delete from outbox where message_id =
                 (select message_id from outbox order by rank, message_id limit 1)
             returning message_id",
            [],
            |row| row.get(0),
        )
        .optional()?;
    tracing::warn!(
        outbox.message_id = dropped,
        "the outbox is full: its oldest event was dropped; is the relay reachable?"
    );
    Ok(())
}

#[cfg(test)]
mod tests;

//! The durable queue of messages to the relay: first in, first out.

use nightjar_shared::{time::UnixMillis, topic::Channel};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Result, Store,
    row::{UnknownWord, parsed},
};

/// How many messages may wait. When the outbox is full, the oldest event makes room: acks are few
/// and end commands that somebody waits for, and the clips of a dropped event still reach the
/// relay by their announcements. A camera with an event a minute holds a week.
pub const MAX_MESSAGES: usize = 20_000;

/// The position of a message in the outbox; later messages have larger ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(i64);

/// What a message is, and with that, its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxKind {
    Event,
    Ack,
}

impl OutboxKind {
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
    /// Appends a message and wakes the uplink. `now` is the wall clock.
    pub async fn enqueue(&self, kind: OutboxKind, payload: String, now: UnixMillis) -> Result<()> {
        self.write(move |transaction| enqueue(transaction, kind, &payload, now)).await?;
        self.inner.outbox_wake.notify_one();
        Ok(())
    }

    /// The oldest messages after `after`, at most `limit`; `MessageId::default()` begins at the
    /// front.
    pub async fn next_messages(
        &self,
        after: MessageId,
        limit: usize,
    ) -> Result<Vec<OutboxMessage>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "select message_id, kind, payload, enqueued_at from outbox
                 where message_id > ?1 order by message_id limit ?2",
            )?;
            let rows = statement.query_map(params![after.0, limit], |row| {
                Ok(OutboxMessage {
                    id: MessageId(row.get("message_id")?),
                    kind: parsed(row, "kind")?,
                    payload: row.get("payload")?,
                    enqueued_at: UnixMillis(row.get("enqueued_at")?),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Forgets a message that the broker has acknowledged.
    pub async fn remove_message(&self, id: MessageId) -> Result<()> {
        self.write(move |transaction| {
            transaction.execute("delete from outbox where message_id = ?1", [id.0])?;
            Ok(())
        })
        .await
    }
}

pub(super) fn enqueue(
    connection: &Connection,
    kind: OutboxKind,
    payload: &str,
    now: UnixMillis,
) -> Result<()> {
    connection.execute(
        "insert into outbox (kind, payload, enqueued_at) values (?1, ?2, ?3)",
        params![kind.as_str(), payload, now.0],
    )?;
    let waiting: usize =
        connection.query_row("select count(*) from outbox", [], |row| row.get(0))?;
    if waiting > MAX_MESSAGES {
        make_room(connection)?;
    }
    Ok(())
}

/// Drops the oldest event or, when only acks wait, the oldest ack.
fn make_room(connection: &Connection) -> Result<()> {
    let dropped: Option<i64> = connection
        .query_row(
            "delete from outbox where message_id =
                 (select message_id from outbox order by kind = 'ack', message_id limit 1)
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
mod tests {
    use super::*;
    use crate::store::schema;

    fn payloads(connection: &Connection) -> Vec<String> {
        let mut statement =
            connection.prepare("select payload from outbox order by message_id").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn a_full_outbox_drops_its_oldest_event_and_keeps_the_acks() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = schema::open(&directory.path().join("agent.db")).unwrap();
        let transaction = connection.transaction().unwrap();
        transaction
            .execute(
                "with recursive numbers (number) as
                     (select 2 union all select number + 1 from numbers where number < ?1)
                 insert into outbox (kind, payload, enqueued_at)
                 select iif(number = 2, 'ack', 'event'), number, 0 from numbers",
                [MAX_MESSAGES],
            )
            .unwrap();
        let now = UnixMillis(0);
        enqueue(&transaction, OutboxKind::Event, "last that fits", now).unwrap();
        enqueue(&transaction, OutboxKind::Event, "newest", now).unwrap();

        let waiting = payloads(&transaction);
        assert_eq!(waiting.len(), MAX_MESSAGES);
        assert_eq!(waiting[..2], ["2", "4"], "the oldest event, 3, made room; the ack, 2, stayed");
        assert_eq!(waiting.last().unwrap(), "newest");
    }
}

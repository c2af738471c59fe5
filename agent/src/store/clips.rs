//! Clips and the files they are made of.

use std::str::FromStr;

use nightjar_shared::{
    api::PartKind,
    event::EventMessage,
    ids::{BootId, ClipId, EventId},
    time::{ClockState, UnixMillis},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Result, Store,
    events::enqueue_event,
    row::{UnknownWord, parsed, parsed_option},
};

/// How many clips without files are remembered for a relay that has yet to be told. Beyond it the
/// oldest are forgotten; a camera that was never paired must not grow its index for ever.
const REMEMBERED_GONE_CLIPS: i64 = 1_000;

/// Gives an enum its words in the index, and reads them back.
macro_rules! words {
    ($name:ty { $($variant:path => $word:literal),+ $(,)? }) => {
        impl $name {
            pub fn as_str(self) -> &'static str {
                match self { $($variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok($variant),)+
                    other => Err(UnknownWord(other.to_owned())),
                }
            }
        }
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipKind {
    Motion,
    Manual,
    Snapshot,
    /// A piece of what is recorded all the time. It stays on the camera: the relay never hears of
    /// it.
    Continuous,
}

words!(ClipKind {
    ClipKind::Motion => "motion",
    ClipKind::Manual => "manual",
    ClipKind::Snapshot => "snapshot",
    ClipKind::Continuous => "continuous",
});

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipState {
    /// Being written.
    Open,
    /// Complete on disk.
    Closed,
    /// Its files no longer exist; the row stays until the relay has been told.
    Gone,
}

words!(ClipState {
    ClipState::Open => "open",
    ClipState::Closed => "closed",
    ClipState::Gone => "gone",
});

/// A clip as it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct NewClip {
    pub clip_id: ClipId,
    pub event_id: Option<EventId>,
    pub kind: ClipKind,
    /// Capture time of the first frame.
    pub started_at: UnixMillis,
    pub clock: ClockState,
    pub boot_id: BootId,
    pub started_uptime_ms: u64,
}

/// A file of a clip, complete on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    pub index: u32,
    pub kind: PartKind,
    /// Relative to `DATA_DIR/recordings`.
    pub path: String,
    pub content_type: &'static str,
    /// Bytes.
    pub length: u64,
    pub duration_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub index: u32,
    pub kind: PartKind,
    /// Relative to `DATA_DIR/recordings`.
    pub path: String,
    pub content_type: String,
    /// Bytes.
    pub length: u64,
    pub duration_ms: Option<u64>,
    /// Whether the object store has it.
    pub uploaded: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    /// The order in which clips began.
    pub sequence: i64,
    pub clip_id: ClipId,
    pub event_id: Option<EventId>,
    pub kind: ClipKind,
    pub state: ClipState,
    pub started_at: UnixMillis,
    pub clock: ClockState,
    pub boot_id: BootId,
    pub started_uptime_ms: u64,
    pub ended_at: Option<UnixMillis>,
    pub duration_ms: Option<u64>,
    pub gone_reason: Option<String>,
    pub protected: bool,
    pub parts: Vec<Part>,
}

/// What retention needs to know of a closed clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredClip {
    pub clip_id: ClipId,
    pub sequence: i64,
    pub kind: ClipKind,
    pub started_at: UnixMillis,
    pub clock: ClockState,
    pub boot_id: BootId,
    pub started_uptime_ms: u64,
    /// What its files take of the disk.
    pub bytes: u64,
    /// The relay has it, or its owner deleted it there. What the relay refused is here alone.
    pub settled: bool,
    /// An owner wants it kept.
    pub protected: bool,
}

impl Store {
    /// Writes an open clip and, in the same transaction, the message that its event began.
    pub async fn begin_clip(&self, clip: NewClip, message: Option<EventMessage>) -> Result<()> {
        let tells = message.is_some();
        self.write(move |transaction| {
            insert_clip(transaction, &clip)?;
            enqueue_event(transaction, message.as_ref())
        })
        .await?;
        if tells {
            self.inner.outbox_wake.notify_one();
        }
        Ok(())
    }

    /// Adds a part, or replaces the one with its index.
    pub async fn add_part(&self, clip_id: ClipId, part: NewPart) -> Result<()> {
        self.write(move |transaction| insert_part(transaction, clip_id, &part)).await?;
        self.wake_uploads_at_once();
        Ok(())
    }

    /// Forgets a part whose file is gone: its clip does without.
    pub async fn drop_part(&self, clip_id: ClipId, index: u32) -> Result<()> {
        self.write(move |transaction| {
            transaction.execute(
                "delete from clip_parts where clip_id = ?1 and part_index = ?2",
                params![clip_id.to_string(), index],
            )?;
            Ok(())
        })
        .await
    }

    /// Closes a clip with its remaining parts, queues its upload and the message that its event
    /// ended: all of it or nothing.
    pub async fn close_clip(
        &self,
        clip_id: ClipId,
        duration_ms: u64,
        parts: Vec<NewPart>,
        message: Option<EventMessage>,
    ) -> Result<()> {
        let tells = message.is_some();
        self.write(move |transaction| {
            transaction.execute(
                // Since it began the wall clock may have been set, and its start with it.
                "update clips set state = 'closed', ended_at = started_at + ?2, duration_ms = ?2,
                                  bytes = ?3
                 where clip_id = ?1",
                params![
                    clip_id.to_string(),
                    duration_ms,
                    parts.iter().map(|part| part.length).sum::<u64>(),
                ],
            )?;
            for part in &parts {
                insert_part(transaction, clip_id, part)?;
            }
            transaction.execute(
                "insert into uploads (clip_id, state)
                 select clip_id, 'waiting' from clips where clip_id = ?1 and kind <> 'continuous'
                 on conflict (clip_id) do nothing",
                [clip_id.to_string()],
            )?;
            enqueue_event(transaction, message.as_ref())
        })
        .await?;
        self.inner.growing.ended(clip_id);
        self.wake_uploads_at_once();
        if tells {
            self.inner.outbox_wake.notify_one();
        }
        Ok(())
    }

    /// Looks up a clip with its parts.
    pub async fn clip(&self, clip_id: ClipId) -> Result<Option<Clip>> {
        self.read(move |connection| clip_by_id(connection, clip_id)).await
    }

    /// Lists all clips in the order in which they began.
    pub async fn clips(&self) -> Result<Vec<Clip>> {
        self.read(all_clips).await
    }

    /// Lists the closed clips, oldest first.
    pub async fn stored_clips(&self) -> Result<Vec<StoredClip>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "select clips.*, kind = 'continuous' or coalesce(uploads.state, 'waiting') = 'done'
                            as settled
                 from clips left join uploads on uploads.clip_id = clips.clip_id
                 where clips.state = 'closed' order by clips.sequence",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(StoredClip {
                    clip_id: parsed(row, "clip_id")?,
                    sequence: row.get("sequence")?,
                    kind: parsed(row, "kind")?,
                    started_at: UnixMillis(row.get("started_at")?),
                    clock: clock_of(row)?,
                    boot_id: parsed(row, "boot_id")?,
                    started_uptime_ms: row.get("started_uptime_ms")?,
                    bytes: row.get("bytes")?,
                    settled: row.get("settled")?,
                    protected: row.get("protected")?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Protects a clip from being deleted before others, or no longer. Returns whether it exists.
    pub async fn protect_clip(&self, clip_id: ClipId, protected: bool) -> Result<bool> {
        self.write(move |transaction| {
            let changed = transaction.execute(
                "update clips set protected = ?2 where clip_id = ?1",
                params![clip_id.to_string(), protected],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    /// Notes that a clip's files no longer exist. A clip that the relay has, or that never held
    /// anything, is forgotten; otherwise its row stays until the relay has been told `reason`.
    pub async fn clip_gone(&self, clip_id: ClipId, reason: &str) -> Result<()> {
        let reason = reason.to_owned();
        self.write(move |transaction| {
            let id = clip_id.to_string();
            let settled = transaction.execute(
                "delete from clips where clip_id = ?1 and (kind = 'continuous' or exists
                     (select 1 from uploads where uploads.clip_id = ?1 and state <> 'waiting'))",
                [&id],
            )?;
            if settled > 0 {
                return Ok(());
            }
            transaction.execute(
                "update clips set state = 'gone', gone_reason = ?2 where clip_id = ?1",
                [&id, &reason],
            )?;
            transaction.execute("delete from clip_parts where clip_id = ?1", [&id])?;
            transaction.execute(
                "insert into uploads (clip_id, state) select clip_id, 'waiting' from clips
                 where clip_id = ?1 on conflict (clip_id) do nothing",
                [&id],
            )?;
            transaction.execute(
                "delete from clips where state = 'gone' and sequence not in
                     (select sequence from clips where state = 'gone'
                      order by sequence desc limit ?1)",
                [REMEMBERED_GONE_CLIPS],
            )?;
            Ok(())
        })
        .await?;
        self.inner.growing.ended(clip_id);
        self.inner.uploads_wake.notify_one();
        Ok(())
    }
}

fn insert_clip(connection: &Connection, clip: &NewClip) -> Result<()> {
    connection.execute(
        "insert into clips
             (clip_id, event_id, kind, state, started_at, clock, boot_id, started_uptime_ms)
         values (?1, ?2, ?3, 'open', ?4, ?5, ?6, ?7)",
        params![
            clip.clip_id.to_string(),
            clip.event_id.map(|id| id.to_string()),
            clip.kind.as_str(),
            clip.started_at.0,
            clip.clock.as_str(),
            clip.boot_id.to_string(),
            clip.started_uptime_ms,
        ],
    )?;
    Ok(())
}

fn insert_part(connection: &Connection, clip_id: ClipId, part: &NewPart) -> Result<()> {
    connection.execute(
        "insert or replace into clip_parts
             (clip_id, part_index, kind, path, content_type, length, duration_ms)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            clip_id.to_string(),
            part.index,
            part.kind.as_str(),
            part.path,
            part.content_type,
            part.length,
            part.duration_ms,
        ],
    )?;
    Ok(())
}

fn clip_by_id(connection: &Connection, clip_id: ClipId) -> Result<Option<Clip>> {
    let clip = connection
        .query_row("select * from clips where clip_id = ?1", [clip_id.to_string()], clip_from_row)
        .optional()?;
    clip.map(|clip| with_parts(connection, clip)).transpose()
}

pub(super) fn all_clips(connection: &Connection) -> Result<Vec<Clip>> {
    let mut statement = connection.prepare_cached("select * from clips order by sequence")?;
    let clips = statement.query_map([], clip_from_row)?;
    clips.map(|clip| with_parts(connection, clip?)).collect()
}

fn with_parts(connection: &Connection, mut clip: Clip) -> Result<Clip> {
    let mut statement = connection
        .prepare_cached("select * from clip_parts where clip_id = ?1 order by part_index")?;
    let parts = statement.query_map([clip.clip_id.to_string()], part_from_row)?;
    clip.parts = parts.collect::<rusqlite::Result<_>>()?;
    Ok(clip)
}

fn clip_from_row(row: &Row<'_>) -> rusqlite::Result<Clip> {
    Ok(Clip {
        sequence: row.get("sequence")?,
        clip_id: parsed(row, "clip_id")?,
        event_id: parsed_option(row, "event_id")?,
        kind: parsed(row, "kind")?,
        state: parsed(row, "state")?,
        started_at: UnixMillis(row.get("started_at")?),
        clock: clock_of(row)?,
        boot_id: parsed(row, "boot_id")?,
        started_uptime_ms: row.get("started_uptime_ms")?,
        ended_at: row.get::<_, Option<i64>>("ended_at")?.map(UnixMillis),
        duration_ms: row.get("duration_ms")?,
        gone_reason: row.get("gone_reason")?,
        protected: row.get("protected")?,
        parts: Vec::new(),
    })
}

fn part_from_row(row: &Row<'_>) -> rusqlite::Result<Part> {
    Ok(Part {
        index: row.get("part_index")?,
        kind: parsed(row, "kind")?,
        path: row.get("path")?,
        content_type: row.get("content_type")?,
        length: row.get("length")?,
        duration_ms: row.get("duration_ms")?,
        uploaded: row.get::<_, Option<i64>>("uploaded_at")?.is_some(),
    })
}

/// Reads whether the clock was set; a damaged word counts as set.
fn clock_of(row: &Row<'_>) -> rusqlite::Result<ClockState> {
    Ok(row.get_ref("clock")?.as_str()?.parse().unwrap_or_default())
}

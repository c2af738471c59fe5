-- The agent's index: what lies on disk, and what the relay must still learn.
-- Times are Unix milliseconds. Ids are UUIDv7 in their hyphenated lower-case form.

-- How often the index was opened: tells a command begun by this process from one that a
-- restart interrupted.
create table runs (
    run integer primary key autoincrement,
    -- The schema it was opened with, for the reader of a support case.
    schema_version integer not null
) strict;

-- Messages to the relay, oldest first. A row leaves when the broker has acknowledged it.
create table outbox (
    -- The order of sending. Never reused, so that a reader may go on after the last id it saw.
    message_id integer primary key autoincrement,
    -- event | ack: which topic the message goes to.
    kind text not null check (kind in ('event', 'ack')),
    -- The message as it goes over the wire (JSON).
    payload text not null,
    enqueued_at integer not null
) strict;

-- Events whose start was told and whose end was not: what a power cut interrupts still ends.
create table open_events (
    event_id text primary key,
    kind text not null check (kind in ('motion', 'manual')),
    -- The first clip of the event; null when nothing was recorded.
    clip_id text
) strict, without rowid;

-- Commands that this camera has begun: a command runs at most once, however often it arrives.
create table commands (
    -- The order of arrival, for pruning.
    position integer primary key autoincrement,
    command_id text not null unique,
    -- As spelled on the wire; after a restart, `restart` itself ends well and all others failed.
    kind text not null,
    -- The run that began it.
    run integer not null references runs (run),
    begun_at integer not null,
    -- The acknowledgement (JSON) once it has finished.
    ack text
) strict;

create index commands_unfinished on commands (position) where ack is null;

-- What the relay or the owner changed at run time, over agent.toml. Values are JSON.
create table settings (
    key text primary key,
    value text not null
) strict, without rowid;

create table clips (
    -- The order in which clips began. The wall clock may jump, this does not.
    sequence integer primary key autoincrement,
    clip_id text not null unique,
    -- Null for a snapshot. Several clips share an event that outlasted max_clip_s.
    event_id text,
    kind text not null check (kind in ('motion', 'manual', 'snapshot')),
    -- open: being written. closed: complete on disk. gone: the files no longer exist, the row
    -- stays until the relay has been told.
    state text not null check (state in ('open', 'closed', 'gone')),
    -- Capture time of the first frame, pre-roll included.
    started_at integer not null,
    -- Whether the wall clock had been set by the network when the clip began.
    clock text not null check (clock in ('synced', 'unsynced')),
    -- With the uptime, orders footage whatever the wall clock did.
    boot_id text not null,
    started_uptime_ms integer not null,
    -- Null while open.
    ended_at integer,
    duration_ms integer,
    gone_reason text
) strict;

create index clips_by_event on clips (event_id);
create index clips_by_state on clips (state) where state <> 'closed';

-- The files of a clip. Today a clip is one `file` and a `thumbnail`; the shape also holds an
-- initialisation segment and segments that are uploaded while the clip is still open.
create table clip_parts (
    clip_id text not null references clips (clip_id) on delete cascade,
    part_index integer not null check (part_index >= 0),
    kind text not null check (kind in ('file', 'init', 'segment', 'thumbnail', 'snapshot')),
    -- Relative to DATA_DIR/recordings.
    path text not null,
    content_type text not null,
    -- Bytes.
    length integer not null check (length >= 0),
    -- Lower-case hexadecimal; null until the upload has read the file.
    sha256 text,
    duration_ms integer,
    -- When the object store had taken it; null before.
    uploaded_at integer,
    primary key (clip_id, part_index)
) strict, without rowid;

-- One row for each closed or gone clip.
create table uploads (
    clip_id text primary key references clips (clip_id) on delete cascade,
    -- waiting: the relay must still learn of it. done: the relay has verified it. failed: the
    -- relay refused it for good, or was told that the footage is gone.
    state text not null check (state in ('waiting', 'done', 'failed')),
    -- Tries so far. Clips with fewer tries go first, so that one bad clip blocks no other.
    attempts integer not null default 0,
    last_error text
) strict, without rowid;

create index uploads_waiting on uploads (attempts) where state = 'waiting';

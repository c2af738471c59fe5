-- Footage that is recorded all the time, and clips that an owner protects.
-- SQLite cannot change a check: the table is made anew. Foreign keys are off while migrations run.

create table clips_new (
    -- The order in which clips began. The wall clock may jump, this does not.
    sequence integer primary key autoincrement,
    clip_id text not null unique,
    -- Null for a snapshot and for continuous footage. Several clips share an event that outlasted
    -- max_clip_s.
    event_id text,
    kind text not null check (kind in ('motion', 'manual', 'snapshot', 'continuous')),
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
    gone_reason text,
    -- What its files take of the disk.
    bytes integer not null default 0 check (bytes >= 0),
    -- 1: deleted last.
    protected integer not null default 0 check (protected in (0, 1))
) strict;

insert into clips_new (sequence, clip_id, event_id, kind, state, started_at, clock, boot_id,
                       started_uptime_ms, ended_at, duration_ms, gone_reason, bytes)
select sequence, clip_id, event_id, kind, state, started_at, clock, boot_id,
       started_uptime_ms, ended_at, duration_ms, gone_reason,
       (select coalesce(sum(length), 0) from clip_parts where clip_parts.clip_id = clips.clip_id)
from clips;

drop table clips;
alter table clips_new rename to clips;

create index clips_by_event on clips (event_id);
create index clips_by_state on clips (state) where state <> 'closed';
create index clips_by_time on clips (started_at);

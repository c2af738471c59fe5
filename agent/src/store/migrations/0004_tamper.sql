-- Events of tampering.
create table begun_events (
    event_id text primary key,
    kind text not null check (kind in ('motion', 'manual', 'tamper')),
    -- The first clip of the event; null when nothing was recorded.
    clip_id text
) strict, without rowid;

insert into begun_events select event_id, kind, clip_id from open_events;
drop table open_events;
alter table begun_events rename to open_events;

-- What people say of clips. Tags are JSON, a list of words.
alter table clips add column title text;
alter table clips add column note text;
alter table clips add column tags text not null default '[]';
-- How often people have changed it: of two who change it at once, one is told.
alter table clips add column revision bigint not null default 0;
-- Title, note and tags as searches compare them.
alter table clips add column search_text text not null default '';
-- A protected clip is not deleted. By whom has no reference: the protection outlives the account.
alter table clips add column protected_at bigint;
alter table clips add column protected_by text;
-- motion, manual, continuous, picture or imported: for how long it is kept.
alter table clips add column class text not null default 'motion';
-- Who brought it, of what no camera sent.
alter table clips add column imported_by text;
alter table clips add column views bigint not null default 0;
alter table clips add column watched_ms bigint not null default 0;
update clips set class = case
    when kind = 'snapshot' then 'picture'
    when event_id is null then 'continuous'
    when exists (select 1 from events e where e.event_id = clips.event_id and e.kind = 'manual')
        then 'manual'
    else 'motion' end;

-- Tags as they are compared.
create table clip_tags (
    clip_id text not null references clips (clip_id) on delete cascade,
    tag text not null,
    primary key (clip_id, tag)
);

-- What an event is called, and what whoever opened it wrote.
alter table events add column label text;
alter table events add column words text;
alter table events add column search_text text not null default '';
-- motion, person, key or camera; of a key its name.
alter table events add column triggered_by text not null default 'motion';
alter table events add column trigger_name text;
-- By which the camera was told to record it.
alter table events add column command_id text;
update events set triggered_by = case
    when kind = 'motion' then 'motion'
    when started_by is not null then 'person'
    else 'camera' end;
-- Of a program that issued it: the name of its key.
alter table commands add column key_name text;

-- Requests that opened an event, by a digest of who asked and the key that the request named.
create table event_requests (
    request_hash text not null primary key,
    event_id text not null references events (event_id) on delete cascade,
    body_hash text not null
);
create index event_requests_by_event on event_requests (event_id);

-- What somebody has seen.
create table seen_clips (
    account_id text not null references accounts (account_id) on delete cascade,
    clip_id text not null references clips (clip_id) on delete cascade,
    seen_at bigint not null,
    primary key (account_id, clip_id)
);
create index seen_clips_by_clip on seen_clips (clip_id);
create table seen_events (
    account_id text not null references accounts (account_id) on delete cascade,
    event_id text not null references events (event_id) on delete cascade,
    seen_at bigint not null,
    primary key (account_id, event_id)
);
create index seen_events_by_event on seen_events (event_id);

-- Players that report how long they have played, for a day: what they add up to stays.
create table clip_views (
    view_id text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade,
    clip_id text not null references clips (clip_id) on delete cascade,
    began_at bigint not null,
    watched_ms bigint not null
);
create index clip_views_by_account on clip_views (account_id);
create index clip_views_by_clip on clip_views (clip_id);
create index clip_views_by_time on clip_views (began_at);
create table camera_views (
    camera_id text not null references cameras (camera_id) on delete cascade,
    -- Days since 1970, UTC.
    day bigint not null,
    views bigint not null,
    watched_ms bigint not null,
    primary key (camera_id, day)
);

-- For how long a site keeps what: as its owner says, JSON.
create table site_retention (
    site_id text not null primary key references sites (site_id) on delete cascade,
    rules text not null,
    revision bigint not null,
    changed_at bigint not null,
    -- When it is looked at next.
    look_at bigint not null,
    -- When its owners were told that footage is about to go, by its size and by its age.
    told_size_at bigint,
    told_age_at bigint
);
create index site_retention_by_look on site_retention (look_at);

-- Since when the object of a part is missing in the store.
alter table clip_parts add column missing_at bigint;
create index clip_parts_by_object on clip_parts (object_key);

-- Lists of one camera are read in the order of their pages, too.
drop index events_by_camera;
drop index clips_by_camera;
create index events_by_camera on events (camera_id, started_at, event_id);
create index clips_by_camera on clips (camera_id, started_at, clip_id);
create index events_by_clip on events (clip_id);
create index clips_by_event on clips (event_id);
create index events_by_command on events (command_id);
create index events_by_label on events (site_id, label, started_at) where label is not null;
create index clips_by_age on clips (site_id, class, started_at) where protected_at is null;
create index clips_unfinished on clips (progress_at) where class = 'imported' and state = 'announced';
create index deleted_clips_by_time on deleted_clips (deleted_at);

-- Clips that an owner deleted: a camera that was away meanwhile offers them again, for as long as it
-- is paired.
create table deleted_clips (
    clip_id text not null primary key,
    camera_id text not null references cameras (camera_id) on delete cascade,
    deleted_at bigint not null
);
create index deleted_clips_by_camera on deleted_clips (camera_id);

-- When things happened, counted from the start of the camera's boot: what a clock that was set
-- later makes times of.
alter table clips add column boot_id text;
alter table clips add column started_uptime_ms bigint;
create index clips_by_boot on clips (camera_id, boot_id);
-- Of an event that ended in the boot in which it began.
alter table events add column ended_uptime_ms bigint;
create index events_by_boot on events (camera_id, boot_id);

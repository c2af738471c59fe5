-- Clips arrive part by part while they are recorded, and are closed from what has arrived when
-- their camera does not come back. A clip's state may also be `recording`: announced, and still
-- being written.

alter table clips add column truncated bigint not null default 0;
-- When something of it arrived last, and when the relay looks next whether to close it.
alter table clips add column progress_at bigint;
alter table clips add column look_at bigint;
update clips set progress_at = started_at, look_at = 0 where state = 'announced';
create index clips_by_look on clips (look_at);

alter table clip_parts add column duration_ms bigint;

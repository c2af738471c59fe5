-- Which request brought a command: by its name the lines that relay and camera log of it are found, and by
-- the other its trace goes on when the camera answers.
alter table commands add column request_id text;
alter table commands add column traceparent text;

-- Cameras that are there for one look at the relay, and are removed by it should nobody else do so.
alter table pairings add column temporary bigint not null default 0;
alter table cameras add column ends_at bigint;
create index cameras_by_end on cameras (ends_at);

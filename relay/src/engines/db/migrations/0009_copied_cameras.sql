-- The boots by which a camera was last connected, and when two machines were last seen to connect by
-- turns: its key was copied.
alter table cameras add column boot_id text;
alter table cameras add column boot_before text;
alter table cameras add column copied_at bigint;

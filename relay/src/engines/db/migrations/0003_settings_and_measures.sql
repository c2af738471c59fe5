-- What a camera says that it goes by, JSON, and when that arrived.
alter table cameras add column configuration text;
alter table cameras add column configuration_at bigint;

-- How much of the picture moved at once at most, in parts per million, and for how long.
alter table events add column peak_area_ppm bigint;
alter table events add column duration_ms bigint;

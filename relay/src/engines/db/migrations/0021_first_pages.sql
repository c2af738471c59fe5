-- In the order of the lists: a first page of many is read from the index's end, and nothing is sorted.
drop index events_by_site;
create index events_by_site on events (site_id, started_at, event_id);
drop index clips_by_site;
create index clips_by_site on clips (site_id, started_at, clip_id);

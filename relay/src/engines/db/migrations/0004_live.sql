-- Names the ICE session: it changes when ICE begins anew.
alter table live_sessions add column etag text;
-- JSON, as the camera reported it last.
alter table live_sessions add column statistics text;
alter table live_sessions add column reported_at bigint;

-- What the relay's TURN server carried for a site, by UTC day.
create table relayed_bytes (
    site_id text not null,
    -- Days since 1970.
    day bigint not null,
    bytes bigint not null,
    primary key (site_id, day)
);

-- What a camera was doing, as it said itself or as its silence told: a row for each stretch. What
-- lies between two rows is not known.
create table camera_states (
    camera_id text not null references cameras (camera_id) on delete cascade,
    began_at bigint not null,
    -- Until then it is known to have lasted.
    until_at bigint not null,
    -- watching, disarmed, scheduled_off, privacy, no_picture or offline.
    state text not null,
    primary key (camera_id, began_at)
);
create index camera_states_by_until on camera_states (until_at);

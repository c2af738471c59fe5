-- What happened and has not been told yet: one row for what happens at one place, however often.
create table happenings (
    happening_key text not null primary key,
    kind text not null,
    site_id text references sites (site_id) on delete cascade,
    camera_id text references cameras (camera_id) on delete cascade,
    -- Whose account it is about, or who did it.
    account_id text references accounts (account_id) on delete cascade,
    event_id text,
    -- JSON: what else there is to say.
    details text not null,
    happened_at bigint not null,
    -- How often.
    count bigint not null,
    due_at bigint not null
);
create index happenings_by_due on happenings (due_at);
create index happenings_by_site on happenings (site_id);
create index happenings_by_camera on happenings (camera_id);
create index happenings_by_account on happenings (account_id);

-- What one person was told of one thing: the list in the app.
create table notifications (
    notification_id text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade,
    kind text not null,
    -- Where it happened. Seen by whoever may see that place when they look.
    site_id text references sites (site_id) on delete cascade,
    camera_id text references cameras (camera_id) on delete cascade,
    event_id text,
    -- The right that it takes there.
    needs text not null,
    -- JSON: names as they were then, and what else there is to say.
    details text not null,
    happened_at bigint not null,
    created_at bigint not null,
    -- How often it happened again, and how much of that was told.
    more bigint not null,
    more_told bigint not null,
    -- Until when more of the same is counted and not told; null once it was quiet for so long.
    gathers_until bigint,
    -- When it was told that there is a picture.
    pictured_at bigint,
    -- 1 where it stands in the list of the app.
    is_listed bigint not null,
    read_at bigint,
    -- The last telling whose link to be left alone was used.
    muted_by bigint not null
);
create index notifications_by_account on notifications (account_id, created_at, notification_id);
create index notifications_by_site on notifications (site_id);
create index notifications_by_camera on notifications (camera_id);
create index notifications_by_event on notifications (event_id);
create index notifications_by_age on notifications (created_at);
create index notifications_gathering on notifications (account_id, kind, camera_id)
    where gathers_until is not null;
create index notifications_by_end_of_gathering on notifications (gathers_until)
    where gathers_until is not null;

-- What somebody wants to be told of, by what, and when. Without a site or a camera it is for all.
create table notification_rules (
    account_id text not null references accounts (account_id) on delete cascade,
    position bigint not null,
    kind text not null,
    site_id text references sites (site_id) on delete cascade,
    camera_id text references cameras (camera_id) on delete cascade,
    -- JSON lists.
    channels text not null,
    hours text not null,
    -- How long more of the same is counted and not told.
    cool_down_s bigint,
    primary key (account_id, position)
);
create index notification_rules_by_site on notification_rules (site_id);
create index notification_rules_by_camera on notification_rules (camera_id);

-- Whom a camera leaves alone for a while.
create table notification_mutes (
    account_id text not null references accounts (account_id) on delete cascade,
    camera_id text not null references cameras (camera_id) on delete cascade,
    kind text not null,
    until_at bigint not null,
    primary key (account_id, camera_id, kind)
);
create index notification_mutes_by_camera on notification_mutes (camera_id);
create index notification_mutes_by_end on notification_mutes (until_at);

-- Messages on their way, one for each address. What they say is written when they leave.
create table deliveries (
    delivery_id text not null primary key,
    notification_id text not null references notifications (notification_id) on delete cascade,
    account_id text not null references accounts (account_id) on delete cascade,
    channel text not null,
    -- Which of the account's addresses; empty for its mail.
    address text not null,
    form text not null,
    -- How often it had happened again by then.
    more bigint not null,
    -- Lower is sooner.
    priority bigint not null,
    -- waiting, sent or failed.
    state text not null,
    attempts bigint not null,
    -- What came of the last attempt.
    outcome text,
    queued_at bigint not null,
    due_at bigint not null,
    -- Somebody is at it until then.
    claimed_until bigint not null,
    -- After that nobody needs it.
    expires_at bigint not null,
    -- When it was sent or given up.
    ended_at bigint
);
create index deliveries_by_due on deliveries (channel, state, due_at);
create index deliveries_by_address on deliveries (channel, account_id, address, state);
create index deliveries_by_account on deliveries (account_id, state);
create index deliveries_by_notification on deliveries (notification_id);
create index deliveries_by_end on deliveries (state, ended_at);

-- When people were told that the camera is offline, and that its disk is nearly full.
alter table cameras add column offline_told_at bigint;
alter table cameras add column disk_low_at bigint;
-- When it was handed on to be told. What is older than this column is told no more.
alter table events add column told_at bigint;
update events set told_at = started_at;

-- Since when an account may do nothing, and when it goes for good.
alter table accounts add column disabled_at bigint;
alter table accounts add column delete_after bigint;
create index accounts_by_creation on accounts (created_at, account_id);
create index accounts_by_end on accounts (delete_after) where delete_after is not null;
create index sites_by_creation on sites (created_at, site_id);
create index cameras_by_pairing on cameras (paired_at, camera_id);

-- The only row. Who changes it comes after whoever else does: administrators and settings change one by
-- one.
create table relay_state (
    state_id bigint not null primary key,
    settings_version bigint not null
);
insert into relay_state (state_id, settings_version) values (1, 0);

-- What an administrator set, above the file.
create table settings (
    name text not null primary key,
    -- JSON.
    value text not null,
    changed_at bigint not null
);

-- What a site may use, where that is not what the settings say for all.
create table site_limits (
    site_id text not null primary key references sites (site_id) on delete cascade,
    megabytes bigint,
    clips bigint,
    events bigint
);

create table statistics (
    period text not null,
    series text not null,
    -- When the span began.
    at bigint not null,
    value bigint not null,
    primary key (period, series, at)
);
create index statistics_by_time on statistics (period, at);

-- How jobs went, for who does not ask the process itself.
create table jobs (
    job text not null primary key,
    runs bigint not null,
    failures bigint not null,
    started_at bigint,
    duration_ms bigint,
    failed_at bigint,
    reason text,
    -- Somebody wants it done now.
    asked_at bigint
);

-- Links by which the first administrator is made, where there is no account. One is good at a time.
create table first_admin_links (
    token_hash text not null primary key,
    expires_at bigint not null
);

-- Views of a site that administrators asked for.
create table views (
    view_id text not null primary key,
    site_id text not null references sites (site_id) on delete cascade,
    account_id text not null references accounts (account_id) on delete cascade,
    reason text not null,
    minutes bigint not null,
    -- asked, granted, refused, expired or ended.
    state text not null,
    asked_at bigint not null,
    -- Until then somebody may answer.
    expires_at bigint not null,
    -- Who answered.
    answered_by text references accounts (account_id) on delete set null,
    answered_at bigint,
    -- When a view that was granted ends by itself, and when it ended.
    ends_at bigint,
    ended_at bigint
);
create index views_by_site on views (site_id, asked_at);
create index views_by_account on views (account_id, asked_at);
create index views_by_state on views (state, ends_at);

-- A granted view is a guest's membership while it lasts; nobody changes it but by the view.
drop view memberships;
alter table members add column view_id text references views (view_id) on delete cascade;
create index members_by_view on members (view_id) where view_id is not null;

-- Members who may do anything now, and whether they lack the second factor that their site requires.
create view memberships as
    select m.*,
        case when s.requires_second_factor = 1
            and not exists (select 1 from second_factors f where f.account_id = m.account_id)
            then 1 else 0 end as lacks_factor
    from members m
    join sites s on s.site_id = m.site_id
    join accounts a on a.account_id = m.account_id
    where a.disabled_at is null and (m.view_id is null or a.role = 'admin');

-- By what somebody is signed in: browsers, programs, keys. Nobody is whose account is disabled.
drop view sign_ins;
create view sign_ins as
    select s.token_hash as sign_in, s.account_id, s.expires_at
    from sessions s join accounts a on a.account_id = s.account_id where a.disabled_at is null
    union all
    select f.family_id, f.account_id, f.expires_at
    from token_families f join accounts a on a.account_id = f.account_id where a.disabled_at is null
    union all
    select k.key_id, k.account_id, k.expires_at
    from api_keys k join accounts a on a.account_id = k.account_id where a.disabled_at is null;

-- Packages for cameras, as their makers signed them, and who is offered which.
create table releases (
    release_id text primary key,
    package text not null,
    version text not null,
    architecture text not null,
    channel text not null,
    size bigint not null,
    sha256 text not null,
    minimum_version text,
    -- What cameras check: JSON.
    signed text not null,
    object_key text not null,
    -- offered, paused or withdrawn.
    state text not null,
    -- Of the cameras that are offered it, in hundredths.
    percent bigint not null,
    -- Sites that are offered it, a JSON list; empty for all.
    sites text not null,
    created_at bigint not null,
    unique (package, version, architecture)
);
create index releases_by_state on releases (state, package, architecture);

-- How far cameras are with updates, as they said last, and what people want for them.
create table camera_updates (
    camera_id text primary key references cameras (camera_id) on delete cascade,
    version text,
    architecture text,
    state text,
    target text,
    problem text,
    detail text,
    reported_at bigint,
    -- Whether it is offered what its turn brings, or only what a person asks for.
    automatic bigint not null
);

-- What the camera is to be called; otherwise it says so itself.
alter table pairings add column name text;
-- Made by an operator for a batch of cameras: 1. Such ones last for weeks, and a site may have any number.
alter table pairings add column prepared bigint not null default 0;
-- The first letters of the code, by which a camera asks for the proof that the relay knows the rest.
alter table pairings add column code_head text not null default '';
create index pairings_by_head on pairings (code_head);
create index pairings_by_site on pairings (site_id, created_at);

-- Cameras that belong to nobody yet and show a code. All of it is what strangers say: bounded in number and
-- size, gone within minutes.
create table announcements (
    public_key text not null primary key,
    -- What counts as one address.
    network text not null,
    code_hash text not null unique,
    ticket_hash text not null unique,
    name text not null,
    model text not null,
    agent_version text not null,
    -- A JPEG, base64.
    picture text,
    -- 1 once somebody has taken the camera.
    accepted bigint not null default 0,
    expires_at bigint not null
);
create index announcements_by_network on announcements (network);
create index announcements_by_expiry on announcements (expires_at);

-- Who did what. An entry is written once and then given its place in the chain; after that nothing
-- changes it but time, which cuts the chain's head off, and a person's right to be forgotten, which
-- empties address and details.
create table audit_entries (
    entry_id text primary key,
    at bigint not null,
    action text not null,
    -- What kind of somebody did it.
    actor text not null,
    -- No references: the entry outlives what it speaks of.
    account_id text,
    -- The camera, link or key that did it.
    actor_id text,
    site_id text,
    camera_id text,
    -- The id of what it was done to.
    subject text,
    -- From where, and what more there is to say. The chain holds their digest alone, salted, so that
    -- they can be forgotten.
    address text,
    details text,
    salt text,
    private_digest text,
    -- Its place in the chain, and the digest of everything up to it.
    sequence bigint unique,
    digest text
);
create index audit_entries_by_time on audit_entries (at, entry_id);
create index audit_entries_by_site on audit_entries (site_id, at);
create index audit_entries_by_account on audit_entries (account_id, at);
create index audit_entries_by_subject on audit_entries (subject, at);
create index audit_entries_unchained on audit_entries (entry_id) where sequence is null;

-- The only row: the end of the chain, and the last entry that was cut off its head.
create table audit_chain (
    chain_id bigint primary key,
    last_sequence bigint not null,
    last_digest text not null,
    cut_sequence bigint not null,
    cut_digest text not null
);
insert into audit_chain (chain_id, last_sequence, last_digest, cut_sequence, cut_digest)
values (1, 0, '', 0, '');

-- What may happen very often is an entry the first time in an hour, and a count for the rest of it.
create table audit_tallies (
    -- Who did what to what, from where.
    tally_key text not null,
    window_at bigint not null,
    -- The same, from anywhere.
    group_key text not null,
    entry text not null,
    count bigint not null,
    last_at bigint not null,
    primary key (tally_key, window_at)
);
create index audit_tallies_by_group on audit_tallies (group_key, window_at);

-- What the first trail said stays readable. Its rows get identifiers in the order of their times.
insert into audit_entries (entry_id, at, action, actor, account_id, site_id, camera_id, subject)
select '00000000-0000-7000-8000-' || substr('000000000000' || cast(n as text), length(cast(n as text)) + 1),
    at, action,
    case when account_id is not null then 'account' when action = 'camera_paired' then 'camera'
        else 'relay' end,
    account_id, site_id,
    case when action in ('camera_paired', 'camera_removed', 'updates_on', 'updates_off')
        then subject end,
    subject
from (select row_number() over (order by at) as n, at, account_id, site_id, action, subject from audit)
    as numbered;
drop table audit;

-- Who asked for it: an account, without a reference, since the command outlives it.
alter table commands add column issued_by text;
-- Who told the camera to record, of what nobody's movement began.
alter table events add column started_by text;
-- Since when a session is watched.
alter table live_sessions add column streaming_at bigint;

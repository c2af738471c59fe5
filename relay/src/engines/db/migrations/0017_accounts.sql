-- When mail to the account's address was known to arrive.
alter table accounts add column verified_at bigint;

-- Sites whose owner is gone: nobody belongs to them any more, and what is left of them goes step by step.
create table site_deletions (
    site_id text not null primary key references sites (site_id) on delete cascade
);

-- By what somebody is signed in, from where, and when it was last used.
alter table sessions add column program text;
alter table sessions add column network text;
alter table sessions add column seen_at bigint;
alter table token_families add column program text;
alter table token_families add column network text;
alter table token_families add column seen_at bigint;

-- Links that a mail or an administrator brought. Their token is kept as its hash alone.
create table one_time_links (
    token_hash text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade,
    -- reset or verify.
    purpose text not null,
    -- The address that is to be confirmed, or to which a reset was sent.
    email text,
    expires_at bigint not null
);
create index one_time_links_by_account on one_time_links (account_id, purpose);
create index one_time_links_by_expiry on one_time_links (expires_at);

-- Mails that have not left yet, and those that never will.
create table mails (
    mail_id text not null primary key,
    account_id text references accounts (account_id) on delete cascade,
    recipient text not null,
    kind text not null,
    -- What it says, with the links in it: sealed with a key that is not in the database. Empty once it failed.
    sealed text not null,
    -- waiting or failed.
    state text not null,
    attempts bigint not null,
    -- Why the last attempt failed.
    reason text,
    queued_at bigint not null,
    due_at bigint not null,
    -- After that nobody needs it.
    expires_at bigint not null
);
create index mails_by_due on mails (state, due_at);
create index mails_by_recipient on mails (recipient);
create index mails_by_account on mails (account_id);

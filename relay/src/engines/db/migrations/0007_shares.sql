-- Links by which a clip is watched without an account. The token in a link is kept as its hash alone.
create table shares (
    share_id text not null primary key,
    clip_id text not null references clips (clip_id) on delete cascade,
    -- The link opens for as long as this account may share the clip.
    created_by text not null references accounts (account_id) on delete cascade,
    token_hash text not null unique,
    created_at bigint not null,
    expires_at bigint not null
);
create index shares_by_clip on shares (clip_id, expires_at);
create index shares_by_account on shares (created_by);
create index shares_by_expiry on shares (expires_at);

-- Other programs that are told what happens at a site, on behalf of who wrote them down.
create table webhooks (
    webhook_id text not null primary key,
    site_id text not null references sites (site_id) on delete cascade,
    account_id text not null references accounts (account_id) on delete cascade,
    name text not null,
    format text not null,
    -- A list, JSON.
    kinds text not null,
    -- The origin of its address; the rest of it may be a secret.
    origin text not null,
    -- Its address, and what it asks for as a password.
    sealed_address text not null,
    sealed_secret text not null,
    -- The secret before this one, which signs as well for a while.
    sealed_old_secret text,
    old_secret_until bigint,
    enabled bigint not null,
    created_at bigint not null,
    -- Since when nothing was taken.
    failing_since bigint,
    -- When the relay itself turned it off.
    given_up_at bigint
);
create index webhooks_by_site on webhooks (site_id);
create index webhooks_by_account on webhooks (account_id);

-- What came of the last attempts with a webhook.
create table webhook_attempts (
    attempt_id text not null primary key,
    webhook_id text not null references webhooks (webhook_id) on delete cascade,
    -- What the receiver knows the message by; the same in each attempt with it.
    message_id text not null,
    kind text not null,
    attempted_at bigint not null,
    duration_ms bigint not null,
    -- Of the answer, where there was one.
    status bigint,
    -- Why there was none, or why it was not enough.
    reason text
);
create index webhook_attempts_by_webhook on webhook_attempts (webhook_id, attempt_id);

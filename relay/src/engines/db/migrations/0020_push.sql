-- Keys by which browsers know the relay. The newest is the one that browsers subscribe by from now on; those that
-- subscribed by another take messages by that one alone.
create table push_keys (
    public_key text not null primary key,
    -- Sealed by the key beside the database, as are all secrets here.
    sealed text not null,
    created_at bigint not null
);

-- Browsers to which messages go, each as long as what somebody was signed in by when it subscribed was not ended.
create table push_subscriptions (
    subscription_id text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade,
    sign_in text not null,
    -- When that sign-in runs out by itself, which ends no subscription.
    sign_in_until bigint not null,
    -- One browser belongs to one account.
    endpoint_hash text not null unique,
    -- Its endpoint and its keys: sealed, because who has them has messages.
    sealed text not null,
    push_key text not null references push_keys (public_key),
    program text not null,
    -- The host of its push service.
    service text not null,
    created_at bigint not null,
    -- When a push service took something last.
    sent_at bigint
);
create index push_subscriptions_by_account on push_subscriptions (account_id);
create index push_subscriptions_by_sign_in on push_subscriptions (sign_in);
create index push_subscriptions_by_key on push_subscriptions (push_key);

-- Browsers and programs that have signed in before: strangers' guesses do not stop them. One token
-- stands for a device, whichever accounts it has signed in to; kept as its hash alone.
create table known_devices (
    token_hash text not null,
    account_id text not null references accounts (account_id) on delete cascade,
    seen_at bigint not null,
    expires_at bigint not null,
    primary key (token_hash, account_id)
);
create index known_devices_by_account on known_devices (account_id, seen_at);
create index known_devices_by_expiry on known_devices (expires_at);
-- Each guess at a code asks how many there are.
create index pairings_by_code_expiry on pairings (code_expires_at);

-- Secrets of one-time codes. They are needed as they are: each is sealed by the key beside the
-- database, secrets.key.
create table totp_secrets (
    account_id text not null primary key references accounts (account_id) on delete cascade,
    sealed_secret text not null,
    created_at bigint not null,
    -- Null until a first code has shown that the app has the secret.
    confirmed_at bigint,
    -- Of the newest code that was taken: it and older ones are not taken again.
    last_step bigint not null
);

create table backup_codes (
    code_hash text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade
);
create index backup_codes_by_account on backup_codes (account_id);

create table passkeys (
    passkey_id text not null primary key,
    -- Base64url. One is one account's.
    credential_id text not null unique,
    account_id text not null references accounts (account_id) on delete cascade,
    name text not null,
    -- COSE, base64url.
    public_key text not null,
    -- 0 where the authenticator does not count.
    sign_count bigint not null,
    created_at bigint not null,
    used_at bigint
);
create index passkeys_by_account on passkeys (account_id);

-- What a person is asked to answer: once, within minutes.
create table challenges (
    challenge_hash text not null primary key,
    purpose text not null,
    -- Whose answer it must be, where that is known.
    account_id text references accounts (account_id) on delete cascade,
    attempts bigint not null,
    expires_at bigint not null
);
create index challenges_by_expiry on challenges (expires_at);

-- Sign-ins at which somebody has shown again, a while ago, who they are.
create table confirmations (
    sign_in text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade,
    password_until bigint not null,
    factor_until bigint not null
);

-- Keys by which programs act for an account.
create table api_keys (
    key_id text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade,
    -- The one site where it counts; all where there is none.
    site_id text references sites (site_id) on delete cascade,
    name text not null,
    token_hash text not null unique,
    -- A list of rights, JSON.
    rights text not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at bigint
);
create index api_keys_by_account on api_keys (account_id);
create index api_keys_by_expiry on api_keys (expires_at);

-- Accounts that have a second factor, once for each.
create view second_factors as
    select account_id from totp_secrets where confirmed_at is not null
    union all
    select account_id from passkeys;

-- By what somebody is signed in: browsers, programs, keys.
create view sign_ins as
    select token_hash as sign_in, account_id, expires_at from sessions
    union all
    select family_id, account_id, expires_at from token_families
    union all
    select key_id, account_id, expires_at from api_keys;

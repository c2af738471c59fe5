-- Read by both engines: see migrations.rs. Times are Unix milliseconds, ids UUIDs in their
-- hyphenated lower-case form, truth values 0 or 1, tokens and codes SHA-256 in hexadecimal:
-- none of them can be read back.

create table accounts (
    account_id text not null primary key,
    -- As typed, in lower case: one address is one account.
    email text not null unique,
    name text not null,
    -- Relay-wide: user or admin.
    role text not null,
    -- Argon2id, PHC string.
    password_hash text not null,
    created_at bigint not null
);

-- Browsers that are signed in.
create table sessions (
    token_hash text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade,
    created_at bigint not null,
    expires_at bigint not null
);
create index sessions_by_account on sessions (account_id);
create index sessions_by_expiry on sessions (expires_at);

-- A sign-in of a program: a chain of refresh tokens, one valid at a time. Deleting the family
-- ends its access tokens too.
create table token_families (
    family_id text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade,
    created_at bigint not null,
    expires_at bigint not null
);
create index token_families_by_expiry on token_families (expires_at);

create table refresh_tokens (
    token_hash text not null primary key,
    family_id text not null references token_families (family_id) on delete cascade,
    -- When it was exchanged. Seeing it again means that somebody copied it.
    spent_at bigint
);
create index refresh_tokens_by_family on refresh_tokens (family_id);

create table access_tokens (
    token_hash text not null primary key,
    family_id text not null references token_families (family_id) on delete cascade,
    account_id text not null references accounts (account_id) on delete cascade,
    expires_at bigint not null
);
create index access_tokens_by_expiry on access_tokens (expires_at);

-- A ticket opens one WebSocket, once.
create table socket_tickets (
    token_hash text not null primary key,
    account_id text not null references accounts (account_id) on delete cascade,
    expires_at bigint not null
);

-- The unit of tenancy: a site owns cameras and has members.
create table sites (
    site_id text not null primary key,
    name text not null,
    created_at bigint not null
);

create table members (
    site_id text not null references sites (site_id) on delete cascade,
    account_id text not null references accounts (account_id) on delete cascade,
    -- owner, manager, viewer or installer.
    role text not null,
    created_at bigint not null,
    primary key (site_id, account_id)
);
create index members_by_account on members (account_id);

create table cameras (
    camera_id text not null primary key,
    site_id text not null references sites (site_id) on delete cascade,
    name text not null,
    model text not null,
    agent_version text not null,
    -- Ed25519, base64. A key is one camera's: nobody registers as a camera by knowing its id.
    public_key text not null unique,
    paired_at bigint not null,
    -- What its owners were told last.
    online bigint not null default 0,
    -- When an online camera becomes offline unless it is heard from again; null while its MQTT
    -- connection stands.
    offline_due_at bigint,
    last_seen_at bigint,
    privacy bigint not null default 0,
    armed bigint not null default 1,
    -- Its last health message, JSON, and when it arrived.
    health text,
    health_at bigint
);
create index cameras_by_site on cameras (site_id);
create index cameras_by_offline_due on cameras (offline_due_at);

create table device_tokens (
    token_hash text not null primary key,
    camera_id text not null references cameras (camera_id) on delete cascade,
    expires_at bigint not null
);
create index device_tokens_by_camera on device_tokens (camera_id);
create index device_tokens_by_expiry on device_tokens (expires_at);

-- Challenges that have not been answered yet.
create table nonces (
    nonce_hash text not null primary key,
    expires_at bigint not null
);
create index nonces_by_expiry on nonces (expires_at);

create table pairings (
    pairing_id text not null primary key,
    site_id text not null references sites (site_id) on delete cascade,
    -- Typed by a person: short, so it lasts for minutes.
    code_hash text not null,
    code_expires_at bigint not null,
    -- In a file or a QR code: long, so it may last for a day.
    secret_hash text not null unique,
    expires_at bigint not null,
    -- The key that took it, and the camera it became. Only that key may ask again.
    claimed_by_key text,
    -- No reference: the pairing outlives the camera's removal.
    camera_id text,
    created_at bigint not null
);
create index pairings_by_code on pairings (code_hash);
create index pairings_by_expiry on pairings (expires_at);

create table commands (
    command_id text not null primary key,
    camera_id text not null references cameras (camera_id) on delete cascade,
    kind text not null,
    -- JSON.
    arguments text not null,
    -- queued, sent, acked, rejected, failed or expired.
    state text not null,
    reason text,
    -- JSON.
    result text,
    issued_at bigint not null,
    expires_at bigint not null,
    updated_at bigint not null
);
create index commands_by_camera on commands (camera_id, issued_at);
create index commands_by_state on commands (state, expires_at);

-- One viewer watching one camera.
create table live_sessions (
    session_id text not null primary key,
    camera_id text not null references cameras (camera_id) on delete cascade,
    -- Who opened it: nobody else steers it.
    account_id text not null references accounts (account_id) on delete cascade,
    -- requested, streaming, completed or failed.
    state text not null,
    reason text,
    started_at bigint not null,
    ended_at bigint
);
create index live_sessions_by_camera on live_sessions (camera_id, started_at);
create index live_sessions_by_state on live_sessions (state, started_at);

create table events (
    -- Made by the camera.
    event_id text not null primary key,
    camera_id text not null references cameras (camera_id) on delete cascade,
    site_id text not null references sites (site_id) on delete cascade,
    kind text not null,
    -- started or ended.
    state text not null,
    started_at bigint not null,
    ended_at bigint,
    -- Whether the camera's clock was synced or unsynced.
    clock text not null,
    boot_id text not null,
    uptime_ms bigint not null,
    clip_id text,
    -- JSON: relative rectangles, names of zones.
    boxes text not null,
    zones text not null,
    reason text
);
create index events_by_site on events (site_id, started_at);
create index events_by_camera on events (camera_id, started_at);

create table clips (
    -- Made by the camera.
    clip_id text not null primary key,
    camera_id text not null references cameras (camera_id) on delete cascade,
    site_id text not null references sites (site_id) on delete cascade,
    event_id text,
    -- clip or snapshot.
    kind text not null,
    -- announced, ready or failed.
    state text not null,
    reason text,
    started_at bigint not null,
    clock text not null,
    ended_at bigint,
    duration_ms bigint,
    -- private, site or link.
    visibility text not null
);
create index clips_by_site on clips (site_id, started_at);
create index clips_by_camera on clips (camera_id, started_at);

-- The objects of a clip.
create table clip_parts (
    clip_id text not null references clips (clip_id) on delete cascade,
    part_index bigint not null,
    -- file, init, segment, thumbnail or snapshot.
    kind text not null,
    length bigint not null,
    sha256 text not null,
    content_type text not null,
    object_key text not null,
    -- Seen in the object store, with this length and checksum.
    stored bigint not null default 0,
    primary key (clip_id, part_index)
);

-- Objects that nothing refers to any more, until the store has deleted them.
create table object_deletions (
    object_key text not null primary key,
    due_at bigint not null,
    -- Until then somebody holds a permission to upload it: deleting it once more after that is
    -- what makes sure.
    last_due_at bigint not null
);
create index object_deletions_by_due on object_deletions (due_at);

-- Who did what. Rows are only ever added.
create table audit (
    at bigint not null,
    -- No references: the record outlives what it speaks of.
    account_id text,
    site_id text,
    -- For instance camera_paired.
    action text not null,
    subject text
);
create index audit_by_site on audit (site_id, at);
create index audit_by_account on audit (account_id, at);

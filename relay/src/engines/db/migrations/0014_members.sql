-- Where a site is, and by which clock its people live: as its owner says.
alter table sites add column place text;
alter table sites add column time_zone text;

-- Guests belong to a site until a time; absent for good.
alter table members add column ends_at bigint;
-- 1: sees the cameras of member_cameras alone, be they none any more.
alter table members add column limited bigint not null default 0;
alter table members add column invited_by text;
create index members_by_end on members (ends_at);

create table member_cameras (
    site_id text not null,
    account_id text not null,
    camera_id text not null references cameras (camera_id) on delete cascade,
    primary key (site_id, account_id, camera_id),
    foreign key (site_id, account_id) references members (site_id, account_id) on delete cascade
);
create index member_cameras_by_camera on member_cameras (camera_id);

-- Links by which people come to belong to a site. The token in a link is kept as its hash alone.
create table invitations (
    invitation_id text not null primary key,
    site_id text not null references sites (site_id) on delete cascade,
    token_hash text not null unique,
    -- The link opens for as long as this account may let in whom it invites.
    invited_by text not null references accounts (account_id) on delete cascade,
    -- For whom it is, in the inviter's words, and where it was sent by mail.
    name text,
    email text,
    -- What the guest becomes, and until when.
    role text not null,
    limited bigint not null,
    ends_at bigint,
    uses_left bigint not null,
    created_at bigint not null,
    expires_at bigint not null
);
create index invitations_by_site on invitations (site_id, created_at);
create index invitations_by_account on invitations (invited_by);
create index invitations_by_expiry on invitations (expires_at);

create table invitation_cameras (
    invitation_id text not null references invitations (invitation_id) on delete cascade,
    camera_id text not null references cameras (camera_id) on delete cascade,
    primary key (invitation_id, camera_id)
);
create index invitation_cameras_by_camera on invitation_cameras (camera_id);

-- An owner offers a site to a member, who becomes its owner by accepting.
create table ownership_offers (
    site_id text not null primary key references sites (site_id) on delete cascade,
    offered_by text not null references accounts (account_id) on delete cascade,
    account_id text not null references accounts (account_id) on delete cascade,
    -- 1: who offers stays an owner, too.
    stays bigint not null,
    expires_at bigint not null
);
create index ownership_offers_by_account on ownership_offers (account_id);

-- An owner offers a camera to an owner of another site. The token is kept as its hash alone.
create table camera_offers (
    camera_id text not null primary key references cameras (camera_id) on delete cascade,
    -- Where it is: should it be elsewhere meanwhile, the offer is void.
    site_id text not null references sites (site_id) on delete cascade,
    token_hash text not null unique,
    offered_by text not null references accounts (account_id) on delete cascade,
    expires_at bigint not null
);
create index camera_offers_by_account on camera_offers (offered_by);
create index camera_offers_by_site on camera_offers (site_id);

-- Where a camera was, and until when: what it saw until then belongs there, whenever it arrives.
create table camera_moves (
    camera_id text not null references cameras (camera_id) on delete cascade,
    -- No reference: what belongs to a site that is gone belongs to nobody.
    site_id text not null,
    until_at bigint not null,
    primary key (camera_id, until_at)
);

//! Who belongs to a site: the one text by which statements ask that, and those that change it.

use nightjar_shared::{
    ids::{AccountId, CameraId, InvitationId, SiteId},
    role::Role,
    time::UnixMillis,
};

use super::{DbError, Executor, Value, from_row};

/// Names the members of a site who belong to it at a time, as `m`, for a `join`. No other statement
/// asks who belongs to a site.
macro_rules! members_now {
    ($site:literal, $now:literal) => {
        concat!(
            "memberships m on m.site_id = ",
            $site,
            " and (m.ends_at is null or m.ends_at > ",
            $now,
            ")"
        )
    };
}
pub(super) use members_now;

/// Names those of them who may know of a camera, and of what comes from it.
macro_rules! members_at_camera {
    ($site:literal, $camera:literal, $now:literal) => {
        concat!(
            $crate::engines::db::members::members_now!($site, $now),
            " and (m.limited = 0 or exists (select 1 from member_cameras l
                 where l.site_id = m.site_id and l.account_id = m.account_id
                     and l.camera_id = ",
            $camera,
            "))"
        )
    };
}
pub(super) use members_at_camera;

/// What an account is to a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewMember {
    pub site_id: SiteId,
    pub account_id: AccountId,
    pub role: Role,
    /// Sees the cameras alone that are listed.
    pub limited: bool,
    pub ends_at: Option<UnixMillis>,
    pub invited_by: Option<AccountId>,
}

/// A member, as those see it who decide about members.
#[derive(Debug, Clone)]
pub struct MemberRow {
    pub account_id: AccountId,
    pub name: String,
    pub email: String,
    pub role: Role,
    pub limited: bool,
    pub ends_at: Option<UnixMillis>,
    pub created_at: UnixMillis,
    /// Absent where nobody did, or who did is gone.
    pub invited_by: Option<String>,
}

from_row!(MemberRow { account_id, name, email, role, limited, ends_at, created_at, invited_by });

/// Names the members whom a site's owners see and change: whose account is disabled, too, and no
/// administrator who has a view.
macro_rules! member_rows {
    ($now:literal) => {
        concat!(
            "select m.account_id, a.name, a.email, m.role, m.limited, m.ends_at, m.created_at,
                 (select i.name from accounts i where i.account_id = m.invited_by) as invited_by
             from members m join accounts a on a.account_id = m.account_id
             where m.site_id = $1 and m.view_id is null and (m.ends_at is null or m.ends_at > ",
            $now,
            ")"
        )
    };
}

/// Holds a site until the transaction ends: of those who change who belongs to it, one comes after the
/// other. Says whether there is such a site.
pub async fn hold(db: &impl Executor, site_id: SiteId) -> Result<bool, DbError> {
    let held = db
        .execute(
            "update sites set created_at = created_at where site_id = $1",
            vec![site_id.into()],
        )
        .await?;
    Ok(held == 1)
}

/// Lists the members of a site, longest first.
pub async fn of_site(
    db: &impl Executor,
    site_id: SiteId,
    now: UnixMillis,
) -> Result<Vec<MemberRow>, DbError> {
    db.all(
        concat!(member_rows!("$2"), " order by m.created_at, m.account_id"),
        vec![site_id.into(), now.into()],
    )
    .await
}

pub async fn by_account(
    db: &impl Executor,
    site_id: SiteId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Option<MemberRow>, DbError> {
    db.one(
        concat!(member_rows!("$2"), " and m.account_id = $3"),
        vec![site_id.into(), now.into(), account_id.into()],
    )
    .await
}

/// Lists who at a site may know of a camera now, and what they are; not who lacks the second factor
/// that the site requires.
pub async fn at_camera(
    db: &impl Executor,
    site_id: SiteId,
    camera_id: CameraId,
    now: UnixMillis,
) -> Result<Vec<(AccountId, Role)>, DbError> {
    db.all(
        concat!(
            "select m.account_id, m.role from sites s join ",
            members_at_camera!("s.site_id", "$2", "$3"),
            " where s.site_id = $1 and m.lacks_factor = 0"
        ),
        vec![site_id.into(), camera_id.into(), now.into()],
    )
    .await
}

/// A camera that a member is limited to.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub account_id: AccountId,
    pub camera_id: CameraId,
}

from_row!(Limit { account_id, camera_id });

/// Lists what members of a site are limited to, as far as it is there.
pub async fn limits_of_site(db: &impl Executor, site_id: SiteId) -> Result<Vec<Limit>, DbError> {
    db.all(
        "select l.account_id, l.camera_id
         from member_cameras l join cameras c on c.camera_id = l.camera_id and c.site_id = l.site_id
         where l.site_id = $1 order by l.account_id, l.camera_id",
        vec![site_id.into()],
    )
    .await
}

/// Adds a member. Says whether the account had no part in the site.
pub async fn insert(
    db: &impl Executor,
    member: NewMember,
    now: UnixMillis,
) -> Result<bool, DbError> {
    // A guest whose time is over may be there until a sweep; who is let in needs no view any more.
    db.execute(
        "delete from members where site_id = $1 and account_id = $2
             and (ends_at <= $3 or view_id is not null)",
        vec![member.site_id.into(), member.account_id.into(), now.into()],
    )
    .await?;
    let inserted = db
        .execute(
            "insert into members
                 (site_id, account_id, role, created_at, limited, ends_at, invited_by)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (site_id, account_id) do nothing",
            vec![
                member.site_id.into(),
                member.account_id.into(),
                member.role.into(),
                now.into(),
                member.limited.into(),
                member.ends_at.into(),
                member.invited_by.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Changes what a member is; not to which cameras.
pub async fn change(
    db: &impl Executor,
    (site_id, account_id): (SiteId, AccountId),
    role: Role,
    limited: bool,
    ends_at: Option<UnixMillis>,
) -> Result<(), DbError> {
    db.execute(
        "update members set role = $3, limited = $4, ends_at = $5
         where site_id = $1 and account_id = $2",
        vec![site_id.into(), account_id.into(), role.into(), limited.into(), ends_at.into()],
    )
    .await
    .map(drop)
}

/// Limits a member to these cameras, in the place of those before.
pub async fn set_cameras(
    db: &impl Executor,
    (site_id, account_id): (SiteId, AccountId),
    cameras: &[CameraId],
) -> Result<(), DbError> {
    db.execute(
        "delete from member_cameras where site_id = $1 and account_id = $2",
        vec![site_id.into(), account_id.into()],
    )
    .await?;
    for camera_id in cameras {
        db.execute(
            "insert into member_cameras (site_id, account_id, camera_id) values ($1, $2, $3)
             on conflict (site_id, account_id, camera_id) do nothing",
            vec![site_id.into(), account_id.into(), (*camera_id).into()],
        )
        .await?;
    }
    Ok(())
}

/// Limits a new member to the cameras of an invitation that are still at the site.
pub async fn set_cameras_of_invitation(
    db: &impl Executor,
    (site_id, account_id): (SiteId, AccountId),
    invitation_id: InvitationId,
) -> Result<(), DbError> {
    db.execute(
        "insert into member_cameras (site_id, account_id, camera_id)
         select c.site_id, cast($2 as text), c.camera_id
         from invitation_cameras i join cameras c on c.camera_id = i.camera_id
         where i.invitation_id = $3 and c.site_id = $1",
        vec![site_id.into(), account_id.into(), invitation_id.into()],
    )
    .await
    .map(drop)
}

/// Takes a member out. Says whether there was one.
pub async fn delete(
    db: &impl Executor,
    site_id: SiteId,
    account_id: AccountId,
) -> Result<bool, DbError> {
    let deleted = db
        .execute(
            "delete from members where site_id = $1 and account_id = $2",
            vec![site_id.into(), account_id.into()],
        )
        .await?;
    Ok(deleted == 1)
}

/// Takes all members out but one.
pub async fn delete_all_but(
    db: &impl Executor,
    site_id: SiteId,
    account_id: AccountId,
) -> Result<(), DbError> {
    db.execute(
        "delete from members where site_id = $1 and account_id <> $2",
        vec![site_id.into(), account_id.into()],
    )
    .await
    .map(drop)
}

/// A guest whose time is over.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub site_id: SiteId,
    pub account_id: AccountId,
}

from_row!(Ended { site_id, account_id });

/// Takes those out whose time is over.
pub async fn delete_ended(db: &impl Executor, now: UnixMillis) -> Result<Vec<Ended>, DbError> {
    db.all(
        "delete from members where ends_at <= $1 and view_id is null returning site_id, account_id",
        vec![now.into()],
    )
    .await
}

pub async fn count_owners(db: &impl Executor, site_id: SiteId) -> Result<u64, DbError> {
    count(
        db,
        "select count(*) as count from members where site_id = $1 and role = 'owner'",
        vec![site_id.into()],
    )
    .await
}

pub async fn count_of_site(db: &impl Executor, site_id: SiteId) -> Result<u64, DbError> {
    count(db, "select count(*) as count from members where site_id = $1", vec![site_id.into()])
        .await
}

async fn count(db: &impl Executor, sql: &'static str, values: Vec<Value>) -> Result<u64, DbError> {
    let row = db.query_one(sql, values).await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// An owner offers a site to a member.
#[derive(Debug, Clone, Copy)]
pub struct OfferRow {
    pub offered_by: AccountId,
    pub account_id: AccountId,
    pub stays: bool,
    pub expires_at: UnixMillis,
}

from_row!(OfferRow { offered_by, account_id, stays, expires_at });

/// Keeps an offer, in the place of the one before.
pub async fn put_offer(
    db: &impl Executor,
    site_id: SiteId,
    offer: OfferRow,
) -> Result<(), DbError> {
    db.execute(
        "insert into ownership_offers (site_id, offered_by, account_id, stays, expires_at)
         values ($1, $2, $3, $4, $5)
         on conflict (site_id) do update set offered_by = excluded.offered_by,
             account_id = excluded.account_id, stays = excluded.stays,
             expires_at = excluded.expires_at",
        vec![
            site_id.into(),
            offer.offered_by.into(),
            offer.account_id.into(),
            offer.stays.into(),
            offer.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Finds the offer of a site that stands.
pub async fn offer(
    db: &impl Executor,
    site_id: SiteId,
    now: UnixMillis,
) -> Result<Option<OfferRow>, DbError> {
    db.one(
        "select offered_by, account_id, stays, expires_at from ownership_offers
         where site_id = $1 and expires_at > $2",
        vec![site_id.into(), now.into()],
    )
    .await
}

/// Takes an offer back. Says whether there was one.
pub async fn delete_offer(db: &impl Executor, site_id: SiteId) -> Result<bool, DbError> {
    let deleted =
        db.execute("delete from ownership_offers where site_id = $1", vec![site_id.into()]).await?;
    Ok(deleted == 1)
}

//! Sites and their members.

use nightjar_shared::{
    ids::{AccountId, SiteId},
    role::Role,
    time::UnixMillis,
};

use super::{DbError, Executor, FromRow, Row, from_row, happenings, members::members_now};

#[derive(Debug, Clone)]
pub struct SiteRow {
    pub site_id: SiteId,
    pub name: String,
    /// The role of the member who asks.
    pub role: Role,
    pub requires_second_factor: bool,
    /// Whether it does, and the member who asks has none.
    pub lacks_factor: bool,
}

from_row!(SiteRow { site_id, name, role, requires_second_factor, lacks_factor });

impl SiteRow {
    /// A site that its owner has just made.
    pub fn new(name: String) -> Self {
        Self {
            site_id: SiteId::generate(),
            name,
            role: Role::Owner,
            requires_second_factor: false,
            lacks_factor: false,
        }
    }
}

/// What an account is to the site of a thing.
#[derive(Debug, Clone, Copy)]
pub struct Membership {
    pub site_id: SiteId,
    pub role: Role,
    /// Whether the site requires a second factor, and the account has none.
    pub lacks_factor: bool,
}

/// Lists the columns of a [`Membership`], by the row `m` of `memberships`.
macro_rules! membership {
    () => {
        "m.role, m.site_id as member_site_id, m.lacks_factor"
    };
}
pub(super) use membership;

impl FromRow for Membership {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            site_id: row.get("member_site_id")?,
            role: row.get("role")?,
            lacks_factor: row.get("lacks_factor")?,
        })
    }
}

/// What belongs to a site, with what an account is there.
impl<T: FromRow> FromRow for (T, Membership) {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok((T::from_row(row)?, Membership::from_row(row)?))
    }
}

/// Inserts a new site with its first member.
pub async fn insert(
    db: &impl Executor,
    site: &SiteRow,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into sites (site_id, name, created_at) values ($1, $2, $3)",
        vec![site.site_id.into(), site.name.as_str().into(), now.into()],
    )
    .await?;
    db.execute(
        "insert into members (site_id, account_id, role, created_at) values ($1, $2, $3, $4)",
        vec![site.site_id.into(), account_id.into(), site.role.into(), now.into()],
    )
    .await
    .map(drop)
}

/// Lists the sites of an account, oldest first.
pub async fn of_account(
    db: &impl Executor,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Vec<SiteRow>, DbError> {
    db.all(
        concat!(
            "select s.site_id, s.name, s.requires_second_factor, m.role, m.lacks_factor
             from sites s join ",
            members_now!("s.site_id", "$2"),
            " where m.account_id = $1 order by s.site_id"
        ),
        vec![account_id.into(), now.into()],
    )
    .await
}

pub async fn count_of_account(db: &impl Executor, account_id: AccountId) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from members where account_id = $1",
            vec![account_id.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Finds the site, if the account is a member of it.
pub async fn for_member(
    db: &impl Executor,
    site_id: SiteId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Option<SiteRow>, DbError> {
    db.one(
        concat!(
            "select s.site_id, s.name, s.requires_second_factor, m.role, m.lacks_factor
             from sites s join ",
            members_now!("s.site_id", "$3"),
            " where s.site_id = $1 and m.account_id = $2"
        ),
        vec![site_id.into(), account_id.into(), now.into()],
    )
    .await
}

/// What an owner says of a site.
#[derive(Debug, Clone)]
pub struct SiteFacts {
    pub name: String,
    pub place: Option<String>,
    pub time_zone: Option<String>,
    pub requires_second_factor: bool,
    pub created_at: UnixMillis,
}

from_row!(SiteFacts { name, place, time_zone, requires_second_factor, created_at });

pub async fn facts(db: &impl Executor, site_id: SiteId) -> Result<Option<SiteFacts>, DbError> {
    db.one(
        "select name, place, time_zone, requires_second_factor, created_at from sites where site_id = $1",
        vec![site_id.into()],
    )
    .await
}

pub async fn set_facts(
    db: &impl Executor,
    site_id: SiteId,
    facts: &SiteFacts,
) -> Result<(), DbError> {
    db.execute(
        "update sites set name = $2, place = $3, time_zone = $4, requires_second_factor = $5
         where site_id = $1",
        vec![
            site_id.into(),
            facts.name.as_str().into(),
            facts.place.clone().into(),
            facts.time_zone.clone().into(),
            facts.requires_second_factor.into(),
        ],
    )
    .await
    .map(drop)
}

/// Deletes a site, which has no cameras any more; its members, invitations and pairings go with it.
pub async fn delete(db: &impl Executor, site_id: SiteId) -> Result<(), DbError> {
    happenings::delete_of_site(db, site_id).await?;
    db.execute("delete from sites where site_id = $1", vec![site_id.into()]).await.map(drop)
}

/// A site as operators see it.
#[derive(Debug, Clone)]
pub struct SiteOfOwner {
    pub site_id: SiteId,
    pub name: String,
    pub email: String,
}

from_row!(SiteOfOwner { site_id, name, email });

/// Lists all sites with an owner of each.
pub async fn with_owners(db: &impl Executor) -> Result<Vec<SiteOfOwner>, DbError> {
    db.all(
        "select s.site_id, s.name, min(a.email) as email
         from sites s
         join members m on m.site_id = s.site_id and m.role = 'owner'
         join accounts a on a.account_id = m.account_id
         group by s.site_id, s.name order by s.site_id",
        vec![],
    )
    .await
}

//! All accounts of the relay.

use nightjar_shared::{
    ids::{AccountId, SiteId},
    role::{AccountRole, Role},
    time::UnixMillis,
};

use crate::engines::db::{DbError, Executor, Page, Value, from_row, newest_first};

/// An account as administrators see it.
#[derive(Debug, Clone)]
pub struct KnownAccount {
    pub account_id: AccountId,
    pub email: String,
    pub name: String,
    pub role: AccountRole,
    pub verified_at: Option<UnixMillis>,
    pub created_at: UnixMillis,
    pub disabled_at: Option<UnixMillis>,
    pub delete_after: Option<UnixMillis>,
    pub factors: u64,
    pub sites: u64,
    pub sign_ins: u64,
    pub browser_seen_at: Option<UnixMillis>,
    pub program_seen_at: Option<UnixMillis>,
}

from_row!(KnownAccount {
    account_id,
    email,
    name,
    role,
    verified_at,
    created_at,
    disabled_at,
    delete_after,
    factors,
    sites,
    sign_ins,
    browser_seen_at,
    program_seen_at
});

macro_rules! known_accounts {
    ($now:literal) => {
        concat!(
            "select a.account_id, a.email, a.name, a.role, a.verified_at, a.created_at,
                 a.disabled_at, a.delete_after,
                 (select count(*) from second_factors f where f.account_id = a.account_id) as factors,
                 (select count(*) from members m
                  where m.account_id = a.account_id and m.view_id is null) as sites,
                 (select count(*) from sessions s
                  where s.account_id = a.account_id and s.expires_at > ",
            $now,
            ")
                 + (select count(*) from token_families t
                  where t.account_id = a.account_id and t.expires_at > ",
            $now,
            ") as sign_ins,
                 (select max(s.seen_at) from sessions s where s.account_id = a.account_id)
                     as browser_seen_at,
                 (select max(t.seen_at) from token_families t where t.account_id = a.account_id)
                     as program_seen_at
             from accounts a where "
        )
    };
}

/// Which accounts are shown. Absent means any.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// A pattern of `like`, in lower case, with `!` before what stands for itself.
    pub pattern: Option<String>,
    pub role: Option<AccountRole>,
    pub disabled: Option<bool>,
}

pub async fn list(
    db: &impl Executor,
    page: &Page,
    wanted: &Wanted,
    now: UnixMillis,
) -> Result<Vec<KnownAccount>, DbError> {
    let statement = concat!(
        known_accounts!("$7"),
        "(cast($4 as text) is null or lower(a.email) like $4 escape '!'
              or lower(a.name) like $4 escape '!')
         and (cast($5 as text) is null or a.role = $5)
         and (cast($6 as bigint) is null
              or (case when a.disabled_at is null then 0 else 1 end) = $6)",
        newest_first!("a.created_at", "a.account_id")
    );
    let values: [Value; 4] =
        [wanted.pattern.clone().into(), wanted.role.into(), wanted.disabled.into(), now.into()];
    page.read(db, ("created_at", "account_id"), statement, values).await
}

pub async fn by_id(
    db: &impl Executor,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Option<KnownAccount>, DbError> {
    db.one(concat!(known_accounts!("$2"), "a.account_id = $1"), vec![account_id.into(), now.into()])
        .await
}

/// What an account is to a site.
#[derive(Debug, Clone)]
pub struct Belonging {
    pub site_id: SiteId,
    pub name: String,
    pub role: Role,
}

from_row!(Belonging { site_id, name, role });

pub async fn sites_of(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<Vec<Belonging>, DbError> {
    db.all(
        "select s.site_id, s.name, m.role from members m join sites s on s.site_id = m.site_id
         where m.account_id = $1 and m.view_id is null order by s.site_id",
        vec![account_id.into()],
    )
    .await
}

/// Counts administrators who can act, but for one account.
pub async fn count_other_administrators(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from accounts
             where role = 'admin' and disabled_at is null and account_id <> $1",
            vec![account_id.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

pub async fn count(db: &impl Executor) -> Result<u64, DbError> {
    let row = db.query_one("select count(*) as count from accounts", vec![]).await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

pub async fn count_administrators(db: &impl Executor) -> Result<u64, DbError> {
    let row =
        db.query_one("select count(*) as count from accounts where role = 'admin'", vec![]).await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

pub async fn set_role(
    db: &impl Executor,
    account_id: AccountId,
    role: AccountRole,
) -> Result<(), DbError> {
    db.execute(
        "update accounts set role = $2 where account_id = $1",
        vec![account_id.into(), role.into()],
    )
    .await
    .map(drop)
}

/// Says since when an account may do nothing, and when it goes for good.
pub async fn set_disabled(
    db: &impl Executor,
    account_id: AccountId,
    disabled_at: Option<UnixMillis>,
    delete_after: Option<UnixMillis>,
) -> Result<(), DbError> {
    db.execute(
        "update accounts set disabled_at = $2, delete_after = $3 where account_id = $1",
        vec![account_id.into(), disabled_at.into(), delete_after.into()],
    )
    .await
    .map(drop)
}

pub async fn is_disabled(db: &impl Executor, account_id: AccountId) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select 1 as found from accounts where account_id = $1 and disabled_at is not null",
            vec![account_id.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Lists accounts whose time of grace is over.
pub async fn to_delete(
    db: &impl Executor,
    now: UnixMillis,
    count: u32,
) -> Result<Vec<AccountId>, DbError> {
    let rows = db
        .query(
            "select account_id from accounts where delete_after is not null and delete_after <= $1
             order by delete_after, account_id limit $2",
            vec![now.into(), count.into()],
        )
        .await?;
    rows.iter().map(|row| row.get("account_id")).collect()
}

/// Ends the membership that views give an account: nobody has any who is no administrator.
pub async fn end_memberships_by_view(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<(), DbError> {
    db.execute(
        "delete from members where account_id = $1 and view_id is not null",
        vec![account_id.into()],
    )
    .await
    .map(drop)
}

/// Gives up the link by which the first administrator was to be made, and makes another.
pub async fn replace_first_admin_link(
    db: &impl Executor,
    link: Option<(String, UnixMillis)>,
) -> Result<(), DbError> {
    db.execute("delete from first_admin_links", vec![]).await?;
    let Some((token_hash, expires_at)) = link else { return Ok(()) };
    db.execute(
        "insert into first_admin_links (token_hash, expires_at) values ($1, $2)",
        vec![token_hash.into(), expires_at.into()],
    )
    .await
    .map(drop)
}

/// Returns whether such a link is good.
pub async fn has_first_admin_link(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select 1 as found from first_admin_links where token_hash = $1 and expires_at > $2",
            vec![token_hash.into(), now.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Spends it: of two callers, one has it.
pub async fn take_first_admin_link(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let taken = db
        .execute(
            "delete from first_admin_links where token_hash = $1 and expires_at > $2",
            vec![token_hash.into(), now.into()],
        )
        .await?;
    Ok(taken == 1)
}

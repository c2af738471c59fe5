//! Accounts that go, and the sites that go with them.

use nightjar_shared::{
    ids::{AccountId, SiteId},
    role::Role,
};

use super::{DbError, Executor, from_row, happenings};

/// A site that an account alone owns, and what is there.
#[derive(Debug, Clone)]
pub struct OwnSite {
    pub site_id: SiteId,
    pub name: String,
    pub cameras: u64,
    pub clips: u64,
    pub other_members: u64,
}

from_row!(OwnSite { site_id, name, cameras, clips, other_members });

/// Lists the sites that have no other owner.
pub async fn own_sites(db: &impl Executor, account_id: AccountId) -> Result<Vec<OwnSite>, DbError> {
    db.all(
        "select s.site_id, s.name,
             (select count(*) from cameras c where c.site_id = s.site_id) as cameras,
             (select count(*) from clips c where c.site_id = s.site_id) as clips,
             (select count(*) from members o
              where o.site_id = s.site_id and o.account_id <> $1) as other_members
         from members m join sites s on s.site_id = m.site_id
         where m.account_id = $1 and m.role = $2 and not exists
             (select 1 from members o
              where o.site_id = m.site_id and o.account_id <> $1 and o.role = $2)
         order by s.site_id",
        vec![account_id.into(), Role::Owner.into()],
    )
    .await
}

/// Takes a site from its members. What is left of it goes later.
pub async fn give_up_site(db: &impl Executor, site_id: SiteId) -> Result<(), DbError> {
    for sql in [
        "delete from members where site_id = $1",
        "delete from pairings where site_id = $1",
        "insert into site_deletions (site_id) values ($1)",
    ] {
        db.execute(sql, vec![site_id.into()]).await?;
    }
    Ok(())
}

/// Deletes an account with all that hangs on it.
pub async fn delete_account(db: &impl Executor, account_id: AccountId) -> Result<(), DbError> {
    happenings::delete_of_account(db, account_id).await?;
    for sql in
        ["delete from pairings where created_by = $1", "delete from accounts where account_id = $1"]
    {
        db.execute(sql, vec![account_id.into()]).await?;
    }
    Ok(())
}

/// Lists sites that go.
pub async fn given_up_sites(db: &impl Executor) -> Result<Vec<SiteId>, DbError> {
    let rows = db.query("select site_id from site_deletions", vec![]).await?;
    Ok(rows.iter().filter_map(|row| row.get("site_id").ok()).collect())
}

/// Deletes a site that has no cameras any more.
pub async fn delete_site(db: &impl Executor, site_id: SiteId) -> Result<(), DbError> {
    happenings::delete_of_site(db, site_id).await?;
    for sql in
        ["delete from relayed_bytes where site_id = $1", "delete from sites where site_id = $1"]
    {
        db.execute(sql, vec![site_id.into()]).await?;
    }
    Ok(())
}

//! Sites: homes and shops, the unit of tenancy.

use nightjar_shared::ids::SiteId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App, List,
    access::{Caller, Role},
    record, text,
};
use crate::{
    engines::db::sites::{self, SiteRow},
    error::{Error, Result},
};

const SITES_PER_ACCOUNT_MAX: u64 = 50;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Site {
    #[schema(value_type = String)]
    pub site_id: SiteId,
    pub name: String,
    /// What the caller is to it.
    pub role: Role,
}

impl TryFrom<SiteRow> for Site {
    type Error = Error;

    fn try_from(row: SiteRow) -> Result<Self> {
        Ok(Self { site_id: row.site_id, role: row.role.parse()?, name: row.name })
    }
}

/// All of them: there are at most 50.
pub async fn list(app: &App, caller: Caller) -> Result<List<Site>> {
    let rows = sites::of_account(&app.db, caller.account_id).await?;
    let items = rows.into_iter().rev().map(Site::try_from).collect::<Result<_>>()?;
    Ok(List { items, next_cursor: None })
}

pub async fn create(app: &App, caller: Caller, name: &str) -> Result<Site> {
    let site = SiteRow {
        site_id: SiteId::generate(),
        name: text::name(name)?,
        role: Role::Owner.as_str().to_owned(),
    };
    let transaction = app.db.begin().await?;
    let count = sites::count_of_account(&transaction, caller.account_id).await?;
    if count >= SITES_PER_ACCOUNT_MAX {
        return Err(Error::conflict("too_many_sites", "An account has at most 50 sites."));
    }
    sites::insert(&transaction, &site, caller.account_id, app.now()).await?;
    let (account_id, site_id) = (Some(caller.account_id), Some(site.site_id));
    record(&transaction, app.now(), account_id, site_id, "site_created", site.site_id).await?;
    transaction.commit().await?;
    site.try_into()
}

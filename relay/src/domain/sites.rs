//! Sites: homes and shops, the unit of tenancy.

use nightjar_shared::{ids::SiteId, role::Role};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    List,
    access::{self, Caller, Right},
    record, text,
};
use crate::{
    app::App,
    engines::db::sites::{self, SiteRow},
    error::{Error, ProblemCode, Result},
};

const SITES_PER_ACCOUNT_MAX: u64 = 50;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Site {
    #[schema(value_type = String)]
    pub site_id: SiteId,
    pub name: String,
    /// What the caller is to it: `owner`, `manager`, `viewer` or `installer`.
    #[schema(value_type = String)]
    pub role: Role,
    /// What that role may do here: `see_cameras`, `see_pictures`, `control`, `manage`, `pair`.
    #[schema(value_type = Vec<String>)]
    pub may: Vec<Right>,
}

impl Site {
    fn new(caller: Caller, row: SiteRow) -> Self {
        Self {
            site_id: row.site_id,
            role: row.role,
            name: row.name,
            may: access::rights_of(caller, row.role),
        }
    }
}

/// Finds all sites that the caller reaches, oldest first.
pub(super) async fn of(app: &App, caller: Caller) -> Result<Vec<Site>> {
    let rows = sites::of_account(&app.db, caller.account_id).await?;
    let reached = rows.into_iter().filter(|row| caller.scope.reaches(row.site_id));
    Ok(reached.map(|row| Site::new(caller, row)).collect())
}

/// Lists all of the caller's sites: there are at most 50.
pub async fn list(app: &App, caller: Caller) -> Result<List<Site>> {
    let mut items = of(app, caller).await?;
    items.reverse();
    Ok(List { items, next_cursor: None })
}

pub async fn create(app: &App, caller: Caller, name: &str) -> Result<Site> {
    access::in_person(caller)?;
    let site = SiteRow { site_id: SiteId::generate(), name: text::name(name)?, role: Role::Owner };
    let transaction = app.db.begin().await?;
    let count = sites::count_of_account(&transaction, caller.account_id).await?;
    if count >= SITES_PER_ACCOUNT_MAX {
        return Err(Error::conflict(ProblemCode::TooManySites, "An account has at most 50 sites."));
    }
    sites::insert(&transaction, &site, caller.account_id, app.now()).await?;
    let (account_id, site_id) = (Some(caller.account_id), Some(site.site_id));
    record(&transaction, app.now(), account_id, site_id, "site_created", site.site_id).await?;
    transaction.commit().await?;
    Ok(Site::new(caller, site))
}

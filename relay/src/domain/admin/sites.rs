//! All sites: who owns each, what it uses, and what it may use.

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, SiteId},
    range::Check,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Desk, pattern};
use crate::{
    domain::{List, PageRequest, audit::record, members::Patch},
    engines::db::admin::sites::{self as known, KnownSite, SiteLimits},
    error::{Error, Result},
};

/// A petabyte, or more events than anybody looks at.
const LIMIT_MAX: u64 = 1_000_000_000;

/// A site as administrators see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminSite {
    pub site_id: SiteId,
    pub name: String,
    pub created_at: UnixMillis,
    /// The longest owner; absent where the site is on its way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_email: Option<String>,
    pub members: u64,
    pub cameras: u64,
    pub cameras_online: u64,
    pub clips: u64,
    pub events: u64,
    pub bytes: u64,
    /// What it may use, where that is not what all sites may.
    pub limits: AdminSiteLimits,
}

/// What a site may use. Absent means what the settings say for all sites.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct AdminSiteLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub megabytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clips: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
}

impl From<KnownSite> for AdminSite {
    fn from(row: KnownSite) -> Self {
        Self {
            site_id: row.site_id,
            name: row.name,
            created_at: row.created_at,
            owner_id: row.owner_id,
            owner_email: row.owner_email,
            members: row.members,
            cameras: row.cameras,
            cameras_online: row.cameras_online,
            clips: row.clips,
            events: row.events,
            bytes: row.bytes,
            limits: AdminSiteLimits {
                megabytes: row.limit_megabytes,
                clips: row.limit_clips,
                events: row.limit_events,
            },
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SiteSearch {
    /// A part of the name, or of its owner's address.
    #[param(max_length = 100)]
    pub search: Option<String>,
}

/// What is to be different; `null` gives a site what all may use.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct SiteLimitsChange {
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub megabytes: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub clips: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub events: Patch<u64>,
}

impl Check for SiteLimitsChange {}

/// Lists all sites, newest first.
pub async fn list(
    desk: &Desk<'_>,
    search: &SiteSearch,
    page: &PageRequest,
) -> Result<List<AdminSite>> {
    let position = page.position()?;
    let pattern = pattern(search.search.as_deref())?;
    let rows = known::list(desk.db, &position.page, pattern.as_deref()).await?;
    Ok(position.list(rows, |row| (row.created_at, row.site_id), AdminSite::from))
}

pub async fn get(desk: &Desk<'_>, site_id: SiteId) -> Result<AdminSite> {
    let found = known::by_id(desk.db, site_id).await?;
    found.map(AdminSite::from).ok_or_else(Error::not_found)
}

/// Changes what a site may use.
pub async fn change_limits(
    desk: &Desk<'_>,
    site_id: SiteId,
    change: SiteLimitsChange,
) -> Result<AdminSite> {
    let transaction = desk.db.begin().await?;
    desk.hold(&transaction).await?;
    known::by_id(&transaction, site_id).await?.ok_or_else(Error::not_found)?;
    let before = known::limits(&transaction, site_id).await?;
    let limits = SiteLimits {
        megabytes: change.megabytes.unwrap_or_else(|| before.megabytes),
        clips: change.clips.unwrap_or_else(|| before.clips),
        events: change.events.unwrap_or_else(|| before.events),
    };
    let all = [limits.megabytes, limits.clips, limits.events];
    if all.into_iter().flatten().any(|limit| limit > LIMIT_MAX) {
        let title = "A limit is 0 to 1,000,000,000.";
        return Err(Error::invalid(crate::error::ProblemCode::OutOfRange, title));
    }
    known::set_limits(&transaction, site_id, limits).await?;
    let entry = desk.entry(Action::SiteLimitsChanged).site(site_id).subject(site_id);
    let entry = entry
        .changed("megabytes", before.megabytes, limits.megabytes)
        .changed("clips", before.clips, limits.clips)
        .changed("events", before.events, limits.events);
    record(&transaction, desk.now, entry).await?;
    transaction.commit().await?;
    get(desk, site_id).await
}

//! Who did what.

use std::sync::Arc;

use axum::extract::State;
use nightjar_shared::ids::SiteId;

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        audit::{self, AuditEntry, AuditSelection, RelayTrail},
    },
    doors::{
        extract::{Id, Json, Query},
        principal::SignedIn,
    },
    error::Result,
};

/// Lists what was done at a site, newest first, for its owners.
#[utoipa::path(get, path = "/sites/{id}/audit", tag = "audit",
    params(("id" = String, Path), AuditSelection, PageRequest),
    responses((status = 200, body = List<AuditEntry>)))]
pub async fn of_site(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Query(selection): Query<AuditSelection>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<AuditEntry>>> {
    Ok(Json(audit::of_site(&app, signed_in.caller, site_id, &selection, &page).await?))
}

/// Lists what the caller did and what was done to the caller's account, newest first, and who saw what
/// at the sites that the caller owns.
#[utoipa::path(get, path = "/auth/audit", tag = "audit", params(AuditSelection, PageRequest),
    responses((status = 200, body = List<AuditEntry>)))]
pub async fn of_account(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(selection): Query<AuditSelection>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<AuditEntry>>> {
    Ok(Json(audit::of_account(&app, signed_in.caller, &selection, &page).await?))
}

/// Lists what concerns no site, newest first, for the relay's administrators; or what was done at all
/// sites, but for what was seen there.
#[utoipa::path(get, path = "/admin/audit", tag = "audit",
    params(RelayTrail, AuditSelection, PageRequest),
    responses((status = 200, body = List<AuditEntry>)))]
pub async fn of_relay(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(part): Query<RelayTrail>,
    Query(selection): Query<AuditSelection>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<AuditEntry>>> {
    Ok(Json(audit::of_relay(&app, signed_in.caller, &part, &selection, &page).await?))
}

//! What an owner says to administrators who ask to see a site.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use nightjar_shared::ids::{SiteId, ViewId};

use crate::{
    app::App,
    domain::{
        List,
        site_views::{self, View},
    },
    doors::{
        extract::{Id, Ids, Json},
        principal::SignedIn,
    },
    error::Result,
};

/// Lists the newest views of a site that administrators asked for, for its owners.
#[utoipa::path(get, path = "/sites/{id}/views", tag = "views", params(("id" = SiteId, Path)),
    responses((status = 200, body = List<View>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<Json<List<View>>> {
    Ok(Json(site_views::of_site(&app, signed_in.caller, site_id).await?))
}

/// Allows a view, from now on and for as long as was asked for.
#[utoipa::path(post, path = "/sites/{id}/views/{view}/grant", tag = "views",
    params(("id" = SiteId, Path), ("view" = ViewId, Path)),
    responses((status = 200, body = View)))]
pub async fn grant(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Ids(site_id, view_id): Ids<SiteId, ViewId>,
) -> Result<Json<View>> {
    Ok(Json(site_views::answer(&app, signed_in.caller, site_id, view_id, true).await?))
}

/// Refuses a view.
#[utoipa::path(post, path = "/sites/{id}/views/{view}/refuse", tag = "views",
    params(("id" = SiteId, Path), ("view" = ViewId, Path)),
    responses((status = 200, body = View)))]
pub async fn refuse(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Ids(site_id, view_id): Ids<SiteId, ViewId>,
) -> Result<Json<View>> {
    Ok(Json(site_views::answer(&app, signed_in.caller, site_id, view_id, false).await?))
}

/// Ends a view at once.
#[utoipa::path(delete, path = "/sites/{id}/views/{view}", tag = "views",
    params(("id" = SiteId, Path), ("view" = ViewId, Path)), responses((status = 204)))]
pub async fn end(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Ids(site_id, view_id): Ids<SiteId, ViewId>,
) -> Result<StatusCode> {
    site_views::end(&app, signed_in.caller, site_id, view_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

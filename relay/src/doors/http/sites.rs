//! Homes and shops.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use nightjar_shared::{ids::SiteId, range::Check};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    domain::{
        List,
        sites::{self, Site, SiteChange, SiteDetails, SiteRemoval},
    },
    doors::{
        extract::{Id, Json, created},
        principal::SignedIn,
    },
    error::Result,
};

#[derive(Deserialize, ToSchema)]
pub struct NewSite {
    #[schema(min_length = 1, max_length = 80)]
    name: String,
}

impl Check for NewSite {}

/// Lists the caller's sites.
#[utoipa::path(get, path = "/sites", tag = "sites", responses((status = 200, body = List<Site>)))]
pub async fn list(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<List<Site>>> {
    Ok(Json(sites::list(&app, signed_in.caller).await?))
}

/// Makes a new site, which the caller owns.
#[utoipa::path(post, path = "/sites", tag = "sites", request_body = NewSite,
    responses((status = 201, body = Site)))]
pub async fn create(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(new): Json<NewSite>,
) -> Result<Response> {
    Ok(created(sites::create(&app, signed_in.caller, &new.name).await?))
}

/// Shows one site.
#[utoipa::path(get, path = "/sites/{id}", tag = "sites", params(("id" = String, Path)),
    responses((status = 200, body = SiteDetails)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<Json<SiteDetails>> {
    Ok(Json(sites::get(&app, signed_in.caller, site_id).await?))
}

/// Changes what a site is called, where it is, and its time zone.
#[utoipa::path(patch, path = "/sites/{id}", tag = "sites", params(("id" = String, Path)),
    request_body = SiteChange, responses((status = 200, body = SiteDetails)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(change): Json<SiteChange>,
) -> Result<Json<SiteDetails>> {
    Ok(Json(sites::change(&app, signed_in.caller, site_id, change).await?))
}

/// Ends a site with its cameras and all that came from them.
#[utoipa::path(delete, path = "/sites/{id}", tag = "sites", params(("id" = String, Path)),
    request_body = SiteRemoval, responses((status = 204)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(removal): Json<SiteRemoval>,
) -> Result<StatusCode> {
    sites::remove(&app, signed_in.caller, site_id, removal).await?;
    Ok(StatusCode::NO_CONTENT)
}

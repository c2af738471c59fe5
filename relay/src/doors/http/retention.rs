//! For how long sites keep what.

use std::sync::Arc;

use axum::extract::State;
use nightjar_shared::ids::SiteId;

use crate::{
    app::App,
    domain::retention::{self, Retention, RetentionChange, RetentionPreview},
    doors::{
        extract::{Id, Json},
        principal::SignedIn,
    },
    error::Result,
};

/// Shows for how long a site keeps what.
#[utoipa::path(get, path = "/sites/{id}/retention", tag = "sites", params(("id" = String, Path)),
    responses((status = 200, body = Retention)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<Json<Retention>> {
    Ok(Json(retention::get(&app, signed_in.caller, site_id).await?))
}

/// Sets for how long a site keeps what. Nothing goes by new rules for a day.
#[utoipa::path(post, path = "/sites/{id}/retention", tag = "sites", params(("id" = String, Path)),
    request_body = RetentionChange, responses((status = 200, body = Retention)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(change): Json<RetentionChange>,
) -> Result<Json<Retention>> {
    Ok(Json(retention::change(&app, signed_in.caller, site_id, change).await?))
}

/// Says what would go now by these rules, and deletes nothing.
#[utoipa::path(post, path = "/sites/{id}/retention/preview", tag = "sites",
    params(("id" = String, Path)), request_body = RetentionChange,
    responses((status = 200, body = RetentionPreview)))]
pub async fn preview(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(change): Json<RetentionChange>,
) -> Result<Json<RetentionPreview>> {
    Ok(Json(retention::preview(&app, signed_in.caller, site_id, change.rules).await?))
}

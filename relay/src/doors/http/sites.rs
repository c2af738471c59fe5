//! Homes and shops.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use nightjar_shared::range::Check;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    domain::{
        List,
        sites::{self, Site},
    },
    doors::{
        extract::{Json, created},
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

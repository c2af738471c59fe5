//! What administrators of the relay do for accounts.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use nightjar_shared::range::Check;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    domain::accounts::{self, Link},
    doors::{
        extract::{Json, created},
        principal::SignedIn,
    },
    error::Result,
};

#[derive(Deserialize, ToSchema)]
pub struct ResetLinkRequest {
    #[schema(format = "email", max_length = 254)]
    email: String,
}

impl Check for ResetLinkRequest {}

/// Makes a link by which the owner of an account sets a new password, to be brought by hand: for
/// administrators, where the relay sends no mail.
#[utoipa::path(post, path = "/admin/reset-links", tag = "admin", request_body = ResetLinkRequest,
    responses((status = 201, body = Link)))]
pub async fn make_reset_link(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(request): Json<ResetLinkRequest>,
) -> Result<Response> {
    let link = accounts::reset_link_by_admin(&app, signed_in.caller, &request.email).await?;
    Ok(created(link))
}

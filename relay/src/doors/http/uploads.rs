//! Clips that people bring.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use nightjar_shared::ids::ClipId;

use crate::{
    app::App,
    domain::{
        clips::Clip,
        imports::{self, NewUpload, Upload},
    },
    doors::{
        extract::{Id, Json, created},
        principal::SignedIn,
    },
    error::Result,
};

/// Permits the upload of a video or a picture: a PUT straight to the store.
#[utoipa::path(post, path = "/uploads", tag = "clips", request_body = NewUpload,
    responses((status = 201, body = Upload)))]
pub async fn begin(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(new): Json<NewUpload>,
) -> Result<impl IntoResponse> {
    Ok(created(imports::begin(&app, signed_in.caller, new).await?))
}

/// Makes a clip of what was uploaded, if it is what it was said to be.
#[utoipa::path(post, path = "/uploads/{id}/complete", tag = "clips", params(("id" = String, Path)),
    responses((status = 200, body = Clip)))]
pub async fn complete(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
) -> Result<Json<Clip>> {
    Ok(Json(imports::complete(&app, signed_in.caller, clip_id).await?))
}

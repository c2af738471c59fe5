//! Cameras that change sites.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use nightjar_shared::ids::CameraId;

use crate::{
    app::App,
    domain::{
        camera_moves::{self, CreatedOffer, Move, OfferAcceptance, OfferToken, OpenedOffer},
        cameras::Camera,
    },
    doors::{
        extract::{Id, Json, created},
        principal::SignedIn,
    },
    error::Result,
};

/// Moves a camera to another site of the caller's. What it saw stays with the site at which it saw it.
#[utoipa::path(post, path = "/cameras/{id}/move", tag = "cameras", params(("id" = String, Path)),
    request_body = Move, responses((status = 200, body = Camera)))]
pub async fn relocate(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    Json(Move { site_id }): Json<Move>,
) -> Result<Json<Camera>> {
    Ok(Json(camera_moves::relocate(&app, signed_in.caller, camera_id, site_id).await?))
}

/// Offers a camera to the owner of another site, who accepts it by the token.
#[utoipa::path(post, path = "/cameras/{id}/offer", tag = "cameras", params(("id" = String, Path)),
    responses((status = 201, body = CreatedOffer)))]
pub async fn offer(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
) -> Result<Response> {
    Ok(created(camera_moves::offer(&app, signed_in.caller, camera_id).await?))
}

/// Takes an offer back.
#[utoipa::path(delete, path = "/cameras/{id}/offer", tag = "cameras",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn withdraw(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
) -> Result<StatusCode> {
    camera_moves::withdraw(&app, signed_in.caller, camera_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says which camera is offered, to whoever has the token.
#[utoipa::path(post, path = "/camera-offers/open", tag = "cameras", request_body = OfferToken,
    responses((status = 200, body = OpenedOffer)))]
pub async fn open(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(OfferToken { token }): Json<OfferToken>,
) -> Result<Json<OpenedOffer>> {
    Ok(Json(camera_moves::open(&app, signed_in.caller, &token).await?))
}

/// Takes a camera that is offered to a site of the caller's.
#[utoipa::path(post, path = "/camera-offers/accept", tag = "cameras",
    request_body = OfferAcceptance, responses((status = 200, body = Camera)))]
pub async fn accept(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(acceptance): Json<OfferAcceptance>,
) -> Result<Json<Camera>> {
    Ok(Json(camera_moves::accept(&app, signed_in.caller, acceptance).await?))
}

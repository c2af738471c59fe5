//! The camera's doors: what is too large for MQTT, and what comes before it. Bodies are the types of `nightjar-shared`.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use nightjar_shared::{
    api::{
        Challenge, ClipAnnouncement, ClipCompletion, ClipFailure, NetworkMeans, PartRequest,
        PartUpload, PartsSent, PartsStored, TokenRequest, TokenResponse,
    },
    ids::ClipId,
};

use crate::{
    app::App,
    domain::{clips::Clip, devices, uploads},
    doors::{
        extract::{Id, Json},
        principal::{FromCamera, Peer},
    },
    error::Result,
};

/// Gives something to sign, which works once, for 60 s.
#[utoipa::path(get, path = "/agent/challenge", tag = "camera",
    responses((status = 200, body = Challenge)))]
pub async fn challenge(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
) -> Result<Json<Challenge>> {
    Ok(Json(devices::challenge(&app, address).await?))
}

/// Gives a device token for a signed challenge.
#[utoipa::path(post, path = "/agent/token", tag = "camera", request_body = TokenRequest,
    responses((status = 200, body = TokenResponse)))]
pub async fn token(
    State(app): State<Arc<App>>,
    Json(request): Json<TokenRequest>,
) -> Result<Json<TokenResponse>> {
    Ok(Json(devices::issue_token(&app, request).await?))
}

/// Gives what a camera needs to find out whether its network lets it work.
#[utoipa::path(post, path = "/agent/network", tag = "camera",
    responses((status = 200, body = NetworkMeans)))]
pub async fn network(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
) -> Result<Json<NetworkMeans>> {
    Ok(Json(devices::network(&app, device.camera_id).await?))
}

/// Announces a clip.
#[utoipa::path(post, path = "/agent/clips", tag = "camera", request_body = ClipAnnouncement,
    responses((status = 200, body = Clip)))]
pub async fn announce_clip(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Json(announcement): Json<ClipAnnouncement>,
) -> Result<Json<Clip>> {
    Ok(Json(uploads::announce(&app, device.camera_id, announcement).await?))
}

/// Permits the upload of parts.
#[utoipa::path(post, path = "/agent/clips/{id}/parts", tag = "camera",
    params(("id" = String, Path)), request_body = Vec<PartRequest>,
    responses((status = 200, body = Vec<PartUpload>)))]
pub async fn permit_parts(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Id(clip_id): Id<ClipId>,
    Json(requests): Json<Vec<PartRequest>>,
) -> Result<Json<Vec<PartUpload>>> {
    Ok(Json(uploads::permit(&app, device.camera_id, clip_id, requests).await?))
}

/// Takes notice of sent parts, and says which of them the store has.
#[utoipa::path(post, path = "/agent/clips/{id}/stored", tag = "camera",
    params(("id" = String, Path)), request_body = PartsSent,
    responses((status = 200, body = PartsStored)))]
pub async fn confirm_parts(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Id(clip_id): Id<ClipId>,
    Json(sent): Json<PartsSent>,
) -> Result<Json<PartsStored>> {
    Ok(Json(uploads::confirm(&app, device.camera_id, clip_id, sent).await?))
}

/// Completes a clip whose parts are all uploaded.
#[utoipa::path(post, path = "/agent/clips/{id}/complete", tag = "camera",
    params(("id" = String, Path)), request_body = ClipCompletion,
    responses((status = 200, body = Clip)))]
pub async fn complete_clip(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Id(clip_id): Id<ClipId>,
    Json(completion): Json<ClipCompletion>,
) -> Result<Json<Clip>> {
    Ok(Json(uploads::complete(&app, device.camera_id, clip_id, completion).await?))
}

/// Takes the camera's word that the footage is gone and will never come.
#[utoipa::path(post, path = "/agent/clips/{id}/failed", tag = "camera",
    params(("id" = String, Path)), request_body = ClipFailure, responses((status = 204)))]
pub async fn fail_clip(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Id(clip_id): Id<ClipId>,
    Json(failure): Json<ClipFailure>,
) -> Result<StatusCode> {
    uploads::fail(&app, device.camera_id, clip_id, &failure).await?;
    Ok(StatusCode::NO_CONTENT)
}

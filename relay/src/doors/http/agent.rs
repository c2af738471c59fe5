//! The camera's doors. Bodies are the types of `nightjar-shared`.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use nightjar_shared::{
    api::{
        Challenge, ClipAnnouncement, ClipCompletion, ClipFailure, NetworkMeans, PartRequest,
        PartUpload, PartsSent, PartsStored, TokenRequest, TokenResponse,
    },
    command::CommandAck,
    configuration::Configuration,
    event::{EventMessage, Health},
    ids::{ClipId, CommandId},
};

use crate::{
    app::App,
    domain::{cameras, clips::Clip, commands, devices, events, uploads},
    doors::{
        extract::{Id, Json},
        principal::{FromCamera, Peer},
    },
    error::{Error, ProblemCode, Result},
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

/// Takes an event, where MQTT is blocked.
#[utoipa::path(post, path = "/agent/events", tag = "camera", request_body = EventMessage,
    responses((status = 204)))]
pub async fn report_event(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Json(event): Json<EventMessage>,
) -> Result<StatusCode> {
    app.limits.camera_events.take(&device.camera_id.to_string(), app.now())?;
    events::record(&app, device.camera_id, event).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a camera's health, where MQTT is blocked.
#[utoipa::path(post, path = "/agent/heartbeat", tag = "camera", request_body = Health,
    responses((status = 204)))]
pub async fn heartbeat(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Json(health): Json<Health>,
) -> Result<StatusCode> {
    cameras::health(&app, device.camera_id, health).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the settings that the camera goes by, where MQTT is blocked.
#[utoipa::path(post, path = "/agent/configuration", tag = "camera",
    request_body = Configuration, responses((status = 204)))]
pub async fn configuration(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Json(configuration): Json<Configuration>,
) -> Result<StatusCode> {
    cameras::configuration(&app, device.camera_id, configuration).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the outcome of a command, where MQTT is blocked.
#[utoipa::path(post, path = "/agent/commands/{id}/ack", tag = "camera",
    params(("id" = String, Path)), request_body = CommandAck, responses((status = 204)))]
pub async fn acknowledge(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Id(command_id): Id<CommandId>,
    Json(ack): Json<CommandAck>,
) -> Result<StatusCode> {
    if ack.command_id != command_id {
        return Err(Error::invalid(ProblemCode::InvalidAck, "The body speaks of another command."));
    }
    commands::acknowledge(&app, device.camera_id, ack).await?;
    Ok(StatusCode::NO_CONTENT)
}

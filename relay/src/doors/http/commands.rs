//! Commands to cameras.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use nightjar_shared::ids::{CameraId, CommandId};

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        commands::{self, Command, NewCommand},
    },
    doors::{
        extract::{Id, Json, Query},
        principal::SignedIn,
    },
    error::Result,
};

/// Tells a camera to do something. It has not done it when this answers: poll, or listen.
#[utoipa::path(post, path = "/cameras/{id}/commands", tag = "commands",
    params(("id" = String, Path)), request_body = NewCommand,
    responses((status = 202, body = Command)))]
pub async fn issue(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    Json(new): Json<NewCommand>,
) -> Result<Response> {
    let command = commands::issue(&app, signed_in.caller, camera_id, new).await?;
    Ok((StatusCode::ACCEPTED, Json(command)).into_response())
}

/// Lists a camera's commands, newest first.
#[utoipa::path(get, path = "/cameras/{id}/commands", tag = "commands",
    params(("id" = String, Path), PageRequest), responses((status = 200, body = List<Command>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<Command>>> {
    Ok(Json(commands::list(&app, signed_in.caller, camera_id, &page).await?))
}

/// Shows how far a command is.
#[utoipa::path(get, path = "/commands/{id}", tag = "commands", params(("id" = String, Path)),
    responses((status = 200, body = Command)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(command_id): Id<CommandId>,
) -> Result<Json<Command>> {
    Ok(Json(commands::get(&app, signed_in.caller, command_id).await?))
}

//! Updates of cameras: for people, and for the cameras themselves.

use std::sync::Arc;

use axum::extract::State;
use nightjar_shared::{
    ids::CameraId,
    release::{UpdateAnswer, UpdateReport},
};

use crate::{
    app::App,
    domain::releases::{self, CameraUpdate, UpdateChange},
    doors::{
        extract::{Id, Json},
        principal::{FromCamera, SignedIn},
    },
    error::Result,
};

/// Shows how a camera is kept up to date, and how far it is. The command `update` asks for one now.
#[utoipa::path(get, path = "/cameras/{id}/update", tag = "cameras",
    params(("id" = String, Path)), responses((status = 200, body = CameraUpdate)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
) -> Result<Json<CameraUpdate>> {
    Ok(Json(releases::of_camera(&app, signed_in.caller, camera_id).await?))
}

/// Switches automatic updates of a camera on or off.
#[utoipa::path(patch, path = "/cameras/{id}/update", tag = "cameras",
    params(("id" = String, Path)), request_body = UpdateChange,
    responses((status = 200, body = CameraUpdate)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    Json(change): Json<UpdateChange>,
) -> Result<Json<CameraUpdate>> {
    Ok(Json(releases::change(&app, signed_in.caller, camera_id, change).await?))
}

/// Takes how far a camera is with updates, and answers with what there is for it.
#[utoipa::path(post, path = "/agent/update", tag = "camera", request_body = UpdateReport,
    responses((status = 200, body = UpdateAnswer)))]
pub async fn report(
    State(app): State<Arc<App>>,
    FromCamera(device): FromCamera,
    Json(report): Json<UpdateReport>,
) -> Result<Json<UpdateAnswer>> {
    Ok(Json(releases::report(&app, device.camera_id, report).await?))
}

//! Cameras.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use nightjar_shared::{configuration::Configuration, event::Health, ids::CameraId, range::Check};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        cameras::{self, Camera},
        timeline::{self, Span, Timeline},
        views::{self, CameraStatistics, Days},
    },
    doors::{
        extract::{Id, Json, Query},
        principal::SignedIn,
    },
    error::{Error, Result},
};

#[derive(Deserialize, ToSchema)]
pub struct CameraChange {
    name: String,
}

impl Check for CameraChange {}

/// Lists the cameras of all the caller's sites.
#[utoipa::path(get, path = "/cameras", tag = "cameras", params(PageRequest),
    responses((status = 200, body = List<Camera>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<Camera>>> {
    Ok(Json(cameras::list(&app, signed_in.caller, &page).await?))
}

/// Shows one camera.
#[utoipa::path(get, path = "/cameras/{id}", tag = "cameras", params(("id" = String, Path)),
    responses((status = 200, body = Camera)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
) -> Result<Json<Camera>> {
    Ok(Json(cameras::get(&app, signed_in.caller, camera_id).await?))
}

/// Renames a camera.
#[utoipa::path(patch, path = "/cameras/{id}", tag = "cameras", params(("id" = String, Path)),
    request_body = CameraChange, responses((status = 200, body = Camera)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    Json(change): Json<CameraChange>,
) -> Result<Json<Camera>> {
    Ok(Json(cameras::rename(&app, signed_in.caller, camera_id, &change.name).await?))
}

/// Removes a camera and all that came from it; its credentials end at once.
#[utoipa::path(delete, path = "/cameras/{id}", tag = "cameras", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
) -> Result<StatusCode> {
    cameras::remove(&app, signed_in.caller, camera_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows what a camera last said about itself: its `Health`, plus `received_at`.
#[utoipa::path(get, path = "/cameras/{id}/health", tag = "cameras",
    params(("id" = String, Path)), responses((status = 200, body = Health)))]
pub async fn health(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
) -> Result<Json<serde_json::Value>> {
    let last = cameras::last_health(&app, signed_in.caller, camera_id).await?;
    let mut body =
        serde_json::to_value(last.health).map_err(|error| Error::Internal(error.into()))?;
    body["received_at"] = last.received_at.0.into();
    Ok(Json(body))
}

/// Shows the settings that a camera goes by, as it said last: its `Configuration`, plus
/// `received_at`. They are changed by the command `configure`.
#[utoipa::path(get, path = "/cameras/{id}/configuration", tag = "cameras",
    params(("id" = String, Path)), responses((status = 200, body = Configuration)))]
pub async fn configuration(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
) -> Result<Json<serde_json::Value>> {
    let last = cameras::last_configuration(&app, signed_in.caller, camera_id).await?;
    let mut body =
        serde_json::to_value(last.configuration).map_err(|error| Error::Internal(error.into()))?;
    body["received_at"] = last.received_at.0.into();
    Ok(Json(body))
}

/// Shows what a camera recorded, and why there is nothing where there is nothing.
#[utoipa::path(get, path = "/cameras/{id}/timeline", tag = "cameras",
    params(("id" = String, Path), Span), responses((status = 200, body = Timeline)))]
pub async fn timeline(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    Query(span): Query<Span>,
) -> Result<Json<Timeline>> {
    Ok(Json(timeline::get(&app, signed_in.caller, camera_id, &span).await?))
}

/// Shows what there is of a camera, and how much of it was watched.
#[utoipa::path(get, path = "/cameras/{id}/stats", tag = "cameras",
    params(("id" = String, Path), Days), responses((status = 200, body = CameraStatistics)))]
pub async fn statistics(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    Query(days): Query<Days>,
) -> Result<Json<CameraStatistics>> {
    Ok(Json(views::of_camera(&app, signed_in.caller, camera_id, days).await?))
}

//! Live pictures by WHEP: the relay passes descriptions on, the picture goes another way.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use nightjar_shared::ids::{CameraId, SessionId};

use crate::{
    domain::{
        App, List, PageRequest,
        live::{self, Session},
    },
    doors::{
        extract::{Id, Json, Query, sdp},
        principal::SignedIn,
    },
    error::Result,
};

/// Starts watching: the body is an SDP offer, the answer's body the camera's.
#[utoipa::path(post, path = "/cameras/{id}/whep", tag = "live", params(("id" = String, Path)),
    request_body(content = String, content_type = "application/sdp"),
    responses((status = 201, body = String, content_type = "application/sdp")))]
pub async fn open(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let offer = sdp(&headers, body, "application/sdp").await?;
    let opened = live::open(&app, signed_in.caller, camera_id, offer).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/sdp".to_owned()),
        (header::LOCATION, format!("/api/v1/live/{}", opened.session_id)),
    ];
    Ok((StatusCode::CREATED, headers, opened.answer).into_response())
}

/// More ICE candidates of the viewer.
#[utoipa::path(patch, path = "/live/{session}", tag = "live", params(("session" = String, Path)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses((status = 204)))]
pub async fn add_candidates(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(session_id): Id<SessionId>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode> {
    let fragment = sdp(&headers, body, "application/trickle-ice-sdpfrag").await?;
    live::add_candidates(&app, signed_in.caller, session_id, &fragment).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A session, and how it ended.
#[utoipa::path(get, path = "/live/{session}", tag = "live", params(("session" = String, Path)),
    responses((status = 200, body = Session)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(session_id): Id<SessionId>,
) -> Result<Json<Session>> {
    Ok(Json(live::get(&app, signed_in.caller, session_id).await?))
}

/// Stops watching.
#[utoipa::path(delete, path = "/live/{session}", tag = "live", params(("session" = String, Path)),
    responses((status = 200)))]
pub async fn close(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(session_id): Id<SessionId>,
) -> Result<StatusCode> {
    live::close(&app, signed_in.caller, session_id).await?;
    Ok(StatusCode::OK)
}

/// Who watched a camera, newest first.
#[utoipa::path(get, path = "/cameras/{id}/live", tag = "live",
    params(("id" = String, Path), PageRequest), responses((status = 200, body = List<Session>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<Session>>> {
    Ok(Json(live::list(&app, signed_in.caller, camera_id, &page).await?))
}

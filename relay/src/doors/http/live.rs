//! Live sessions as they went; watching itself is `whep`.

use std::sync::Arc;

use axum::extract::State;
use nightjar_shared::ids::{CameraId, SessionId};

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        live::{self, Session},
    },
    doors::{
        extract::{Id, Json, Query},
        principal::SignedIn,
    },
    error::Result,
};

/// Shows a session: how it fares, or how it ended.
#[utoipa::path(get, path = "/live/{session}", tag = "live", params(("session" = String, Path)),
    responses((status = 200, body = Session)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(session_id): Id<SessionId>,
) -> Result<Json<Session>> {
    Ok(Json(live::get(&app, signed_in.caller, session_id).await?))
}

/// Lists who watched a camera, newest first.
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

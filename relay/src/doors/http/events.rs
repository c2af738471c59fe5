//! What cameras noticed.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use http::{HeaderMap, StatusCode};
use nightjar_shared::ids::{CameraId, EventId};

use crate::{
    app::App,
    domain::{
        List, PageRequest, Selection,
        events::{self, Event},
        marks,
        opened_events::{self, NewBookmark, NewEvent, Opened},
    },
    doors::{
        extract::{Id, Json, Query, created},
        principal::SignedIn,
    },
    error::{Error, ProblemCode, Result},
};

/// Events of all my sites, newest first.
#[utoipa::path(get, path = "/events", tag = "events", params(Selection, PageRequest),
    responses((status = 200, body = List<Event>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(selection): Query<Selection>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<Event>>> {
    Ok(Json(events::list(&app, signed_in.caller, &selection, &page).await?))
}

/// Shows one event.
#[utoipa::path(get, path = "/events/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 200, body = Event)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(event_id): Id<EventId>,
) -> Result<Json<Event>> {
    Ok(Json(events::get(&app, signed_in.caller, event_id).await?))
}

/// Tells that something happened at a camera: for doorbells, sensors and programs that know of them. The
/// header `Idempotency-Key` lets a request be repeated.
#[utoipa::path(post, path = "/cameras/{id}/events", tag = "events",
    params(("id" = String, Path), ("idempotency-key" = Option<String>, Header)),
    request_body = NewEvent, responses((status = 201, body = Opened)))]
pub async fn tell(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    headers: HeaderMap,
    Json(new): Json<NewEvent>,
) -> Result<impl IntoResponse> {
    let key = headers.get("idempotency-key").map(|value| value.to_str()).transpose();
    let key = key.map_err(|_| {
        let title = "Idempotency-Key is 1 to 200 characters of ASCII.";
        Error::bad_request(ProblemCode::InvalidText, title)
    })?;
    let opened = opened_events::tell(&app, signed_in.caller, camera_id, new, key).await?;
    Ok(created(opened))
}

/// Marks a moment on the timeline of a camera.
#[utoipa::path(post, path = "/cameras/{id}/bookmarks", tag = "events",
    params(("id" = String, Path)), request_body = NewBookmark,
    responses((status = 201, body = Opened)))]
pub async fn bookmark(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    Json(new): Json<NewBookmark>,
) -> Result<impl IntoResponse> {
    Ok(created(opened_events::bookmark(&app, signed_in.caller, camera_id, new).await?))
}

/// Deletes an event that no camera told of.
#[utoipa::path(delete, path = "/events/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(event_id): Id<EventId>,
) -> Result<StatusCode> {
    opened_events::delete(&app, signed_in.caller, event_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Notes that I have seen an event.
#[utoipa::path(post, path = "/events/{id}/seen", tag = "events", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn see(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(event_id): Id<EventId>,
) -> Result<StatusCode> {
    marks::see_event(&app, signed_in.caller, event_id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Notes that I have seen neither an event nor its clip.
#[utoipa::path(delete, path = "/events/{id}/seen", tag = "events", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn unsee(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(event_id): Id<EventId>,
) -> Result<StatusCode> {
    marks::see_event(&app, signed_in.caller, event_id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

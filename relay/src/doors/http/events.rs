//! What cameras noticed.

use std::sync::Arc;

use axum::extract::State;
use nightjar_shared::ids::EventId;

use crate::{
    app::App,
    domain::{
        List, PageRequest, Selection,
        events::{self, Event},
    },
    doors::{
        extract::{Id, Json, Query},
        principal::SignedIn,
    },
    error::Result,
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

//! All of one's data, to take along, and the end of the account.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};

use crate::{
    app::App,
    domain::accounts::{self, Deletion, DeletionRequest, ExportRequest},
    doors::{
        extract::Json,
        principal::{Peer, SignedIn},
    },
    error::Result,
};

/// Writes all that the relay knows of who is signed in, and of the sites that they own.
#[utoipa::path(post, path = "/auth/export", tag = "accounts", request_body = ExportRequest,
    responses((status = 200, body = serde_json::Value)))]
pub async fn export(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    signed_in: SignedIn,
    Json(request): Json<ExportRequest>,
) -> Result<Response> {
    let pieces = accounts::export(&app, &signed_in.session, request.password, address).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"nightjar-my-data.json\""),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// Says what the end of the account would take along.
#[utoipa::path(get, path = "/auth/deletion", tag = "accounts",
    responses((status = 200, body = Deletion)))]
pub async fn preview(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<Deletion>> {
    Ok(Json(accounts::deletion(&app, signed_in.caller).await?))
}

/// Deletes the account, with the sites that it alone owns.
#[utoipa::path(post, path = "/auth/deletion", tag = "accounts", request_body = DeletionRequest,
    responses((status = 204)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    signed_in: SignedIn,
    Json(request): Json<DeletionRequest>,
) -> Result<StatusCode> {
    accounts::delete_account(&app, &signed_in.session, request, address).await?;
    Ok(StatusCode::NO_CONTENT)
}

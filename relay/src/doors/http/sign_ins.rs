//! How somebody is signed in, listed and ended.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use uuid::Uuid;

use crate::{
    app::App,
    domain::{
        List,
        accounts::{self, SignIn},
    },
    doors::{
        extract::{Id, Json},
        principal::SignedIn,
    },
    error::Result,
};

/// Lists one's own sign-ins, the newest first.
#[utoipa::path(get, path = "/auth/sessions", tag = "accounts",
    responses((status = 200, body = List<SignIn>)))]
pub async fn list(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<List<SignIn>>> {
    Ok(Json(accounts::sign_ins(&app, &signed_in.session).await?))
}

/// Ends all of one's own sign-ins but the one that asks.
#[utoipa::path(delete, path = "/auth/sessions", tag = "accounts", responses((status = 204)))]
pub async fn end_others(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<StatusCode> {
    accounts::end_other_sign_ins(&app, &signed_in.session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of one's own sign-ins, with its sockets and live pictures.
#[utoipa::path(delete, path = "/auth/sessions/{id}", tag = "accounts",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn end(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(sign_in_id): Id<Uuid>,
) -> Result<StatusCode> {
    accounts::end_sign_in(&app, signed_in.caller, sign_in_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

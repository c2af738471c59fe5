//! Keys by which programs act for an account.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use nightjar_shared::ids::ApiKeyId;

use crate::{
    app::App,
    domain::{
        List,
        api_keys::{self, ApiKey, MadeKey, NewKey},
    },
    doors::{
        extract::{Id, Json, created},
        principal::SignedIn,
    },
    error::Result,
};

/// Lists my keys, newest first: at most 50.
#[utoipa::path(get, path = "/auth/keys", tag = "api keys",
    responses((status = 200, body = List<ApiKey>)))]
pub async fn list(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<List<ApiKey>>> {
    Ok(Json(api_keys::list(&app, signed_in.caller).await?))
}

/// Makes a key: after it was shown again who acts. Its token is told once.
#[utoipa::path(post, path = "/auth/keys", tag = "api keys", request_body = NewKey,
    responses((status = 201, body = MadeKey)))]
pub async fn create(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(new): Json<NewKey>,
) -> Result<Response> {
    Ok(created(api_keys::create(&app, &signed_in.session, new).await?))
}

/// Ends a key, and what was opened with it.
#[utoipa::path(delete, path = "/auth/keys/{id}", tag = "api keys",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(key_id): Id<ApiKeyId>,
) -> Result<StatusCode> {
    api_keys::remove(&app, signed_in.caller, key_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

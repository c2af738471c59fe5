//! The door at the port of plain http: what proves a name to an ACME server (RFC 8555, 8.3), and for all else
//! where the app is.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use crate::{app::App, domain::certificates};

/// Builds the door.
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/.well-known/acme-challenge/{token}", get(prove))
        .fallback(lead_to_https)
        .with_state(app.clone())
}

async fn prove(State(app): State<Arc<App>>, Path(token): Path<String>) -> Response {
    match certificates::http_answer(&app, &token) {
        Some(answer) => {
            ([(header::CONTENT_TYPE, "application/octet-stream")], answer).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Leads to the same page of the app, whatever host was named: who could choose where it leads would lead
/// people elsewhere.
async fn lead_to_https(State(app): State<Arc<App>>, uri: Uri) -> Response {
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    let mut headers = HeaderMap::new();
    let target = format!("{}{path}", app.config.public_url);
    match HeaderValue::try_from(target) {
        Ok(target) => {
            headers.insert(header::LOCATION, target);
            (StatusCode::PERMANENT_REDIRECT, headers).into_response()
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

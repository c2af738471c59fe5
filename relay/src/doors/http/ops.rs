//! For those who run the relay.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{app::App, domain::readiness, doors::extract::Json};

/// Which parts are ready for work.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    ready: bool,
    parts: Parts,
}

#[derive(Serialize, ToSchema)]
pub struct Parts {
    database: bool,
    broker: bool,
    store: bool,
}

/// Answers that the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = 200, body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Answers 200 when every part can do its work, else 503.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub async fn readyz(State(app): State<Arc<App>>) -> Response {
    let found = readiness(&app).await;
    let parts = Parts { database: found.database, broker: found.broker, store: found.store };
    let body = Readiness { ready: parts.database && parts.broker && parts.store, parts };
    let status = if body.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Serves the relay's certificate authority: a camera checks it against `ca_sha256`, a phone trusts
/// it.
#[utoipa::path(get, path = "/ca.pem", tag = "operations",
    responses((status = 200, body = String, content_type = "application/x-pem-file")))]
pub async fn ca_pem(State(app): State<Arc<App>>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/x-pem-file")];
    (content_type, app.certificates.ca_pem.clone()).into_response()
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String)))]
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], app.metrics.render()).into_response()
}

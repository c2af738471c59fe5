//! For those who run the relay.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use nightjar_shared::time::UnixMillis;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    domain::{
        certificates::{self, PublicStatus},
        metrics, readiness,
    },
    doors::{extract::Json, principal::MetricsReader},
    error::Result,
};

/// Which parts are ready for work.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    ready: bool,
    parts: Parts,
    /// How it stands with the public certificate, where one is configured. Without it the relay is ready all the
    /// same: it shows its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Certificate>,
}

#[derive(Serialize, ToSchema)]
pub struct Certificate {
    /// `acme` or `files`.
    source: &'static str,
    /// When the one in use ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<UnixMillis>,
    troubles: Vec<CertificateTrouble>,
}

#[derive(Serialize, ToSchema)]
pub struct CertificateTrouble {
    code: &'static str,
    since: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_try_at: Option<UnixMillis>,
}

impl Certificate {
    fn of(status: PublicStatus) -> Option<Self> {
        let troubles = status.troubles.into_iter().map(|told| CertificateTrouble {
            code: told.trouble.code(),
            since: told.since,
            next_try_at: told.next_try_at,
        });
        Some(Self {
            source: status.source?.as_str(),
            ends_at: status.certificate.map(|it| it.not_after),
            troubles: troubles.collect(),
        })
    }
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
    let certificate = certificates::public(&app).and_then(Certificate::of);
    let ready = parts.database && parts.broker && parts.store;
    let body = Readiness { ready, parts, certificate };
    let status = if body.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Serves the relay's certificate authority: a camera checks it against `ca_sha256`, a phone trusts
/// it.
#[utoipa::path(get, path = "/ca.pem", tag = "operations",
    responses((status = 200, body = String, content_type = "application/x-pem-file")))]
pub async fn ca_pem(State(app): State<Arc<App>>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/x-pem-file")];
    (content_type, app.certificates.ca_pem()).into_response()
}

/// Prometheus text: for who comes from the relay's own machine, for administrators, and for their API keys with
/// the right `read_metrics`.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String), (status = 401), (status = 403)))]
pub async fn metrics(State(app): State<Arc<App>>, reader: MetricsReader) -> Result<Response> {
    let text = match reader {
        MetricsReader::Local => metrics::write(&app).await,
        MetricsReader::SignedIn(signed_in) => metrics::read(&app, signed_in.caller).await?,
    };
    Ok(prometheus(text))
}

/// The same, at the listener of those who run the relay: whoever reaches it may read.
pub async fn metrics_for_operators(State(app): State<Arc<App>>) -> Response {
    prometheus(metrics::write(&app).await)
}

fn prometheus(text: String) -> Response {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

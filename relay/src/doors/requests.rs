//! Around each request: its name, its spans, and what is counted of it.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use nightjar_shared::request_id::RequestId;
use tracing::Instrument as _;

use super::{extract::text_of, server::ByProxy};
use crate::{app::App, request, telemetry};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a proxy says of a request, if its word counts.
struct Told<'a> {
    id: Option<RequestId>,
    traceparent: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// A stranger's word is worth nothing: it could name its request like somebody else's.
    fn by(headers: &'a HeaderMap, is_by_proxy: bool) -> Self {
        if !is_by_proxy {
            return Self { id: None, traceparent: None };
        }
        let traceparent = text_of(headers, &TRACEPARENT);
        let trace = traceparent.and_then(telemetry::trace_id);
        let own = text_of(headers, &X_REQUEST_ID).and_then(|text| text.parse().ok());
        let id = own.or_else(|| trace?.parse().ok());
        Self { id, traceparent: trace.and(traceparent) }
    }
}

/// Gives each request its name, counts it, and keeps what the API says out of caches.
pub(super) async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let is_api = request.uri().path().starts_with("/api/");
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let method = name_of(request.method());
    let is_by_proxy = request.extensions().get::<ByProxy>().is_some_and(|by| by.0);
    let told = Told::by(request.headers(), is_by_proxy);
    let id = told.id.unwrap_or_else(RequestId::generate);
    let span = telemetry::request(method, route, &id);
    if let Some(traceparent) = told.traceparent {
        telemetry::continue_trace(&span, traceparent);
    }
    let answer = async {
        let response = next.run(request).await;
        let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
        tracing::debug!(method, status, ms, "answered");
        response
    };
    let answer = request::within(id.clone(), route, answer).instrument(span.clone());
    let mut response = answer.await;
    telemetry::answered(&span, response.status().as_u16());
    mark(response.headers_mut(), is_api, &id);
    count(&app, route, &response, began);
    response
}

fn mark(headers: &mut HeaderMap, is_api: bool, id: &RequestId) {
    if is_api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, id);
    }
}

fn count(app: &App, route: &str, response: &Response, began: Instant) {
    app.metrics
        .counter(
            "nightjar_http_requests_total",
            "Requests, by route and status.",
            &[("route", route), ("status", response.status().as_str())],
        )
        .increment();
    app.metrics
        .histogram(
            "nightjar_http_request_duration_seconds",
            "How long answers took to begin, by route.",
            &[("route", route)],
        )
        .observe(began.elapsed());
}

/// Methods are words of strangers.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn told(pairs: &[(HeaderName, &[u8])], is_by_proxy: bool) -> (Option<String>, bool) {
        let pair = |(name, value): &(HeaderName, &[u8])| {
            (name.clone(), HeaderValue::from_bytes(value).unwrap())
        };
        let headers: HeaderMap = pairs.iter().map(pair).collect();
        let told = Told::by(&headers, is_by_proxy);
        (told.id.map(|id| id.to_string()), told.traceparent.is_some())
    }

    #[test]
    fn a_proxy_names_a_request_and_a_stranger_does_not() {
        let both: [(HeaderName, &[u8]); 2] =
            [(X_REQUEST_ID, b"edge-7"), (TRACEPARENT, TRACE.as_bytes())];
        assert_eq!(told(&both, true), (Some("edge-7".to_owned()), true));
        let trace = told(&both[1..], true);
        assert_eq!(trace, (Some("0af7651916cd43dd8448eb211c80319c".to_owned()), true));
        assert_eq!(told(&both, false), (None, false));
    }

    #[test]
    fn what_names_nothing_is_not_taken_from_a_proxy_either() {
        let long = b"a".repeat(8_000);
        for bad in [&b""[..], b"a b", b"caf\xc3\xa9", b"a;b=\"c\"", &long] {
            assert_eq!(told(&[(X_REQUEST_ID, bad)], true), (None, false));
            assert_eq!(told(&[(TRACEPARENT, bad)], true), (None, false));
        }
    }
}

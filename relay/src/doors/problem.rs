//! Errors as `application/problem+json` (RFC 9457).

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use nightjar_shared::api::Problem;

use crate::error::{Error, ProblemCode, Refusal};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        written(self).map(Body::from)
    }
}

/// Writes an error as a response.
pub(super) fn written(error: Error) -> http::Response<Vec<u8>> {
    match error {
        Error::Refused(refusal) => respond(*refusal),
        Error::Internal(cause) => {
            tracing::error!(error = format!("{cause:#}"), "a request failed");
            respond(Refusal {
                status: 500,
                code: ProblemCode::Internal,
                title: "Something went wrong here; it has been written down.",
                detail: None,
                retry_after_s: None,
            })
        }
    }
}

fn respond(refusal: Refusal) -> http::Response<Vec<u8>> {
    let problem = Problem {
        code: refusal.code.into(),
        title: refusal.title.to_owned(),
        status: refusal.status,
        detail: refusal.detail.map(Into::into),
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = http::Response::new(serde_json::to_vec(&problem).unwrap_or_default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

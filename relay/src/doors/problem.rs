//! Errors as `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use nightjar_shared::api::Problem;

use crate::error::{Error, ProblemCode, Refusal};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => respond(*refusal),
            Self::Internal(cause) => {
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
}

fn respond(refusal: Refusal) -> Response {
    let problem = Problem {
        code: refusal.code.into(),
        title: refusal.title.to_owned(),
        status: refusal.status,
        detail: refusal.detail.map(Into::into),
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = (status, content_type, body).into_response();
    if let Some(seconds) = refusal.retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

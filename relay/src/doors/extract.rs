//! What handlers take from a request; whatever is wrong with it becomes a problem.

use std::str::FromStr;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header, request::Parts};
use nightjar_shared::range::Check;
use serde::{Serialize, de::DeserializeOwned};

use super::json;
use crate::error::{Error, ProblemCode, Result};

pub(super) const JSON_BYTES_MAX: usize = 64 * 1024;
pub(super) const SDP_BYTES_MAX: usize = 32 * 1024;
/// How much of a body that is too large is read, so that its sender hears why it is refused.
const DISCARDED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A JSON body, in or out.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + Check, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let (parts, body) = request.into_parts();
        require_content_type(&parts.headers, "application/json")?;
        let bytes = read(body, JSON_BYTES_MAX).await?;
        json::parse(&bytes, invalid_json).map(Self)
    }
}

fn invalid_json(detail: String) -> Error {
    Error::bad_request(ProblemCode::InvalidJson, "The body is not the JSON that belongs here.")
        .with_detail(detail)
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Error::Internal(error.into()).into_response(),
        }
    }
}

/// Answers 201 with a JSON body.
pub(super) fn created<T: Serialize>(body: T) -> Response {
    (StatusCode::CREATED, Json(body)).into_response()
}

/// The one identifier in a path. What is no identifier names nothing that exists.
pub struct Id<T>(pub T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let path =
            <axum::extract::Path<String> as FromRequestParts<S>>::from_request_parts(parts, state)
                .await;
        let axum::extract::Path(text) = path.map_err(|_| Error::not_found())?;
        text.parse().map(Self).map_err(|_| Error::not_found())
    }
}

/// The two identifiers in a path, in their order.
pub struct Ids<T, U>(pub T, pub U);

impl<T: FromStr, U: FromStr, S: Send + Sync> FromRequestParts<S> for Ids<T, U> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let path =
            <axum::extract::Path<(String, String)> as FromRequestParts<S>>::from_request_parts(
                parts, state,
            );
        let axum::extract::Path((first, second)) = path.await.map_err(|_| Error::not_found())?;
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(Error::not_found()),
        }
    }
}

/// The query of the URL.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|error| {
            Error::bad_request(ProblemCode::InvalidQuery, "The query of the URL is not right.")
                .with_detail(error.body_text())
        })
    }
}

/// Reads a session description or a piece of one, of the content type that the door wants.
pub(super) async fn sdp(
    headers: &HeaderMap,
    body: Body,
    content_type: &'static str,
) -> Result<String> {
    require_content_type(headers, content_type)?;
    let bytes = read(body, SDP_BYTES_MAX).await?;
    String::from_utf8(bytes).map_err(|_| {
        Error::invalid(ProblemCode::InvalidSdp, "A session description is UTF-8 text.")
    })
}

/// Reads a body to its end. One that is too large is read on for a while and thrown away: a
/// connection closed over unread bytes is reset, and the caller would never see the answer.
async fn read(body: Body, bytes_max: usize) -> Result<Vec<u8>> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut received = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            Error::bad_request(
                ProblemCode::IncompleteBody,
                "The body ended before it was complete.",
            )
        })?;
        received += chunk.len();
        if received <= bytes_max {
            bytes.extend_from_slice(&chunk);
        } else if received > bytes_max + DISCARDED_BYTES_MAX {
            break;
        }
    }
    if received > bytes_max {
        return Err(Error::too_large("The body is larger than this door takes."));
    }
    Ok(bytes)
}

fn require_content_type(headers: &HeaderMap, expected: &'static str) -> Result<()> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::refused(
        415,
        ProblemCode::UnsupportedMediaType,
        "This door does not take a body of this content type.",
    )
    .with_detail(expected))
}

/// Returns the value of a header, if it is text.
pub(super) fn text_of<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

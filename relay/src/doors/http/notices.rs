//! What a relay says of itself to strangers.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use crate::{
    app::App,
    error::{Error, Result},
};

/// Says whom to tell of a fault in security (RFC 9116), where the operator named somebody.
#[utoipa::path(get, path = "/.well-known/security.txt", tag = "notices",
    responses((status = 200, body = String, content_type = "text/plain; charset=utf-8")))]
pub async fn security_txt(State(app): State<Arc<App>>) -> Result<Response> {
    let text = app.config.security.text(&app.config.public_url, app.now());
    let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((content_type, text.ok_or_else(Error::not_found)?).into_response())
}

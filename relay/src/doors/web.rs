//! The web app: files embedded in the binary, and what the browser may do with them.
//!
//! Files live below `/assets/{build}/`, where `build` is a hash over all of them. So they may be
//! cached for ever, modules of two versions never meet in one page, and no build step is needed.
//! Every other address that a browser navigates to gets the page itself: the app routes on.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context as _;
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use include_dir::{Dir, DirEntry, include_dir};
use nightjar_shared::api::Problem;
use sha2::{Digest as _, Sha256};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/web");

const PAGE: &str = "index.html";
/// Stands in the page for the current build.
const BUILD: &str = "{{build}}";

/// Roots that belong to programs. A browser that goes there gets their answer, not the app.
const PROGRAM_ROOTS: [&str; 6] =
    ["/api/", "/assets/", "/internal/", "/healthz", "/readyz", "/metrics"];

/// A router with the app and the answer for every address that nobody else serves.
///
/// `public_url` is where browsers reach the relay, `store_url` the object store's own origin:
/// both go into the content security policy.
///
/// # Errors
///
/// When one of the addresses cannot stand in a header.
pub fn router<S>(public_url: &str, store_url: &str) -> anyhow::Result<Router<S>>
where
    S: Clone + Send + Sync + 'static,
{
    let app = Arc::new(App::new(public_url, store_url)?);
    let router = Router::new()
        .route("/assets/{build}/{*path}", get(asset))
        .fallback(page)
        .with_state(app);
    Ok(router)
}

struct Asset {
    body: Body2,
    content_type: &'static str,
    etag: HeaderValue,
}

//! Links by which clips are watched without an account.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use nightjar_shared::ids::{ClipId, ShareId};

use crate::{
    app::App,
    domain::{
        List,
        playback::Playback,
        shares::{self, CreatedShare, Share, ShareOpening, ShareRequest},
    },
    doors::{
        extract::{Id, Json, created},
        principal::{Peer, SamePage, SignedIn},
    },
    error::Result,
};

/// Lists the open links of a clip, newest first.
#[utoipa::path(get, path = "/clips/{id}/shares", tag = "clips", params(("id" = String, Path)),
    responses((status = 200, body = List<Share>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
) -> Result<Json<List<Share>>> {
    Ok(Json(shares::list(&app, signed_in.caller, clip_id).await?))
}

/// Makes a link by which a clip is watched without an account.
#[utoipa::path(post, path = "/clips/{id}/shares", tag = "clips", params(("id" = String, Path)),
    request_body = ShareRequest, responses((status = 201, body = CreatedShare)))]
pub async fn create(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
    Json(request): Json<ShareRequest>,
) -> Result<Response> {
    Ok(created(shares::create(&app, signed_in.caller, clip_id, request).await?))
}

/// Ends a link at once.
#[utoipa::path(delete, path = "/shares/{id}", tag = "clips", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(share_id): Id<ShareId>,
) -> Result<StatusCode> {
    shares::revoke(&app, signed_in.caller, share_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows how the clip of a link is played, to anyone who has the link.
#[utoipa::path(post, path = "/shares/open", tag = "clips", request_body = ShareOpening,
    responses((status = 200, body = Playback)))]
pub async fn open(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
    Json(opening): Json<ShareOpening>,
) -> Result<Json<Playback>> {
    Ok(Json(shares::open(&app, opening, address).await?))
}

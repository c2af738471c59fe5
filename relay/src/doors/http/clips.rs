//! Clips and how they are played.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header};
use nightjar_shared::{ids::ClipId, range::Check};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    domain::{
        List, PageRequest, Selection,
        clips::{self, Clip},
        playback::{self, Playback, PlaybackQuery},
    },
    doors::{
        extract::{Id, Json, Query},
        principal::SignedIn,
    },
    error::Result,
};

#[derive(Deserialize, ToSchema)]
pub struct ClipChange {
    /// `private` or `site`.
    visibility: String,
}

impl Check for ClipChange {}

/// Clips of all my sites, newest first.
#[utoipa::path(get, path = "/clips", tag = "clips", params(Selection, PageRequest),
    responses((status = 200, body = List<Clip>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(selection): Query<Selection>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<Clip>>> {
    Ok(Json(clips::list(&app, signed_in.caller, &selection, &page).await?))
}

/// Shows one clip.
#[utoipa::path(get, path = "/clips/{id}", tag = "clips", params(("id" = String, Path)),
    responses((status = 200, body = Clip)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
) -> Result<Json<Clip>> {
    Ok(Json(clips::get(&app, signed_in.caller, clip_id).await?))
}

/// Sets who else may see a clip.
#[utoipa::path(patch, path = "/clips/{id}", tag = "clips", params(("id" = String, Path)),
    request_body = ClipChange, responses((status = 200, body = Clip)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
    Json(change): Json<ClipChange>,
) -> Result<Json<Clip>> {
    let visibility = &change.visibility;
    Ok(Json(clips::set_visibility(&app, signed_in.caller, clip_id, visibility).await?))
}

/// Deletes a clip, its objects too.
#[utoipa::path(delete, path = "/clips/{id}", tag = "clips", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
) -> Result<StatusCode> {
    clips::delete(&app, signed_in.caller, clip_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows where the parts of a clip are, for 5 minutes; of a clip that still grows, those that are
/// there.
#[utoipa::path(get, path = "/clips/{id}/playback", tag = "clips",
    params(("id" = String, Path), PlaybackQuery), responses((status = 200, body = Playback)))]
pub async fn playback(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
    Query(query): Query<PlaybackQuery>,
) -> Result<Json<Playback>> {
    Ok(Json(playback::get(&app, signed_in.caller, clip_id, query).await?))
}

/// Shows the parts of a clip as an HLS playlist.
#[utoipa::path(get, path = "/clips/{id}/playback.m3u8", tag = "clips",
    params(("id" = String, Path)),
    responses((status = 200, content_type = "application/vnd.apple.mpegurl", body = String)))]
pub async fn playlist(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
) -> Result<impl IntoResponse> {
    let playlist = playback::playlist(&app, signed_in.caller, clip_id).await?;
    Ok(([(header::CONTENT_TYPE, "application/vnd.apple.mpegurl")], playlist))
}

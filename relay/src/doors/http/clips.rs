//! Clips and how they are played.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header};
use nightjar_shared::ids::ClipId;

use crate::{
    app::App,
    domain::{
        List, PageRequest, Selection,
        clips::{self, Clip},
        marks::{self, ClipChange},
        playback::{self, Playback, PlaybackQuery},
        views::{self, ClipStatistics, ViewReport},
    },
    doors::{
        extract::{Id, Json, Query},
        principal::SignedIn,
    },
    error::Result,
};

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

/// Changes what is said of a clip: title, note, tags, who may see it, and whether it is protected.
#[utoipa::path(patch, path = "/clips/{id}", tag = "clips", params(("id" = String, Path)),
    request_body = ClipChange, responses((status = 200, body = Clip)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
    Json(change): Json<ClipChange>,
) -> Result<Json<Clip>> {
    Ok(Json(marks::change(&app, signed_in.caller, clip_id, change).await?))
}

/// Deletes a clip, its objects too. One that is protected is not deleted.
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

/// Notes that I have seen a clip.
#[utoipa::path(post, path = "/clips/{id}/seen", tag = "clips", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn see(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
) -> Result<StatusCode> {
    marks::see_clip(&app, signed_in.caller, clip_id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Notes that I have not seen a clip.
#[utoipa::path(delete, path = "/clips/{id}/seen", tag = "clips", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn unsee(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
) -> Result<StatusCode> {
    marks::see_clip(&app, signed_in.caller, clip_id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes what a player says that it has played so far.
#[utoipa::path(post, path = "/clips/{id}/views", tag = "clips", params(("id" = String, Path)),
    request_body = ViewReport, responses((status = 204)))]
pub async fn view(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
    Json(report): Json<ViewReport>,
) -> Result<StatusCode> {
    views::report(&app, signed_in.caller, clip_id, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows how often and how long a clip was watched.
#[utoipa::path(get, path = "/clips/{id}/stats", tag = "clips", params(("id" = String, Path)),
    responses((status = 200, body = ClipStatistics)))]
pub async fn statistics(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(clip_id): Id<ClipId>,
) -> Result<Json<ClipStatistics>> {
    Ok(Json(views::of_clip(&app, signed_in.caller, clip_id).await?))
}

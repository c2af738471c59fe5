//! What people are told.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use nightjar_shared::ids::{CameraId, NotificationId};

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        notifications::{
            self, InboxSelection, Mute, MuteToken, Muted, NewMute, NewSettings, Notification,
            ReadUntil, Settings, Unread,
        },
    },
    doors::{
        extract::{Id, Json, Query},
        principal::{Peer, SignedIn},
    },
    error::Result,
};

/// Lists what I was told, newest first. It is kept for 30 days, 500 at most.
#[utoipa::path(get, path = "/notifications", tag = "notifications",
    params(InboxSelection, PageRequest), responses((status = 200, body = List<Notification>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(selection): Query<InboxSelection>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<Notification>>> {
    Ok(Json(notifications::list(&app, signed_in.caller, &selection, &page).await?))
}

/// Counts what I have not read.
#[utoipa::path(get, path = "/notifications/unread", tag = "notifications",
    responses((status = 200, body = Unread)))]
pub async fn unread(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<Unread>> {
    Ok(Json(notifications::unread(&app, signed_in.caller).await?))
}

/// Notes that I have read one.
#[utoipa::path(post, path = "/notifications/{id}/read", tag = "notifications",
    params(("id" = String, Path)), responses((status = 200, body = Unread)))]
pub async fn read(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(notification_id): Id<NotificationId>,
) -> Result<Json<Unread>> {
    Ok(Json(notifications::read(&app, signed_in.caller, notification_id).await?))
}

/// Notes that I have read all.
#[utoipa::path(post, path = "/notifications/read", tag = "notifications",
    request_body = ReadUntil, responses((status = 200, body = Unread)))]
pub async fn read_all(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(until): Json<ReadUntil>,
) -> Result<Json<Unread>> {
    Ok(Json(notifications::read_all(&app, signed_in.caller, until).await?))
}

/// Shows what I want to be told of.
#[utoipa::path(get, path = "/notifications/settings", tag = "notifications",
    responses((status = 200, body = Settings)))]
pub async fn settings(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<Settings>> {
    Ok(Json(notifications::settings(&app, signed_in.caller).await?))
}

/// Says what I want to be told of, in the place of what I said before.
#[utoipa::path(put, path = "/notifications/settings", tag = "notifications",
    request_body = NewSettings, responses((status = 200, body = Settings)))]
pub async fn change_settings(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(new): Json<NewSettings>,
) -> Result<Json<Settings>> {
    Ok(Json(notifications::change(&app, signed_in.caller, new).await?))
}

/// Silences a camera for a while.
#[utoipa::path(post, path = "/notifications/mutes", tag = "notifications",
    request_body = NewMute, responses((status = 200, body = Mute)))]
pub async fn mute(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(new): Json<NewMute>,
) -> Result<Json<Mute>> {
    Ok(Json(notifications::mute(&app, signed_in.caller, new).await?))
}

/// Lets a camera be heard again.
#[utoipa::path(delete, path = "/notifications/mutes/{camera}", tag = "notifications",
    params(("camera" = String, Path)), responses((status = 204)))]
pub async fn unmute(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
) -> Result<StatusCode> {
    notifications::unmute(&app, signed_in.caller, camera_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Silences the camera of a message for half an hour, by the token in it, without signing in. Works once.
#[utoipa::path(post, path = "/notifications/mute", tag = "notifications",
    request_body = MuteToken, responses((status = 200, body = Muted)))]
pub async fn mute_by_message(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    Json(token): Json<MuteToken>,
) -> Result<Json<Muted>> {
    let network = app.address_key(address);
    app.limits.mute_links.take_at(network.as_deref(), app.now())?;
    Ok(Json(notifications::mute_by_message(&app, &token.token).await?))
}

/// Tells me something by all channels, to see whether it arrives.
#[utoipa::path(post, path = "/notifications/test", tag = "notifications",
    responses((status = 202)))]
pub async fn test(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<StatusCode> {
    notifications::test(&app, signed_in.caller).await?;
    Ok(StatusCode::ACCEPTED)
}

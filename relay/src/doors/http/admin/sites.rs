//! All sites, their cameras and who watches: never a picture.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use nightjar_shared::ids::{CameraId, SessionId, SiteId, ViewId};

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        admin::{
            Desk,
            cameras::{self, AdminCamera, CameraSearch},
            live_sessions::{self, AdminSession},
            sites::{self, AdminSite, SiteLimitsChange, SiteSearch},
            storage::{self, Storage},
        },
        site_views::{self, View, ViewRequest},
    },
    doors::{
        extract::{Id, Json, Query, created},
        principal::SignedIn,
    },
    error::Result,
};

/// Lists all sites, newest first, or those that are searched for.
#[utoipa::path(get, path = "/admin/sites", tag = "admin", params(SiteSearch, PageRequest),
    responses((status = 200, body = List<AdminSite>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(search): Query<SiteSearch>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<AdminSite>>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(sites::list(&desk, &search, &page).await?))
}

/// Shows what a site uses, and what it may use.
#[utoipa::path(get, path = "/admin/sites/{id}", tag = "admin", params(("id" = SiteId, Path)),
    responses((status = 200, body = AdminSite)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<Json<AdminSite>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(sites::get(&desk, site_id).await?))
}

/// Changes what a site may use.
#[utoipa::path(patch, path = "/admin/sites/{id}", tag = "admin", params(("id" = SiteId, Path)),
    request_body = SiteLimitsChange, responses((status = 200, body = AdminSite)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(change): Json<SiteLimitsChange>,
) -> Result<Json<AdminSite>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(sites::change_limits(&desk, site_id, change).await?))
}

/// Asks the owners of a site for a view of it, for an hour at most.
#[utoipa::path(post, path = "/admin/sites/{id}/views", tag = "admin",
    params(("id" = SiteId, Path)), request_body = ViewRequest,
    responses((status = 201, body = View)))]
pub async fn ask(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(request): Json<ViewRequest>,
) -> Result<Response> {
    Ok(created(site_views::ask(&app, signed_in.caller, site_id, &request).await?))
}

/// Lists the newest views that administrators asked for.
#[utoipa::path(get, path = "/admin/views", tag = "admin",
    responses((status = 200, body = List<View>)))]
pub async fn views(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<List<View>>> {
    Ok(Json(site_views::newest(&app, signed_in.caller).await?))
}

/// Gives the caller's own view back, or asks for it no more.
#[utoipa::path(delete, path = "/admin/views/{id}", tag = "admin", params(("id" = ViewId, Path)),
    responses((status = 204)))]
pub async fn give_back(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(view_id): Id<ViewId>,
) -> Result<StatusCode> {
    site_views::give_back(&app, signed_in.caller, view_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists all cameras, newest first, or those that are searched for.
#[utoipa::path(get, path = "/admin/cameras", tag = "admin", params(CameraSearch, PageRequest),
    responses((status = 200, body = List<AdminCamera>)))]
pub async fn cameras(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(search): Query<CameraSearch>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<AdminCamera>>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(cameras::list(&desk, &search, &page).await?))
}

/// Shows how a camera feels.
#[utoipa::path(get, path = "/admin/cameras/{id}", tag = "admin", params(("id" = CameraId, Path)),
    responses((status = 200, body = AdminCamera)))]
pub async fn camera(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
) -> Result<Json<AdminCamera>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(cameras::get(&desk, camera_id).await?))
}

/// Shows what lies in the store, by site and kind.
#[utoipa::path(get, path = "/admin/storage", tag = "admin",
    responses((status = 200, body = Storage)))]
pub async fn storage(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<Storage>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(storage::look(&desk).await?))
}

/// Lists who watches now, newest first.
#[utoipa::path(get, path = "/admin/live", tag = "admin", params(PageRequest),
    responses((status = 200, body = List<AdminSession>)))]
pub async fn live(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<AdminSession>>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(live_sessions::list(&desk, &page).await?))
}

/// Ends a live session.
#[utoipa::path(delete, path = "/admin/live/{session}", tag = "admin",
    params(("session" = SessionId, Path)), responses((status = 204)))]
pub async fn end_live(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(session_id): Id<SessionId>,
) -> Result<StatusCode> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    live_sessions::end(&desk, session_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

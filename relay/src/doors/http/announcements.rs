//! Cameras that show a code, and who takes them by it.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use nightjar_shared::{
    ids::SiteId,
    pairing::{AnnouncementAnswer, AnnouncementQuestion, AnnouncementRequest, AnnouncementStatus},
};

use crate::{
    app::App,
    domain::announcements::{self, Acceptance, AcceptedCamera, ShownCode, WaitingCamera},
    doors::{
        extract::{Id, Json, created},
        principal::{Peer, SignedIn},
    },
    error::Result,
};

/// Says that a camera is there which belongs to nobody yet; gives it a code to show.
#[utoipa::path(post, path = "/agent/announcement", tag = "camera",
    request_body = AnnouncementRequest, responses((status = 200, body = AnnouncementAnswer)))]
pub async fn announce(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    Json(request): Json<AnnouncementRequest>,
) -> Result<Json<AnnouncementAnswer>> {
    Ok(Json(announcements::announce(&app, request, address).await?))
}

/// Tells a camera whether somebody has taken it: then its ticket is the secret of its claim.
#[utoipa::path(post, path = "/agent/announcement/state", tag = "camera",
    request_body = AnnouncementQuestion, responses((status = 200, body = AnnouncementStatus)))]
pub async fn state(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    Json(question): Json<AnnouncementQuestion>,
) -> Result<Json<AnnouncementStatus>> {
    Ok(Json(announcements::state(&app, question, address).await?))
}

/// Shows the camera that shows this code: its picture and what it says of itself.
#[utoipa::path(post, path = "/sites/{id}/announcements/find", tag = "pairings",
    params(("id" = String, Path)), request_body = ShownCode,
    responses((status = 200, body = WaitingCamera)))]
pub async fn find(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(shown): Json<ShownCode>,
) -> Result<Json<WaitingCamera>> {
    Ok(Json(announcements::find(&app, signed_in.caller, site_id, shown).await?))
}

/// Adds the camera that shows this code to the site. The pairing tells when it has come.
#[utoipa::path(post, path = "/sites/{id}/announcements/accept", tag = "pairings",
    params(("id" = String, Path)), request_body = Acceptance,
    responses((status = 201, body = AcceptedCamera)))]
pub async fn accept(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(acceptance): Json<Acceptance>,
) -> Result<Response> {
    Ok(created(announcements::accept(&app, signed_in.caller, site_id, acceptance).await?))
}

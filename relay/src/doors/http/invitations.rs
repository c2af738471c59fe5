//! Links by which people come to belong to a site.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};
use nightjar_shared::ids::{InvitationId, SiteId};

use super::accounts::with_cookies;
use crate::{
    app::App,
    domain::{
        List,
        accounts::{self, Me},
        invitations::{
            self, CreatedInvitation, Invitation, InvitationRequest, InvitationToken, InvitedSignUp,
            OpenedInvitation,
        },
        sites::Site,
    },
    doors::{
        extract::{Id, Json, created},
        principal::{Peer, SamePage, SignedIn, SignsIn, known_device},
    },
    error::Result,
};

/// Lists the invitations of a site that may still be taken, newest first.
#[utoipa::path(get, path = "/sites/{id}/invitations", tag = "sites",
    params(("id" = String, Path)), responses((status = 200, body = List<Invitation>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<Json<List<Invitation>>> {
    Ok(Json(invitations::list(&app, signed_in.caller, site_id).await?))
}

/// Makes a link by which somebody comes to belong to a site.
#[utoipa::path(post, path = "/sites/{id}/invitations", tag = "sites",
    params(("id" = String, Path)), request_body = InvitationRequest,
    responses((status = 201, body = CreatedInvitation)))]
pub async fn create(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(request): Json<InvitationRequest>,
) -> Result<Response> {
    Ok(created(invitations::create(&app, signed_in.caller, site_id, request).await?))
}

/// Ends an invitation at once.
#[utoipa::path(delete, path = "/invitations/{id}", tag = "sites", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(invitation_id): Id<InvitationId>,
) -> Result<StatusCode> {
    invitations::revoke(&app, signed_in.caller, invitation_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what an invitation is, to anyone who has its link.
#[utoipa::path(post, path = "/invitations/open", tag = "sites", request_body = InvitationToken,
    responses((status = 200, body = OpenedInvitation)))]
pub async fn open(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
    Json(InvitationToken { token }): Json<InvitationToken>,
) -> Result<Json<OpenedInvitation>> {
    Ok(Json(invitations::open(&app, &token, address).await?))
}

/// Takes an invitation: the caller belongs to its site from now on.
#[utoipa::path(post, path = "/invitations/accept", tag = "sites", request_body = InvitationToken,
    responses((status = 200, body = Site)))]
pub async fn accept(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    signed_in: SignedIn,
    Json(InvitationToken { token }): Json<InvitationToken>,
) -> Result<Json<Site>> {
    Ok(Json(invitations::accept(&app, signed_in.caller, &token, address).await?))
}

/// Makes an account by an invitation, which it takes, and signs in.
#[utoipa::path(post, path = "/invitations/register", tag = "sites", request_body = InvitedSignUp,
    responses((status = 201, body = Me)))]
pub async fn register(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
    SignsIn(client): SignsIn,
    headers: HeaderMap,
    Json(invited): Json<InvitedSignUp>,
) -> Result<Response> {
    let caller = invitations::register(&app, invited, address).await?;
    let me = accounts::me(&app, caller).await?;
    let device = known_device(&headers, &app.config);
    let response = (StatusCode::CREATED, Json(me)).into_response();
    with_cookies(&app, caller, device, &client, response).await
}

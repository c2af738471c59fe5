//! How a camera becomes part of a site.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use nightjar_shared::{
    api::{ClaimRequest, ClaimResponse},
    ids::{PairingId, SiteId},
    introduction::{IntroductionAnswer, IntroductionRequest},
};

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        pairings::{self, OpenedPairing, Pairing, PairingOptions},
    },
    doors::{
        extract::{Id, Json, Query, created},
        principal::{Peer, SignedIn},
    },
    error::Result,
};

/// Opens a pairing: a code to type, a secret for a file or a QR code.
#[utoipa::path(post, path = "/sites/{id}/pairings", tag = "pairings",
    params(("id" = String, Path), PairingOptions),
    responses((status = 201, body = OpenedPairing)))]
pub async fn open(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Query(options): Query<PairingOptions>,
) -> Result<Response> {
    Ok(created(pairings::open(&app, signed_in.caller, site_id, options).await?))
}

/// Lists the pairings of a site that a camera may still take, newest first.
#[utoipa::path(get, path = "/sites/{id}/pairings", tag = "pairings",
    params(("id" = String, Path), PageRequest), responses((status = 200, body = List<Pairing>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<Pairing>>> {
    Ok(Json(pairings::list(&app, signed_in.caller, site_id, &page).await?))
}

/// Shows how far a pairing is.
#[utoipa::path(get, path = "/pairings/{id}", tag = "pairings", params(("id" = String, Path)),
    responses((status = 200, body = Pairing)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(pairing_id): Id<PairingId>,
) -> Result<Json<Pairing>> {
    Ok(Json(pairings::get(&app, signed_in.caller, pairing_id).await?))
}

/// Closes a pairing.
#[utoipa::path(delete, path = "/pairings/{id}", tag = "pairings", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(pairing_id): Id<PairingId>,
) -> Result<StatusCode> {
    pairings::delete(&app, signed_in.caller, pairing_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a camera its pairing. Asking again with the same key gives the same answer.
#[utoipa::path(post, path = "/pairings/claim", tag = "camera",
    request_body = ClaimRequest, responses((status = 200, body = ClaimResponse)))]
pub async fn claim(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    Json(request): Json<ClaimRequest>,
) -> Result<Json<ClaimResponse>> {
    Ok(Json(pairings::claim(&app, request, address).await?))
}

/// Shows a camera that the relay knows the code that somebody typed there. Where it does not, the answer
/// looks alike and proves nothing.
#[utoipa::path(post, path = "/pairings/introduce", tag = "camera",
    request_body = IntroductionRequest, responses((status = 200, body = IntroductionAnswer)))]
pub async fn introduce(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    Json(request): Json<IntroductionRequest>,
) -> Result<Json<IntroductionAnswer>> {
    Ok(Json(pairings::introduce(&app, request, address).await?))
}

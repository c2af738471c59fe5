//! Who belongs to a site.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use nightjar_shared::ids::{AccountId, SiteId};

use crate::{
    app::App,
    domain::{
        List,
        members::{
            self, Member, MemberChange,
            ownership::{self, NewOffer, Offer},
        },
    },
    doors::{
        extract::{Id, Ids, Json},
        principal::SignedIn,
    },
    error::Result,
};

/// Lists who belongs to a site, for those who let people in.
#[utoipa::path(get, path = "/sites/{id}/members", tag = "sites", params(("id" = String, Path)),
    responses((status = 200, body = List<Member>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<Json<List<Member>>> {
    Ok(Json(members::list(&app, signed_in.caller, site_id).await?))
}

/// Changes the role of a member, their cameras, and until when they belong to the site.
#[utoipa::path(patch, path = "/sites/{id}/members/{account}", tag = "sites",
    params(("id" = String, Path), ("account" = String, Path)),
    request_body = MemberChange, responses((status = 200, body = Member)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Ids(site_id, account_id): Ids<SiteId, AccountId>,
    Json(change): Json<MemberChange>,
) -> Result<Json<Member>> {
    Ok(Json(members::change(&app, signed_in.caller, site_id, account_id, change).await?))
}

/// Takes a member out of a site.
#[utoipa::path(delete, path = "/sites/{id}/members/{account}", tag = "sites",
    params(("id" = String, Path), ("account" = String, Path)), responses((status = 204)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Ids(site_id, account_id): Ids<SiteId, AccountId>,
) -> Result<StatusCode> {
    members::remove(&app, signed_in.caller, site_id, account_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Leaves a site.
#[utoipa::path(delete, path = "/sites/{id}/members/me", tag = "sites",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn leave(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<StatusCode> {
    let caller = signed_in.caller;
    members::remove(&app, caller, site_id, caller.account_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Offers a site to a member, who becomes its owner by accepting.
#[utoipa::path(post, path = "/sites/{id}/ownership", tag = "sites", params(("id" = String, Path)),
    request_body = NewOffer, responses((status = 200, body = Offer)))]
pub async fn offer(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(new): Json<NewOffer>,
) -> Result<Json<Offer>> {
    Ok(Json(ownership::offer(&app, signed_in.caller, site_id, new).await?))
}

/// Takes an offer back, or turns it down.
#[utoipa::path(delete, path = "/sites/{id}/ownership", tag = "sites",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn withdraw(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<StatusCode> {
    ownership::withdraw(&app, signed_in.caller, site_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accepts a site that its owner offers.
#[utoipa::path(post, path = "/sites/{id}/ownership/accept", tag = "sites",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn accept(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<StatusCode> {
    ownership::accept(&app, signed_in.caller, site_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

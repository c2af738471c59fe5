//! All accounts.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use nightjar_shared::ids::AccountId;

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        accounts::Deletion,
        admin::{
            Desk,
            accounts::{
                self, AccountSearch, AdminAccount, AdminAccountChange, AdminAccountDetails,
                AdminDeletion, ForcedReset,
            },
        },
    },
    doors::{
        extract::{Id, Json, Query},
        principal::SignedIn,
    },
    error::Result,
};

/// Lists all accounts, newest first, or those that are searched for.
#[utoipa::path(get, path = "/admin/accounts", tag = "admin", params(AccountSearch, PageRequest),
    responses((status = 200, body = List<AdminAccount>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(search): Query<AccountSearch>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<AdminAccount>>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(accounts::list(&desk, &search, &page).await?))
}

/// Shows an account, and the sites that it belongs to.
#[utoipa::path(get, path = "/admin/accounts/{id}", tag = "admin", params(("id" = AccountId, Path)),
    responses((status = 200, body = AdminAccountDetails)))]
pub async fn get(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(account_id): Id<AccountId>,
) -> Result<Json<AdminAccountDetails>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(accounts::get(&desk, account_id).await?))
}

/// Changes an account's role, or whether it may do anything at all.
#[utoipa::path(patch, path = "/admin/accounts/{id}", tag = "admin",
    params(("id" = AccountId, Path)), request_body = AdminAccountChange,
    responses((status = 200, body = AdminAccountDetails)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(account_id): Id<AccountId>,
    Json(change): Json<AdminAccountChange>,
) -> Result<Json<AdminAccountDetails>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(accounts::change(&desk, account_id, &change).await?))
}

/// Signs an account out everywhere, and ends the keys of its programs.
#[utoipa::path(post, path = "/admin/accounts/{id}/sign-out", tag = "admin",
    params(("id" = AccountId, Path)), responses((status = 204)))]
pub async fn sign_out(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(account_id): Id<AccountId>,
) -> Result<StatusCode> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    accounts::sign_out(&desk, account_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes an account's password worth nothing: its owner sets another by a link.
#[utoipa::path(post, path = "/admin/accounts/{id}/reset", tag = "admin",
    params(("id" = AccountId, Path)), responses((status = 200, body = ForcedReset)))]
pub async fn reset(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(account_id): Id<AccountId>,
) -> Result<Json<ForcedReset>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(accounts::force_reset(&desk, account_id, &app.config.public_url).await?))
}

/// Shows what the end of an account would take along.
#[utoipa::path(get, path = "/admin/accounts/{id}/deletion", tag = "admin",
    params(("id" = AccountId, Path)), responses((status = 200, body = Deletion)))]
pub async fn deletion(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(account_id): Id<AccountId>,
) -> Result<Json<Deletion>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(accounts::deletion(&desk, account_id).await?))
}

/// Begins the end of an account: it may do nothing any more, and is deleted in a week with these sites.
#[utoipa::path(post, path = "/admin/accounts/{id}/deletion", tag = "admin",
    params(("id" = AccountId, Path)), request_body = AdminDeletion,
    responses((status = 202, body = AdminAccountDetails)))]
pub async fn begin_deletion(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(account_id): Id<AccountId>,
    Json(request): Json<AdminDeletion>,
) -> Result<Response> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    let changed = accounts::begin_deletion(&desk, account_id, &request).await?;
    Ok((StatusCode::ACCEPTED, Json(changed)).into_response())
}

/// Takes the end of an account back.
#[utoipa::path(delete, path = "/admin/accounts/{id}/deletion", tag = "admin",
    params(("id" = AccountId, Path)), responses((status = 204)))]
pub async fn take_deletion_back(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(account_id): Id<AccountId>,
) -> Result<StatusCode> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    accounts::take_deletion_back(&desk, account_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Passwords and addresses: changed by who knows the password, or by a link that a mail brought.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use nightjar_shared::range::Check;
use serde::Deserialize;
use utoipa::ToSchema;

use super::accounts::set_known_device;
use crate::{
    app::App,
    domain::{
        accounts::{
            self, AddressChange, AddressChanged, PasswordChange, PasswordReset, Verification,
        },
        known_devices,
    },
    doors::{
        extract::Json,
        principal::{Peer, SamePage, SignedIn},
    },
    error::Result,
};

#[derive(Deserialize, ToSchema)]
pub struct ForgottenPassword {
    #[schema(format = "email", max_length = 254)]
    email: String,
}

impl Check for ForgottenPassword {}

/// Changes the password. The account's other sign-ins end, unless they are to stay.
#[utoipa::path(post, path = "/auth/password", tag = "accounts", request_body = PasswordChange,
    responses((status = 204)))]
pub async fn change(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    signed_in: SignedIn,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode> {
    accounts::change_password(&app, &signed_in.session, change, address).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a link for a new password, if there is an account with this address and mail to it is known to
/// arrive. The answer is the same in any case.
#[utoipa::path(post, path = "/auth/password/forgot", tag = "accounts",
    request_body = ForgottenPassword, responses((status = 202)))]
pub async fn forgot(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
    Json(request): Json<ForgottenPassword>,
) -> Result<StatusCode> {
    accounts::forgot_password(&app, request.email, address)?;
    Ok(StatusCode::ACCEPTED)
}

/// Sets a new password by a link, which is spent by that. All sign-ins of the account end; the browser
/// that did it is known at its next sign-in.
#[utoipa::path(post, path = "/auth/password/reset", tag = "accounts",
    request_body = PasswordReset, responses((status = 204)))]
pub async fn reset(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
    Json(reset): Json<PasswordReset>,
) -> Result<Response> {
    let caller = accounts::reset_password(&app, reset, address).await?;
    let device = known_devices::remember(&app, caller, None).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_known_device(&app, &mut response, &device)?;
    Ok(response)
}

/// Wishes for another address: 202 when a link was sent there, 204 where there is no mail and it is
/// changed.
#[utoipa::path(post, path = "/auth/email", tag = "accounts", request_body = AddressChange,
    responses((status = 202), (status = 204)))]
pub async fn change_address(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    signed_in: SignedIn,
    Json(change): Json<AddressChange>,
) -> Result<StatusCode> {
    Ok(match accounts::change_address(&app, &signed_in.session, change, address).await? {
        AddressChanged::Asked => StatusCode::ACCEPTED,
        AddressChanged::Done => StatusCode::NO_CONTENT,
    })
}

/// Sends the link once more that confirms one's own address.
#[utoipa::path(post, path = "/auth/email/verification", tag = "accounts",
    responses((status = 202)))]
pub async fn send_verification(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
) -> Result<StatusCode> {
    accounts::send_verification(&app, signed_in.caller).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Confirms an address by a link, which is spent by that.
#[utoipa::path(post, path = "/auth/email/verify", tag = "accounts", request_body = Verification,
    responses((status = 204)))]
pub async fn verify_address(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
    Json(verification): Json<Verification>,
) -> Result<StatusCode> {
    accounts::verify_address(&app, &verification.token, address).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Second factors: the second step of a sign-in, set-up and removal.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use nightjar_shared::{ids::PasskeyId, range::Check};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::{LoginAnswer, set_session_cookie, signed_in};
use crate::{
    app::App,
    domain::{
        accounts,
        factors::{
            self, Confirmation, Factor, FactorState, NewPasskey, Passkey, PasskeyAnswer,
            PasskeyCreation, PasskeyQuestion, SetUp, TotpBeginning,
        },
    },
    doors::{
        extract::{Id, Json},
        principal::{Peer, Person, SamePage, SignedIn, SignsIn, known_device},
    },
    error::Result,
};

#[derive(Deserialize, ToSchema)]
pub struct SecondFactorAnswer {
    /// As `auth/login` told it.
    challenge: String,
    factor: Factor,
    /// Answers with tokens instead of a cookie.
    #[serde(default)]
    tokens: bool,
    #[serde(default)]
    known_device: Option<String>,
}

impl Check for SecondFactorAnswer {}

/// Answers what `auth/login` asked, and signs in.
#[utoipa::path(post, path = "/auth/mfa/verify", tag = "second factors",
    request_body = SecondFactorAnswer, responses((status = 200, body = LoginAnswer)))]
pub async fn verify(
    State(app): State<Arc<App>>,
    _: SamePage,
    SignsIn(client): SignsIn,
    headers: HeaderMap,
    Json(answer): Json<SecondFactorAnswer>,
) -> Result<Response> {
    let caller = factors::answer(&app, &answer.challenge, &answer.factor).await?;
    let known_device = answer.known_device.or_else(|| known_device(&headers, &app.config));
    signed_in(&app, caller, &client, known_device, answer.tokens).await
}

/// Asks for a passkey: to sign in by it, or to confirm who acts.
#[utoipa::path(post, path = "/auth/passkeys/challenge", tag = "second factors",
    responses((status = 200, body = PasskeyQuestion)))]
pub async fn challenge(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
) -> Result<Json<PasskeyQuestion>> {
    app.limits.passkey_questions.take_at(app.address_key(address).as_deref(), app.now())?;
    Ok(Json(factors::ask_for_passkey(&app).await?))
}

#[derive(Deserialize, ToSchema)]
pub struct PasskeySignIn {
    passkey: PasskeyAnswer,
    /// Answers with tokens instead of a cookie.
    #[serde(default)]
    tokens: bool,
    #[serde(default)]
    known_device: Option<String>,
}

impl Check for PasskeySignIn {}

/// Signs in by a passkey, without a password.
#[utoipa::path(post, path = "/auth/passkeys/sign-in", tag = "second factors",
    request_body = PasskeySignIn, responses((status = 200, body = LoginAnswer)))]
pub async fn sign_in(
    State(app): State<Arc<App>>,
    _: SamePage,
    SignsIn(client): SignsIn,
    headers: HeaderMap,
    Json(request): Json<PasskeySignIn>,
) -> Result<Response> {
    let caller = factors::sign_in_with_passkey(&app, &request.passkey).await?;
    let known_device = request.known_device.or_else(|| known_device(&headers, &app.config));
    signed_in(&app, caller, &client, known_device, request.tokens).await
}

/// Shows again who acts, by password or second factor or both: for 10 minutes, at this sign-in.
#[utoipa::path(post, path = "/auth/confirm", tag = "second factors",
    request_body = Confirmation, responses((status = 204)))]
pub async fn confirm(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    Person(person): Person,
    Json(shown): Json<Confirmation>,
) -> Result<StatusCode> {
    factors::confirm_identity(&app, &person.session, address, shown).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows which second factors the account has.
#[utoipa::path(get, path = "/auth/mfa", tag = "second factors",
    responses((status = 200, body = FactorState)))]
pub async fn state(
    State(app): State<Arc<App>>,
    Person(person): Person,
) -> Result<Json<FactorState>> {
    Ok(Json(factors::state(&app, &person.session).await?))
}

/// Makes a secret for an app with codes; it counts once a first code is confirmed.
#[utoipa::path(post, path = "/auth/mfa/totp", tag = "second factors",
    responses((status = 201, body = TotpBeginning)))]
pub async fn begin_totp(
    State(app): State<Arc<App>>,
    Person(person): Person,
) -> Result<(StatusCode, Json<TotpBeginning>)> {
    let beginning = factors::begin_totp(&app, &person.session).await?;
    Ok((StatusCode::CREATED, Json(beginning)))
}

#[derive(Deserialize, ToSchema)]
pub struct FirstCode {
    code: String,
}

impl Check for FirstCode {}

/// Takes the first code of an app. Other sign-ins end when it is the account's first factor, and this
/// browser gets another cookie.
#[utoipa::path(post, path = "/auth/mfa/totp/confirm", tag = "second factors",
    request_body = FirstCode, responses((status = 200, body = SetUp)))]
pub async fn confirm_totp(
    State(app): State<Arc<App>>,
    Person(person): Person,
    Json(first): Json<FirstCode>,
) -> Result<Response> {
    let set_up = factors::confirm_totp(&app, &person.session, &first.code).await?;
    renewed(&app, &person, Json(set_up).into_response()).await
}

/// Removes the app with codes: after password and second factor were shown again.
#[utoipa::path(delete, path = "/auth/mfa/totp", tag = "second factors",
    responses((status = 204)))]
pub async fn remove_totp(
    State(app): State<Arc<App>>,
    Person(person): Person,
) -> Result<StatusCode> {
    factors::remove_totp(&app, &person.session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes ten new backup codes; those before are no good any more.
#[utoipa::path(post, path = "/auth/mfa/backup-codes", tag = "second factors",
    responses((status = 201, body = SetUp)))]
pub async fn new_backup_codes(
    State(app): State<Arc<App>>,
    Person(person): Person,
) -> Result<(StatusCode, Json<SetUp>)> {
    let codes = factors::new_backup_codes(&app, &person.session).await?;
    Ok((StatusCode::CREATED, Json(codes)))
}

/// Begins to make a passkey.
#[utoipa::path(post, path = "/auth/passkeys", tag = "second factors",
    responses((status = 201, body = PasskeyCreation)))]
pub async fn begin_passkey(
    State(app): State<Arc<App>>,
    Person(person): Person,
) -> Result<(StatusCode, Json<PasskeyCreation>)> {
    let creation = factors::begin_passkey(&app, &person.session).await?;
    Ok((StatusCode::CREATED, Json(creation)))
}

/// A passkey that is kept.
#[derive(Serialize, ToSchema)]
pub struct KeptPasskey {
    passkey: Passkey,
    /// With the account's first factor. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup_codes: Option<Vec<String>>,
}

/// Keeps the passkey that the browser has made. Other sign-ins end when it is the account's first
/// factor, and this browser gets another cookie.
#[utoipa::path(post, path = "/auth/passkeys/confirm", tag = "second factors",
    request_body = NewPasskey, responses((status = 201, body = KeptPasskey)))]
pub async fn keep_passkey(
    State(app): State<Arc<App>>,
    Person(person): Person,
    Json(new): Json<NewPasskey>,
) -> Result<Response> {
    let (passkey, SetUp { backup_codes }) =
        factors::keep_passkey(&app, &person.session, new).await?;
    let kept = (StatusCode::CREATED, Json(KeptPasskey { passkey, backup_codes }));
    renewed(&app, &person, kept.into_response()).await
}

/// Removes a passkey: after password and second factor were shown again.
#[utoipa::path(delete, path = "/auth/passkeys/{id}", tag = "second factors",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn remove_passkey(
    State(app): State<Arc<App>>,
    Person(person): Person,
    Id(passkey_id): Id<PasskeyId>,
) -> Result<StatusCode> {
    factors::remove_passkey(&app, &person.session, passkey_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the browser another cookie: its session means more than before.
async fn renewed(app: &App, person: &SignedIn, mut response: Response) -> Result<Response> {
    let renewed = accounts::renew_session(app, &person.session, &person.credential).await?;
    if let Some(session) = renewed {
        set_session_cookie(app, &mut response, &session)?;
    }
    Ok(response)
}

//! Signing up, in and out.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use nightjar_shared::range::Check;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    domain::{
        access::Caller,
        accounts::{
            self, Account, Client, Credential, FirstAdmin, Login, Me, ProfileChange, Registered,
            RegistrationState, Session, SignUp, Tokens,
        },
        attempts::Origin,
        factors::SecondFactorQuestion,
        known_devices::{self, KnownDevice},
        sites::Site,
    },
    doors::{
        extract::Json,
        principal::{Peer, Person, SamePage, SignedIn, SignsIn, known_device},
    },
    error::{Error, Result},
};

#[derive(Deserialize, ToSchema)]
pub struct LoginRequest {
    email: String,
    password: String,
    /// Answers with tokens instead of a cookie.
    #[serde(default)]
    tokens: bool,
    /// What an earlier sign-in answered; a browser has it as a cookie. Strangers' guesses do not stop
    /// whoever shows it.
    #[serde(default)]
    known_device: Option<String>,
}

impl Check for LoginRequest {}

/// Either somebody is signed in, or the account has a second factor, which is asked for.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum LoginOutcome {
    SignedIn(LoginAnswer),
    Asked(SecondFactorAsked),
}

/// Nobody is signed in until this is answered at `auth/mfa/verify`.
#[derive(Serialize, ToSchema)]
pub struct SecondFactorAsked {
    second_factor: SecondFactorQuestion,
}

/// `Me`, and tokens where they were asked for.
#[derive(Serialize, ToSchema)]
pub struct LoginAnswer {
    account: Account,
    sites: Vec<Site>,
    /// Whether nothing else is answered until a second factor is set up.
    second_factor_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_s: Option<u64>,
    /// To be shown at the next sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_device: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub struct RefreshRequest {
    refresh_token: String,
}

impl Check for RefreshRequest {}

/// Says who may make an account, so that a form that is refused is not offered.
#[utoipa::path(get, path = "/auth/registration", tag = "accounts",
    responses((status = 200, body = RegistrationState)))]
pub async fn registration(State(app): State<Arc<App>>) -> Json<RegistrationState> {
    Json(accounts::registration(&app))
}

/// Makes an account and a site named "Home", and signs in. Where addresses must be confirmed first, the
/// answer is 202 without a body, and a mail says what comes next.
#[utoipa::path(post, path = "/auth/register", tag = "accounts", request_body = SignUp,
    responses((status = 201, body = Me), (status = 202)))]
pub async fn register(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
    SignsIn(client): SignsIn,
    headers: HeaderMap,
    Json(sign_up): Json<SignUp>,
) -> Result<Response> {
    let Registered::In(caller) = accounts::register(&app, sign_up, address).await? else {
        return Ok(StatusCode::ACCEPTED.into_response());
    };
    let me = accounts::me(&app, caller).await?;
    let device = known_device(&headers, &app.config);
    let response = (StatusCode::CREATED, Json(me)).into_response();
    with_cookies(&app, caller, device, &client, response).await
}

/// Makes the first administrator of a relay, by the link that it printed at its start, and signs in. Nothing
/// else is answered until a second factor is set up.
#[utoipa::path(post, path = "/auth/first-admin", tag = "accounts", request_body = FirstAdmin,
    responses((status = 201, body = Me)))]
pub async fn first_admin(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
    SignsIn(client): SignsIn,
    headers: HeaderMap,
    Json(first): Json<FirstAdmin>,
) -> Result<Response> {
    let caller = accounts::make_first_admin(&app, first, address).await?;
    let me = accounts::me(&app, caller).await?;
    let device = known_device(&headers, &app.config);
    let response = (StatusCode::CREATED, Json(me)).into_response();
    with_cookies(&app, caller, device, &client, response).await
}

/// Signs in, with a cookie or with tokens; or asks for the account's second factor first.
#[utoipa::path(post, path = "/auth/login", tag = "accounts", request_body = LoginRequest,
    responses((status = 200, body = LoginOutcome)))]
pub async fn login(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    _: SamePage,
    SignsIn(client): SignsIn,
    headers: HeaderMap,
    Json(request): Json<LoginRequest>,
) -> Result<Response> {
    let known_device = request.known_device.or_else(|| known_device(&headers, &app.config));
    let origin = Origin { address, known_device: known_device.as_deref() };
    match accounts::login(&app, &request.email, request.password, origin).await? {
        Login::Caller(caller) => {
            signed_in(&app, caller, &client, known_device, request.tokens).await
        }
        Login::Asked(second_factor) => {
            Ok(Json(LoginOutcome::Asked(SecondFactorAsked { second_factor })).into_response())
        }
    }
}

/// Answers somebody who has just shown who they are: with a cookie, or with tokens.
pub(super) async fn signed_in(
    app: &App,
    caller: Caller,
    client: &Client,
    known_device: Option<String>,
    tokens: bool,
) -> Result<Response> {
    accounts::refuse_disabled(app, caller.account_id).await?;
    let me = accounts::me(app, caller).await?;
    if !tokens {
        return with_cookies(app, caller, known_device, client, Json(me).into_response()).await;
    }
    let device = remember(app, caller, known_device.as_deref(), client).await?;
    let tokens = accounts::start_tokens(app, caller, client).await?;
    Ok(Json(LoginOutcome::SignedIn(LoginAnswer {
        account: me.account,
        sites: me.sites,
        second_factor_required: me.second_factor_required,
        access_token: Some(tokens.access_token),
        refresh_token: Some(tokens.refresh_token),
        expires_in_s: Some(tokens.expires_in_s),
        known_device: Some(device.token),
    }))
    .into_response())
}

/// Exchanges a refresh token, which is spent by that.
#[utoipa::path(post, path = "/auth/refresh", tag = "accounts", request_body = RefreshRequest,
    responses((status = 200, body = Tokens)))]
pub async fn refresh(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<Tokens>> {
    app.limits.refresh.take_at(app.address_key(address).as_deref(), app.now())?;
    Ok(Json(accounts::refresh(&app, &request.refresh_token).await?))
}

/// Signs out.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts", responses((status = 204)))]
pub async fn logout(State(app): State<Arc<App>>, Person(signed_in): Person) -> Result<Response> {
    accounts::logout(&app, &signed_in.session).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    if matches!(signed_in.credential, Credential::Session(_)) {
        set_cookie(&app, &mut response, (app.config.cookie_name(), ""), Duration::ZERO)?;
    }
    Ok(response)
}

/// Shows who is signed in.
#[utoipa::path(get, path = "/auth/me", tag = "accounts", responses((status = 200, body = Me)))]
pub async fn me(State(app): State<Arc<App>>, Person(signed_in): Person) -> Result<Json<Me>> {
    Ok(Json(accounts::me(&app, signed_in.caller).await?))
}

/// Changes the name of who is signed in.
#[utoipa::path(patch, path = "/auth/me", tag = "accounts", request_body = ProfileChange,
    responses((status = 200, body = Me)))]
pub async fn change_me(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(change): Json<ProfileChange>,
) -> Result<Json<Me>> {
    Ok(Json(accounts::change_profile(&app, signed_in.caller, &change).await?))
}

/// Remembers what signed in, and has its owner told if it is new.
async fn remember(
    app: &App,
    caller: Caller,
    shown: Option<&str>,
    client: &Client,
) -> Result<KnownDevice> {
    let device = known_devices::remember(app, caller, shown).await?;
    if device.is_new {
        accounts::note_sign_in(app, caller, client).await?;
    }
    Ok(device)
}

/// Sets the cookie of a new session, and the one by which this browser is known at its next sign-in.
pub(super) async fn with_cookies(
    app: &App,
    caller: Caller,
    known_device: Option<String>,
    client: &Client,
    mut response: Response,
) -> Result<Response> {
    let session = accounts::start_session(app, caller, client).await?;
    set_session_cookie(app, &mut response, &session)?;
    let device = remember(app, caller, known_device.as_deref(), client).await?;
    set_known_device(app, &mut response, &device)?;
    Ok(response)
}

/// Sets the cookie by which this browser is known at its next sign-in.
pub(super) fn set_known_device(
    app: &App,
    response: &mut Response,
    device: &KnownDevice,
) -> Result<()> {
    let cookie = (app.config.known_device_cookie_name(), device.token.as_str());
    set_cookie(app, response, cookie, device.lifetime)
}

pub(super) fn set_session_cookie(
    app: &App,
    response: &mut Response,
    session: &Session,
) -> Result<()> {
    set_cookie(app, response, (app.config.cookie_name(), &session.token), session.lifetime)
}

fn set_cookie(
    app: &App,
    response: &mut Response,
    (name, token): (&str, &str),
    lifetime: Duration,
) -> Result<()> {
    let secure = if app.config.is_https() { "; Secure" } else { "" };
    let age_s = lifetime.as_secs();
    let cookie = format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age_s}{secure}");
    let value = HeaderValue::from_str(&cookie).map_err(|error| Error::Internal(error.into()))?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

//! Live pictures by WHEP (draft-ietf-wish-whep), for our own page and for any other player: the
//! relay passes descriptions on, the picture goes another way.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use nightjar_shared::{
    ids::{CameraId, SessionId},
    signal::IceServer,
};

use crate::{
    app::App,
    domain::{
        accounts,
        live::{self, Reply},
    },
    doors::{
        extract::{Id, sdp, text_of},
        principal::SignedIn,
    },
    error::{Error, ProblemCode, Result},
};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Lets players on pages of any origin in. They show a token: a cookie of ours does not travel
/// with what these headers allow.
pub async fn share(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "accept-patch, accept-post, etag, link, location, retry-after",
        ),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Answers what a browser asks before it lets a foreign page act. The answer is the same for every
/// address, and costs nothing.
fn preflight(methods: &'static str) -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-match"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Says what this door takes. Whoever proves who they are also hears of ICE servers, to gather
/// candidates with before the offer is made.
#[utoipa::path(options, path = "/cameras/{id}/whep", tag = "live",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn describe(
    State(app): State<Arc<App>>,
    Id(camera_id): Id<CameraId>,
    request: Request,
) -> Result<Response> {
    let (mut parts, _) = request.into_parts();
    let mut response = preflight("OPTIONS, HEAD, POST");
    response.headers_mut().insert(ACCEPT_POST, HeaderValue::from_static(SDP));
    if is_anonymous(&parts) {
        return Ok(response);
    }
    let signed_in = SignedIn::from_request_parts(&mut parts, &app).await?;
    add_links(&mut response, &live::advertised(&app, signed_in.caller, camera_id).await?);
    Ok(response)
}

/// Says what this door takes.
#[utoipa::path(head, path = "/cameras/{id}/whep", tag = "live",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn head(state: State<Arc<App>>, id: Id<CameraId>, request: Request) -> Result<Response> {
    describe(state, id, request).await
}

/// Says what the door of a session takes.
#[utoipa::path(options, path = "/live/{session}", tag = "live",
    params(("session" = String, Path)), responses((status = 204)))]
pub async fn describe_session() -> Response {
    let mut response = preflight("OPTIONS, GET, PATCH, DELETE");
    response.headers_mut().insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    response
}

fn is_anonymous(parts: &Parts) -> bool {
    let shows = |name| parts.headers.contains_key(name);
    parts.method == Method::OPTIONS && !shows(header::AUTHORIZATION) && !shows(header::COOKIE)
}

/// Starts watching: the body is an SDP offer, the answer's body the camera's.
#[utoipa::path(post, path = "/cameras/{id}/whep", tag = "live", params(("id" = String, Path)),
    request_body(content = String, content_type = "application/sdp"),
    responses((status = 201, body = String, content_type = "application/sdp"),
        (status = 307, description = "The camera publishes to an SFU: offer to its WHEP URL.")))]
pub async fn open(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(camera_id): Id<CameraId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let offer = sdp(&headers, body, SDP).await?;
    require_acceptable(&headers, SDP)?;
    let accounts::SignedIn { caller, sign_in, .. } = signed_in.session;
    let opened = match live::open(&app, caller, &sign_in, camera_id, offer).await? {
        Reply::Here(opened) => opened,
        Reply::Elsewhere(location) => {
            let headers = [(header::LOCATION, location)];
            return Ok((StatusCode::TEMPORARY_REDIRECT, headers).into_response());
        }
    };
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, format!("/api/v1/live/{}", opened.session_id)),
        (header::ETAG, format!("\"{}\"", opened.etag)),
        (ACCEPT_PATCH, FRAGMENT.to_owned()),
    ];
    let mut response = (StatusCode::CREATED, headers, opened.answer).into_response();
    add_links(&mut response, &opened.ice_servers);
    Ok(response)
}

/// Takes more ICE candidates of the viewer, when `If-Match` names the session's ICE session or is `*`.
/// With `*` a new ICE user and password restart ICE.
#[utoipa::path(patch, path = "/live/{session}", tag = "live", params(("session" = String, Path)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses((status = 200, body = String, content_type = "application/trickle-ice-sdpfrag"),
        (status = 204)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(session_id): Id<SessionId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let fragment = sdp(&headers, body, FRAGMENT).await?;
    let Some(matching) = text_of(&headers, &header::IF_MATCH).map(str::trim) else {
        return Err(Error::refused(
            428,
            ProblemCode::PreconditionRequired,
            "Name the ICE session in If-Match, or write * to restart ICE.",
        ));
    };
    // A weak name is never the same (RFC 9110, section 13.1.1).
    let sessions: Vec<&str> =
        matching.split(',').map(|name| name.trim().trim_matches('"')).collect();
    let named = (matching != "*").then_some(sessions.as_slice());
    let changed = live::change(&app, signed_in.caller, session_id, named, &fragment).await?;
    let Some(restarted) = changed else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let headers = [
        (header::CONTENT_TYPE, FRAGMENT.to_owned()),
        (header::ETAG, format!("\"{}\"", restarted.etag)),
    ];
    let mut response = (StatusCode::OK, headers, restarted.answer).into_response();
    add_links(&mut response, &restarted.ice_servers);
    Ok(response)
}

/// Stops watching.
#[utoipa::path(delete, path = "/live/{session}", tag = "live", params(("session" = String, Path)),
    responses((status = 200)))]
pub async fn close(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(session_id): Id<SessionId>,
) -> Result<StatusCode> {
    live::close(&app, signed_in.caller, session_id).await?;
    Ok(StatusCode::OK)
}

/// Adds one `Link` for each URL, as WHIP (RFC 9725) writes ICE servers.
fn add_links(response: &mut Response, servers: &[IceServer]) {
    for server in servers {
        for url in &server.urls {
            let mut link = format!("<{url}>; rel=\"ice-server\"");
            if let (Some(user), Some(credential)) = (&server.username, &server.credential) {
                let _ = write!(
                    link,
                    "; username=\"{user}\"; credential=\"{credential}\"; credential-type=\"password\""
                );
            }
            // The configuration lets no URL in that could not stand here.
            if let Ok(link) = HeaderValue::from_str(&link) {
                response.headers_mut().append(header::LINK, link);
            }
        }
    }
}

/// Refuses a caller that cannot read the answer: it should not hear of a success.
fn require_acceptable(headers: &HeaderMap, content_type: &str) -> Result<()> {
    let accepted = |value: &HeaderValue| {
        let ranges = value.to_str().unwrap_or_default().split(',');
        ranges.map(|range| range.split(';').next().unwrap_or_default().trim()).any(|range| {
            range.eq_ignore_ascii_case(content_type) || range == "*/*" || range == "application/*"
        })
    };
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() || values.any(accepted) {
        return Ok(());
    }
    Err(Error::refused(
        406,
        ProblemCode::NotAcceptable,
        "This door answers with application/sdp alone.",
    ))
}

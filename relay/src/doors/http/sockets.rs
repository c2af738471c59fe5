//! Sockets of browsers, and tickets for them, so that no lasting secret stands in a URL.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State, WebSocketUpgrade},
    response::Response,
};
use serde::Deserialize;

use crate::{
    app::App,
    domain::accounts::{self, Credential, Ticket},
    doors::{
        extract::{Json, Query},
        principal::{Peer, SignedIn, cross_origin, is_same_origin, unauthenticated},
        websocket,
    },
    error::{Error, ProblemCode, Result},
};

/// Issues a ticket, which opens one WebSocket within 30 s.
#[utoipa::path(post, path = "/ws/tickets", tag = "websocket",
    responses((status = 200, body = Ticket)))]
pub async fn issue_ticket(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
) -> Result<Json<Ticket>> {
    Ok(Json(accounts::issue_ticket(&app, &signed_in.session).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Opening {
    /// Where there is none, the cookie of one of our own pages serves.
    ticket: Option<String>,
}

/// Opens a WebSocket on which the relay tells what happens.
#[utoipa::path(get, path = "/ws", tag = "websocket", params(Opening),
    responses((status = 101)))]
pub async fn connect(
    State(app): State<Arc<App>>,
    Query(opening): Query<Opening>,
    Peer(address): Peer,
    request: Request,
) -> Result<Response> {
    app.limits.sockets.take_at(app.address_key(address).as_deref(), app.now())?;
    let (mut parts, _) = request.into_parts();
    // The upgrade first: what is no WebSocket must not use a ticket up.
    let upgrade =
        WebSocketUpgrade::from_request_parts(&mut parts, &app).await.map_err(|error| {
            Error::refused(400, ProblemCode::NotAWebsocket, "Here begins a WebSocket.")
                .with_detail(error.body_text())
        })?;
    let session = match opening.ticket {
        Some(ticket) => {
            let redeemed = accounts::redeem_ticket(&app, &ticket).await?;
            let mut session = redeemed.ok_or_else(unauthenticated)?;
            session.caller.address = app.known_address(address);
            session
        }
        None => by_cookie(&app, &mut parts).await?,
    };
    websocket::open(upgrade, &app, &session)
}

/// Scripts of foreign pages can open sockets too, with our cookie: their origin tells.
async fn by_cookie(app: &Arc<App>, parts: &mut http::request::Parts) -> Result<accounts::SignedIn> {
    let signed_in = SignedIn::from_request_parts(parts, app).await?;
    if matches!(signed_in.credential, Credential::Session(_))
        && !is_same_origin(&parts.headers, &app.config)
    {
        return Err(cross_origin());
    }
    Ok(signed_in.session)
}

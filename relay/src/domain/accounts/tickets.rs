//! Tickets: each opens one WebSocket, which has no other way to say who asks.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::sessions::of_key;
use crate::{
    app::App,
    domain::{access::Caller, secrets, signed_in::SignedIn},
    engines::db::{
        api_keys,
        credentials::{self, SignedInRow},
        sign_in,
    },
    error::Result,
};

const TICKET_LIFETIME: Duration = Duration::from_secs(30);

#[derive(Clone, Serialize, ToSchema)]
pub struct Ticket {
    pub ticket: String,
    pub expires_in_s: u64,
}

/// Issues a ticket, which opens one WebSocket within 30 s.
pub async fn issue_ticket(app: &App, signed_in: &SignedIn) -> Result<Ticket> {
    let ticket = secrets::token()?;
    let expires_at = app.now().plus(TICKET_LIFETIME);
    let SignedIn { caller, sign_in, .. } = signed_in;
    let row = SignedInRow { account_id: caller.account_id, sign_in: sign_in.clone() };
    credentials::insert_ticket(&app.db, secrets::hash(&ticket), &row, expires_at).await?;
    Ok(Ticket { ticket, expires_in_s: TICKET_LIFETIME.as_secs() })
}

/// Finds whose ticket this is, and spends it. It is no good once its sign-in has ended.
pub async fn redeem_ticket(app: &App, ticket: &str) -> Result<Option<SignedIn>> {
    let now = app.now();
    let taken = credentials::take_ticket(&app.db, &secrets::hash(ticket), now).await?;
    let Some(row) = taken else { return Ok(None) };
    let SignedInRow { account_id, sign_in } = row;
    if let Some(key_id) = sign_in.key_id() {
        let Some(key) = api_keys::by_id(&app.db, key_id, now).await? else { return Ok(None) };
        return of_key(app, &key).await.map(Some);
    }
    let standing = sign_in::standing(&app.db, std::slice::from_ref(&sign_in), now).await?;
    let signed_in = SignedIn {
        caller: Caller::person(account_id),
        sign_in,
        // Who must set up a factor first gets no ticket.
        lacks_factor: false,
    };
    Ok((!standing.is_empty()).then_some(signed_in))
}

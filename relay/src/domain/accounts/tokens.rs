//! How programs stay signed in: a short access token, and one that is exchanged for the next pair.

use std::time::Duration;

use nightjar_shared::{audit::Action, ids::AccountId, time::UnixMillis};
use serde::Serialize;
use utoipa::ToSchema;

use super::{client::Client, sessions::SIGN_INS_MAX};
use crate::{
    app::App,
    domain::{
        access::Caller,
        audit::{Actor, Entry, record},
        live, secrets,
    },
    engines::db::credentials::{self, NewSignIn, NewTokens, Refresh},
    error::{Error, ProblemCode, Result},
};

const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(15);
const REFRESH_LIFETIME: Duration = Duration::from_hours(720);

/// For programs.
#[derive(Clone, Serialize, ToSchema)]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    /// Of the access token.
    pub expires_in_s: u64,
}

/// Signs a program in.
pub async fn start_tokens(app: &App, caller: Caller, client: &Client) -> Result<Tokens> {
    let family_id = secrets::token()?;
    let now = app.now();
    let transaction = app.db.begin().await?;
    let new = NewSignIn {
        account_id: caller.account_id,
        program: &client.program,
        network: &client.network,
        expires_at: now.plus(REFRESH_LIFETIME),
    };
    credentials::insert_family(&transaction, &family_id, new, now).await?;
    credentials::keep_newest_families(&transaction, caller.account_id, SIGN_INS_MAX).await?;
    let (tokens, rows) = new_tokens(&family_id, caller.account_id, now)?;
    credentials::insert_tokens(&transaction, rows).await?;
    transaction.commit().await?;
    Ok(tokens)
}

/// Exchanges a refresh token. One that was exchanged before has been copied: its whole family
/// ends, and with it the account's open sockets and all that it watches. Its other sign-ins come
/// back by themselves.
pub async fn refresh(app: &App, refresh_token: &str) -> Result<Tokens> {
    let invalid = || {
        Error::unauthorized(
            ProblemCode::InvalidRefreshToken,
            "This refresh token is not good any more.",
        )
    };
    let now = app.now();
    let transaction = app.db.begin().await?;
    let hash = secrets::hash(refresh_token);
    match credentials::spend_refresh_token(&transaction, &hash, now).await? {
        Refresh::Good { family_id, account_id } => {
            let (tokens, rows) = new_tokens(&family_id, account_id, now)?;
            credentials::insert_tokens(&transaction, rows).await?;
            transaction.commit().await?;
            Ok(tokens)
        }
        Refresh::Reused { family_id, account_id } => {
            credentials::delete_family(&transaction, &family_id).await?;
            let entry = Entry::new(Action::TokenCopied, Actor::Stranger).subject(account_id);
            record(&transaction, now, entry).await?;
            transaction.commit().await?;
            // Whoever has the copy may be listening.
            app.realtime.close_account(account_id);
            live::end_of_account(app, account_id, None).await?;
            tracing::warn!("a refresh token came twice: its sign-in is ended");
            Err(invalid())
        }
        Refresh::Unknown => Err(invalid()),
    }
}

fn new_tokens(
    family_id: &str,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<(Tokens, NewTokens<'_>)> {
    let tokens = Tokens {
        access_token: secrets::token()?,
        refresh_token: secrets::token()?,
        expires_in_s: ACCESS_TOKEN_LIFETIME.as_secs(),
    };
    let rows = NewTokens {
        family_id,
        account_id,
        access_hash: secrets::hash(&tokens.access_token),
        access_expires_at: now.plus(ACCESS_TOKEN_LIFETIME),
        refresh_hash: secrets::hash(&tokens.refresh_token),
    };
    Ok((tokens, rows))
}

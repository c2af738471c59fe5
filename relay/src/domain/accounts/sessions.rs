//! Sign-ins: what shows that somebody is one of the accounts, and how that ends.

use std::{collections::HashSet, time::Duration};

use nightjar_shared::audit::Action;

use crate::{
    app::App,
    domain::{
        access::{self, Caller},
        api_keys,
        audit::{Entry, record},
        even_when_full, live, secrets,
        signed_in::SignedIn,
    },
    engines::db::{
        accounts::{self, AuthenticatedRow},
        api_keys::ApiKeyRow,
        factors::move_confirmation,
        sign_in::{self, SignInId},
    },
    error::Result,
};

const SESSION_LIFETIME: Duration = Duration::from_hours(720);
/// Browsers, and again programs, that one account is signed in with at a time: the next one ends the
/// oldest.
pub(super) const SIGN_INS_MAX: u32 = 20;

/// For the cookie.
pub struct Session {
    pub token: String,
    pub lifetime: Duration,
}

/// What a caller showed: the thing to end at sign-out.
#[derive(Clone)]
pub enum Credential {
    Session(String),
    AccessToken(String),
    ApiKey(String),
}

impl From<AuthenticatedRow> for SignedIn {
    fn from(row: AuthenticatedRow) -> Self {
        Self {
            caller: Caller::person(row.account_id),
            sign_in: row.sign_in,
            lacks_factor: row.lacks_factor,
        }
    }
}

/// Signs a browser in.
pub async fn start_session(app: &App, caller: Caller) -> Result<Session> {
    let token = secrets::token()?;
    let now = app.now();
    accounts::insert_session(
        &app.db,
        secrets::hash(&token),
        caller.account_id,
        now,
        now.plus(SESSION_LIFETIME),
    )
    .await?;
    accounts::keep_newest_sessions(&app.db, caller.account_id, SIGN_INS_MAX).await?;
    Ok(Session { token, lifetime: SESSION_LIFETIME })
}

/// Finds whose credential this is: nothing when it is unknown, expired or ended.
pub async fn authenticate(app: &App, credential: &Credential) -> Result<Option<SignedIn>> {
    let now = app.now();
    let row = match credential {
        Credential::Session(token) => {
            accounts::by_session(&app.db, &secrets::hash(token), now).await?
        }
        Credential::AccessToken(token) => {
            accounts::by_access_token(&app.db, &secrets::hash(token), now).await?
        }
        Credential::ApiKey(token) => {
            let Some(key) = api_keys::authenticate(app, token).await? else { return Ok(None) };
            return of_key(app, &key).await.map(Some);
        }
    };
    Ok(row.map(SignedIn::from))
}

/// Returns whom a key stands for.
pub(super) async fn of_key(app: &App, key: &ApiKeyRow) -> Result<SignedIn> {
    Ok(SignedIn {
        caller: api_keys::caller(key),
        sign_in: SignInId::of_key(key.key_id),
        lacks_factor: accounts::lacks_factor(&app.db, key.account_id).await?,
    })
}

/// Gives a browser's session another token: who has seen the old one has nothing of the new. What a
/// program shows changes by itself, within minutes.
pub async fn renew_session(
    app: &App,
    signed_in: &SignedIn,
    credential: &Credential,
) -> Result<Option<Session>> {
    let Credential::Session(old) = credential else { return Ok(None) };
    let token = secrets::token()?;
    let (old_hash, new_hash) = (secrets::hash(old), secrets::hash(&token));
    let expires_at = app.now().plus(SESSION_LIFETIME);
    let transaction = app.db.begin().await?;
    accounts::rename_session(&transaction, &old_hash, &new_hash, expires_at).await?;
    let renewed = SignInId::of_session(&new_hash);
    move_confirmation(&transaction, &signed_in.sign_in, &renewed).await?;
    transaction.commit().await?;
    // Open sockets come back with the new one.
    app.realtime.close_sign_in(signed_in.caller.account_id, &(&signed_in.sign_in).into());
    Ok(Some(Session { token, lifetime: SESSION_LIFETIME }))
}

/// Ends what the caller showed, and what was opened with it: sockets and live pictures. Other
/// sign-ins of the account go on.
pub async fn logout(app: &App, signed_in: &SignedIn, credential: &Credential) -> Result<()> {
    even_when_full(app, || end(app, signed_in, credential)).await
}

async fn end(app: &App, signed_in: &SignedIn, credential: &Credential) -> Result<()> {
    match credential {
        Credential::Session(token) => {
            accounts::delete_session(&app.db, &secrets::hash(token)).await?;
        }
        Credential::AccessToken(token) => {
            accounts::delete_family_of_access_token(&app.db, &secrets::hash(token)).await?;
        }
        // A key is no sign-in of its holder's: its owner removes it.
        Credential::ApiKey(_) => return access::in_person(signed_in.caller),
    }
    let SignedIn { caller, sign_in, .. } = signed_in;
    record(&app.db, app.now(), Entry::new(Action::SignedOut, *caller)).await?;
    app.realtime.close_sign_in(caller.account_id, &sign_in.into());
    live::end_of_account(app, caller.account_id, Some(sign_in)).await
}

/// Closes the sockets of sign-ins that are over: those that expired, and those that ended where
/// nobody here heard of it.
pub(in crate::domain) async fn close_sockets_without_right(app: &App) -> Result<()> {
    let open = app.realtime.sign_ins();
    let sign_ins: Vec<SignInId> = open.iter().map(|(_, id)| id.clone().into()).collect();
    let standing = sign_in::standing(&app.db, &sign_ins, app.now()).await?;
    let standing: HashSet<SignInId> = standing.into_iter().collect();
    for ((account_id, text), sign_in) in open.iter().zip(&sign_ins) {
        if !standing.contains(sign_in) {
            app.realtime.close_sign_in(*account_id, text);
        }
    }
    Ok(())
}

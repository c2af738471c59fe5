//! Sign-ins: what shows that somebody is one of the accounts, and how that ends.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use nightjar_shared::{account::SignInKind, audit::Action, ids::AccountId, time::UnixMillis};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::client::{self, Client};
use crate::{
    app::App,
    domain::{
        List,
        access::{self, Caller},
        api_keys,
        audit::{Entry, record},
        even_when_full, live, secrets,
        signed_in::SignedIn,
    },
    engines::db::{
        api_keys::ApiKeyRow,
        credentials::{self, AuthenticatedRow, NewSignIn},
        factors::move_confirmation,
        sign_in::{self, SignInId, SignInRow},
    },
    error::{Error, Result},
};

const SESSION_LIFETIME: Duration = Duration::from_hours(720);
/// Browsers, and again programs, that one account is signed in with at a time: the next one ends the
/// oldest.
pub(super) const SIGN_INS_MAX: u32 = 20;
/// How exactly it is known when a sign-in was last used: a request is no reason to write.
const SEEN_EVERY: Duration = Duration::from_mins(1);

/// For the cookie.
pub struct Session {
    pub token: String,
    pub lifetime: Duration,
}

/// What a caller showed.
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
pub async fn start_session(app: &App, caller: Caller, client: &Client) -> Result<Session> {
    let token = secrets::token()?;
    let now = app.now();
    let new = NewSignIn {
        account_id: caller.account_id,
        program: &client.program,
        network: &client.network,
        expires_at: now.plus(SESSION_LIFETIME),
    };
    credentials::insert_session(&app.db, secrets::hash(&token), new, now).await?;
    credentials::keep_newest_sessions(&app.db, caller.account_id, SIGN_INS_MAX).await?;
    Ok(Session { token, lifetime: SESSION_LIFETIME })
}

/// Finds whose credential this is, and notes that it is used: nothing when it is unknown, expired or
/// ended.
pub async fn authenticate(
    app: &App,
    credential: &Credential,
    address: IpAddr,
) -> Result<Option<SignedIn>> {
    let now = app.now();
    let row = match credential {
        Credential::Session(token) => {
            credentials::by_session(&app.db, &secrets::hash(token), now).await?
        }
        Credential::AccessToken(token) => {
            credentials::by_access_token(&app.db, &secrets::hash(token), now).await?
        }
        Credential::ApiKey(token) => {
            let Some(key) = api_keys::authenticate(app, token).await? else { return Ok(None) };
            return of_key(app, &key).await.map(Some);
        }
    };
    let Some(row) = row else { return Ok(None) };
    if row.seen_at.is_none_or(|seen_at| now.since(seen_at) >= SEEN_EVERY) {
        let network = client::network(address);
        let noted = sign_in::seen(&app.db.unsynced(), &row.sign_in, &network, now).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "cannot note that a sign-in is used");
        }
    }
    Ok(Some(row.into()))
}

/// Returns whom a key stands for.
pub(super) async fn of_key(app: &App, key: &ApiKeyRow) -> Result<SignedIn> {
    Ok(SignedIn {
        caller: api_keys::caller(key),
        sign_in: SignInId::of_key(key.key_id),
        lacks_factor: credentials::lacks_factor(&app.db, key.account_id).await?,
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
    credentials::rename_session(&transaction, &old_hash, &new_hash, expires_at).await?;
    let renewed = SignInId::of_session(&new_hash);
    move_confirmation(&transaction, &signed_in.sign_in, &renewed).await?;
    transaction.commit().await?;
    // Open sockets come back with the new one.
    app.realtime.close_sign_in(signed_in.caller.account_id, &(&signed_in.sign_in).into());
    Ok(Some(Session { token, lifetime: SESSION_LIFETIME }))
}

/// A sign-in, as the person whose it is sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SignIn {
    /// By this it is ended. It opens nothing.
    #[schema(value_type = String)]
    pub sign_in_id: Uuid,
    /// `browser` or `program`.
    #[schema(value_type = String)]
    pub kind: SignInKind,
    /// Like `Firefox on Windows`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// From where it was last used, without the end of the address: `203.0.113.x`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    pub signed_in_at: UnixMillis,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<UnixMillis>,
    pub expires_at: UnixMillis,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// Makes the name by which others than the relay know a sign-in: nobody finds the sign-in's own from it.
pub(in crate::domain) fn public_id(sign_in: &SignInId) -> Uuid {
    let own: std::sync::Arc<str> = sign_in.into();
    let digest = Sha256::digest(format!("sign-in {own}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(bytes)
}

/// Lists how somebody is signed in: there are at most 40.
pub async fn sign_ins(app: &App, signed_in: &SignedIn) -> Result<List<SignIn>> {
    access::in_person(signed_in.caller)?;
    let rows = sign_in::of_account(&app.db, signed_in.caller.account_id, app.now()).await?;
    let view = |row: SignInRow| SignIn {
        sign_in_id: public_id(&row.sign_in),
        kind: row.kind,
        program: row.program,
        network: row.network,
        signed_in_at: row.created_at,
        seen_at: row.seen_at,
        expires_at: row.expires_at,
        current: row.sign_in == signed_in.sign_in,
    };
    Ok(List { items: rows.into_iter().map(view).collect(), next_cursor: None })
}

/// Ends one sign-in of the caller's, and what was opened with it.
pub async fn end_sign_in(app: &App, caller: Caller, sign_in_id: Uuid) -> Result<()> {
    access::in_person(caller)?;
    let rows = sign_in::of_account(&app.db, caller.account_id, app.now()).await?;
    let row = rows.into_iter().find(|row| public_id(&row.sign_in) == sign_in_id);
    let row = row.ok_or_else(Error::not_found)?;
    even_when_full(app, || end(app, caller.account_id, &row.sign_in)).await?;
    let entry = Entry::new(Action::SignInEnded, caller).subject(sign_in_id);
    record(&app.db, app.now(), entry).await
}

/// Ends all sign-ins of the caller's but the one that asks.
pub async fn end_other_sign_ins(app: &App, signed_in: &SignedIn) -> Result<()> {
    access::in_person(signed_in.caller)?;
    let account_id = signed_in.caller.account_id;
    let kept = Some(&signed_in.sign_in);
    let ended =
        even_when_full(app, async || Ok(sign_in::delete_all_but(&app.db, account_id, kept).await?))
            .await?;
    close(app, account_id, &ended).await?;
    record(&app.db, app.now(), Entry::new(Action::OtherSignInsEnded, signed_in.caller)).await
}

/// Ends the sign-in that asks, and what was opened with it: sockets and live pictures. Other sign-ins of
/// the account go on.
pub async fn logout(app: &App, signed_in: &SignedIn) -> Result<()> {
    // A key is no sign-in of its holder's: its owner removes it.
    access::in_person(signed_in.caller)?;
    even_when_full(app, || end(app, signed_in.caller.account_id, &signed_in.sign_in)).await?;
    let entry = Entry::new(Action::SignedOut, signed_in.caller);
    even_when_full(app, || record(&app.db, app.now(), entry.clone())).await
}

async fn end(app: &App, account_id: AccountId, sign_in: &SignInId) -> Result<()> {
    sign_in::delete(&app.db, account_id, sign_in).await?;
    close(app, account_id, std::slice::from_ref(sign_in)).await
}

/// Closes what was opened with sign-ins that have ended: sockets and live pictures.
pub(super) async fn close(app: &App, account_id: AccountId, ended: &[SignInId]) -> Result<()> {
    for sign_in in ended {
        app.realtime.close_sign_in(account_id, &sign_in.into());
        live::end_of_account(app, account_id, Some(sign_in)).await?;
    }
    Ok(())
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

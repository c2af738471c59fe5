//! Accounts: people, and how they prove who they are.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use nightjar_shared::{
    ids::{AccountId, SiteId},
    range::Check,
    role::{AccountRole, Registration, Role},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access::Caller,
    attempts::{Attempt, Origin},
    email, even_when_full, live, record, secrets,
    sites::Site,
    text,
};
use crate::{
    app::{
        App,
        limits::address_key,
        passwords::{Hasher, Verdict},
    },
    engines::db::{
        Db, Executor,
        accounts::{self, AccountRow, NewTokens, Refresh, SignedInRow},
        sign_in::{self, SignInId},
        sites::{self, SiteRow},
    },
    error::{Error, ProblemCode, Result},
};

const SESSION_LIFETIME: Duration = Duration::from_hours(720);
const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(15);
const REFRESH_LIFETIME: Duration = Duration::from_hours(720);
const TICKET_LIFETIME: Duration = Duration::from_secs(30);
/// Browsers, and again programs, that one account is signed in with at a time: the next one ends the
/// oldest.
const SIGN_INS_MAX: u32 = 20;

/// What somebody signs up with.
#[derive(Clone, Deserialize, ToSchema)]
pub struct SignUp {
    #[schema(format = "email", max_length = 254)]
    pub email: String,
    /// At least 10 characters.
    #[schema(min_length = 10)]
    pub password: String,
    #[serde(default)]
    pub name: Option<String>,
}

impl Check for SignUp {}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Account {
    #[schema(value_type = String)]
    pub account_id: AccountId,
    pub email: String,
    pub name: String,
    /// Relay-wide: `user` or `admin`.
    #[schema(value_type = String)]
    pub role: AccountRole,
}

/// Who is signed in, and where they belong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Me {
    pub account: Account,
    pub sites: Vec<Site>,
}

/// What a stranger is told before signing up.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RegistrationState {
    /// `open`, or `invitation` or `closed`: then signing up is refused.
    #[schema(value_type = String)]
    pub registration: Registration,
}

/// For the cookie.
pub struct Session {
    pub token: String,
    pub lifetime: Duration,
}

/// For programs.
#[derive(Clone, Serialize, ToSchema)]
pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    /// Of the access token.
    pub expires_in_s: u64,
}

#[derive(Clone, Serialize, ToSchema)]
pub struct Ticket {
    pub ticket: String,
    pub expires_in_s: u64,
}

/// What a caller showed: the thing to end at sign-out.
#[derive(Clone)]
pub enum Credential {
    Session(String),
    AccessToken(String),
}

/// Says who may make an account.
pub fn registration(app: &App) -> RegistrationState {
    RegistrationState { registration: app.config.registration }
}

/// Makes an account and its first site, where the relay is open to all.
pub async fn register(app: &App, sign_up: SignUp, address: IpAddr) -> Result<Caller> {
    if app.config.registration != Registration::Open {
        return Err(Error::forbidden(
            ProblemCode::RegistrationClosed,
            "This relay takes no new accounts; ask its administrator.",
        ));
    }
    // Also where all share one address: who closes this door stops nobody who has an account.
    app.limits.registration.take(&address_key(address), app.now())?;
    let _turn = app.passwords.turn_of(address).await?;
    create(&app.db, &app.passwords, sign_up, AccountRole::User, app.now()).await
}

/// Makes an account and its first site. Needs no running relay: the first administrator is made
/// so.
pub async fn create(
    db: &Db,
    passwords: &Hasher,
    sign_up: SignUp,
    role: AccountRole,
    now: UnixMillis,
) -> Result<Caller> {
    let email = email::normalize(&sign_up.email)?;
    let name = match sign_up.name.as_deref().map(str::trim) {
        None | Some("") => email.split('@').next().unwrap_or_default().to_owned(),
        Some(name) => text::name(name)?,
    };
    let password_hash = passwords.hash(sign_up.password).await?;
    let account_id = AccountId::generate();
    let account = AccountRow { account_id, email, name, role };
    let transaction = db.begin().await?;
    let is_taken = find(&transaction, &account.email, &sign_up.email).await?.is_some();
    if is_taken || !accounts::insert(&transaction, &account, password_hash, now).await? {
        return Err(Error::conflict(
            ProblemCode::EmailTaken,
            "There is an account with this address.",
        ));
    }
    let site = SiteRow { site_id: SiteId::generate(), name: "Home".to_owned(), role: Role::Owner };
    sites::insert(&transaction, &site, account_id, now).await?;
    record(&transaction, now, Some(account_id), None, "account_created", account_id).await?;
    transaction.commit().await?;
    Ok(Caller { account_id })
}

/// Checks a password. Right or wrong, known or not, it takes as long.
pub async fn login(app: &App, typed: &str, password: String, origin: Origin<'_>) -> Result<Caller> {
    let now = app.now();
    let wrong = || {
        Error::unauthorized(
            ProblemCode::InvalidCredentials,
            "The address or the password is not right.",
        )
    };
    let Ok(email) = email::normalize(typed) else { return Err(wrong()) };
    let address = origin.address;
    let attempt = Attempt::of(app, &email, origin).await?;
    attempt.take(app, now)?;
    let (account, stored) = find(&app.db, &email, typed).await?.unzip();
    let _turn = app.passwords.turn_of(address).await?;
    let verdict = app.passwords.verify(password.clone(), stored.clone()).await?;
    let account = account.filter(|_| verdict != Verdict::Wrong).ok_or_else(wrong)?;
    attempt.give_back(app);
    let account_id = account.account_id;
    app.limits.login_success.take(&account_id.to_string(), now)?;
    if let (Verdict::RightAsTyped, Some(before)) = (verdict, stored) {
        let hash = app.passwords.hash_known(password).await?;
        accounts::replace_password_hash(&app.db, account_id, &before, hash).await?;
    }
    record(&app.db, now, Some(account_id), None, "signed_in", account_id).await?;
    Ok(Caller { account_id })
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

/// Signs a program in.
pub async fn start_tokens(app: &App, caller: Caller) -> Result<Tokens> {
    let family_id = secrets::token()?;
    let now = app.now();
    let transaction = app.db.begin().await?;
    let expires_at = now.plus(REFRESH_LIFETIME);
    accounts::insert_family(&transaction, &family_id, caller.account_id, now, expires_at).await?;
    accounts::keep_newest_families(&transaction, caller.account_id, SIGN_INS_MAX).await?;
    let (tokens, rows) = new_tokens(&family_id, caller.account_id, now)?;
    accounts::insert_tokens(&transaction, rows).await?;
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
    match accounts::spend_refresh_token(&transaction, &hash, now).await? {
        Refresh::Good { family_id, account_id } => {
            let (tokens, rows) = new_tokens(&family_id, account_id, now)?;
            accounts::insert_tokens(&transaction, rows).await?;
            transaction.commit().await?;
            Ok(tokens)
        }
        Refresh::Reused { family_id, account_id } => {
            accounts::delete_family(&transaction, &family_id).await?;
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
    }
    let SignedIn { caller, sign_in } = signed_in;
    app.realtime.close_sign_in(caller.account_id, &sign_in.into());
    live::end_of_account(app, caller.account_id, Some(sign_in)).await
}

/// Closes the sockets of sign-ins that are over: those that expired, and those that ended where
/// nobody here heard of it.
pub(super) async fn close_sockets_without_right(app: &App) -> Result<()> {
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

/// Somebody who has proved who they are, and the sign-in by which.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub caller: Caller,
    pub sign_in: SignInId,
}

impl From<SignedInRow> for SignedIn {
    fn from(row: SignedInRow) -> Self {
        Self { caller: Caller { account_id: row.account_id }, sign_in: row.sign_in }
    }
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
    };
    Ok(row.map(SignedIn::from))
}

pub async fn me(app: &App, caller: Caller) -> Result<Me> {
    let account = accounts::by_id(&app.db, caller.account_id).await?;
    let account = account.ok_or_else(Error::not_found)?;
    let sites = sites::of_account(&app.db, caller.account_id).await?;
    Ok(Me {
        account: Account {
            account_id: account.account_id,
            email: account.email,
            name: account.name,
            role: account.role,
        },
        sites: sites.into_iter().map(Site::from).collect(),
    })
}

/// Issues a ticket, which opens one WebSocket within 30 s.
pub async fn issue_ticket(app: &App, signed_in: &SignedIn) -> Result<Ticket> {
    let ticket = secrets::token()?;
    let expires_at = app.now().plus(TICKET_LIFETIME);
    let SignedIn { caller, sign_in } = signed_in;
    let row = SignedInRow { account_id: caller.account_id, sign_in: sign_in.clone() };
    accounts::insert_ticket(&app.db, secrets::hash(&ticket), &row, expires_at).await?;
    Ok(Ticket { ticket, expires_in_s: TICKET_LIFETIME.as_secs() })
}

/// Finds whose ticket this is, and spends it. It is no good once its sign-in has ended.
pub async fn redeem_ticket(app: &App, ticket: &str) -> Result<Option<SignedIn>> {
    let now = app.now();
    let taken = accounts::take_ticket(&app.db, &secrets::hash(ticket), now).await?;
    let Some(row) = taken else { return Ok(None) };
    let standing = sign_in::standing(&app.db, std::slice::from_ref(&row.sign_in), now).await?;
    Ok((!standing.is_empty()).then(|| row.into()))
}

/// Finds an account by its address, also one from before addresses had one spelling.
async fn find(
    db: &impl Executor,
    normal: &str,
    typed: &str,
) -> Result<Option<(AccountRow, String)>> {
    if let Some(found) = accounts::by_email(db, normal).await? {
        return Ok(Some(found));
    }
    let before = email::spelled_before(typed);
    if before == normal { Ok(None) } else { Ok(accounts::by_email(db, &before).await?) }
}

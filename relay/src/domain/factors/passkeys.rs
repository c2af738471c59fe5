//! Passkeys: a key in a phone, a computer or a stick. As a second factor after the password, or alone
//! when the authenticator has made sure that it is its owner who signs.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nightjar_shared::{
    audit::Action,
    factor::{ChallengePurpose, FactorKind},
    ids::{AccountId, PasskeyId},
    range::Check,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    challenge,
    set_up::{self, SetUp},
};
use crate::{
    app::App,
    domain::{
        access::Caller,
        audit::{Actor, Entry, record, tally},
        signed_in::SignedIn,
        text,
    },
    engines::{
        db::{
            accounts, factors,
            passkeys::{self, PasskeyRow},
        },
        webauthn::{self, Algorithm, Assertion, RelyingParty, WebauthnError},
    },
    error::{Error, ProblemCode, Result},
};

/// Of one account.
const PASSKEYS_MAX: usize = 20;
/// What each part of an answer may be at most, decoded: the longest that is real, an attestation of an
/// RSA key, has some 700 bytes.
const PART_BYTES_MAX: usize = 4 * 1024;

/// A passkey as lists show it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Passkey {
    #[schema(value_type = String)]
    pub passkey_id: PasskeyId,
    pub name: String,
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub used_at: Option<UnixMillis>,
}

impl From<PasskeyRow> for Passkey {
    fn from(row: PasskeyRow) -> Self {
        Self {
            passkey_id: row.passkey_id,
            name: row.name,
            created_at: row.created_at,
            used_at: row.used_at,
        }
    }
}

/// What a passkey signs: for `navigator.credentials.get`.
#[derive(Clone, Serialize, ToSchema)]
pub struct PasskeyQuestion {
    /// Base64url.
    pub challenge: String,
    pub rp_id: String,
    /// Whose signature is taken, base64url; any of this relay's where there is none.
    pub credentials: Vec<String>,
    pub expires_in_s: u64,
}

impl PasskeyQuestion {
    /// Makes a question: none where pages have no passkeys.
    pub(super) fn new(app: &App, challenge: String, credentials: Vec<String>) -> Option<Self> {
        let rp_id = party_id(app)?.to_owned();
        let expires_in_s = challenge::LIFETIME.as_secs();
        Some(Self { challenge, rp_id, credentials, expires_in_s })
    }
}

/// What a new passkey is made of: for `navigator.credentials.create`.
#[derive(Clone, Serialize, ToSchema)]
pub struct PasskeyCreation {
    /// Base64url.
    pub challenge: String,
    pub rp_id: String,
    pub rp_name: String,
    /// Base64url.
    pub user_id: String,
    pub user_name: String,
    pub user_display_name: String,
    /// By their numbers of COSE, the best one first.
    pub algorithms: Vec<i64>,
    /// What the account has already, base64url.
    pub exclude: Vec<String>,
    pub expires_in_s: u64,
}

/// What `navigator.credentials.create` gave, all of it base64url.
#[derive(Deserialize, ToSchema)]
pub struct NewPasskey {
    pub challenge: String,
    /// For the person who has several.
    pub name: String,
    pub client_data_json: String,
    pub attestation_object: String,
}

impl Check for NewPasskey {}

/// What `navigator.credentials.get` gave, all of it base64url.
#[derive(Deserialize, ToSchema)]
pub struct PasskeyAnswer {
    pub challenge: String,
    pub credential_id: String,
    pub client_data_json: String,
    pub authenticator_data: String,
    pub signature: String,
    #[serde(default)]
    pub user_handle: Option<String>,
}

impl Check for PasskeyAnswer {}

/// Asks for any passkey of this relay.
pub async fn ask_for_passkey(app: &App) -> Result<PasskeyQuestion> {
    party_id(app).ok_or_else(unavailable)?;
    let challenge = challenge::give(app, ChallengePurpose::Passkey, None).await?;
    PasskeyQuestion::new(app, challenge, Vec::new()).ok_or_else(unavailable)
}

/// Signs in by a passkey alone: its authenticator must have made sure who uses it.
pub async fn sign_in_with_passkey(app: &App, answer: &PasskeyAnswer) -> Result<Caller> {
    challenge::take(app, &answer.challenge, ChallengePurpose::Passkey).await?;
    let checked = check(app, answer, &answer.challenge, None).await?;
    let (account_id, now) = (checked.account_id, app.now());
    if !checked.user_verified {
        return Err(invalid().with_detail(
            "Alone, a passkey is taken when its device has asked for a finger, a face or a PIN.",
        ));
    }
    app.limits.login_success.take(&account_id.to_string(), now)?;
    let entry = Entry::new(Action::SignedIn, account_id);
    record(&app.db, now, entry.text("factor", FactorKind::Passkey.as_str())).await?;
    Ok(Caller::person(account_id))
}

/// Begins to make a passkey.
pub async fn begin_passkey(app: &App, signed_in: &SignedIn) -> Result<PasskeyCreation> {
    super::confirmed(app, signed_in).await?;
    let rp_id = party_id(app).ok_or_else(unavailable)?.to_owned();
    let account_id = signed_in.caller.account_id;
    let account = accounts::by_id(&app.db, account_id).await?.ok_or_else(Error::not_found)?;
    let exclude = credentials(app, account_id).await?;
    if exclude.len() >= PASSKEYS_MAX {
        return Err(too_many());
    }
    let challenge = challenge::give(app, ChallengePurpose::NewPasskey, Some(account_id)).await?;
    Ok(PasskeyCreation {
        challenge,
        rp_id,
        rp_name: "Nightjar".to_owned(),
        user_id: user_handle(account_id),
        user_name: account.email,
        user_display_name: account.name,
        algorithms: Algorithm::ALL.map(Algorithm::number).to_vec(),
        exclude,
        expires_in_s: challenge::LIFETIME.as_secs(),
    })
}

/// Keeps a passkey that was made just now.
pub async fn keep_passkey(
    app: &App,
    signed_in: &SignedIn,
    new: NewPasskey,
) -> Result<(Passkey, SetUp)> {
    super::confirmed(app, signed_in).await?;
    let name = text::name(&new.name)?;
    let (account_id, now) = (signed_in.caller.account_id, app.now());
    let asked = challenge::take(app, &new.challenge, ChallengePurpose::NewPasskey).await?;
    if asked != Some(account_id) {
        return Err(invalid().with_detail("It answers what another account was asked."));
    }
    let (client_data, object) = (part(&new.client_data_json)?, part(&new.attestation_object)?);
    let made =
        with_party(app, |party| webauthn::register(party, &new.challenge, &client_data, &object))?;
    let row = PasskeyRow {
        passkey_id: PasskeyId::generate(),
        credential_id: URL_SAFE_NO_PAD.encode(made.id),
        account_id,
        name,
        public_key: URL_SAFE_NO_PAD.encode(made.public_key),
        sign_count: made.sign_count,
        created_at: now,
        used_at: None,
    };
    let transaction = app.db.begin().await?;
    factors::hold_account(&transaction, account_id).await?;
    if passkeys::of_account(&transaction, account_id).await?.len() >= PASSKEYS_MAX {
        return Err(too_many());
    }
    let before = factors::count(&transaction, account_id).await?;
    if !passkeys::insert(&transaction, row.clone()).await? {
        return Err(Error::conflict(
            ProblemCode::PasskeyTaken,
            "This passkey belongs to an account already.",
        ));
    }
    let entry = Entry::new(Action::PasskeyAdded, signed_in.caller).subject(row.passkey_id);
    record(&transaction, now, entry).await?;
    let set_up = set_up::finish(app, transaction, signed_in, before == 0).await?;
    Ok((row.into(), set_up))
}

/// Removes a passkey: asked of who has just shown both password and a factor.
pub async fn remove_passkey(app: &App, signed_in: &SignedIn, passkey_id: PasskeyId) -> Result<()> {
    super::confirmed_twice(app, signed_in).await?;
    let (account_id, now) = (signed_in.caller.account_id, app.now());
    let transaction = app.db.begin().await?;
    factors::hold_account(&transaction, account_id).await?;
    if !passkeys::delete(&transaction, account_id, passkey_id).await? {
        return Err(Error::not_found());
    }
    set_up::check_left(&transaction, account_id).await?;
    let entry = Entry::new(Action::PasskeyRemoved, signed_in.caller).subject(passkey_id);
    record(&transaction, now, entry).await?;
    set_up::forget_codes_of_nothing(&transaction, account_id).await?;
    set_up::tell(app, &transaction, account_id).await?;
    Ok(transaction.commit().await?)
}

/// Lists the credentials of an account, base64url.
pub(super) async fn credentials(app: &App, account_id: AccountId) -> Result<Vec<String>> {
    let rows = passkeys::of_account(&app.db, account_id).await?;
    Ok(rows.into_iter().map(|row| row.credential_id).collect())
}

pub(super) async fn list(app: &App, account_id: AccountId) -> Result<Vec<Passkey>> {
    let rows = passkeys::of_account(&app.db, account_id).await?;
    Ok(rows.into_iter().map(Passkey::from).collect())
}

/// Returns whether pages of this relay may have passkeys: browsers give them to names, not to
/// addresses.
pub(super) fn are_available(app: &App) -> bool {
    party_id(app).is_some()
}

/// Whose passkey has signed.
pub(super) struct Checked {
    pub(super) account_id: AccountId,
    pub(super) user_verified: bool,
}

/// Checks a signature upon this challenge, by this account or by any. The challenge is the caller's
/// to take.
pub(super) async fn check(
    app: &App,
    answer: &PasskeyAnswer,
    challenge: &str,
    account_id: Option<AccountId>,
) -> Result<Checked> {
    let row = passkeys::by_credential(&app.db, &answer.credential_id).await?;
    let row = row.filter(|row| account_id.is_none_or(|account_id| account_id == row.account_id));
    let row = row.ok_or_else(invalid)?;
    let handle = answer.user_handle.as_deref().filter(|handle| !handle.is_empty());
    // Alone, the authenticator must say whose it is: it is asked for nobody in particular.
    let is_named = handle.map_or(account_id.is_some(), |handle| {
        handle.trim_end_matches('=') == user_handle(row.account_id)
    });
    if !is_named {
        return Err(invalid().with_detail("It says that it is another account's."));
    }
    let public_key = URL_SAFE_NO_PAD
        .decode(&row.public_key)
        .map_err(|error| anyhow::anyhow!("a passkey's stored key is damaged: {error}"))?;
    let client_data = part(&answer.client_data_json)?;
    let authenticator_data = part(&answer.authenticator_data)?;
    let signature = part(&answer.signature)?;
    let assertion = Assertion {
        client_data: &client_data,
        authenticator_data: &authenticator_data,
        signature: &signature,
    };
    let asserted =
        with_party(app, |party| webauthn::verify(party, challenge, &public_key, assertion))?;
    if !passkeys::note_use(&app.db, row.passkey_id, asserted.sign_count, app.now()).await? {
        tracing::warn!(passkey.id = %row.passkey_id, "a passkey's counter went back: is it copied?");
        let entry = Entry::new(Action::PasskeyCopied, Actor::Stranger).subject(row.account_id);
        tally(app, entry).await?;
        return Err(invalid().with_detail(
            "It has signed less often than it had before: it may have been copied. Remove it, and \
             sign in another way.",
        ));
    }
    Ok(Checked { account_id: row.account_id, user_verified: asserted.user_verified })
}

fn with_party<T>(
    app: &App,
    act: impl FnOnce(RelyingParty<'_>) -> std::result::Result<T, WebauthnError>,
) -> Result<T> {
    let id = party_id(app).ok_or_else(unavailable)?;
    let is_own_origin = |origin: &str| app.config.is_own_origin(origin);
    act(RelyingParty { id, is_own_origin: &is_own_origin })
        .map_err(|error| invalid().with_detail(error.to_string()))
}

fn party_id(app: &App) -> Option<&str> {
    let host = app.config.host();
    let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    (!is_address).then_some(host)
}

fn user_handle(account_id: AccountId) -> String {
    URL_SAFE_NO_PAD.encode(account_id.as_uuid())
}

fn part(text: &str) -> Result<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() <= PART_BYTES_MAX);
    bytes.ok_or_else(|| invalid().with_detail("A part of it is not base64url, or too long."))
}

fn invalid() -> Error {
    Error::forbidden(ProblemCode::InvalidPasskey, "This passkey is not taken.")
}

fn too_many() -> Error {
    Error::conflict(ProblemCode::TooManyPasskeys, "An account has at most 20 passkeys.")
}

fn unavailable() -> Error {
    Error::conflict(
        ProblemCode::PasskeysUnavailable,
        "Browsers make passkeys for names alone: give the relay a name in public_url.",
    )
}

//! Keys by which programs act for an account: with some of its rights, perhaps at one site, for a
//! time. A key changes no account, no members and no keys.

use std::time::Duration;

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, ApiKeyId, SiteId},
    range::Check,
    role::{Right, Rights},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    List,
    access::{self, Caller},
    audit::{Entry, record},
    factors, live,
    scope::Scope,
    secrets,
    signed_in::SignedIn,
    text,
};
use crate::{
    app::App,
    engines::db::{
        api_keys::{self, ApiKeyRow},
        factors::hold_account,
        sign_in::SignInId,
    },
    error::{Error, ProblemCode, Result},
};

/// Of one account.
const KEYS_MAX: u64 = 50;
const DAYS_DEFAULT: u32 = 90;
const DAYS_MAX: u32 = 366;
/// How exactly it is known when a key was used last: each note is a write.
const USE_NOTED_EVERY: Duration = Duration::from_mins(1);

/// Begins every key, so that people and scanners of published files know one when they see it.
const PREFIX: &str = "nj_";
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 260 bits.
const SECRET_LETTERS: usize = 52;
/// Of the hash of what stands before them: what was mistyped or cut is refused unasked.
const CHECK_LETTERS: usize = 6;

/// What a key may do.
#[derive(Deserialize, ToSchema)]
pub struct NewKey {
    pub name: String,
    /// `see_cameras`, `see_pictures`, `control`, `manage`, `pair`, `report`: what the account itself may do at a
    /// site limits them further. A key that only sees changes nothing. `read_metrics` is for keys of administrators.
    #[schema(value_type = Vec<String>)]
    pub rights: Vec<Right>,
    /// The one site where it counts; everywhere when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub site_id: Option<SiteId>,
    /// 1 to 366; 90 when absent.
    #[serde(default)]
    pub days: Option<u32>,
}

impl Check for NewKey {}

/// A key as lists show it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ApiKey {
    #[schema(value_type = String)]
    pub key_id: ApiKeyId,
    pub name: String,
    #[schema(value_type = Vec<String>)]
    pub rights: Vec<Right>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub site_id: Option<SiteId>,
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
    /// To the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub used_at: Option<UnixMillis>,
}

impl From<ApiKeyRow> for ApiKey {
    fn from(row: ApiKeyRow) -> Self {
        Self {
            key_id: row.key_id,
            name: row.name,
            rights: row.rights,
            site_id: row.site_id,
            created_at: row.created_at,
            expires_at: row.expires_at,
            used_at: row.used_at,
        }
    }
}

/// A key that was made just now.
#[derive(Clone, Serialize, ToSchema)]
pub struct MadeKey {
    pub key: ApiKey,
    /// For `Authorization: Bearer`. Shown once.
    pub token: String,
}

pub async fn list(app: &App, caller: Caller) -> Result<List<ApiKey>> {
    let now = app.now();
    let rows = api_keys::of_account(&app.db, caller.account_id).await?;
    let items = rows.into_iter().filter(|row| row.expires_at > now).map(ApiKey::from).collect();
    Ok(List { items, next_cursor: None })
}

/// Makes a key, for who has just shown again who they are.
pub async fn create(app: &App, signed_in: &SignedIn, new: NewKey) -> Result<MadeKey> {
    factors::confirmed(app, signed_in).await?;
    let caller = signed_in.caller;
    let name = text::name(&new.name)?;
    // Who belongs to a site and who did what there is for people.
    let for_people = |right: &Right| matches!(right, Right::Own | Right::Invite | Right::Audit);
    if new.rights.iter().any(for_people) {
        let title =
            "A key sees cameras and pictures, controls, manages, pairs and reports, and no more.";
        return Err(Error::invalid(ProblemCode::InvalidScope, title));
    }
    if new.rights.contains(&Right::ReadMetrics) {
        access::administrator(app, caller).await?;
    }
    let rights = Rights::of(&new.rights).list();
    if rights.is_empty() {
        return Err(Error::invalid(ProblemCode::InvalidScope, "A key has one right at least."));
    }
    let days = new.days.unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Error::invalid(
            ProblemCode::InvalidLifetime,
            "A key is good for 1 to 366 days.",
        ));
    }
    if let Some(site_id) = new.site_id {
        access::site(app, caller, site_id, Right::SeeCameras).await?;
    }
    let now = app.now();
    let token = new_token()?;
    let row = ApiKeyRow {
        key_id: ApiKeyId::generate(),
        account_id: caller.account_id,
        site_id: new.site_id,
        name,
        rights,
        created_at: now,
        expires_at: now.plus(Duration::from_hours(u64::from(days) * 24)),
        used_at: None,
    };
    let transaction = app.db.begin().await?;
    hold_account(&transaction, caller.account_id).await?;
    if api_keys::count_of_account(&transaction, caller.account_id).await? >= KEYS_MAX {
        return Err(Error::conflict(ProblemCode::TooManyKeys, "An account has at most 50 keys."));
    }
    api_keys::insert(&transaction, &row, secrets::hash(&token)).await?;
    let entry = Entry::new(Action::ApiKeyMade, caller).subject(row.key_id);
    let entry = entry.text("name", &row.name).fact("site_id", &row.site_id);
    record(&transaction, now, entry.fact("expires_at", &row.expires_at)).await?;
    transaction.commit().await?;
    Ok(MadeKey { key: row.into(), token })
}

/// Ends a key, with the sockets and live pictures that it has opened.
pub async fn remove(app: &App, caller: Caller, key_id: ApiKeyId) -> Result<()> {
    access::in_person(caller)?;
    super::even_when_full(app, || end(app, caller.account_id, key_id)).await
}

async fn end(app: &App, account_id: AccountId, key_id: ApiKeyId) -> Result<()> {
    let transaction = app.db.begin().await?;
    if !api_keys::delete(&transaction, account_id, key_id).await? {
        return Err(Error::not_found());
    }
    let entry = Entry::new(Action::ApiKeyRemoved, account_id).subject(key_id);
    record(&transaction, app.now(), entry).await?;
    transaction.commit().await?;
    let sign_in = SignInId::of_key(key_id);
    app.realtime.close_sign_in(account_id, &(&sign_in).into());
    live::end_of_account(app, account_id, Some(&sign_in)).await
}

/// Returns whether a bearer token looks like a key.
pub fn is_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// Finds who acts by this token, if it is a key that is good now.
pub(super) async fn authenticate(app: &App, token: &str) -> Result<Option<ApiKeyRow>> {
    if !is_whole(token) {
        return Ok(None);
    }
    let now = app.now();
    let found = api_keys::by_token(&app.db, &secrets::hash(token), now).await?;
    if let Some(row) = &found
        && row.used_at.is_none_or(|used_at| now.since(used_at) >= USE_NOTED_EVERY)
    {
        let before = now.minus(USE_NOTED_EVERY);
        api_keys::note_use(&app.db.unsynced(), row.key_id, now, before).await?;
    }
    Ok(found)
}

/// Returns the caller for whom a key acts.
pub(super) fn caller(row: &ApiKeyRow) -> Caller {
    let scope = Scope::of_key(Rights::of(&row.rights), row.site_id);
    Caller { scope, key_id: Some(row.key_id), ..Caller::person(row.account_id) }
}

fn new_token() -> Result<String> {
    let secret = letters(&secrets::bytes::<SECRET_LETTERS>()?);
    let token = format!("{PREFIX}{secret}");
    Ok(format!("{token}{}", check_of(&token)))
}

/// Returns whether a token is as one was made: neither cut nor mistyped.
fn is_whole(token: &str) -> bool {
    let length = PREFIX.len() + SECRET_LETTERS + CHECK_LETTERS;
    let parts = token.split_at_checked(length - CHECK_LETTERS);
    token.len() == length && parts.is_some_and(|(before, check)| check == check_of(before))
}

fn check_of(text: &str) -> String {
    letters(&secrets::digest(text)[..CHECK_LETTERS])
}

fn letters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_cut_or_mistyped_is_none() {
        let token = new_token().unwrap();
        assert!(is_key(&token) && is_whole(&token), "{token}");
        assert_ne!(token, new_token().unwrap());
        for wrong in [
            &token[..token.len() - 1],
            &token.replace("nj_", "nk_"),
            &format!("{token}a"),
            &token.to_uppercase(),
            "nj_",
            "nj_\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}",
        ] {
            assert!(!is_whole(wrong), "{wrong}");
        }
    }
}

//! Browsers and programs that have signed in before. Guesses of strangers at an account's password stop
//! other strangers, never one of these: it has an allowance of its own ("device cookies" at OWASP).
//!
//! The token opens nothing: with it, a wrong password is as wrong as without.

use std::time::Duration;

use super::{access::Caller, secrets};
use crate::{app::App, engines::db::known_devices, error::Result};

/// Browsers keep no cookie for longer than 400 days.
const LIFETIME: Duration = Duration::from_hours(400 * 24);
/// Of one account: who has more loses those not seen for longest.
const DEVICES_MAX: u32 = 20;

/// What a device keeps, to be known at its next sign-in.
pub struct KnownDevice {
    pub token: String,
    pub lifetime: Duration,
    /// Whether the account has been signed in to before, and never with this one.
    pub is_new: bool,
}

/// Returns what a device's attempts are counted by, if it has signed in to this account before.
pub(super) async fn key(app: &App, token: Option<&str>, email: &str) -> Result<Option<String>> {
    let Some(token) = token else { return Ok(None) };
    let hash = secrets::hash(token);
    Ok(known_devices::knows(&app.db, &hash, email, app.now()).await?.then_some(hash))
}

/// Remembers the device that has just signed in. Its token changes each time, so that a stolen copy
/// of it is good until then; one that was never given out is not taken over.
pub async fn remember(app: &App, caller: Caller, shown: Option<&str>) -> Result<KnownDevice> {
    let token = secrets::token()?;
    let (hash, now) = (secrets::hash(&token), app.now());
    let transaction = app.db.begin().await?;
    if let Some(shown) = shown {
        known_devices::rename(&transaction, &secrets::hash(shown), &hash, now).await?;
    }
    let account_id = caller.account_id;
    let is_new = known_devices::has_any(&transaction, account_id, now).await?
        && !known_devices::is_of(&transaction, &hash, account_id).await?;
    let expires_at = now.plus(LIFETIME);
    known_devices::insert(&transaction, &hash, account_id, now, expires_at).await?;
    known_devices::delete_oldest(&transaction, account_id, DEVICES_MAX).await?;
    transaction.commit().await?;
    Ok(KnownDevice { token, lifetime: LIFETIME, is_new })
}

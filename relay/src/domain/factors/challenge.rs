//! Challenges: what somebody is asked to answer, once, within minutes. Kept as hashes.

use std::time::Duration;

use nightjar_shared::{factor::ChallengePurpose, ids::AccountId};

use crate::{
    app::App,
    domain::secrets,
    engines::db::factors,
    error::{Error, ProblemCode, Result},
};

pub(super) const LIFETIME: Duration = Duration::from_mins(5);
/// Answers to one challenge, right or wrong.
const ATTEMPTS_MAX: u32 = 5;
/// Of one account that are open at a time: the next one ends the oldest. Whoever knows the password
/// could otherwise have any number, with five attempts each.
const OPEN_MAX: u32 = 5;

/// Gives out a challenge: 256 random bits, base64url.
pub(super) async fn give(
    app: &App,
    purpose: ChallengePurpose,
    account_id: Option<AccountId>,
) -> Result<String> {
    let challenge = secrets::token()?;
    let expires_at = app.now().plus(LIFETIME);
    let hash = secrets::hash(&challenge);
    factors::insert_challenge(&app.db, hash, purpose, account_id, expires_at).await?;
    if let Some(account_id) = account_id {
        factors::keep_newest_challenges(&app.db, account_id, OPEN_MAX).await?;
    }
    Ok(challenge)
}

/// Takes an attempt at a challenge, and says whose it is, where that was known. The attempt is gone
/// whatever becomes of it, so that many at once gain nothing.
pub(super) async fn attempt(
    app: &App,
    challenge: &str,
    purpose: ChallengePurpose,
) -> Result<Option<AccountId>> {
    let hash = secrets::hash(challenge);
    let taken =
        factors::attempt_challenge(&app.db, &hash, purpose, ATTEMPTS_MAX, app.now()).await?;
    taken.ok_or_else(over)
}

/// Takes a challenge that may be answered once only, right or wrong.
pub(super) async fn take(
    app: &App,
    challenge: &str,
    purpose: ChallengePurpose,
) -> Result<Option<AccountId>> {
    let account_id = attempt(app, challenge, purpose).await?;
    end(app, challenge).await?;
    Ok(account_id)
}

/// Ends a challenge that was answered. Of two right answers, the first one counts.
pub(super) async fn end(app: &App, challenge: &str) -> Result<()> {
    if factors::end_challenge(&app.db, &secrets::hash(challenge)).await? {
        return Ok(());
    }
    Err(over())
}

fn over() -> Error {
    Error::forbidden(
        ProblemCode::ChallengeExpired,
        "This took too long or too many attempts: begin again.",
    )
}

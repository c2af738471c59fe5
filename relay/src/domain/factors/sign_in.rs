//! The second step of a sign-in: the password was right, and the account has a second factor.

use nightjar_shared::{
    audit::Action,
    factor::{ChallengePurpose, FactorKind},
    ids::AccountId,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Factor, challenge,
    passkeys::{self, PasskeyQuestion},
    verify,
};
use crate::{
    app::App,
    domain::{
        access::Caller,
        audit::{Actor, Entry, record, tally},
    },
    engines::db::factors,
    error::{Error, ProblemCode, Result},
};

/// What a sign-in still wants: nobody is signed in until it is answered.
#[derive(Clone, Serialize, ToSchema)]
pub struct SecondFactorQuestion {
    /// To be shown with the answer. Only who was told it can answer, within 5 minutes and 5 attempts.
    pub challenge: String,
    pub expires_in_s: u64,
    /// What the account has: `code`, `backup_code`, `passkey`.
    #[schema(value_type = Vec<String>)]
    pub kinds: Vec<FactorKind>,
    /// What a passkey signs, where the account has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passkey: Option<PasskeyQuestion>,
}

/// Asks for the second factor of an account that has one.
pub async fn ask(app: &App, account_id: AccountId) -> Result<Option<SecondFactorQuestion>> {
    let totp = factors::totp(&app.db, account_id).await?;
    let has_codes = totp.is_some_and(|row| row.confirmed_at.is_some());
    let credentials = passkeys::credentials(app, account_id).await?;
    if !has_codes && credentials.is_empty() {
        return Ok(None);
    }
    let challenge = challenge::give(app, ChallengePurpose::SecondFactor, Some(account_id)).await?;
    let has_backup_codes = factors::count_backup_codes(&app.db, account_id).await? > 0;
    let passkey = (!credentials.is_empty())
        .then(|| PasskeyQuestion::new(app, challenge.clone(), credentials))
        .flatten();
    let kinds = [
        (FactorKind::Passkey, passkey.is_some()),
        (FactorKind::Code, has_codes),
        (FactorKind::BackupCode, has_backup_codes),
    ];
    Ok(Some(SecondFactorQuestion {
        challenge,
        expires_in_s: challenge::LIFETIME.as_secs(),
        kinds: kinds.into_iter().filter(|(_, has)| *has).map(|(kind, _)| kind).collect(),
        passkey,
    }))
}

/// Takes the answer. Of two right ones at once, one signs in.
pub async fn answer(app: &App, asked: &str, factor: &Factor) -> Result<Caller> {
    let taken = challenge::attempt(app, asked, ChallengePurpose::SecondFactor).await?;
    let account_id = taken.ok_or_else(|| {
        Error::forbidden(ProblemCode::ChallengeExpired, "Nobody was asked for this: begin again.")
    })?;
    let now = app.now();
    if let Err(error) = verify::verify(app, account_id, factor, asked).await {
        app.tallies.refused_sign_ins.add(1);
        let entry = Entry::new(Action::SecondFactorRefused, Actor::Stranger).subject(account_id);
        tally(app, entry.text("factor", factor.kind().as_str())).await?;
        return Err(error);
    }
    challenge::end(app, asked).await?;
    let entry = Entry::new(Action::SignedIn, account_id).text("factor", factor.kind().as_str());
    record(&app.db, now, entry).await?;
    Ok(Caller::person(account_id))
}

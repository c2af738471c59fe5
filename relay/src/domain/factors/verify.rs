//! Whether a second factor is right, whichever it is.

use nightjar_shared::{factor::FactorKind, ids::AccountId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    backup_codes,
    passkeys::{self, PasskeyAnswer},
    totp,
};
use crate::{app::App, error::Result};

/// What somebody shows beside a password: exactly one of these.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// Six digits that an app shows.
    Code(String),
    /// One that was written down; it works once.
    BackupCode(String),
    Passkey(PasskeyAnswer),
}

impl Factor {
    pub(super) fn kind(&self) -> FactorKind {
        match self {
            Self::Code(_) => FactorKind::Code,
            Self::BackupCode(_) => FactorKind::BackupCode,
            Self::Passkey(_) => FactorKind::Passkey,
        }
    }
}

/// Checks a factor of this account, and spends it. A passkey must answer this very challenge, which
/// is the caller's to take.
///
/// Wrong codes of six digits are counted by account, wherever they come from: only who knows the
/// password, or is signed in, comes so far. The longer codes and passkeys cannot be guessed, and
/// work on when that count is spent.
pub(super) async fn verify(
    app: &App,
    account_id: AccountId,
    factor: &Factor,
    challenge: &str,
) -> Result<()> {
    let key = account_id.to_string();
    match factor {
        Factor::Code(code) => {
            let codes = &app.limits.codes_by_account;
            codes.take(&key, app.now())?;
            totp::spend(app, account_id, code).await?;
            codes.give_back(&key);
            Ok(())
        }
        Factor::BackupCode(code) => {
            let codes = &app.limits.backup_codes_by_account;
            codes.take(&key, app.now())?;
            backup_codes::spend(app, account_id, code).await?;
            codes.give_back(&key);
            Ok(())
        }
        Factor::Passkey(answer) => {
            passkeys::check(app, answer, challenge, Some(account_id)).await.map(drop)
        }
    }
}

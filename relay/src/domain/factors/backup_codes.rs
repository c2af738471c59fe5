//! Codes to be written down, for the day on which phone and passkeys are lost.

use nightjar_shared::ids::AccountId;

use crate::{
    app::App,
    domain::secrets,
    engines::db::{Executor, factors},
    error::{Error, ProblemCode, Result},
};

const COUNT: usize = 10;
/// Letters that nobody mixes up (Crockford's base 32): five bits each.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 60 bits: who has the hashes cannot try all of them, and nobody can at a door.
const LENGTH: usize = 12;
const GROUP: usize = 4;

/// Makes a new set in the place of the one before.
pub(super) async fn replace(db: &impl Executor, account_id: AccountId) -> Result<Vec<String>> {
    factors::delete_backup_codes(db, account_id).await?;
    let mut codes = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let code = code()?;
        factors::insert_backup_code(db, account_id, hash(account_id, &code)).await?;
        codes.push(code);
    }
    Ok(codes)
}

/// Spends a code: of two that come at once, one is taken.
pub(super) async fn spend(app: &App, account_id: AccountId, typed: &str) -> Result<()> {
    let hash = hash(account_id, typed);
    if factors::spend_backup_code(&app.db, account_id, &hash).await? {
        return Ok(());
    }
    Err(Error::forbidden(
        ProblemCode::InvalidCode,
        "This is none of the backup codes that are left.",
    ))
}

fn code() -> Result<String> {
    let random = secrets::bytes::<LENGTH>()?;
    let letters: Vec<char> =
        random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    let groups = letters.chunks(GROUP).map(|group| group.iter().collect::<String>());
    Ok(groups.collect::<Vec<_>>().join("-"))
}

/// Hashes a code as it is typed: in any letters' case, with what looks alike, in groups or without.
fn hash(account_id: AccountId, typed: &str) -> String {
    let plain: String = typed
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(2 * LENGTH)
        .map(|letter| match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            letter => letter,
        })
        .collect();
    secrets::hash(&format!("backup code {account_id} {plain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_however_it_is_typed() {
        let account = AccountId::generate();
        let code = code().unwrap();
        assert_eq!(code.len(), LENGTH + 2);
        let bare = code.replace('-', "").to_uppercase();
        assert_eq!(hash(account, &code), hash(account, &format!(" {bare} ")));
        assert_eq!(hash(account, "OIL"), hash(account, "011"));
        assert_ne!(hash(account, &code), hash(AccountId::generate(), &code));
    }
}

//! What administrators do: to accounts, to what sites may use, to the relay itself. Being one gives no
//! right at any site; what is told here is never a picture, the name of footage or an address of an
//! object.

pub mod accounts;
pub mod cameras;
pub mod job_list;
pub mod letters;
pub mod live_sessions;
pub mod settings;
pub mod sites;
pub mod statistics;
pub mod storage;

use nightjar_shared::{audit::Action, ids::AccountId, time::UnixMillis};

use super::{
    access::{self, Caller},
    audit::{Actor, Doer, Entry},
};
use crate::{
    app::App,
    engines::db::{Db, Executor, accounts as account_rows, admin},
    error::{Error, ProblemCode, Result},
};

/// Where somebody administers the relay: signed in, or at the command line, which may be beside a relay
/// that runs, and reaches its sockets by what it writes into the database alone.
pub struct Desk<'a> {
    pub(super) db: &'a Db,
    pub(super) now: UnixMillis,
    caller: Option<Caller>,
    pub(super) app: Option<&'a App>,
}

impl<'a> Desk<'a> {
    /// Lets an administrator in.
    pub async fn of(app: &'a App, caller: Caller) -> Result<Self> {
        access::administrator(app, caller).await?;
        Ok(Self { db: &app.db, now: app.now(), caller: Some(caller), app: Some(app) })
    }

    /// Lets in who runs the relay.
    pub fn at_command_line(db: &'a Db, now: UnixMillis) -> Self {
        Self { db, now, caller: None, app: None }
    }

    fn account_id(&self) -> Option<AccountId> {
        self.caller.map(|caller| caller.account_id)
    }

    fn doer(&self) -> Doer {
        self.caller.map_or_else(|| Doer::from(Actor::Relay), Doer::from)
    }

    fn entry(&self, action: Action) -> Entry {
        Entry::new(action, self.doer())
    }

    /// Holds what administrators change, and checks once more that this is one: somebody else may have
    /// ended that a moment ago.
    async fn hold(&self, transaction: &impl Executor) -> Result<()> {
        admin::hold(transaction).await?;
        let Some(caller) = self.caller else { return Ok(()) };
        let account = account_rows::by_id(transaction, caller.account_id).await?;
        let is_disabled = admin::accounts::is_disabled(transaction, caller.account_id).await?;
        if is_disabled || !account.is_some_and(|account| access::administers(&account)) {
            return Err(access::no_administrator());
        }
        Ok(())
    }
}

/// What may be searched for at most, characters.
const SEARCH_CHARS_MAX: usize = 100;

/// Makes a pattern of `like` that finds a text anywhere: what stands for something in patterns stands for
/// itself.
fn pattern(search: Option<&str>) -> Result<Option<String>> {
    let Some(text) = search.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.chars().count() > SEARCH_CHARS_MAX || text.contains('\0') {
        let title = "What is searched for has 100 characters at most.";
        return Err(Error::bad_request(ProblemCode::InvalidQuery, title));
    }
    let mut pattern = String::from("%");
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    Ok(Some(pattern))
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn what_stands_for_others_in_patterns_stands_for_itself() {
        assert_eq!(pattern(Some(" 50%_Off! ")).unwrap().unwrap(), "%50!%!_off!!%");
        assert_eq!(pattern(Some("  ")).unwrap(), None);
        assert!(pattern(Some(&"x".repeat(101))).is_err());
    }
}

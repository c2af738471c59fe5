//! Codes that are tried, right or wrong.

use crate::{app::App, engines::db::pairings, error::Result};

const EVERYBODY: &str = "";

/// A code that was shown, counted before anything is looked at, so that many at once gain nothing.
pub(super) struct Guess {
    address: Option<String>,
    /// How many open codes it might hit.
    weight: u32,
}

impl Guess {
    /// Counts a whole code, which might be any of those that are open.
    pub(super) async fn take(app: &App, address: Option<&str>) -> Result<Self> {
        let of_one = Self::of_address(app, address)?;
        let open = pairings::count_open_codes(&app.db, app.now()).await?;
        Self { weight: open.max(1), ..of_one }.counted(app)
    }

    /// Counts the rest of a code whose beginning was named.
    pub(super) fn take_of_one(app: &App, address: Option<&str>) -> Result<Self> {
        Self::of_address(app, address)?.counted(app)
    }

    fn of_address(app: &App, address: Option<&str>) -> Result<Self> {
        app.limits.claim_by_address.take_at(address, app.now())?;
        Ok(Self { address: address.map(str::to_owned), weight: 1 })
    }

    fn counted(self, app: &App) -> Result<Self> {
        let taken = app.limits.claim_by_code.take_many(EVERYBODY, self.weight, app.now());
        // It was not made.
        taken.inspect_err(|_| self.give_address_back(app))?;
        Ok(self)
    }

    /// Gives it back: it was not wrong.
    pub(super) fn give_back(&self, app: &App) {
        self.give_address_back(app);
        app.limits.claim_by_code.give_back_many(EVERYBODY, self.weight);
    }

    fn give_address_back(&self, app: &App) {
        if let Some(address) = &self.address {
            app.limits.claim_by_address.give_back(address);
        }
    }
}

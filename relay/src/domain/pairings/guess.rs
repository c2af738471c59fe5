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
    pub(super) async fn take(app: &App, address: Option<&str>) -> Result<Self> {
        let now = app.now();
        app.limits.claim_by_address.take_at(address, now)?;
        let guess = Self {
            address: address.map(str::to_owned),
            weight: pairings::count_open_codes(&app.db, now).await?.max(1),
        };
        app.limits.claim_by_code.take_many(EVERYBODY, guess.weight, now).inspect_err(|_| {
            // It was not made.
            guess.give_address_back(app);
        })?;
        Ok(guess)
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

//! Attempts to sign in, and what each is counted by.

use std::net::IpAddr;

use nightjar_shared::time::UnixMillis;

use super::known_devices;
use crate::{app::App, error::Result};

/// Where an attempt to sign in comes from.
pub struct Origin<'a> {
    pub address: IpAddr,
    /// The token of a device that says it has signed in before.
    pub known_device: Option<&'a str>,
}

/// What an attempt to sign in is counted by, before it is looked at, so that many at once gain nothing.
pub(super) enum Attempt {
    /// Of one that has signed in to this account before: others' guesses do not count.
    Known {
        device: String,
    },
    Stranger {
        address: Option<String>,
        email: String,
    },
}

impl Attempt {
    pub(super) async fn of(app: &App, email: &str, origin: Origin<'_>) -> Result<Self> {
        let known = known_devices::key(app, origin.known_device, email).await?;
        Ok(known.map_or_else(
            || Self::Stranger { address: app.address_key(origin.address), email: email.to_owned() },
            |device| Self::Known { device },
        ))
    }

    /// Takes the attempt. A guesser who is stopped at the address takes nothing of an account's own.
    pub(super) fn take(&self, app: &App, now: UnixMillis) -> Result<()> {
        let limits = &app.limits;
        match self {
            Self::Known { device } => limits.login_by_device.take(device, now),
            Self::Stranger { address: None, email } => limits.login_by_account.take(email, now),
            Self::Stranger { address: Some(address), email } => {
                limits.login_by_address.take(address, now)?;
                let both = format!("{address} {email}");
                limits
                    .login_by_address_and_account
                    .take(&both, now)
                    .and_then(|()| {
                        limits.login_by_account.take(email, now).inspect_err(|_| {
                            limits.login_by_address_and_account.give_back(&both);
                        })
                    })
                    // It was not made.
                    .inspect_err(|_| limits.login_by_address.give_back(address))
            }
        }
    }

    /// Gives it back: the password was right.
    pub(super) fn give_back(&self, app: &App) {
        let limits = &app.limits;
        match self {
            Self::Known { device } => limits.login_by_device.give_back(device),
            Self::Stranger { address, email } => {
                limits.login_by_account.give_back(email);
                if let Some(address) = address {
                    limits.login_by_address.give_back(address);
                    let both = format!("{address} {email}");
                    limits.login_by_address_and_account.give_back(&both);
                }
            }
        }
    }
}

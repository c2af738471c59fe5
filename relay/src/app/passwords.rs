//! Passwords: Argon2id, off the event loop, and only so many at a time.

use std::sync::Arc;

use anyhow::Context as _;
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
};
use tokio::sync::Semaphore;

use crate::error::{Error, ProblemCode, Result};

/// Of the settings that OWASP holds equal, the one with the most memory: an allocation above
/// 32 MiB goes back to the system when it is freed, smaller ones would stay with the allocator.
const MEMORY_KIB: u32 = 46 * 1024;
const ITERATIONS: u32 = 1;
const LANES: u32 = 1;
const CONCURRENT_MAX: usize = 2;
/// Callers that may wait for their turn; more are told to come back.
const WAITING_MAX: usize = 64;

const CHARS_MIN: usize = 10;
const CHARS_MAX: usize = 256;

pub struct Hasher {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Of no password. An unknown account is checked against it, so that it takes as long as a
    /// known one.
    nobody: String,
}

impl Hasher {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            turns: Arc::new(Semaphore::new(CONCURRENT_MAX)),
            places: Arc::new(Semaphore::new(CONCURRENT_MAX + WAITING_MAX)),
            nobody: hash(uuid::Uuid::new_v4().as_bytes())?,
        })
    }

    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        let length = password.chars().count();
        if length < CHARS_MIN {
            return Err(Error::invalid(
                ProblemCode::WeakPassword,
                "A password has at least 10 characters.",
            ));
        }
        if length > CHARS_MAX {
            return Err(Error::invalid(
                ProblemCode::WeakPassword,
                "A password has at most 256 characters.",
            ));
        }
        self.run(move || hash(password.as_bytes())).await
    }

    /// `stored` is absent for an unknown account: that is always wrong, and takes as long.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> Result<bool> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.clone());
        // Nobody has a longer one, and hashing it would only cost time.
        let password: String = password.chars().take(CHARS_MAX + 1).collect();
        let right = self
            .run(move || {
                let stored = PasswordHash::new(&stored)
                    .map_err(|error| anyhow::anyhow!("a stored password is damaged: {error}"))?;
                // The stored hash names the settings it was made with.
                Ok(hasher()?.verify_password(password.as_bytes(), &stored).is_ok())
            })
            .await?;
        Ok(right && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T> {
        let Ok(_place) = self.places.clone().try_acquire_owned() else {
            return Err(Error::unavailable(
                ProblemCode::Busy,
                "Too many sign-ins at once; try again.",
            ));
        };
        let turn = self.turns.clone().acquire_owned().await.context("the hasher is closed")?;
        let hashed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        Ok(hashed.await.context("the hashing task stopped")??)
    }
}

fn hasher() -> anyhow::Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, ITERATIONS, LANES, None)
        .map_err(|error| anyhow::anyhow!("Argon2 does not take its settings: {error}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> anyhow::Result<String> {
    let hashed: PasswordHash = hasher()?
        .hash_password(password)
        .map_err(|error| anyhow::anyhow!("cannot hash a password: {error}"))?;
    Ok(hashed.to_string())
}

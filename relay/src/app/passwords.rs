//! Passwords: Argon2id, off the event loop, and only so many at a time.

use std::sync::Arc;

use anyhow::Context as _;
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use tokio::sync::Semaphore;

use crate::error::{Error, ProblemCode, Result};

/// How much work it is to hash a password, with one iteration and one lane.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    memory_kib: u32,
}

impl Cost {
    /// Of the settings that OWASP holds equal, the one with the most memory: an allocation above
    /// 32 MiB goes back to the system when it is freed, smaller ones would stay with the allocator.
    pub const PRODUCTION: Self = Self { memory_kib: 46 * 1024 };
    /// The least that Argon2 takes: for tests whose subject is not how long a guess takes.
    pub const LEAST: Self = Self { memory_kib: Params::MIN_M_COST };

    fn params(self) -> anyhow::Result<Params> {
        Params::new(self.memory_kib, ITERATIONS, LANES, None)
            .map_err(|error| anyhow::anyhow!("Argon2 does not take its settings: {error}"))
    }
}

const ITERATIONS: u32 = 1;
const LANES: u32 = 1;
const CONCURRENT_MAX: usize = 2;
/// Callers that may wait for their turn; more are told to come back.
const WAITING_MAX: usize = 64;

const CHARS_MIN: usize = 10;
const CHARS_MAX: usize = 256;

#[derive(Clone)]
pub struct Hasher {
    params: Params,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Of no password. An unknown account is checked against it, so that it takes as long as a
    /// known one.
    nobody: String,
}

impl Hasher {
    pub fn new(cost: Cost) -> anyhow::Result<Self> {
        let params = cost.params()?;
        Ok(Self {
            nobody: hash_of_no_password(&params)?,
            params,
            turns: Arc::new(Semaphore::new(CONCURRENT_MAX)),
            places: Arc::new(Semaphore::new(CONCURRENT_MAX + WAITING_MAX)),
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
        let params = self.params.clone();
        self.run(move || hash(password.as_bytes(), params)).await
    }

    /// Checks a password. `stored` is absent for an unknown account: that is always wrong, and takes
    /// as long.
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
                Ok(Argon2::default().verify_password(password.as_bytes(), &stored).is_ok())
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

fn hash(password: &[u8], params: Params) -> anyhow::Result<String> {
    let hashed: PasswordHash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password)
        .map_err(|error| anyhow::anyhow!("cannot hash a password: {error}"))?;
    Ok(hashed.to_string())
}

/// Makes what a stored hash looks like out of chance. Nothing is hashed for it, so that a relay starts
/// at once.
fn hash_of_no_password(params: &Params) -> anyhow::Result<String> {
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    getrandom::fill(&mut output).context("no randomness for the hash of no password")?;
    let invented = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params)
            .map_err(|error| anyhow::anyhow!("cannot write Argon2's settings: {error}"))?,
        salt: Some(Salt::generate()),
        hash: Some(
            Output::new(&output).map_err(|error| anyhow::anyhow!("cannot make a hash: {error}"))?,
        ),
    };
    Ok(invented.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse battery";

    fn production() -> Hasher {
        Hasher::new(Cost::PRODUCTION).unwrap()
    }

    #[tokio::test]
    async fn a_stored_password_is_as_dear_to_guess_as_owasp_asks() {
        let stored = production().hash(PASSWORD.to_owned()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"), "{stored}");
    }

    #[tokio::test]
    async fn an_unknown_account_is_checked_with_the_settings_of_a_known_one() {
        let settings = |hash: &str| {
            let hash = PasswordHash::new(hash).unwrap();
            let lengths = (hash.salt.unwrap().len(), hash.hash.unwrap().len());
            (hash.algorithm, hash.version, hash.params, lengths)
        };
        let hasher = production();
        let known = hasher.hash(PASSWORD.to_owned()).await.unwrap();
        assert_eq!(settings(&hasher.nobody), settings(&known));
        assert!(hasher.verify(PASSWORD.to_owned(), Some(known)).await.unwrap());
        assert!(!hasher.verify(PASSWORD.to_owned(), None).await.unwrap());
    }
}

//! Passwords: Argon2id, off the event loop, behind all others, and only so many at a time.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::Context as _;
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use nightjar_shared::text;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore};

use crate::{
    blocking::behind_others,
    error::{Error, ProblemCode, Result},
    network,
};

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
/// Callers that may wait for their turn; more are told to come back.
const WAITING_MAX: usize = 64;
/// Of one network.
const WAITING_PER_NETWORK_MAX: usize = 32;

const CHARS_MIN: usize = 10;
const CHARS_MAX: usize = 256;
/// Of what is typed at a sign-in: a keyboard may send some characters for each one that it means.
const TYPED_CHARS_MAX: usize = 4 * CHARS_MAX;

/// What a password turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, but hashed as it was typed, before passwords were brought to one form.
    RightAsTyped,
}

#[derive(Clone)]
pub struct Hasher {
    params: Params,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    queues: Arc<Mutex<HashMap<IpAddr, Queue>>>,
    /// Of no password. An unknown account is checked against it, so that it takes as long as a
    /// known one.
    nobody: String,
}

impl Hasher {
    pub fn new(cost: Cost) -> anyhow::Result<Self> {
        let params = cost.params()?;
        // One processor stays with everybody else: hashing fills its cache.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let at_once = processors.saturating_sub(1).max(1);
        Ok(Self {
            nobody: hash_of_no_password(&params)?,
            params,
            turns: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(at_once + WAITING_MAX)),
            queues: Arc::default(),
        })
    }

    /// Waits until nobody else of this network hashes: among the networks that wait, each has its turn
    /// then. A network's queue is short.
    pub(crate) async fn turn_of(&self, address: IpAddr) -> Result<Turn> {
        let network = network::of(address);
        let line = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            let queue = queues.entry(network).or_default();
            if queue.callers >= WAITING_PER_NETWORK_MAX {
                return Err(busy());
            }
            queue.callers += 1;
            queue.line.clone()
        };
        let waiting = Waiting { queues: self.queues.clone(), network };
        // A proxy on loopback brings everybody.
        let first = if network.is_loopback() { None } else { Some(line.lock_owned().await) };
        Ok(Turn { _first: first, _waiting: waiting })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        let password = text::opaque(&password);
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
        if password.chars().any(char::is_control) {
            return Err(Error::invalid(
                ProblemCode::WeakPassword,
                "A password has no control characters: no keyboard types them twice alike.",
            ));
        }
        self.hash_known(password).await
    }

    /// Hashes a password that was taken before, whatever is asked of new ones.
    pub(crate) async fn hash_known(&self, password: String) -> Result<String> {
        let password = text::opaque(&password);
        let params = self.params.clone();
        self.run(move || hash(password.as_bytes(), params)).await
    }

    /// Checks a password. `stored` is absent for an unknown account: that is always wrong, and takes
    /// as long.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> Result<Verdict> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.clone());
        // Nobody has a longer one, and hashing it would only cost time.
        let typed: String = password.chars().take(TYPED_CHARS_MAX).collect();
        let password: String = text::opaque(&typed).chars().take(CHARS_MAX + 1).collect();
        let verdict = self
            .run(move || {
                let stored = PasswordHash::new(&stored)
                    .map_err(|error| anyhow::anyhow!("a stored password is damaged: {error}"))?;
                // The stored hash names the settings it was made with.
                let is = |password: &str| {
                    Argon2::default().verify_password(password.as_bytes(), &stored).is_ok()
                };
                Ok(if is(&password) {
                    Verdict::Right
                } else if typed != password && is(&typed) {
                    Verdict::RightAsTyped
                } else {
                    Verdict::Wrong
                })
            })
            .await?;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T> {
        let Ok(_place) = self.places.clone().try_acquire_owned() else {
            return Err(busy());
        };
        let turn = self.turns.clone().acquire_owned().await.context("the hasher is closed")?;
        let hashed = behind_others("hasher", move || {
            let _turn = turn;
            work()
        });
        Ok(hashed.await.context("a password was not hashed")??)
    }
}

fn busy() -> Error {
    Error::unavailable(ProblemCode::Busy, "Too many sign-ins at once; try again.")
}

/// Who of one network waits for the hasher.
#[derive(Default)]
struct Queue {
    callers: usize,
    line: Arc<AsyncMutex<()>>,
}

/// A caller's turn, until it is dropped.
pub(crate) struct Turn {
    _first: Option<OwnedMutexGuard<()>>,
    _waiting: Waiting,
}

/// A place in a network's queue.
struct Waiting {
    queues: Arc<Mutex<HashMap<IpAddr, Queue>>>,
    network: IpAddr,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get_mut(&self.network) {
            queue.callers -= 1;
            if queue.callers == 0 {
                queues.remove(&self.network);
            }
        }
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
        let verdict = async |stored| hasher.verify(PASSWORD.to_owned(), stored).await.unwrap();
        assert_eq!(verdict(Some(known)).await, Verdict::Right);
        assert_eq!(verdict(None).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_password_is_right_in_every_form_and_in_the_one_it_was_hashed_in_before() {
        let hasher = Hasher::new(Cost::LEAST).unwrap();
        let (composed, decomposed) = ("gr\u{fc}ne \u{e9}toile", "gru\u{308}ne\u{a0}e\u{301}toile");
        let verdict = async |typed: &str, stored: &str| {
            hasher.verify(typed.to_owned(), Some(stored.to_owned())).await.unwrap()
        };
        for first in [composed, decomposed] {
            let stored = hasher.hash(first.to_owned()).await.unwrap();
            assert_eq!(verdict(composed, &stored).await, Verdict::Right);
            assert_eq!(verdict(decomposed, &stored).await, Verdict::Right);
            assert_eq!(verdict("grune etoile", &stored).await, Verdict::Wrong);
        }
        let before = hash(decomposed.as_bytes(), Cost::LEAST.params().unwrap()).unwrap();
        assert_eq!(verdict(decomposed, &before).await, Verdict::RightAsTyped);
        let longest = "\u{fc}".repeat(CHARS_MAX);
        let stored = hasher.hash(longest.clone()).await.unwrap();
        assert_eq!(verdict(&"u\u{308}".repeat(CHARS_MAX), &stored).await, Verdict::Right);
        assert_eq!(verdict(&(longest + "!"), &stored).await, Verdict::Wrong);
    }
}

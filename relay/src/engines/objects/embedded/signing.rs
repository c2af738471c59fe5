//! What URLs of the store are signed by. A new one may take its place while the store serves; what was signed by
//! the one before is taken until the next exchange but one.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::Context as _;
use rusty_s3::Credentials;
use s3s::{
    S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
};
use serde::{Deserialize, Serialize};

use super::private_file;

const FILE: &str = "store-credentials.json";
/// URLs live for minutes: whoever exchanges twice in a row breaks none.
const FORMER_MAX: usize = 2;

#[derive(Clone, Serialize, Deserialize)]
struct Pair {
    access_key: String,
    secret_key: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    current: Pair,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<Pair>,
}

/// Clones share what they know.
#[derive(Clone)]
pub(super) struct Signing {
    path: PathBuf,
    stored: Arc<RwLock<Stored>>,
}

impl Signing {
    pub(super) fn load_or_create(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(FILE);
        let stored = if let Some(stored) = read(&path)? {
            stored
        } else {
            let stored = Stored { current: new_pair()?, former: Vec::new() };
            private_file::create_directory(data_dir)?;
            private_file::write(&path, &serde_json::to_vec(&stored)?)?;
            stored
        };
        Ok(Self { path, stored: Arc::new(RwLock::new(stored)) })
    }

    /// Puts a new pair into the file of a data directory. A store that serves takes it once it looks again.
    pub(super) fn rotate(data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(FILE);
        let stored = read(&path)?
            .with_context(|| format!("{} is not there: start the relay once", path.display()))?;
        let mut former = vec![stored.current];
        former.extend(stored.former);
        former.truncate(FORMER_MAX);
        let stored = Stored { current: new_pair()?, former };
        private_file::write(&path, &serde_json::to_vec(&stored)?)
    }

    /// Reads the file again. One that is damaged changes nothing.
    pub(super) fn look_again(&self) {
        match read(&self.path) {
            Ok(Some(stored)) => {
                *self.stored.write().unwrap_or_else(PoisonError::into_inner) = stored;
            }
            Ok(None) => {
                tracing::error!(path = %self.path.display(), "is gone; the one of before is used");
            }
            Err(error) => tracing::error!("the store's credentials stay: {error:#}"),
        }
    }

    pub(super) fn current(&self) -> Credentials {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        let Pair { access_key, secret_key } = stored.current.clone();
        Credentials::new(access_key, secret_key)
    }

    fn secret_of(&self, access_key: &str) -> Option<String> {
        let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
        let mut pairs = std::iter::once(&stored.current).chain(&stored.former);
        pairs.find(|pair| pair.access_key == access_key).map(|pair| pair.secret_key.clone())
    }
}

#[async_trait::async_trait]
impl S3Auth for Signing {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.secret_of(access_key) {
            Some(secret) => Ok(SecretKey::from(secret)),
            None => Err(s3_error!(NotSignedUp, "Your account is not signed up")),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Stored>> {
    let Some(text) = private_file::read(path)? else { return Ok(None) };
    serde_json::from_str(&text)
        .map(Some)
        .with_context(|| format!("{} is damaged: delete it to make new ones", path.display()))
}

fn new_pair() -> anyhow::Result<Pair> {
    let mut random = [0_u8; 30];
    getrandom::fill(&mut random).context("the system gives no random bytes")?;
    let (access_key, secret_key) = random.split_at(10);
    Ok(Pair { access_key: hex::encode_upper(access_key), secret_key: hex::encode(secret_key) })
}
